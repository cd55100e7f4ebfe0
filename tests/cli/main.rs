//! The program as a person runs it.

mod audit;
mod bad_input;
mod bundles;
mod checkpoints;
mod claims;
mod common;
mod evidence;
mod extension;
mod faults;
mod feedback;
mod first_minute;
mod forced;
mod foreign;
mod frozen_network;
#[cfg(unix)]
mod harried_study;
mod import;
#[cfg(unix)]
mod kills;
mod learned;
#[cfg(unix)]
mod looks;
mod machines;
mod names;
#[cfg(unix)]
mod paths;
mod planted;
mod ranks;
mod recorder;
mod regress;
mod report;
mod runs;
mod settings;
#[cfg(unix)]
mod sizes;
mod strangers;
#[cfg(unix)]
mod streams;
mod tasks;
mod traces;
mod twins;
mod unchanged;
mod verify;
#[cfg(unix)]
mod watch;
