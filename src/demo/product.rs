//! The product, started against the demo's hub as against any other.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::place::Place;
use super::world::World;
use super::{DemoError, repository};
use crate::app::{self, Running, StartOptions};
use crate::git::{FetcherOptions, GitConfig};
use crate::hub::context::HubOptions;
use crate::hub::leadership::Leadership;
use crate::web::access::Access;

/// How often the repository is looked at: a push is to be seen at once.
const POLL: Duration = Duration::from_secs(1);
/// How often members are probed: a cluster that stops or starts is to be seen
/// soon.
const PROBE: Duration = Duration::from_secs(1);

/// Starts the controllers and the dashboard.
///
/// # Errors
/// When the controllers do not start.
pub(super) async fn start(
    world: &World,
    place: &Place,
    dashboard: TcpListener,
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<Arc<Running>, DemoError> {
    let base = format!("file://{}/", place.path("git").display());
    let mut git = FetcherOptions::new(place.path("cache"));
    git.allow_local = true;
    git.git_config = GitConfig::none().with_instead_of(repository::PUBLIC_BASE, base);
    let options = StartOptions {
        hub: HubOptions {
            mode: "demo".to_owned(),
            poll_interval: POLL,
            probe_interval: PROBE,
            ..HubOptions::default()
        },
        git,
        leadership: Leadership::default(),
    };
    let started = app::start(world.hub.server.client(), options, shutdown.clone()).await;
    let failed = |error| DemoError::part("cannot start the hub's controllers", error);
    let running = Arc::new(started.map_err(failed)?);
    let served = Arc::clone(&running);
    let stop = shutdown.clone();
    tracker.spawn(async move {
        if let Err(error) = app::serve_web(&served, dashboard, Access::Open, stop).await {
            tracing::error!(%error, "the dashboard of the demo ended");
        }
    });
    let ending = Arc::clone(&running);
    tracker.spawn(async move { ending.ended().await });
    Ok(running)
}
