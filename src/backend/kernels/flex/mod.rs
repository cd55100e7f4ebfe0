//! The operations on the CPU: one pass over memory each, in place where nobody else holds the
//! tensor, matrix products without copies or transposed layouts, and vector instructions that are
//! chosen at run time.

mod columns;
mod maps;
mod product;
mod rows;

use super::{
    AdamW, Affine, BATCH_NORM_EPSILON, Kernels, LAYER_NORM_EPSILON, Moments, NormGradients,
    ScaleShift, Statistics, Window, adamw, batch_norm, composed, convolution,
};
use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Shape, Tensor, TensorPrimitive};
use burn_flex::{FlexTensor, Layout};
use product::{matrix, product, product_onto};

const EPSILON: f32 = LAYER_NORM_EPSILON as f32;
const EPSILON_OF_BATCHES: f32 = BATCH_NORM_EPSILON as f32;

/// The values of a tensor in row-major order.
struct Host(FlexTensor);

impl Host {
    fn of<const D: usize>(tensor: Tensor<Flex, D>) -> Self {
        Self(tensor.into_primitive().tensor().to_contiguous())
    }

    fn values(&self) -> &[f32] {
        self.0.as_slice().expect("contiguous and f32")
    }

    /// The values to write over: the tensor's own where nobody else holds it, else a copy.
    fn values_mut(&mut self) -> &mut [f32] {
        self.0.storage_mut()
    }

