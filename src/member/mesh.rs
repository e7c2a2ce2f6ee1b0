//! Observes what a cluster says about its cables and services.
//!
//! ```text
//! one watch per kind ─▶ facts ─▶ collector ─▶ watch::Sender<Arc<MeshObservation>>
//! ```
//!
//! Objects become compact facts as they arrive and are dropped. A kind that
//! is not served is noted and watched as soon as its CRD appears. A gateway's
//! time stamp moves every 5 s: that feeds its pulse and publishes nothing.

mod collect;
mod once;
mod source;
mod steady;

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::ClusterName;
use crate::core::mesh::MeshObservation;
use crate::core::mesh::observation::MeshKind;
use crate::member::client::MemberClient;

pub use once::{Once, ReadError, read};
pub use steady::steady_now;

/// Facts that may wait for the collector of a cluster.
const QUEUE: usize = 512;

/// Watches one cluster (a member, or the hub for the sake of its broker) until
/// `shutdown`, and publishes an observation whenever something that matters
/// changed. The first one comes as soon as the first kind is settled.
///
/// `clock` tells the time at which the hub hears a gateway.
pub async fn observe(
    cluster: ClusterName,
    client: MemberClient,
    published: watch::Sender<Arc<MeshObservation>>,
    clock: fn() -> Timestamp,
    shutdown: CancellationToken,
) {
    let (events, queue) = mpsc::channel(QUEUE);
    let (served, served_now) = watch::channel(source::Served::default());
    let (exported, exported_now) = watch::channel(collect::Exported::default());
    let (recovered, _) = watch::channel(());
    let mut tasks = JoinSet::new();
    tasks.spawn(source::watch_definitions(client.watches.clone(), served));
    for kind in MeshKind::ALL {
        tasks.spawn(source::watch_kind(
            client.watches.clone(),
            kind,
            served_now.clone(),
            recovered.clone(),
            events.clone(),
        ));
    }
    tasks.spawn(source::read_services(
        client.calls.clone(),
        exported_now,
        events,
    ));
    let collector = collect::Collector::new(cluster, clock, exported);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = collector.run(queue, published) => {}
    }
    // Dropping the set ends the watches.
}

/// Observes a cluster in this process, for tests and the demo's hub.
pub async fn observe_local(
    cluster: ClusterName,
    client: Client,
    published: watch::Sender<Arc<MeshObservation>>,
    shutdown: CancellationToken,
) {
    let client = MemberClient::from_client(client);
    observe(cluster, client, published, steady_now, shutdown).await;
}
