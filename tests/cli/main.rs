//! The program as a person runs it.

mod audit;
mod bad_input;
mod common;
mod report;
mod runs;
