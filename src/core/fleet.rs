//! The snapshot of everything the hub knows: plain data, gathered by the hub
//! and read by `core::view`, `core::mesh` and the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::apps::{Application, Subscription};
use crate::api::cluster::{ManagedCluster, ManagedClusterSet};
use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::Activity;
use crate::core::delivery::{ClusterDelivery, Failure};
use crate::core::object::Digest;

/// Everything the hub knows at one instant.
#[derive(Clone, Debug, Default)]
pub struct FleetSnapshot {
    /// When it was gathered; `None` before the first pass.
    pub observed_at: Option<Timestamp>,
    /// The hub itself.
    pub hub: HubFacts,
    /// Registered clusters.
    pub clusters: BTreeMap<ClusterName, ClusterSnapshot>,
    /// Cluster sets by name.
    pub sets: BTreeMap<String, Arc<ManagedClusterSet>>,
    /// Subscriptions: what the product calls an application's delivery.
    pub subscriptions: BTreeMap<NamespacedName, SubscriptionSnapshot>,
    /// app.k8s.io Applications, which group Subscriptions by label.
    pub applications: BTreeMap<NamespacedName, Arc<Application>>,
    /// Last 1,000 things that happened, oldest first.
    pub activity: Vec<Activity>,
}

/// The hub process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HubFacts {
    /// Identity: uid of the hub's `kube-system` namespace.
    pub id: String,
    /// `embedded`, `demo` or `kubernetes`.
    pub mode: String,
    /// Version of the hub's Kubernetes API.
    pub kubernetes_version: String,
    /// When the controllers last finished a pass.
    pub last_pass: Option<Timestamp>,
    /// Controllers or watches that are not well, as sentences. Empty when healthy.
    pub problems: Vec<String>,
}

/// One registered cluster.
#[derive(Clone, Debug)]
pub struct ClusterSnapshot {
    /// The ManagedCluster as the hub has it.
    pub object: Arc<ManagedCluster>,
    /// Where the credential came from, without its data: `secret aws-sub1/pilothouse-credential`.
    pub credential: Option<String>,
    /// Who keeps the credential: `cluster join`, `Hive`.
    pub credential_kind: Option<String>,
    /// When the credential ends: a token's `exp` or a certificate's `notAfter`.
    /// `None` when it does not say.
    pub credential_ends: Option<Timestamp>,
    /// API server URL without user info.
    pub server: Option<String>,
    /// State of the connection from the hub.
    pub connection: Connection,
    /// Inventories found on the member whose Subscription the hub does not know. Left alone.
    pub orphans: Vec<NamespacedName>,
}

/// State of the hub's connection to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Connection {
    /// No usable credential.
    NoCredential {
        /// What is missing and what to do.
        message: String,
    },
    /// First probe under way.
    Connecting,
    /// Probes succeed.
    Reachable {
        /// When the last probe ended.
        last_probe: Timestamp,
        /// How long it took.
        latency_micros: u64,
        /// Since when probes succeed without a break.
        since: Timestamp,
    },
    /// Probes fail; the circuit is open and tried again with back-off.
    Unreachable {
        /// When it began.
        since: Timestamp,
        /// What failed.
        failure: Failure,
        /// Next probe.
        next_probe: Option<Timestamp>,
    },
}

/// One Subscription and all that the hub derived from it.
#[derive(Clone, Debug)]
pub struct SubscriptionSnapshot {
    /// The Subscription as the hub has it.
    pub object: Arc<Subscription>,
    /// Source and commit.
    pub source: SourceSnapshot,
    /// Stages of the revision, in order, for the application page.
    pub stages: Vec<Stage>,
    /// Why delivery stopped before the members, when it did.
    pub failure: Option<Failure>,
    /// The placement it refers to, as `PlacementRule guestbook-pr`.
    pub placement: Option<String>,
    /// Clusters it is placed on.
    pub placed: Vec<ClusterName>,
    /// State on each cluster (placed now, or still holding objects).
    pub deliveries: BTreeMap<ClusterName, Arc<ClusterDelivery>>,
    /// Names `SVC.NS.svc.clusterset.local` found in its manifests.
    pub references: Vec<ServiceReference>,
    /// ServiceExports in its manifests, as (namespace, name).
    pub exports: Vec<NamespacedName>,
    /// Revisions seen, newest first, at most 20.
    pub history: Vec<RevisionRecord>,
    /// Whether the label `subscription-pause` holds delivery back.
    pub paused: bool,
}

/// Where the content comes from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceSnapshot {
    /// Channel `ns/name`.
    pub channel: String,
    /// URL without user info.
    pub url: Option<String>,
    /// Branch, tag or commit asked for, for example `main`.
    pub reference: Option<String>,
    /// Directory in the repository.
    pub path: Option<String>,
    /// Commit in use.
    pub commit: Option<CommitFacts>,
    /// Last time the repository was asked.
    pub checked_at: Option<Timestamp>,
    /// Last failure of the repository, if it failed.
    pub failure: Option<Failure>,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommitFacts {
    /// Full id in hex.
    pub id: String,
    /// First line of the message.
    pub summary: String,
    /// Author as git has it.
    pub author: String,
    /// Commit time.
    pub time: Timestamp,
}

/// A stage of the way of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// `Fetched`, `Rendered`, `Placed`, `Applied`, `Healthy`, `Discoverable`.
    pub name: &'static str,
    /// Where it stands.
    pub state: StageState,
    /// One short sentence.
    pub detail: String,
    /// When it was reached.
    pub at: Option<Timestamp>,
}

/// Where a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum StageState {
    /// Reached.
    Done,
    /// Under way.
    Now,
    /// Not begun: an earlier one is not done.
    Todo,
    /// Failed.
    Failed,
}

/// A name `[CLUSTER.]SVC.NS.svc.clusterset.local` in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServiceReference {
    /// Service as `namespace/name`.
    pub service: NamespacedName,
    /// The cluster prefix, when the name has one.
    pub cluster: Option<String>,
    /// Which object names it, and where: `Deployment frontend, env REDIS_MASTER_SERVICE_HOST`.
    pub from: String,
}

/// One revision of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevisionRecord {
    /// The commit.
    pub commit: CommitFacts,
    /// Digest of the rendered objects.
    pub digest: Option<Digest>,
    /// When the hub first saw it.
    pub seen_at: Timestamp,
    /// Clusters on which it was applied completely.
    pub applied: usize,
    /// Clusters it was meant for.
    pub placed: usize,
    /// Milliseconds from seeing the commit to applied everywhere, when it got there.
    pub live_after_ms: Option<u64>,
    /// Why it did not get there.
    pub failure: Option<Failure>,
}
