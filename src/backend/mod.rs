//! Which devices exist, and the only place where concrete backends are named. Everything else is
//! generic over `B: Differentiable`; a [`Task`] is what runs on the backend of a configuration.

#[cfg(any(feature = "cuda", test))]
mod cuda;
mod kernels;
mod machine;
mod settings;
#[cfg(feature = "cuda")]
mod tf32;

pub use machine::{PIN, instruction_sets, pin};

pub use kernels::{
    AdamW, Affine, Differentiable, Kernels, LAYER_NORM_EPSILON, Moments, ScaleShift, Shared,
    Statistics, Window,
};
pub use settings::keep_to_defaults;

use crate::config::{BackendName, Config, MatmulPrecision};
use crate::failure::usage;
#[cfg(feature = "flex")]
use anyhow::Context;
use anyhow::Result;
#[cfg(any(feature = "flex", feature = "ndarray", feature = "cuda"))]
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element, Tensor, TensorData};
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(not(any(feature = "flex", feature = "ndarray", feature = "cuda")))]
compile_error!("enable a backend: one of the features flex, ndarray and cuda");

/// The version of Burn that Cargo.toml pins.
pub const BURN_VERSION: &str = "0.21.0";

/// Something to do on a backend that is known only at run time.
pub trait Task {
    type Output;

    /// Does it on `device`.
    ///
    /// # Errors
    /// The task's own.
    fn run<B: Differentiable>(self, device: B::Device) -> Result<Self::Output>;
}

thread_local! {
    /// Whether [`run_in_f64`] runs a task on this thread. Flex computes in the precision of its
    /// tensors and says it neither in its type nor in its device, of which there is one: so what a
    /// task makes of host data cannot learn it from them.
    static IN_DOUBLE: Cell<bool> = const { Cell::new(false) };
}

/// Ends double precision on this thread, also where the task panics.
struct Double {
    before: bool,
}

impl Double {
    fn begin() -> Self {
        Self { before: IN_DOUBLE.replace(true) }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        IN_DOUBLE.set(self.before);
    }
}

/// Puts host data on a device as floats: f64 for a task of [`run_in_f64`], else the backend's own
/// type. Burn's default is a setting of the device, which tasks in f32 and f64 share.
pub fn float_tensor<B: Backend, const D: usize>(
    data: TensorData,
    device: &B::Device,
) -> Tensor<B, D> {
    let dtype = if IN_DOUBLE.get() { DType::F64 } else { <B::FloatElem as Element>::dtype() };
    Tensor::from_data(data, (device, dtype))
}

/// The value of a tensor of one, in f64: `into_scalar` rounds it to the backend's own float also where
/// the tensor is in double precision.
///
/// # Panics
/// If the tensor has no value.
pub fn scalar<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    tensor.into_data().iter::<f64>().next().expect("one value")
}

/// Held from a graph's first operation to the end of its backward pass. When a backward pass ends,
/// Burn 0.21's autodiff frees the nodes of every thread's graphs that nothing refers to at that
/// instant; of a graph that is just being recorded elsewhere it takes living ones, whose gradients
/// are then missing without a word.
pub fn differentiating() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A thread that panicked in its turn has left nothing behind that could be half done.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether f32 matrix products keep all 24 bits of their operands, as measured on the device. On GPUs
/// with tensor cores TF32 (10 bits of mantissa) takes their place where it is let: see
/// [`MatmulPrecision`].
pub fn matmul_is_exact<B: Backend>(device: &B::Device) -> bool {
    const SIDE: usize = 256;
    let fine = 1.0 + 2f32.powi(-12);
    let a = TensorData::new(vec![fine; SIDE * SIDE], [SIDE, SIDE]);
    let mut identity = vec![0f32; SIDE * SIDE];
    identity.iter_mut().step_by(SIDE + 1).for_each(|v| *v = 1.0);
    let a: Tensor<B, 2> = float_tensor(a, device);
    let identity: Tensor<B, 2> = float_tensor(TensorData::new(identity, [SIDE, SIDE]), device);
    a.matmul(identity).into_data().convert::<f32>().iter::<f32>().all(|v| v == fine)
}

/// The backends of this build.
pub fn built() -> Vec<BackendName> {
    let mut names = Vec::new();
    if cfg!(feature = "flex") {
        names.push(BackendName::Flex);
    }
    if cfg!(feature = "ndarray") {
        names.push(BackendName::Ndarray);
    }
    if cfg!(feature = "cuda") {
        names.push(BackendName::Cuda);
    }
    names
}

