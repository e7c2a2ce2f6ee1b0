//! A command with text on its standard input.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Runs it to its end.
pub fn piped(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut standard_input = child.stdin.take().unwrap();
    standard_input.write_all(input.as_bytes()).unwrap();
    drop(standard_input);
    child.wait_with_output().unwrap()
}
