//! Composition root: clients, stores, controllers, web. One function starts a
//! hub, one serves the dashboard; both end with a cancellation token.

mod embedded;
mod identities;
mod metrics;
pub mod operators;
mod served;
pub mod standby;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::view::FleetView;
use crate::git::{Fetcher, FetcherOptions, GitError, GitMetrics};
use crate::hub::context::{Context, HubOptions, Parts, Shared};
use crate::hub::leadership::Leadership;
use crate::hub::sources::Sources;
use crate::hub::stores::{Changes, Stores};
use crate::hub::{controller, fleet, webhook};
use crate::member::{Pool, PoolOptions};
use crate::web::access::Access;
use crate::web::{self, WebOptions, WebState, WebhookAnswer, WebhookSink};

pub use identities::authoriser;

pub use embedded::{EmbeddedError, EmbeddedHub, embedded_hub};

/// How long the hub may take to list its own kinds at the start.
const FIRST_LISTS: Duration = Duration::from_secs(60);

/// Why a hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The hub's API does not answer, or refuses.
    #[error("cannot use the hub's API ({what}); check the kubeconfig and its rights")]
    Hub {
        /// What was tried.
        what: &'static str,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// Kinds are missing, or may not be listed.
    #[error("the hub does not list its kinds within {} seconds: {problems}; apply the CRDs (pilothouse crds | kubectl apply -f -) and check the rights", FIRST_LISTS.as_secs())]
    NotReady {
        /// Which, as sentences.
        problems: String,
    },
    /// The mirror directory or git configuration cannot be used.
    #[error("git cannot be used")]
    Git(#[source] GitError),
}

/// What a hub is started with.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// How it behaves.
    pub hub: HubOptions,
    /// How git is accessed.
    pub git: FetcherOptions,
    /// Whether this process may write; the default where no other can lead.
    pub leadership: Leadership,
}

/// A running hub.
pub struct Running {
    context: Shared,
    git: GitMetrics,
    views: watch::Receiver<Arc<FleetView>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Starts the controllers against a hub's API. They run until `shutdown`.
///
/// # Errors
/// When the hub's API cannot be used or lacks the kinds.
pub async fn start(
    client: Client,
    options: StartOptions,
    shutdown: CancellationToken,
) -> Result<Running, StartError> {
    let hub = |what| {
        move |source| StartError::Hub {
            what,
            source: Box::new(source),
        }
    };
    let leadership = options.leadership;
    let client = leadership.guard(client);
    let version = client.apiserver_version().await.map_err(hub("version"))?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = namespaces
        .get("kube-system")
        .await
        .map_err(hub("namespace kube-system"))?;
    let hub_id = system.metadata.uid.unwrap_or_default();
    let tasks = TaskTracker::new();
    let changes = Changes::default();
    let stores = Stores::start(&client, &changes, &tasks, &shutdown);
    if tokio::time::timeout(FIRST_LISTS, stores.ready())
        .await
        .is_err()
    {
        shutdown.cancel();
        return Err(StartError::NotReady {
            problems: stores.problems().join("; "),
        });
    }
    let fetcher = Fetcher::new(options.git).map_err(StartError::Git)?;
    let pool = Pool::new(PoolOptions {
        probe_interval: options.hub.probe_interval,
        may_write: {
            let leadership = leadership.clone();
            Arc::new(move || leadership.holds())
        },
        ..PoolOptions::new(hub_id.clone())
    });
    let context: Shared = Arc::new(Context::new(Parts {
        sources: Sources::new(fetcher.clone(), changes.clone()),
        client: client.clone(),
        hub_id,
        kubernetes_version: version.git_version,
        options: options.hub,
        stores,
        changes,
        pool,
        transitions: leadership.transitions(),
    }));
    context.meshes.observe_hub(client);
    controller::start(&context, &tasks, &shutdown);
    let (published, views) = watch::channel(Arc::default());
    tasks.spawn(fleet::publish(
        Arc::clone(&context),
        context.changes.subscribe(),
        published,
        shutdown.clone(),
    ));
    let git = fetcher.metrics().clone();
    tasks.spawn(sweep(fetcher, shutdown.clone()));
    Ok(Running {
        context,
        git,
        views,
        tasks,
        shutdown,
    })
}

/// Removes mirrors that nobody uses any more, once a day.
async fn sweep(fetcher: Fetcher, shutdown: CancellationToken) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(DAY) => {}
        }
        let swept = fetcher.sweep(DAY * 7);
        tracing::info!(swept, "removed mirrors that were not used for a week");
    }
}

impl Running {
    /// The read model, as it changes.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<FleetView>> {
        self.views.clone()
    }

    /// Counters of the traffic with git servers.
    #[must_use]
    pub fn git(&self) -> &GitMetrics {
        &self.git
    }

    /// What the controllers share, for those that embed a hub.
    #[must_use]
    pub fn context(&self) -> &Shared {
        &self.context
    }

    /// Waits until everything that was started has ended. Call it after the
    /// shutdown was asked for.
    pub async fn ended(&self) {
        self.shutdown.cancelled().await;
        for cluster in self.context.pool.clusters() {
            self.context.pool.disconnect(&cluster);
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Where the web shell hands webhook deliveries to.
    #[must_use]
    pub fn webhook(&self) -> WebhookSink {
        let context = Arc::clone(&self.context);
        Arc::new(move |headers, body| {
            let context = Arc::clone(&context);
            Box::pin(async move {
                match webhook::receive(&context, headers, body).await {
                    webhook::Answer::Accepted(line) => WebhookAnswer::Accepted(line),
                    webhook::Answer::Malformed(reason) => WebhookAnswer::Malformed(reason),
                    webhook::Answer::Unauthorized => WebhookAnswer::Unauthorized,
                    webhook::Answer::Busy => WebhookAnswer::Busy,
                }
            })
        })
    }
}

/// Serves dashboard and webhook on `listener` until `shutdown`. `access` says
/// who may look.
///
/// # Errors
/// When the listener fails.
pub async fn serve_web(
    running: &Running,
    listener: TcpListener,
    access: Access,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let options = WebOptions::for_listener(listener.local_addr()?);
    let state = WebState::new(
        running.views(),
        Some(running.webhook()),
        shutdown.clone(),
        options,
        access,
    );
    // A trusted proxy is known by where its connections come from.
    let service = web::router(state).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// Waits for Ctrl-C or SIGTERM. Where a handler cannot be installed it waits
/// for ever, and the default action of the signal ends the process.
pub async fn terminated() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
