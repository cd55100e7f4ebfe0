//! Keeps CubeCL from TF32. It multiplies f32 matrices on the tensor cores, their operands rounded to
//! 10 bits of mantissa, wherever the device says that it has such instructions, and has no switch
//! for it (0.10). A device that does not say so multiplies in f32, as GPUs before Ampere do: so the
//! instructions are struck from what the device says, for every kernel of every library at once.

use crate::config::MatmulPrecision;
use crate::failure::usage;
use anyhow::Result;
use burn::backend::cuda::CudaDevice;
use burn::cubecl::Runtime;
use burn::cubecl::cuda::CudaRuntime;
use burn::cubecl::device::Device;
use burn::cubecl::device_handle::DeviceHandle;
use burn::cubecl::features::{Features, MmaConfig};
use burn::cubecl::ir::{ElemType, FloatKind, StorageType};
use burn::cubecl::server::ServerUtilities;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

type Server = <CudaRuntime as Runtime>::Server;

/// Chooses the precision of `device`, before this process does anything else on it. Later calls must
/// choose the same: a device that works is not touched.
///
/// # Errors
/// A usage error if this process has already chosen the other.
pub fn choose(device: &CudaDevice, wanted: MatmulPrecision) -> Result<()> {
    static CHOSEN: Mutex<BTreeMap<usize, MatmulPrecision>> = Mutex::new(BTreeMap::new());
    let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
    match chosen.get(&device.index) {
        Some(&before) if before == wanted => return Ok(()),
        Some(before) => {
            return Err(usage(format!(
                "matmul_precision: this run has {wanted}, one before it {before}: give each a call \
                 of its own"
            )));
        }
        None => {}
    }
    if wanted == MatmulPrecision::F32 {
        strike(device)?;
    }
    chosen.insert(device.index, wanted);
    Ok(())
}

fn strike(device: &CudaDevice) -> Result<()> {
    let shared = DeviceHandle::<Server>::new(device.to_id()).utilities();
    let shared: Arc<ServerUtilities<Server>> = shared
        .downcast()
        .map_err(|_| anyhow::anyhow!("CubeCL describes {device:?} in an unknown way"))?;
    // SAFETY: the pointer may be written through (it is that of `Arc::from_raw`), and nobody reads or
    // borrows what it points to meanwhile: `choose` calls this under its lock and before the first
    // operation on the device, and the device's own thread waits for one.
    let shared = unsafe { &mut *Arc::as_ptr(&shared).cast_mut() };
    without_tf32(&mut shared.properties.features);
    shared.properties_hash = shared.properties.checksum();
    Ok(())
}

fn without_tf32(features: &mut Features) {
    let tf32 = StorageType::from(ElemType::Float(FloatKind::TF32));
    let other = |config: &MmaConfig| config.a_type != tf32 && config.b_type != tf32;
    features.matmul.cmma.retain(other);
    features.matmul.mma.retain(other);
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
}
