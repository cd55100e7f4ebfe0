//! The program as a person runs it.

mod audit;
mod bad_input;
mod common;
mod faults;
mod forced;
#[cfg(unix)]
mod harried_study;
mod import;
#[cfg(unix)]
mod kills;
#[cfg(unix)]
mod looks;
mod machines;
mod regress;
mod report;
mod runs;
#[cfg(unix)]
mod sizes;
mod strangers;
#[cfg(unix)]
mod streams;
mod traces;
mod twins;
