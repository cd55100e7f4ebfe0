//! The program as a person runs it.

mod audit;
mod bad_input;
mod checkpoints;
mod common;
mod evidence;
mod faults;
#[cfg(unix)]
mod harried_study;
mod import;
#[cfg(unix)]
mod kills;
mod names;
mod regress;
mod report;
mod runs;
mod settings;
mod traces;
