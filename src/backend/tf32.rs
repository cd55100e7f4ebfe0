//! CUDA with or without TF32. CubeCL multiplies f32 matrices on the tensor cores, their operands rounded
//! to 10 bits of mantissa, wherever the device says that it has such instructions, and has no switch
//! for it (0.10). A device that does not say so multiplies in f32, as GPUs before Ampere do. So this
//! runtime is CubeCL's for CUDA, which does all the work, except for what it says of a device: where
//! f32 is wanted, the instructions are struck from that, for every kernel of every library at once.

use crate::config::MatmulPrecision;
use crate::failure::usage;
use anyhow::Result;
use burn::backend::cuda::CudaDevice;
use burn::cubecl::bytes::Bytes;
use burn::cubecl::client::ComputeClient;
use burn::cubecl::cuda::CudaRuntime;
use burn::cubecl::device::{DeviceId, DeviceService, ServerUtilitiesHandle};
use burn::cubecl::features::{Features, MmaConfig};
use burn::cubecl::future::DynFut;
use burn::cubecl::ir::{ElemType, FloatKind, StorageType, TargetProperties};
use burn::cubecl::profile::ProfileDuration;
use burn::cubecl::server::{
    Binding, ComputeServer, CopyDescriptor, KernelArguments, ProfileError, ProfilingToken,
    ServerCommunication, ServerError, ServerUtilities,
};
use burn::cubecl::stream_id::StreamId;
use burn::cubecl::zspace::{Shape, Strides};
use burn::cubecl::{CubeCount, ExecutionMode, MemoryAllocationMode, MemoryUsage, Runtime};
use cubecl_runtime::allocator::PitchedMemoryLayoutPolicy;
use cubecl_runtime::logging::ServerLogger;
use cubecl_runtime::memory_management::ManagedMemoryHandle;
use cubecl_runtime::storage::{ComputeStorage, ManagedResource};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Burn's backend on [`ChosenCuda`].
pub type Cuda = burn_fusion::Fusion<burn_cubecl::CubeBackend<ChosenCuda, f32, i32, u8>>;

type Inner = <CudaRuntime as Runtime>::Server;
type Resource = <<Inner as ComputeServer>::Storage as ComputeStorage>::Resource;

/// The precision that each device was given.
fn chosen() -> MutexGuard<'static, BTreeMap<usize, MatmulPrecision>> {
    static CHOSEN: Mutex<BTreeMap<usize, MatmulPrecision>> = Mutex::new(BTreeMap::new());
    CHOSEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chooses the precision of `device`, before this process does anything else on it.
///
/// # Errors
/// A usage error if this process has already chosen the other.
pub fn choose(device: &CudaDevice, wanted: MatmulPrecision) -> Result<()> {
    match *chosen().entry(device.index).or_insert(wanted) {
        before if before == wanted => Ok(()),
        before => Err(usage(format!(
            "matmul_precision: this run has {wanted}, one before it {before}: give each a call of \
             its own"
        ))),
    }
}

fn without_tf32(features: &mut Features) {
    let tf32 = StorageType::from(ElemType::Float(FloatKind::TF32));
    let other = |config: &MmaConfig| config.a_type != tf32 && config.b_type != tf32;
    features.matmul.cmma.retain(other);
    features.matmul.mma.retain(other);
}

/// CubeCL's runtime for CUDA, on devices whose precision [`choose`] has chosen.
#[derive(Clone, Debug)]
pub struct ChosenCuda;

impl Runtime for ChosenCuda {
    type Compiler = <CudaRuntime as Runtime>::Compiler;
    type Server = Server;
    type Device = CudaDevice;

    fn client(device: &CudaDevice) -> ComputeClient<Self> {
        ComputeClient::load(device)
    }

    fn name(_: &ComputeClient<Self>) -> &'static str {
        "cuda"
    }

    fn require_array_lengths() -> bool {
        CudaRuntime::require_array_lengths()
    }

    fn max_cube_count() -> (u32, u32, u32) {
        CudaRuntime::max_cube_count()
    }

    fn can_read_tensor(shape: &Shape, strides: &Strides) -> bool {
        CudaRuntime::can_read_tensor(shape, strides)
    }

    fn target_properties() -> TargetProperties {
        CudaRuntime::target_properties()
    }

    fn enumerate_devices(type_id: u16, info: &()) -> Vec<DeviceId> {
        CudaRuntime::enumerate_devices(type_id, info)
    }
}

/// CubeCL's server for CUDA, with a description of the device of its own.
#[derive(Debug)]
pub struct Server {
    inner: Inner,
    utilities: Arc<ServerUtilities<Self>>,
}

