//! Keeps Burn and CubeCL to their defaults. At their first use, training on any backend, both look in the
//! working folder and every one above it for settings, Burn in `burn.toml` and `Burn.toml`, CubeCL
//! (on a GPU) in `cubecl.toml` and `CubeCL.toml` too, and then in variables of the environment
//! (`BURN_FUSION_LOG`, `CUBECL_…`). Whoever may write there, in a shared `/tmp` anybody, could have a
//! run overwrite a file, print among its results or never begin.

use burn_std::config::{BurnConfig, RuntimeConfig};

/// Must come before any tensor: settings that are there are not looked for.
pub fn keep_to_defaults() {
    BurnConfig::storage().lock().get_or_insert_default();
    #[cfg(feature = "cuda")]
    burn::cubecl::config::CubeClRuntimeConfig::storage().lock().get_or_insert_default();
}