    fn tensor<const D: usize>(self) -> Tensor<Flex, D> {
        Tensor::from_primitive(TensorPrimitive::Float(self.0))
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<Flex, D> {
    let layout = Layout::contiguous(Shape::from(shape));
    Host(FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)).tensor()
}

/// Whether the kernels below can do it: they are of f32. The controls in double precision are composed.
fn is_f32<const D: usize>(tensor: &Tensor<Flex, D>) -> bool {
    tensor.dtype() == DType::F32
}

impl Kernels for Flex {
    fn affine(x: Tensor<Self, 2>, map: Affine<Self>) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return composed::affine(x, map);
        }
        let ([n, inputs], [_, outputs]) = (x.dims(), map.weight.dims());
        let (x, weight, bias) = (Host::of(x), Host::of(map.weight), Host::of(map.bias));
        let y = bias.values().repeat(n);
        let x = matrix(x.values(), n, inputs);
        let y = product_onto(y, x, matrix(weight.values(), inputs, outputs));
        tensor(y, [n, outputs])
    }

    fn affine_backward_x(weight: Tensor<Self, 2>, dy: Tensor<Self, 2>) -> Tensor<Self, 2> {
        if !is_f32(&dy) {
            return composed::affine_backward_x(weight, dy);
        }
        let ([inputs, outputs], [n, _]) = (weight.dims(), dy.dims());
        let (weight, dy) = (Host::of(weight), Host::of(dy));
        let transposed = matrix(weight.values(), inputs, outputs).transpose();
        tensor(product(matrix(dy.values(), n, outputs), transposed), [n, inputs])
    }

    fn affine_backward_weight(x: Tensor<Self, 2>, dy: Tensor<Self, 2>) -> Tensor<Self, 2> {
        if !is_f32(&dy) {
            return composed::affine_backward_weight(x, dy);
        }
        let ([n, inputs], [_, outputs]) = (x.dims(), dy.dims());
        let (x, dy) = (Host::of(x), Host::of(dy));
        let transposed = matrix(x.values(), n, inputs).transpose();
        tensor(product(transposed, matrix(dy.values(), n, outputs)), [inputs, outputs])
    }

    fn sum_rows(dy: Tensor<Self, 2>) -> Tensor<Self, 1> {
        if !is_f32(&dy) {
            return composed::sum_rows(dy);
        }
        let [_, outputs] = dy.dims();
        let mut sum = vec![0.0; outputs];
        rows::sum(Host::of(dy).values(), &mut sum);
        tensor(sum, [outputs])
    }

    fn exact_gelu(x: Tensor<Self, 2>) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return composed::exact_gelu(x);
        }
        let dims = x.dims();
        let x = Host::of(x);
        let mut y = vec![0.0; x.values().len()];
        rows::gelu(x.values(), &mut y);
        tensor(y, dims)
    }

    fn exact_gelu_backward(x: Tensor<Self, 2>, dy: Tensor<Self, 2>) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return composed::exact_gelu_backward(x, dy);
        }
        let (x, mut dy) = (Host::of(x), Host::of(dy));
        rows::gelu_backward(x.values(), dy.values_mut());
        dy.tensor()
    }

    fn layer_norm_rows(x: Tensor<Self, 2>, norm: ScaleShift<Self>) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return composed::layer_norm_rows(x, norm);
        }
        let dims = x.dims();
        let (x, gamma, beta) = (Host::of(x), Host::of(norm.gamma), Host::of(norm.beta));
        let mut y = vec![0.0; x.values().len()];
        let norm = rows::Norm { gamma: gamma.values(), beta: beta.values() };
        rows::layer_norm(x.values(), norm, EPSILON, &mut y);
        tensor(y, dims)
    }

    fn layer_norm_rows_backward(
        x: Tensor<Self, 2>,
        gamma: Tensor<Self, 1>,
        dy: Tensor<Self, 2>,
        wants_x: bool,
    ) -> NormGradients<Self> {
        if !is_f32(&x) {
            return composed::layer_norm_rows_backward(x, gamma, dy, wants_x);
        }
        let [_, d] = x.dims();
        let (x, gamma, mut dy) = (Host::of(x), Host::of(gamma), Host::of(dy));
        let (mut dgamma, mut dbeta) = (vec![0.0; d], vec![0.0; d]);
        let into = rows::Norm { gamma: &mut dgamma[..], beta: &mut dbeta[..] };
        rows::layer_norm_backward(x.values(), gamma.values(), EPSILON, dy.values_mut(), into);
        NormGradients {
            x: wants_x.then(|| dy.tensor()),
            gamma: tensor(dgamma, [d]),
            beta: tensor(dbeta, [d]),
        }
    }

    fn behind_scale_shift(
        norm: ScaleShift<Self>,
        weight: Tensor<Self, 2>,
        g: Tensor<Self, 2>,
        dbias: Tensor<Self, 1>,
    ) -> (NormGradients<Self>, Tensor<Self, 2>) {
        if !is_f32(&g) {
            return composed::behind_scale_shift(norm, weight, g, dbias);
        }
        let [d, _] = weight.dims();
        let (gamma, beta) = (Host::of(norm.gamma), Host::of(norm.beta));
        let (weight, mut g, dbias) = (Host::of(weight), Host::of(g), Host::of(dbias));
        let (mut dgamma, mut dbeta) = (vec![0.0; d], vec![0.0; d]);
        let norm = rows::Norm { gamma: gamma.values(), beta: beta.values() };
        let into = rows::Norm { gamma: &mut dgamma[..], beta: &mut dbeta[..] };
        rows::behind_scale_shift(norm, weight.values(), g.values_mut(), dbias.values(), into);
        let (gamma, beta) = (tensor(dgamma, [d]), tensor(dbeta, [d]));
        (NormGradients { x: None, gamma, beta }, g.tensor())
    }

    fn inner_product(x: Tensor<Self, 2>, credit: Tensor<Self, 2>, scale: f64) -> Tensor<Self, 1> {
        if !is_f32(&x) {
            return composed::inner_product(x, credit, scale);
        }
        let tokens = x.dims()[0] / credit.dims()[0];
        let d = x.dims()[1];
        let (x, credit) = (Host::of(x), Host::of(credit));
        let sum = rows::inner_product(x.values(), credit.values(), tokens, d);
        tensor(vec![(sum * scale) as f32], [1])
    }

    fn inner_product_backward(
        credit: Tensor<Self, 2>,
        tokens: usize,
        g: Tensor<Self, 1>,
        scale: f64,
    ) -> Tensor<Self, 2> {
        if !is_f32(&credit) {
            return composed::inner_product_backward(credit, tokens, g, scale);
        }
        let [n, d] = credit.dims();
        let factor = Host::of(g).values()[0] * scale as f32;
        let credit = Host::of(credit);
        let mut dx = Vec::with_capacity(n * tokens * d);
        for row in credit.values().chunks_exact(d.max(1)) {
            for _ in 0..tokens {
                dx.extend(row.iter().map(|a| a * factor));
            }
        }
        tensor(dx, [n * tokens, d])
    }

    fn rms_scaled(x: Tensor<Self, 2>, by: Tensor<Self, 2>, epsilon: f64) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return composed::rms_scaled(x, by, epsilon);
        }
        let ([n, columns], [_, d]) = (x.dims(), by.dims());
        let (x, by) = (Host::of(x), Host::of(by));
        let mut scaled = vec![0.0; n * columns];
        rows::rms_scale(x.values(), by.values(), [columns, d], epsilon as f32, &mut scaled);
        tensor(scaled, [n, columns])
    }

    /// In one pass from whatever layout a product of heads leaves behind.
    fn merge_heads(x: Tensor<Self, 4>) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return composed::merge_heads(x);
        }
        let [n, heads, tokens, k] = x.dims();
        let x = x.into_primitive().tensor();
        let (values, start) = (x.storage::<f32>(), x.layout().start_offset() as isize);
        let strides = x.layout().strides();
        let mut rows = Vec::with_capacity(n * tokens * heads * k);
        for i in 0..n as isize {
            for t in 0..tokens as isize {
                for h in 0..heads as isize {
                    let at = start + i * strides[0] + h * strides[1] + t * strides[2];
                    match strides[3] {
                        1 => rows.extend_from_slice(&values[at as usize..][..k]),
                        stride => {
                            rows.extend((0..k as isize).map(|j| values[(at + j * stride) as usize]))
                        }
                    }
                }
            }
        }
        tensor(rows, [n * tokens, heads * k])
    }

    fn scaled_softmax(x: Tensor<Self, 2>, scale: f64) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return composed::scaled_softmax(x, scale);
        }
        let [_, tokens] = x.dims();
        let mut x = Host::of(x);
        rows::softmax(x.values_mut(), tokens, scale as f32);
        x.tensor()
    }

    fn scaled_softmax_backward(
        y: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        scale: f64,
    ) -> Tensor<Self, 2> {
        if !is_f32(&y) {
            return composed::scaled_softmax_backward(y, dy, scale);
        }
        let [_, tokens] = y.dims();
        let (y, mut dy) = (Host::of(y), Host::of(dy));
        rows::softmax_backward(y.values(), dy.values_mut(), tokens, scale as f32);
        dy.tensor()
    }

    fn convolution(x: Tensor<Self, 2>, window: Window, map: Affine<Self>) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return convolution::convolution(x, window, map);
        }
        let ([rows, channels], [features]) = (x.dims(), map.bias.dims());
        let rows = rows / window.inputs() * window.outputs();
        let (x, weight, bias) = (Host::of(x), Host::of(map.weight), Host::of(map.bias));
        let mut y = bias.values().repeat(rows);
        maps::convolve(x.values(), channels, window, weight.values(), &mut y);
        tensor(y, [rows, features])
    }

    fn convolution_backward_x(
        weight: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        window: Window,
    ) -> Tensor<Self, 2> {
        if !is_f32(&dy) {
            return convolution::convolution_backward_x(weight, dy, window);
        }
        let channels = weight.dims()[0] / window.covered();
        let rows = dy.dims()[0] / window.outputs() * window.inputs();
        let (weight, dy) = (Host::of(weight), Host::of(dy));
        let mut dx = vec![0.0; rows * channels];
        maps::convolve_back(weight.values(), channels, window, dy.values(), &mut dx);
        tensor(dx, [rows, channels])
    }

    fn convolution_backward_weight(
        x: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        window: Window,
    ) -> Tensor<Self, 2> {
        if !is_f32(&dy) {
            return convolution::convolution_backward_weight(x, dy, window);
        }
        let ([_, channels], [_, features]) = (x.dims(), dy.dims());
        let inputs = window.covered() * channels;
        let (x, dy) = (Host::of(x), Host::of(dy));
        let mut dweight = vec![0.0; inputs * features];
        maps::weigh(x.values(), channels, window, dy.values(), &mut dweight);
        tensor(dweight, [inputs, features])
    }

    fn max_pool(x: Tensor<Self, 2>, sides: [usize; 2], size: usize) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return convolution::max_pool(x, sides, size);
        }
        let [rows, channels] = x.dims();
        let rows = rows / (size * size);
        let x = Host::of(x);
        let mut y = vec![0.0; rows * channels];
        maps::max_pool(x.values(), channels, sides, size, &mut y);
        tensor(y, [rows, channels])
    }

    fn max_pool_backward(
        x: Tensor<Self, 2>,
        dy: Tensor<Self, 2>,
        sides: [usize; 2],
        size: usize,
    ) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return convolution::max_pool_backward(x, dy, sides, size);
        }
        let dims = x.dims();
        let (x, dy) = (Host::of(x), Host::of(dy));
        let mut dx = vec![0.0; x.values().len()];
        maps::max_pool_back(x.values(), dims[1], sides, size, dy.values(), &mut dx);
        tensor(dx, dims)
    }

    fn column_statistics(x: Tensor<Self, 2>) -> Statistics<Self> {
        if !is_f32(&x) {
            return batch_norm::statistics(x);
        }
        let dims @ [_, d] = x.dims();
        let [mean, variance] = columns::statistics(Host::of(x).values(), dims);
        Statistics { mean: tensor(mean, [d]), variance: tensor(variance, [d]) }
    }

    fn normalised_columns(
        x: Tensor<Self, 2>,
        statistics: Statistics<Self>,
        norm: ScaleShift<Self>,
    ) -> Tensor<Self, 2> {
        if !is_f32(&x) {
            return batch_norm::normalised(x, statistics, norm);
        }
        let (mean, variance) = (Host::of(statistics.mean), Host::of(statistics.variance));
        let (mut x, gamma, beta) = (Host::of(x), Host::of(norm.gamma), Host::of(norm.beta));
        let norm = rows::Norm { gamma: gamma.values(), beta: beta.values() };
        columns::normalise(x.values_mut(), mean.values(), variance.values(), norm);
        x.tensor()
    }

    fn batch_norm_backward(
        x: Tensor<Self, 2>,
        statistics: Statistics<Self>,
        gamma: Tensor<Self, 1>,
        dy: Tensor<Self, 2>,
        of_batch: bool,
    ) -> NormGradients<Self> {
        if !is_f32(&x) {
            return batch_norm::backward(x, statistics, gamma, dy, of_batch);
        }
        let [_, d] = x.dims();
        let statistics = [Host::of(statistics.mean), Host::of(statistics.variance)];
        let (x, gamma, mut dy) = (Host::of(x), Host::of(gamma), Host::of(dy));
        let [dgamma, dbeta] = columns::normalise_back(
            x.values(),
            statistics.each_ref().map(Host::values),
            gamma.values(),
            dy.values_mut(),
            of_batch,
        );
        NormGradients { x: Some(dy.tensor()), gamma: tensor(dgamma, [d]), beta: tensor(dbeta, [d]) }
    }

    fn adamw(
        adamw: AdamW,
        parameter: Tensor<Self, 1>,
        gradient: Tensor<Self, 1>,
        moments: Option<Moments<Self>>,
    ) -> (Tensor<Self, 1>, Moments<Self>) {
        if !is_f32(&parameter) {
            return adamw::composed(adamw, parameter, gradient, moments);
        }
        let [count] = parameter.dims();
        let zeros = || tensor(vec![0.0; count], [count]);
        let moments =
            moments.unwrap_or_else(|| Moments { time: 0, first: zeros(), second: zeros() });
        let time = moments.time + 1;
        let (mut first, mut second) = (Host::of(moments.first), Host::of(moments.second));
        let (mut parameter, gradient) = (Host::of(parameter), Host::of(gradient));
        let step = rows::AdamWStep::new(&adamw, time);
        let (m, v) = (first.values_mut(), second.values_mut());
        rows::adamw(step, parameter.values_mut(), gradient.values(), m, v);
        (parameter.tensor(), Moments { time, first: first.tensor(), second: second.tensor() })
    }
}
