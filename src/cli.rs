//! The command line.

pub mod show;

use std::process::ExitCode;

/// Runs the command line and returns the exit code of the process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
