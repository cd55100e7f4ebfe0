//! The numbers: golden values from PyTorch, exact identities, agreement of backends.

mod agreement;
mod batch_norm;
mod bridges;
mod common;
mod golden;
mod grape;
mod identities;
mod kernels;
mod layer_norm;
mod lillicrap;
mod maps;
mod networks;
mod resnets;
mod rules;
mod small_cnn;
mod tasks;
mod two_phase;
