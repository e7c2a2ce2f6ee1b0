//! The `pilothouse` binary: parse, run, print the error chain, exit code.

fn main() -> std::process::ExitCode {
    one_arena();
    pilothouse::cli::main()
}

/// Has all threads share one arena of glibc's allocator. With one for each, a
/// rollout leaves 5 MiB of 42 behind in arenas that no other thread uses; what
/// threads contend for here is small beside TLS and the network.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt has no safe wrapper")]
fn one_arena() {
    // SAFETY: takes two numbers, and no other thread runs yet. An allocator
    // that refuses goes on as it would have.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn one_arena() {}
