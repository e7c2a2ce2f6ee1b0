//! What every controller of a hub shares.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};

use super::activity::ActivityLog;
use super::credential::SourceKind;
use super::credential::renewal::Standing;
use super::mesh::Meshes;
use super::metrics::HubMetrics;
use super::record::{PlacementRecord, SubscriptionRecord};
use super::selection::Selection;
use super::sources::Sources;
use super::stores::{Changes, PlacementKey, Stores};
use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::{Activity, Severity};
use crate::core::inventory::Stamp;
use crate::member::Pool;

/// How the hub behaves.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// `kubernetes`, `embedded` or `demo`: shown, never decided on.
    pub mode: String,
    /// Time between two looks at a repository.
    pub poll_interval: Duration,
    /// Time between two probes of a member.
    pub probe_interval: Duration,
    /// How long a deletion waits for a member that does not answer. Then the
    /// Subscription goes, and the removal stands on the ManagedCluster.
    pub release_after: Duration,
    /// Which controllers run.
    pub controllers: Selection,
    /// Whether objects are taken over whose status another controller wrote
    /// and we never did.
    pub take_over: bool,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            mode: "kubernetes".into(),
            poll_interval: Duration::from_secs(15),
            probe_interval: Duration::from_secs(10),
            release_after: Duration::from_secs(300),
            controllers: Selection::default(),
            take_over: false,
        }
    }
}

/// Shared by all controllers.
pub struct Context {
    /// Client of the hub's API.
    pub client: Client,
    /// Identity of the hub: uid of its `kube-system` namespace.
    pub hub_id: String,
    /// Version of the hub's API server.
    pub kubernetes_version: String,
    /// How the hub behaves.
    pub options: HubOptions,
    /// Caches of the hub's kinds.
    pub stores: Stores,
    /// The bus.
    pub changes: Changes,
    /// The members.
    pub pool: Pool,
    /// What is observed of cables and services.
    pub meshes: Meshes,
    /// Content by Subscription.
    pub sources: Sources,
    /// Counters of the controllers.
    pub metrics: HubMetrics,
    /// What happened.
    pub activity: ActivityLog,
    /// Publishes Events on the hub.
    pub recorder: Recorder,
    subscriptions: Mutex<BTreeMap<NamespacedName, SubscriptionRecord>>,
    placements: Mutex<BTreeMap<PlacementKey, PlacementRecord>>,
    credentials: Mutex<BTreeMap<ClusterName, CredentialState>>,
    last_pass: Mutex<Option<Timestamp>>,
    started: Instant,
    transitions: u64,
    counter: AtomicU64,
}

/// Where a cluster's credential came from, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialState {
    /// `secret ns/name`, when one was found and taken.
    pub source: Option<String>,
    /// Who keeps it.
    pub kind: Option<SourceKind>,
    /// Server without user info.
    pub server: Option<String>,
    /// When it ends, if it says so.
    pub ends: Option<Timestamp>,
    /// How it stands with its renewal, when the hub renews it.
    pub standing: Option<Standing>,
    /// Changes when the credential does.
    pub fingerprint: Option<String>,
    /// Whether changes of the Secret are seen at once (it has our label).
    pub watched: bool,
    /// Why the cluster cannot be connected to.
    pub problem: Option<String>,
}

/// The parts that a context is made of.
pub struct Parts {
    /// Client of the hub's API.
    pub client: Client,
    /// Identity of the hub.
    pub hub_id: String,
    /// Version of the hub's API server.
    pub kubernetes_version: String,
    /// How the hub behaves.
    pub options: HubOptions,
    /// Caches.
    pub stores: Stores,
    /// Bus.
    pub changes: Changes,
    /// Members.
    pub pool: Pool,
    /// Content.
    pub sources: Sources,
    /// `leaseTransitions` of the hub's Lease; orders plans of different leaders.
    pub transitions: u64,
}

impl Context {
    /// A context without any record yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let reporter = Reporter {
            controller: "pilothouse".into(),
            instance: None,
        };
        Self {
            recorder: Recorder::new(parts.client.clone(), reporter),
            client: parts.client,
            hub_id: parts.hub_id,
            kubernetes_version: parts.kubernetes_version,
            options: parts.options,
            stores: parts.stores,
            meshes: Meshes::new(parts.changes.clone()),
            changes: parts.changes,
            pool: parts.pool,
            sources: parts.sources,
            metrics: HubMetrics::default(),
            activity: ActivityLog::default(),
            subscriptions: Mutex::default(),
            placements: Mutex::default(),
            credentials: Mutex::default(),
            last_pass: Mutex::default(),
            started: Instant::now(),
            transitions: parts.transitions,
            // Plans of a process that starts again with the same lease must not
            // seem older than those of the process before.
            counter: AtomicU64::new(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)),
        }
    }

    /// Order of the next plan.
    pub fn next_stamp(&self) -> Stamp {
        Stamp {
            transitions: self.transitions,
            counter: self.counter.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Records of Subscriptions. Hold the guard for moments only.
    pub fn subscriptions(&self) -> MutexGuard<'_, BTreeMap<NamespacedName, SubscriptionRecord>> {
        lock(&self.subscriptions)
    }

    /// Records of placements. Hold the guard for moments only.
    pub fn placements(&self) -> MutexGuard<'_, BTreeMap<PlacementKey, PlacementRecord>> {
        lock(&self.placements)
    }

    /// Credentials by cluster. Hold the guard for moments only.
    pub fn credentials(&self) -> MutexGuard<'_, BTreeMap<ClusterName, CredentialState>> {
        lock(&self.credentials)
    }

    /// How long the hub has been running.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes that a reconciler finished.
    pub fn passed(&self) {
        *lock(&self.last_pass) = Some(Timestamp::now());
    }

    /// When a reconciler finished last.
    pub fn last_pass(&self) -> Option<Timestamp> {
        *lock(&self.last_pass)
    }

    /// Adds to the activity log.
    pub fn note(
        &self,
        severity: Severity,
        reason: &str,
        message: String,
        application: Option<&NamespacedName>,
        cluster: Option<&ClusterName>,
    ) {
        self.activity.push(Activity {
            at: Timestamp::now(),
            severity,
            reason: reason.to_owned(),
            message,
            application: application.cloned(),
            cluster: cluster.cloned(),
        });
    }
}

/// The context behind an `Arc`, as every controller holds it.
pub type Shared = Arc<Context>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
