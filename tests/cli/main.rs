//! The program as a person runs it.

mod audit;
mod bad_input;
mod common;
mod evidence;
mod faults;
#[cfg(unix)]
mod harried_study;
mod import;
#[cfg(unix)]
mod kills;
mod regress;
mod report;
mod runs;
mod traces;
