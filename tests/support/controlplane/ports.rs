//! Ports for servers that cannot report which one the system gave them.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// Below the ephemeral range (32768 and up on Linux): a server that restarts
/// on its port must not find an outgoing connection there.
const FIRST: u32 = 18_000;
const COUNT: u32 = 14_000;

/// A port that is free now and that no other call in this process returns.
/// Test processes start at different places of the range, so they rarely try
/// the same one.
pub fn reserve() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + start.wrapping_add(step) % COUNT)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}
