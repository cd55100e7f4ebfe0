//! The operations on a backend that records a graph: each is one node, whose backward pass is the
//! inner backend's own, and forms no gradient that nobody asked for.

mod maps;

use super::{
    Affine, AffineGradients, Kernels, NormGradients, ScaleShift, Shared, Statistics, Window,
};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

/// A backend that trains: it differentiates, and it and the backend under it have the step's
/// operations.
pub trait Differentiable: AutodiffBackend<InnerBackend: Kernels> + Kernels {}

impl<B: AutodiffBackend<InnerBackend: Kernels> + Kernels> Differentiable for B {}

type Tracked<B, C> = FloatTensor<Autodiff<B, C>>;

fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn unwrap<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// One operation of N arguments: its value, and what reaches each argument, in their order; of
/// an argument that wants none it may be left out.
trait Operation<B: Kernels, const N: usize>: Clone + Send + std::fmt::Debug + 'static {
    fn backward(self, dy: FloatTensor<B>, wanted: [bool; N]) -> [Option<FloatTensor<B>>; N];
}

/// The node of an [`Operation`], which is its state.
#[derive(Debug)]
struct Node<O>(std::marker::PhantomData<O>);

impl<B: Kernels, O: Operation<B, N> + Sync, const N: usize> Backward<B, N> for Node<O> {
    type State = O;