impl DeviceService for Server {
    fn init(id: DeviceId) -> Self {
        let inner = Inner::init(id);
        let theirs = ComputeServer::utilities(&inner);
        let mut properties = theirs.properties.clone();
        // A device that nobody has chosen for is exact.
        if chosen().get(&usize::from(id.index_id)) != Some(&MatmulPrecision::Tf32) {
            without_tf32(&mut properties.features);
        }
        let layout = PitchedMemoryLayoutPolicy::new(properties.memory.alignment as usize);
        let utilities = ServerUtilities::new(properties, theirs.logger.clone(), (), layout);
        Self { inner, utilities: Arc::new(utilities) }
    }

    fn utilities(&self) -> ServerUtilitiesHandle {
        self.utilities.clone()
    }
}

/// One device has nobody to speak to.
impl ServerCommunication for Server {
    const SERVER_COMM_ENABLED: bool = false;
}

impl ComputeServer for Server {
    type Kernel = <Inner as ComputeServer>::Kernel;
    type Info = ();
    type MemoryLayoutPolicy = PitchedMemoryLayoutPolicy;
    type Storage = <Inner as ComputeServer>::Storage;

    fn initialize_memory(&mut self, memory: ManagedMemoryHandle, size: u64, stream: StreamId) {
        self.inner.initialize_memory(memory, size, stream);
    }

    fn staging(&mut self, sizes: &[usize], stream: StreamId) -> Result<Vec<Bytes>, ServerError> {
        self.inner.staging(sizes, stream)
    }

    fn logger(&self) -> Arc<ServerLogger> {
        self.inner.logger()
    }

    fn utilities(&self) -> Arc<ServerUtilities<Self>> {
        self.utilities.clone()
    }

    fn read(
        &mut self,
        descriptors: Vec<CopyDescriptor>,
        stream: StreamId,
    ) -> DynFut<Result<Vec<Bytes>, ServerError>> {
        self.inner.read(descriptors, stream)
    }

    fn write(&mut self, descriptors: Vec<(CopyDescriptor, Bytes)>, stream: StreamId) {
        self.inner.write(descriptors, stream);
    }

    fn sync(&mut self, stream: StreamId) -> DynFut<Result<(), ServerError>> {
        self.inner.sync(stream)
    }

    fn get_resource(
        &mut self,
        binding: Binding,
        stream: StreamId,
    ) -> Result<ManagedResource<Resource>, ServerError> {
        self.inner.get_resource(binding, stream)
    }

    unsafe fn launch(
        &mut self,
        kernel: Self::Kernel,
        count: CubeCount,
        bindings: KernelArguments,
        kind: ExecutionMode,
        stream: StreamId,
    ) {
        // SAFETY: the caller's.
        unsafe { self.inner.launch(kernel, count, bindings, kind, stream) }
    }

    fn flush(&mut self, stream: StreamId) -> Result<(), ServerError> {
        self.inner.flush(stream)
    }

    fn memory_usage(&mut self, stream: StreamId) -> Result<MemoryUsage, ServerError> {
        self.inner.memory_usage(stream)
    }

    fn memory_cleanup(&mut self, stream: StreamId) {
        self.inner.memory_cleanup(stream);
    }

    fn start_profile(&mut self, stream: StreamId) -> Result<ProfilingToken, ServerError> {
        self.inner.start_profile(stream)
    }

    fn end_profile(
        &mut self,
        stream: StreamId,
        token: ProfilingToken,
    ) -> Result<ProfileDuration, ProfileError> {
        self.inner.end_profile(stream, token)
    }

    fn allocation_mode(&mut self, mode: MemoryAllocationMode, stream: StreamId) {
        self.inner.allocation_mode(mode, stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_instructions_that_round_to_tf32_are_struck() {
        let config = |kind| MmaConfig {
            a_type: ElemType::Float(kind).into(),
            b_type: ElemType::Float(kind).into(),
            cd_type: ElemType::Float(FloatKind::F32).into(),
            m: 16,
            n: 16,
            k: 8,
        };
        let kinds = [FloatKind::F16, FloatKind::BF16, FloatKind::TF32];
        let mut features = Features::default();
        features.matmul.cmma.extend(kinds.map(config));
        features.matmul.mma.extend(kinds.map(config));
        without_tf32(&mut features);
        let left = [FloatKind::F16, FloatKind::BF16].map(config);
        assert_eq!(features.matmul.cmma, left.into());
        assert_eq!(features.matmul.mma, left.into());
    }

    #[test]
    fn a_device_keeps_the_precision_that_was_chosen_first() {
        let device = CudaDevice::new(usize::from(u16::MAX));
        choose(&device, MatmulPrecision::Tf32).unwrap();
        choose(&device, MatmulPrecision::Tf32).unwrap();
        let error = choose(&device, MatmulPrecision::F32).unwrap_err().to_string();
        assert!(error.contains("has f32, one before it tf32"), "{error}");
    }
}
