//! The product in this process. The one place to wire its entry point.

use anyhow::{Result, bail};
use kube::Client;
use pilothouse::git::GitConfig;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::Missing;

/// A running product; dropping it tells it to end.
pub struct Product {
    _shutdown: DropGuard,
}

/// Whether this build has what the scenarios start.
pub fn available() -> Result<(), Missing> {
    Err(Missing::new(
        "the product has no entry point in process yet",
        "wire tests/scenarios/product.rs to it",
    ))
}

impl Product {
    /// Starts every controller on the hub that `hub` reaches, polling once a
    /// second, local repositories allowed, URLs rewritten by `git`.
    pub async fn start(hub: Client, git: GitConfig) -> Result<Self> {
        let shutdown = CancellationToken::new();
        let _ = (hub, git, shutdown.drop_guard());
        bail!("not wired")
    }
}
