//! The product in this process: every controller, as `pilothouse run` starts
//! them, without a dashboard.

use std::time::Duration;

use anyhow::Result;
use kube::Client;
use pilothouse::app::{self, Running, StartOptions};
use pilothouse::git::{FetcherOptions, GitConfig};
use pilothouse::hub::context::HubOptions;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running product; dropping it tells it to end.
pub struct Product {
    _shutdown: DropGuard,
    _running: Running,
    _cache: TempDir,
}

impl Product {
    /// Starts every controller on the hub that `hub` reaches, polling once a
    /// second, local repositories allowed, URLs rewritten by `git`.
    pub async fn start(hub: Client, git: GitConfig) -> Result<Self> {
        let shutdown = CancellationToken::new();
        let cache = TempDir::with_prefix("pilothouse-mirrors-")?;
        let options = StartOptions {
            hub: HubOptions {
                mode: "test".to_owned(),
                poll_interval: Duration::from_secs(1),
                probe_interval: Duration::from_secs(1),
            },
            git: FetcherOptions {
                allow_local: true,
                git_config: git,
                ..FetcherOptions::new(cache.path())
            },
            transitions: 0,
        };
        let running = app::start(hub, options, shutdown.clone()).await?;
        Ok(Self {
            _shutdown: shutdown.drop_guard(),
            _running: running,
            _cache: cache,
        })
    }
}
