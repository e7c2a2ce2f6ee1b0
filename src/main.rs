//! The `pilothouse` binary: parse, run, print the error chain, exit code.

fn main() -> std::process::ExitCode {
    pilothouse::cli::main()
}