/// Settles `device = auto`: CUDA where this build has it and the machine does, else the CPU.
///
/// # Errors
/// A usage error where that leaves the CPU with a precision that only a GPU has.
pub fn settle(config: &mut Config) -> Result<()> {
    if config.device != "auto" {
        return Ok(());
    }
    let Some(problem) = cuda_problem(0) else {
        config.device = "cuda".into();
        config.backend = BackendName::Cuda;
        return Ok(());
    };
    if config.matmul_precision != MatmulPrecision::F32 {
        let asked = config.matmul_precision;
        return Err(usage(format!("matmul_precision: {asked} needs a GPU: {problem}")));
    }
    config.device = "cpu".into();
    Ok(())
}

/// What keeps CUDA device `index` from being used, in one sentence.
#[cfg(feature = "cuda")]
pub fn cuda_problem(index: usize) -> Option<String> {
    cuda::problem(index)
}

/// What keeps CUDA device `index` from being used, in one sentence.
#[cfg(not(feature = "cuda"))]
pub fn cuda_problem(_: usize) -> Option<String> {
    Some("this build has no CUDA: build it with `--features cuda`".into())
}

/// Runs `task` on the backend and device of `config`.
///
/// # Errors
/// A usage error where this build lacks the backend; an error that says what is missing where the
/// device cannot be used; else the task's own.
pub fn run<T: Task>(config: &Config, task: T) -> Result<T::Output> {
    match config.backend {
        #[cfg(feature = "flex")]
        BackendName::Flex => {
            use_threads(config.threads)?;
            task.run::<Autodiff<burn::backend::Flex>>(Default::default())
        }
        #[cfg(feature = "ndarray")]
        BackendName::Ndarray => task.run::<Autodiff<burn::backend::NdArray>>(Default::default()),
        BackendName::Cuda => run_on_cuda(config, task),
        #[allow(unreachable_patterns)]
        name => {
            let names: Vec<_> = built().into_iter().map(BackendName::word).collect();
            Err(usage(format!("backend: this build has no {name}; it has {}", names.join(", "))))
        }
    }
}

/// Gives this thread `threads − 1` helpers for the matrix products, for as long as it lives. It
/// becomes one of a pool, so that a task need not move to another thread; the first number stays.
#[cfg(feature = "flex")]
fn use_threads(threads: usize) -> Result<()> {
    if threads > 1 && rayon::current_thread_index().is_none() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread();
        // A pool that is dropped ends its threads.
        std::mem::forget(pool.build().with_context(|| format!("cannot start {threads} threads"))?);
    }
    Ok(())
}

/// Runs `task` in double precision on the CPU; `None` where this build has no backend for it. The
/// task makes its float tensors of host data with [`float_tensor`], on this thread.
pub fn run_in_f64<T: Task>(task: T) -> Option<Result<T::Output>> {
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    {
        #[cfg(feature = "flex")]
        type InF64 = burn::backend::Flex;
        #[cfg(not(feature = "flex"))]
        type InF64 = burn::backend::NdArray<f64>;
        let _double = Double::begin();
        Some(task.run::<Autodiff<InF64>>(Default::default()))
    }
    #[cfg(not(any(feature = "flex", feature = "ndarray")))]
    {
        let _ = task;
        None
    }
}

fn run_on_cuda<T: Task>(config: &Config, task: T) -> Result<T::Output> {
    let index = config.device.strip_prefix("cuda:").and_then(|n| n.parse().ok()).unwrap_or(0);
    if let Some(problem) = cuda_problem(index) {
        anyhow::bail!("device {}: {problem}", config.device);
    }
    #[cfg(feature = "cuda")]
    {
        let (device, wanted) =
            (burn::backend::cuda::CudaDevice::new(index), config.matmul_precision);
        tf32::choose(&device, wanted)?;
        let exact = || matmul_is_exact::<tf32::Cuda>(&device);
        anyhow::ensure!(
            wanted == MatmulPrecision::Tf32 || exact(),
            "matmul_precision: device {} rounds f32 matrix products (TF32) all the same: \
             `--matmul-precision tf32` accepts that, `--device cpu` avoids it",
            config.device
        );
        task.run::<Autodiff<tf32::Cuda>>(device)
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = task;
        unreachable!("without CUDA there is a problem")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Arch;
    use crate::data::DatasetKind;

    #[test]
    fn a_precision_that_only_a_gpu_has_is_refused_where_there_is_none() {
        let mut config = Config {
            matmul_precision: MatmulPrecision::Tf32,
            ..Config::published(Arch::ResMlp, DatasetKind::Synthetic)
        };
        let settled = settle(&mut config).map_err(|e| e.to_string());
        match cuda_problem(0) {
            Some(problem) => {
                assert_eq!(settled, Err(format!("matmul_precision: tf32 needs a GPU: {problem}")))
            }
            None => assert_eq!((settled, config.device.as_str()), (Ok(()), "cuda")),
        }
    }
}
