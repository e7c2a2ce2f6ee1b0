//! `pilothouse demo`: an embedded hub, two simulated members with Submariner
//! and a local git repository, in one process and one directory.
//!
//! The demo sits above the shells: it only starts what the other modules are
//! and plays the world around them. No decision of the product knows it.

mod cluster;
mod control;
mod error;
mod fault;
mod place;
mod product;
mod report;
mod repository;
mod seed;
mod world;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::DemoError;
pub use fault::Fault;

use place::Place;
use report::Report;
use world::World;

/// The members, as in the article.
const MEMBERS: [&str; 2] = ["aws-sub1", "aws-sub2"];
/// How long everything but the API servers may take to end, and then the API
/// servers.
const GRACE: Duration = Duration::from_millis(900);

/// What the demo is started with.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where everything of the demo is kept; created when absent.
    pub dir: PathBuf,
    /// Address of the dashboard.
    pub listen: SocketAddr,
    /// Leave the three applications to the user.
    pub empty: bool,
}

/// Runs the demo until Ctrl-C or SIGTERM.
///
/// # Errors
/// When the directory, a port or a part of the demo cannot be used. The
/// message says which one and what to do.
pub async fn run(options: DemoOptions) -> Result<(), DemoError> {
    let started = Instant::now();
    let stopped = signalled()?;
    let mut place = Place::open(&options.dir)?;
    let dashboard = listen(options.listen).await?;
    let address = dashboard.local_addr().unwrap_or(options.listen);
    let report = Report::new(started, &options.dir, address);
    let tasks = Tasks::default();
    let ended = tokio::select! {
        failed = live(&options, &mut place, dashboard, &report, &tasks) => failed.map(|never| match never {}),
        () = stopped => {
            report.stopping();
            Ok(())
        }
    };
    tasks.end().await;
    ended
}

/// Starts everything, reports, and lives on.
async fn live(
    options: &DemoOptions,
    place: &mut Place,
    dashboard: TcpListener,
    report: &Report,
    tasks: &Tasks,
) -> Result<Infallible, DemoError> {
    let world = World::open(place, &tasks.serving, &tasks.stop_serving).await?;
    report.servers(&world);
    world.define().await?;
    world.play(&tasks.acting, &tasks.stop_acting);
    let (acting, stop) = (&tasks.acting, &tasks.stop_acting);
    let running = product::start(&world, place, dashboard, acting, stop).await?;
    world.people(place, options.empty).await?;
    let told = async {
        report.follow(running.views(), options.empty).await;
        std::future::pending().await
    };
    tokio::select! {
        never = told => Ok(never),
        broken = world.broken() => Err(DemoError::part("the demo ends", broken)),
    }
}

/// What runs, in two groups: the API servers end last, so that nobody sees
/// them go and complains.
#[derive(Default)]
struct Tasks {
    acting: TaskTracker,
    stop_acting: CancellationToken,
    serving: TaskTracker,
    stop_serving: CancellationToken,
}

impl Tasks {
    async fn end(&self) {
        for (tracker, token) in [
            (&self.acting, &self.stop_acting),
            (&self.serving, &self.stop_serving),
        ] {
            token.cancel();
            tracker.close();
            if tokio::time::timeout(GRACE, tracker.wait()).await.is_err() {
                tracing::debug!("a part of the demo does not end in time; it is dropped");
            }
        }
    }
}

/// Does `fault` to the demo that runs on `dir`, and says what was done and
/// where to look.
///
/// # Errors
/// When no demo runs there, or it knows no such cluster.
pub async fn fault(dir: &Path, fault: Fault) -> Result<String, DemoError> {
    control::send(dir, &fault).await
}

async fn listen(address: SocketAddr) -> Result<TcpListener, DemoError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| DemoError::Listen {
        address,
        what: "the dashboard".to_owned(),
        hint: ", or choose another address with --listen",
        source,
    })
}

/// Ends when the user asks the demo to. Set up first, so that a signal while
/// the demo starts is not lost.
fn signalled() -> Result<impl Future<Output = ()>, DemoError> {
    let failed = |error| DemoError::part("cannot listen for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests;
