//! The members as the hub sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::client::MemberClient;
use super::facts::MemberFacts;
use super::ledger::{Desire, Ledger, MemberChange};
use super::metrics::MemberMetrics;
use super::task;
use crate::api::{ClusterName, NamespacedName};
use crate::core::delivery::ClusterDelivery;
use crate::core::fleet::Connection;

/// Changes that a slow reader may lag behind before it is told to look at
/// everything.
const CHANGES: usize = 4_096;

/// How the pool works.
#[derive(Clone)]
pub struct PoolOptions {
    /// Identity of this hub: label of its inventories.
    pub hub_id: String,
    /// Asked just before each write: whether this process still leads.
    pub may_write: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Where the time comes from.
    pub clock: fn() -> Timestamp,
    /// Writes in flight to one member.
    pub in_flight: usize,
    /// Between two probes of a member that answers.
    pub probe_interval: Duration,
    /// First delay after a failure; doubles up to `retry_max`, jittered.
    pub retry_base: Duration,
    /// Longest delay after a failure.
    pub retry_max: Duration,
    /// Counts what is written.
    pub metrics: MemberMetrics,
}

impl PoolOptions {
    /// Defaults for a hub of this identity.
    #[must_use]
    pub fn new(hub_id: impl Into<String>) -> Self {
        Self {
            hub_id: hub_id.into(),
            may_write: Arc::new(|| true),
            clock: Timestamp::now,
            in_flight: 32,
            probe_interval: Duration::from_secs(10),
            retry_base: Duration::from_millis(500),
            retry_max: Duration::from_secs(60),
            metrics: MemberMetrics::default(),
        }
    }
}

/// How to reach a member.
#[derive(Clone)]
pub struct MemberConnection {
    /// Its clients.
    pub client: MemberClient,
    /// Changes when the clients do (for example a digest of the credential):
    /// connecting again with an equal one changes nothing.
    pub fingerprint: String,
}

struct Member {
    ledger: Arc<Ledger>,
    connection: MemberConnection,
    stop: CancellationToken,
}

impl Drop for Member {
    /// A member that is forgotten, or replaced, has no task.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// All members. Cheap to clone; their tasks end with the last clone.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    options: PoolOptions,
    members: Mutex<BTreeMap<ClusterName, Member>>,
    changes: broadcast::Sender<MemberChange>,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(options: PoolOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                options,
                members: Mutex::new(BTreeMap::new()),
                changes: broadcast::channel(CHANGES).0,
            }),
        }
    }

    /// Counters of what is written.
    #[must_use]
    pub fn metrics(&self) -> &MemberMetrics {
        &self.inner.options.metrics
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<ClusterName, Member>> {
        self.inner
            .members
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self, cluster: &ClusterName) -> Option<Arc<Ledger>> {
        self.members()
            .get(cluster)
            .map(|member| member.ledger.clone())
    }

    /// Whether a member is connected by the credential of this fingerprint:
    /// [`Self::connect`] with it would change nothing.
    #[must_use]
    pub fn connected_by(&self, cluster: &ClusterName, fingerprint: &str) -> bool {
        self.members()
            .get(cluster)
            .is_some_and(|member| member.connection.fingerprint == fingerprint)
    }

    /// Connects a member, or connects it anew when the fingerprint differs (the
    /// wishes stay). Call it inside a tokio runtime.
    pub fn connect(&self, cluster: &ClusterName, connection: MemberConnection) {
        let mut members = self.members();
        let ledger = match members.get(cluster) {
            Some(member) if member.connection.fingerprint == connection.fingerprint => return,
            Some(member) => member.ledger.clone(),
            None => Arc::new(Ledger::new(cluster.clone(), self.inner.changes.clone())),
        };
        let stop = CancellationToken::new();
        tokio::spawn(task::run(
            ledger.clone(),
            connection.client.clone(),
            self.inner.options.clone(),
            stop.clone(),
        ));
        members.insert(
            cluster.clone(),
            Member {
                ledger,
                connection,
                stop,
            },
        );
    }

    /// Forgets a member: its task ends, nothing is deleted there.
    pub fn disconnect(&self, cluster: &ClusterName) {
        self.members().remove(cluster);
    }

    /// Members that are connected, reachable or not.
    #[must_use]
    pub fn clusters(&self) -> Vec<ClusterName> {
        self.members().keys().cloned().collect()
    }

    /// Says what is wished for an application on a member. The last wish
    /// counts. Ignored for a member that is not connected: wish again on
    /// [`super::ChangeKind::Connection`].
    pub fn desire(&self, cluster: &ClusterName, application: &NamespacedName, desire: Desire) {
        if let Some(ledger) = self.ledger(cluster) {
            ledger.desire(application, desire);
        }
    }

    /// State of an application on a member.
    #[must_use]
    pub fn delivery(
        &self,
        cluster: &ClusterName,
        application: &NamespacedName,
    ) -> Option<Arc<ClusterDelivery>> {
        self.ledger(cluster)?.delivery(application)
    }

    /// State of an application on all members that have or had a wish for it.
    #[must_use]
    pub fn deliveries(
        &self,
        application: &NamespacedName,
    ) -> BTreeMap<ClusterName, Arc<ClusterDelivery>> {
        self.members()
            .iter()
            .filter_map(|(cluster, member)| {
                Some((cluster.clone(), member.ledger.delivery(application)?))
            })
            .collect()
    }

    /// State of the connection; `None` for a member that is not connected.
    #[must_use]
    pub fn connection(&self, cluster: &ClusterName) -> Option<Connection> {
        Some(self.ledger(cluster)?.connection())
    }

    /// What the probe learned; `None` before the first answer.
    #[must_use]
    pub fn facts(&self, cluster: &ClusterName) -> Option<MemberFacts> {
        self.ledger(cluster)?.facts()
    }

    /// Applications of this hub whose inventory is on the member; `None` until
    /// it was read.
    #[must_use]
    pub fn inventories(&self, cluster: &ClusterName) -> Option<BTreeSet<NamespacedName>> {
        self.ledger(cluster)?.inventories()
    }

    /// Whether the inventory of an application is on the member; `None` until
    /// the inventories were read.
    #[must_use]
    pub fn holds(&self, cluster: &ClusterName, application: &NamespacedName) -> Option<bool> {
        self.ledger(cluster)?.holds(application)
    }

    /// Whether many applications are being written to the member at once:
    /// reports can wait a moment and then say everything in one write.
    #[must_use]
    pub fn crowded(&self, cluster: &ClusterName) -> bool {
        self.ledger(cluster).is_some_and(|ledger| ledger.crowded())
    }

    /// Triggers for the hub. A reader that lags looks at everything.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<MemberChange> {
        self.inner.changes.subscribe()
    }

    /// The client for watches of a member, for other observers.
    #[must_use]
    pub fn client(&self, cluster: &ClusterName) -> Option<kube::Client> {
        self.members()
            .get(cluster)
            .map(|member| member.connection.client.watches.clone())
    }
}
