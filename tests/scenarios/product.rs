//! The product in this process: every controller, as `pilothouse run` starts
//! them, without a dashboard.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use pilothouse::app::{self, Running, StartOptions};
use pilothouse::git::{FetcherOptions, GitConfig};
use pilothouse::hub::context::{HubOptions, Shared};
use pilothouse::hub::leadership::Leadership;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running product; dropping it tells it to end.
pub struct Product {
    shutdown: DropGuard,
    running: Running,
    writes: Writes,
    _cache: TempDir,
}

impl Product {
    /// Starts every controller on the hub that `hub` reaches, polling once a
    /// second, local repositories allowed, URLs rewritten by `git`. `take_over` goes on with what other controllers left.
    pub async fn start(hub: Client, git: GitConfig, take_over: bool) -> Result<Self> {
        let shutdown = CancellationToken::new();
        let cache = TempDir::with_prefix("pilothouse-mirrors-")?;
        let options = StartOptions {
            hub: HubOptions {
                mode: "test".to_owned(),
                poll_interval: Duration::from_secs(1),
                probe_interval: Duration::from_secs(1),
                release_after: Duration::from_secs(5),
                take_over,
                ..HubOptions::default()
            },
            git: FetcherOptions {
                allow_local: true,
                git_config: git,
                ..FetcherOptions::new(cache.path())
            },
            leadership: Leadership::default(),
        };
        let writes = Writes::default();
        let running = app::start(writes.count(hub), options, shutdown.clone()).await?;
        Ok(Self {
            shutdown: shutdown.drop_guard(),
            running,
            writes,
            _cache: cache,
        })
    }

    /// What the controllers share.
    pub fn context(&self) -> &Shared {
        self.running.context()
    }

    /// What was written on the hub so far.
    pub fn writes(&self) -> Vec<String> {
        self.writes.0.lock().unwrap().clone()
    }

    /// Ends it and waits until nothing of it runs.
    pub async fn end(self) {
        drop(self.shutdown);
        self.running.ended().await;
    }

    /// Waits until no reconciler has had anything to do for a second.
    pub async fn await_quiet(&self) {
        crate::support::await_condition("a quiet second", crate::world::SOON, || async {
            match self.context().last_pass() {
                Some(last) if Timestamp::now().duration_since(last).as_millis() > 1000 => Ok(()),
                last => Err(format!("last pass {last:?}")),
            }
        })
        .await;
    }
}

/// Requests that are not reads, as `METHOD /path`.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<String>>>);

impl Writes {
    /// The same client, with its writes noted.
    fn count(&self, client: Client) -> Client {
        let writes = self.clone();
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let client = client.clone();
            if request.method() != http::Method::GET {
                let line = format!("{} {}", request.method(), request.uri());
                writes.0.lock().unwrap().push(line);
            }
            async move { client.send(request).await }
        });
        Client::new(service, namespace)
    }
}
