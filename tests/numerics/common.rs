//! What the numerical tests share.

use burn::backend::Autodiff;
use burn::backend::NdArray;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use fa_audit::backend::float_tensor;
use fa_audit::config::{Arch, Config, Method};
use fa_audit::data::DatasetKind;

/// Double precision with gradients: what identities that hold to rounding are tested on.
pub type F64 = Autodiff<NdArray<f64>>;

/// The published configuration of `arch` on CIFAR-10.
pub fn published(arch: Arch) -> Config {
    Config::published(arch, DatasetKind::Cifar10)
}

/// The methods that are a rule and not a baseline or control built on one.
pub fn rules() -> impl Iterator<Item = Method> {
    Method::ALL.iter().copied().filter(|method| method.rule().is_some())
}

/// s · w(p, k) for k = 0, 1, …: the numbers of `tests/golden/make_golden.py`, exact integers before
/// one division, so that two programs make them alike.
pub fn wave(p: usize, count: usize, scale: f64) -> Vec<f64> {
    let p = p as u64 + 1;
    let value = |k: u64| {
        let mixed = (40503 * k * k + 30011 * k * p + 12345 * p) % 65521;
        scale * (mixed as f64 / 32760.5 - 1.0)
    };
    (1..=count as u64).map(value).collect()
}

/// A matrix from host values.
pub fn matrix<B: Backend>(values: Vec<f64>, rows: usize, cols: usize) -> Tensor<B, 2> {
    float_tensor(TensorData::new(values, [rows, cols]), &Default::default())
}

/// Copies a tensor to the host in f64.
pub fn host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().into_vec().expect("f64 values")
}

/// ‖a − b‖ / ‖b‖, or ‖a‖ where b is zero.
pub fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(x, y)| x - y));
    match norm(&mut b.iter().copied()) {
        0.0 => difference,
        scale => difference / scale,
    }
}

/// The networks, one of each kind: the others are in code the same, and only larger.
pub fn kinds_of_networks() -> impl Iterator<Item = Arch> {
    let larger = [Arch::AlexNet, Arch::Vgg16, Arch::ResNet18, Arch::ResNet20, Arch::ResNet56];
    Arch::ALL.iter().copied().filter(move |arch| !larger.contains(arch))
}
