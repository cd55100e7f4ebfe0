//! Is there a CUDA device? Burn creates it lazily, and its first operation panics with a message
//! that hides the cause: so the driver, the run-time compiler and its headers are looked for first.

use crate::files::exists;
use libloading::Library;
use std::path::{Path, PathBuf};

const DRIVER: &str = "libcuda.so.1";
const COMPILER: [&str; 4] =
    ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll"];

type CuInit = unsafe extern "C" fn(flags: u32) -> i32;
type CuDeviceGetCount = unsafe extern "C" fn(count: *mut i32) -> i32;

/// What keeps device `index` from being used, in one sentence.
pub fn problem(index: usize) -> Option<String> {
    match device_count() {
        Err(problem) => return Some(problem),
        Ok(count) if index >= count => {
            return Some(format!("there are {count} CUDA devices, numbered from 0"));
        }
        Ok(_) => {}
    }
    // SAFETY: loading NVIDIA's compiler runs its initialisers only.
    if !COMPILER.iter().any(|name| unsafe { Library::new(*name) }.is_ok()) {
        return Some(format!("NVIDIA's run-time compiler ({}) is not installed", COMPILER[0]));
    }
    for root in toolkits() {
        match exists(&root.join("include/cuda_runtime.h")) {
            Ok(true) => return None,
            Ok(false) => {}
            Err(error) => return Some(format!("{error:#}")),
        }
    }
    Some("the CUDA toolkit's headers are not found: CUDA_PATH must name its folder".into())
}

fn toolkits() -> Vec<PathBuf> {
    let named = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let usual = ["/usr/local/cuda", "/opt/cuda", "/usr"].map(|p| Path::new(p).to_path_buf());
    named.map_or(usual.to_vec(), |path| vec![path])
}

fn device_count() -> Result<usize, String> {
    // SAFETY: the two functions have had these signatures since CUDA 2, cuInit may be called any
    // number of times, and the library stays loaded until after the last call.
    unsafe {
        let driver = Library::new(DRIVER)
            .map_err(|_| format!("NVIDIA's driver ({DRIVER}) is not installed"))?;
        let missing = |_| format!("{DRIVER} is not NVIDIA's driver");
        let init = driver.get::<CuInit>(b"cuInit").map_err(missing)?;
        let get_count = driver.get::<CuDeviceGetCount>(b"cuDeviceGetCount").map_err(missing)?;
        match init(0) {
            0 => {}
            100 => return Err("NVIDIA's driver finds no CUDA device".into()),
            code => return Err(format!("NVIDIA's driver does not start (cuInit returned {code})")),
        }
        let mut count = 0;
        match get_count(&mut count) {
            0 => Ok(count.max(0) as usize),
            code => Err(format!("NVIDIA's driver counts no devices (error {code})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_a_sentence() {
        let problem = problem(10_000).expect("no machine has so many");
        assert!(!problem.contains('\n') && problem.len() > 20, "{problem}");
    }
}