    fn backward(self, ops: Ops<O, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let reached = ops.state.backward(dy, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(reached) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

fn record<B: Kernels, C: CheckpointStrategy, O: Operation<B, N> + Sync, const N: usize>(
    arguments: [&Tracked<B, C>; N],
    operation: O,
    output: FloatTensor<B>,
) -> Tracked<B, C> {
    let nodes = arguments.map(|argument| argument.node.clone());
    match Node::<O>(std::marker::PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(operation, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

/// An affine map as its node needs it.
struct Parts<B: Backend, C: CheckpointStrategy> {
    weight: Tracked<B, C>,
    bias: Tracked<B, C>,
    /// On the inner backend.
    inner: Affine<B>,
    /// What a gradient crosses the map through.
    back: FloatTensor<B>,
}

impl<B: Kernels, C: CheckpointStrategy> Parts<B, C> {
    fn of(map: Affine<Autodiff<B, C>>) -> Self {
        let (weight, bias) = (unwrap(map.weight), unwrap(map.bias));
        let back = map.back.map_or_else(|| weight.primitive.clone(), |b| unwrap(b).primitive);
        let inner = Affine::new(wrap(weight.primitive.clone()), wrap(bias.primitive.clone()));
        Self { weight, bias, inner, back }
    }
}

/// `back` is W, or what stands for it where a gradient crosses the map.
#[derive(Clone, Debug)]
struct AffineNode<B: Backend> {
    x: FloatTensor<B>,
    back: FloatTensor<B>,
}

impl<B: Kernels> Operation<B, 3> for AffineNode<B> {
    fn backward(self, dy: FloatTensor<B>, wanted: [bool; 3]) -> [Option<FloatTensor<B>>; 3] {
        let (x, back, dy) = (wrap::<B, 2>(self.x), wrap(self.back), wrap::<B, 2>(dy));
        [
            wanted[0].then(|| unwrap(B::affine_backward_x(back, dy.clone()))),
            wanted[1].then(|| unwrap(B::affine_backward_weight(x, dy.clone()))),
            wanted[2].then(|| unwrap(B::sum_rows(dy))),
        ]
    }
}

#[derive(Clone, Debug)]
struct GeluNode<B: Backend> {
    x: FloatTensor<B>,
}

impl<B: Kernels> Operation<B, 1> for GeluNode<B> {
    fn backward(self, dy: FloatTensor<B>, _: [bool; 1]) -> [Option<FloatTensor<B>>; 1] {
        [Some(unwrap(B::exact_gelu_backward(wrap(self.x), wrap(dy))))]
    }
}

#[derive(Clone, Debug)]
struct LayerNormNode<B: Backend> {
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
}

impl<B: Kernels> Operation<B, 3> for LayerNormNode<B> {
    fn backward(self, dy: FloatTensor<B>, wanted: [bool; 3]) -> [Option<FloatTensor<B>>; 3] {
        let (x, gamma) = (wrap(self.x), wrap(self.gamma));
        let NormGradients { x, gamma, beta } =
            B::layer_norm_rows_backward(x, gamma, wrap(dy), wanted[0]);
        [x.map(unwrap), Some(unwrap(gamma)), Some(unwrap(beta))]
    }
}

#[derive(Clone, Debug)]
struct NormedAffineNode<B: Backend> {
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    back: FloatTensor<B>,
}

impl<B: Kernels> Operation<B, 5> for NormedAffineNode<B> {
    fn backward(self, dy: FloatTensor<B>, wanted: [bool; 5]) -> [Option<FloatTensor<B>>; 5] {
        let norm = ScaleShift { gamma: wrap(self.gamma), beta: wrap(self.beta) };
        let (x, back, dy) = (wrap(self.x), wrap(self.back), wrap(dy));
        // Where states relax and nothing is trained, a product in two is saved.
        if wanted == [true, false, false, false, false] {
            let dz = B::affine_backward_x(back, dy);
            let through = B::layer_norm_rows_backward(x, norm.gamma, dz, true);
            return [through.x.map(unwrap), None, None, None, None];
        }
        let (NormGradients { x, gamma, beta }, AffineGradients { weight, bias }) =
            B::normed_affine_backward(x, norm, back, dy, wanted[0]);
        [
            x.map(unwrap),
            Some(unwrap(gamma)),
            Some(unwrap(beta)),
            Some(unwrap(weight)),
            Some(unwrap(bias)),
        ]
    }
}

/// ∂W = (Σ_t x_t)ᵀ c, ∂b = T Σ c, ∂x_t = c Wᵀ for each of T tokens.
#[derive(Clone, Debug)]
struct AffineTowardNode<B: Backend> {
    x: FloatTensor<B>,
    back: FloatTensor<B>,
    credit: Shared<B>,
}

impl<B: Kernels> Operation<B, 3> for AffineTowardNode<B> {
    fn backward(self, g: FloatTensor<B>, wanted: [bool; 3]) -> [Option<FloatTensor<B>>; 3] {
        let (x, g) = (wrap::<B, 2>(self.x), wrap::<B, 1>(g));
        let ([rows, inputs], n) = (x.dims(), self.credit.samples());
        let tokens = rows / n;
        let one = g.ones_like();
        let credit = self.credit.times(g);
        [
            wanted[0].then(|| {
                let back = credit.back_through(wrap(self.back));
                unwrap(match tokens {
                    1 => back,
                    _ => B::inner_product_backward(back, tokens, one, 1.0),
                })
            }),
            wanted[1].then(|| {
                unwrap(credit.along(match tokens {
                    1 => x,
                    _ => x.reshape([n, tokens, inputs]).sum_dim(1).squeeze_dim(1),
                }))
            }),
            wanted[2].then(|| unwrap(credit.sum().mul_scalar(tokens as f64))),
        ]
    }
}

#[derive(Clone, Debug)]
struct InnerProductNode<B: Backend> {
    credit: FloatTensor<B>,
    tokens: usize,
    scale: f64,
}

impl<B: Kernels> Operation<B, 1> for InnerProductNode<B> {
    fn backward(self, dy: FloatTensor<B>, _: [bool; 1]) -> [Option<FloatTensor<B>>; 1] {
        let credit = wrap(self.credit);
        [Some(unwrap(B::inner_product_backward(credit, self.tokens, wrap(dy), self.scale)))]
    }
}

#[derive(Clone, Debug)]
struct SoftmaxNode<B: Backend> {
    y: FloatTensor<B>,
    scale: f64,
}

impl<B: Kernels> Operation<B, 1> for SoftmaxNode<B> {
    fn backward(self, dy: FloatTensor<B>, _: [bool; 1]) -> [Option<FloatTensor<B>>; 1] {
        [Some(unwrap(B::scaled_softmax_backward(wrap(self.y), wrap(dy), self.scale)))]
    }
}

#[derive(Clone, Debug)]
struct SplitHeadsNode;

impl<B: Kernels> Operation<B, 1> for SplitHeadsNode {
    fn backward(self, dy: FloatTensor<B>, _: [bool; 1]) -> [Option<FloatTensor<B>>; 1] {
        [Some(unwrap(B::merge_heads(wrap(dy))))]
    }
}

#[derive(Clone, Debug)]
struct MergeHeadsNode {
    n: usize,
    heads: usize,
}

impl<B: Kernels> Operation<B, 1> for MergeHeadsNode {
    fn backward(self, dy: FloatTensor<B>, _: [bool; 1]) -> [Option<FloatTensor<B>>; 1] {
        [Some(unwrap(B::split_heads(wrap(dy), self.n, self.heads)))]
    }
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn affine(x: Tensor<Self, 2>, map: Affine<Self>) -> Tensor<Self, 2> {
        let x = unwrap(x);
        let Parts { weight, bias, inner, back } = Parts::of(map);
        let y = unwrap(B::affine(wrap(x.primitive.clone()), inner));
        let node = AffineNode::<B> { x: x.primitive.clone(), back };
        wrap(record::<B, C, _, _>([&x, &weight, &bias], node, y))
    }

    fn affine_toward(
        x: Tensor<Self, 2>,
        map: Affine<Self>,
        credit: Shared<Self>,
    ) -> Tensor<Self, 1> {
        let x = unwrap(x);
        let credit = credit.map(|tensor| wrap(unwrap(tensor).primitive));
        let Parts { weight, bias, inner, back } = Parts::of(map);
        let value = unwrap(B::affine_toward(wrap(x.primitive.clone()), inner, credit.clone()));
        let node = AffineTowardNode::<B> { x: x.primitive.clone(), back, credit };
        wrap(record::<B, C, _, _>([&x, &weight, &bias], node, value))
    }

    fn exact_gelu(x: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let x = unwrap(x);
        let y = unwrap(B::exact_gelu(wrap(x.primitive.clone())));
        wrap(record::<B, C, _, _>([&x], GeluNode::<B> { x: x.primitive.clone() }, y))
    }

    fn layer_norm_rows(x: Tensor<Self, 2>, norm: ScaleShift<Self>) -> Tensor<Self, 2> {
        let (x, gamma, beta) = (unwrap(x), unwrap(norm.gamma), unwrap(norm.beta));
        let inner =
            ScaleShift { gamma: wrap(gamma.primitive.clone()), beta: wrap(beta.primitive.clone()) };
        let y = unwrap(B::layer_norm_rows(wrap(x.primitive.clone()), inner));
        let node = LayerNormNode::<B> { x: x.primitive.clone(), gamma: gamma.primitive.clone() };
        wrap(record::<B, C, _, _>([&x, &gamma, &beta], node, y))
    }

    fn normed_affine(
        x: Tensor<Self, 2>,
        norm: ScaleShift<Self>,
        map: Affine<Self>,
    ) -> Tensor<Self, 2> {
        let (x, gamma, beta) = (unwrap(x), unwrap(norm.gamma), unwrap(norm.beta));
        let Parts { weight, bias, inner, back } = Parts::of(map);
        let node = NormedAffineNode::<B> {
            x: x.primitive.clone(),
            gamma: gamma.primitive.clone(),
            beta: beta.primitive.clone(),
            back,
        };
        let y = B::normed_affine(
            wrap(x.primitive.clone()),
            ScaleShift { gamma: wrap(gamma.primitive.clone()), beta: wrap(beta.primitive.clone()) },
            inner,
        );
        wrap(record::<B, C, _, _>([&x, &gamma, &beta, &weight, &bias], node, unwrap(y)))
    }

    fn inner_product(x: Tensor<Self, 2>, credit: Tensor<Self, 2>, scale: f64) -> Tensor<Self, 1> {
        let tokens = x.dims()[0] / credit.dims()[0];
        let (x, credit) = (unwrap(x), unwrap(credit).primitive);
        let sum = B::inner_product(wrap(x.primitive.clone()), wrap(credit.clone()), scale);
        wrap(record::<B, C, _, _>(
            [&x],
            InnerProductNode::<B> { credit, tokens, scale },
            unwrap(sum),
        ))
    }

    fn squared_norm(x: Tensor<Self, 2>, scale: f64) -> Tensor<Self, 1> {
        let x = unwrap(x);
        let sum = B::squared_norm(wrap(x.primitive.clone()), scale);
        // Its gradient is that of an inner product with 2x.
        let node =
            InnerProductNode::<B> { credit: x.primitive.clone(), tokens: 1, scale: 2.0 * scale };
        wrap(record::<B, C, _, _>([&x], node, unwrap(sum)))
    }

    fn split_heads(rows: Tensor<Self, 2>, n: usize, heads: usize) -> Tensor<Self, 4> {
        let rows = unwrap(rows);
        let y = unwrap(B::split_heads(wrap(rows.primitive.clone()), n, heads));
        wrap(record::<B, C, _, _>([&rows], SplitHeadsNode, y))
    }

    fn merge_heads(x: Tensor<Self, 4>) -> Tensor<Self, 2> {
        let [n, heads, _, _] = x.dims();
        let x = unwrap(x);
        let y = unwrap(B::merge_heads(wrap(x.primitive.clone())));
        wrap(record::<B, C, _, _>([&x], MergeHeadsNode { n, heads }, y))
    }

    fn scaled_softmax(x: Tensor<Self, 2>, scale: f64) -> Tensor<Self, 2> {
        let x = unwrap(x);
        let y = unwrap(B::scaled_softmax(wrap(x.primitive.clone()), scale));
        wrap(record::<B, C, _, _>([&x], SoftmaxNode::<B> { y: y.clone(), scale }, y))
    }

    fn convolution(x: Tensor<Self, 2>, window: Window, map: Affine<Self>) -> Tensor<Self, 2> {
        maps::convolution(x, window, map)
    }

    fn max_pool(x: Tensor<Self, 2>, sides: [usize; 2], size: usize) -> Tensor<Self, 2> {
        maps::max_pool(x, sides, size)
    }

    fn batch_norm(
        x: Tensor<Self, 2>,
        norm: ScaleShift<Self>,
        given: Option<Statistics<Self>>,
    ) -> (Tensor<Self, 2>, Statistics<Self>) {
        maps::batch_norm(x, norm, given)
    }
}
