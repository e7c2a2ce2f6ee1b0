//! Caches of the hub's own kinds, fed by watches, and the bus that tells the
//! controllers what changed.
//!
//! Only kinds that the product decides on are cached, without managedFields.
//! Secrets are never cached: they are read when they are needed.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as start_watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::apps::{Application, Channel, PlacementRule, Subscription};
use crate::api::cluster::{
    AddOnPlacementScore, ManagedCluster, ManagedClusterSet, ManagedClusterSetBinding, Placement,
    PlacementDecision,
};
use crate::api::{ClusterName, NamespacedName};
use crate::hub::coexistence::Others;

/// How many changes a slow reader may lag behind before it is told to look at
/// everything again.
const BUS_CAPACITY: usize = 4096;

/// Something that the hub knows changed. A change only says where to look:
/// readers recompute from the stores, so a lost or doubled change is harmless.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A Channel.
    Channel(NamespacedName),
    /// A Subscription.
    Subscription(NamespacedName),
    /// A PlacementRule.
    PlacementRule(NamespacedName),
    /// A Placement.
    Placement(NamespacedName),
    /// A PlacementDecision of the named PlacementRule or Placement.
    Decision(PlacementKey),
    /// A ManagedCluster.
    Cluster(ClusterName),
    /// A ManagedClusterSet.
    ClusterSet(String),
    /// A ManagedClusterSetBinding in this namespace.
    Binding(String),
    /// An AddOnPlacementScore of this name, of any cluster.
    Score(String),
    /// An Application.
    Application(NamespacedName),
    /// Content of the source of a Subscription.
    Source(NamespacedName),
    /// A member: its connection or facts.
    Member(ClusterName),
    /// The delivery of a Subscription to a member.
    Delivery(ClusterName, NamespacedName),
    /// A Secret that may hold a credential of this cluster.
    Credential(ClusterName),
    /// Cables or services of a member.
    Mesh(ClusterName),
    /// Changes were lost: look at everything.
    Everything,
}

/// What a placement is, since a PlacementRule and a Placement may share a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlacementKind {
    /// `apps.open-cluster-management.io/v1` PlacementRule.
    PlacementRule,
    /// `cluster.open-cluster-management.io/v1beta1` Placement.
    Placement,
}

/// Which placement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlacementKey {
    /// Its kind.
    pub kind: PlacementKind,
    /// Its namespace and name.
    pub name: NamespacedName,
}

impl std::fmt::Display for PlacementKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            PlacementKind::PlacementRule => write!(f, "PlacementRule {}", self.name),
            PlacementKind::Placement => write!(f, "Placement {}", self.name),
        }
    }
}

/// The caches.
#[derive(Clone)]
pub struct Stores {
    /// Channels.
    pub channels: Store<Channel>,
    /// Subscriptions.
    pub subscriptions: Store<Subscription>,
    /// PlacementRules.
    pub rules: Store<PlacementRule>,
    /// Placements.
    pub placements: Store<Placement>,
    /// PlacementDecisions.
    pub decisions: Store<PlacementDecision>,
    /// ManagedClusters.
    pub clusters: Store<ManagedCluster>,
    /// ManagedClusterSets.
    pub sets: Store<ManagedClusterSet>,
    /// ManagedClusterSetBindings.
    pub bindings: Store<ManagedClusterSetBinding>,
    /// AddOnPlacementScores.
    pub scores: Store<AddOnPlacementScore>,
    /// Applications.
    pub applications: Store<Application>,
    /// Objects that another controller works on.
    pub others: Others,
    admin_namespaces: Store<PartialObjectMeta<Namespace>>,
    ready: Vec<watch::Receiver<bool>>,
    problems: Arc<std::sync::Mutex<std::collections::BTreeMap<&'static str, String>>>,
}

/// The bus.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(BUS_CAPACITY).0)
    }
}

impl Changes {
    /// Tells every reader.
    pub fn send(&self, change: Change) {
        // No reader is no error: controllers may not have started yet.
        let _ = self.0.send(change);
    }

    /// A reader that sees the changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> ChangeReader {
        ChangeReader(self.0.subscribe())
    }
}

/// A reader of the bus.
#[derive(Debug)]
pub struct ChangeReader(broadcast::Receiver<Change>);

impl ChangeReader {
    /// Drops what has come so far: the reader is about to look at everything.
    pub fn skip(&mut self) {
        self.0 = self.0.resubscribe();
    }

    /// The next change; [`Change::Everything`] when some were lost. `None` when
    /// the hub ends.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Change::Everything),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Stores {
    /// Starts the watches. They run until `shutdown`, backing off on errors.
    #[must_use]
    pub fn start(
        client: &Client,
        changes: &Changes,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let mut start = Starter {
            client,
            changes,
            tasks,
            shutdown,
            ready: Vec::new(),
            others: Others::default(),
            problems: Arc::default(),
        };
        let channels = start.watch("channels", |o: &Channel| Change::Channel(name_of(o)));
        let subscriptions = start.watch("subscriptions", |o: &Subscription| {
            Change::Subscription(name_of(o))
        });
        let rules = start.watch("placementrules", |o: &PlacementRule| {
            Change::PlacementRule(name_of(o))
        });
        let placements = start.watch("placements", |o: &Placement| Change::Placement(name_of(o)));
        let decisions = start.watch("placementdecisions", |o: &PlacementDecision| {
            decision_owner(o).map_or(Change::Everything, Change::Decision)
        });
        let clusters = start.watch("managedclusters", |o: &ManagedCluster| {
            Change::Cluster(ClusterName::from(o.name_any()))
        });
        let sets = start.watch("managedclustersets", |o: &ManagedClusterSet| {
            Change::ClusterSet(o.name_any())
        });
        let bindings = start.watch(
            "managedclustersetbindings",
            |o: &ManagedClusterSetBinding| Change::Binding(o.namespace().unwrap_or_default()),
        );
        let scores = start.watch("addonplacementscores", |o: &AddOnPlacementScore| {
            Change::Score(o.name_any())
        });
        let applications = start.watch("applications", |o: &Application| {
            Change::Application(name_of(o))
        });
        let admin = format!("{}=true", crate::api::LABEL_SUBSCRIPTION_ADMIN);
        let admin_namespaces = start.watch_selected(
            "namespaces",
            watcher::Config::default().labels(&admin),
            |_: &PartialObjectMeta<Namespace>| Change::Everything,
        );
        start.watch_credentials();
        Self {
            admin_namespaces,
            channels,
            subscriptions,
            rules,
            placements,
            decisions,
            clusters,
            sets,
            bindings,
            scores,
            applications,
            others: start.others,
            ready: start.ready,
            problems: start.problems,
        }
    }

    /// Waits until every cache was filled once.
    pub async fn ready(&self) {
        for ready in &self.ready {
            // A closed channel means shutdown; nobody acts on the caches then.
            let _ = ready.clone().wait_for(|ready| *ready).await;
        }
    }

    /// A cluster that the hub has.
    #[must_use]
    pub fn cluster(&self, name: &ClusterName) -> Option<Arc<ManagedCluster>> {
        self.clusters.get(&ObjectRef::new(name.as_str()))
    }

    /// Whether a namespace is labelled as that of a subscription-admin.
    #[must_use]
    pub fn is_admin_namespace(&self, namespace: &str) -> bool {
        self.admin_namespaces
            .find(|found| found.name_any() == namespace)
            .is_some()
    }

    /// Watches that are failing, as sentences for the hub's health.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.problems
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .iter()
            .map(|(kind, problem)| format!("watch of {kind} fails: {problem}"))
            .collect()
    }
}

/// The placement that a PlacementDecision belongs to, by its label.
#[must_use]
pub fn decision_owner(decision: &PlacementDecision) -> Option<PlacementKey> {
    let labels = decision.labels();
    let key = |kind, label: &str| {
        labels.get(label).map(|name| PlacementKey {
            kind,
            name: NamespacedName::new(decision.namespace().unwrap_or_default(), name.clone()),
        })
    };
    key(
        PlacementKind::PlacementRule,
        crate::api::LABEL_PLACEMENT_RULE,
    )
    .or_else(|| key(PlacementKind::Placement, crate::api::LABEL_PLACEMENT))
}

/// The object of that name in a cache.
#[must_use]
pub fn named<K>(store: &Store<K>, name: &NamespacedName) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(&name.name).within(&name.namespace))
}

/// Namespace and name of an object.
pub fn name_of<K: ResourceExt>(object: &K) -> NamespacedName {
    NamespacedName::new(object.namespace().unwrap_or_default(), object.name_any())
}

struct Starter<'a> {
    client: &'a Client,
    changes: &'a Changes,
    tasks: &'a TaskTracker,
    shutdown: &'a CancellationToken,
    ready: Vec<watch::Receiver<bool>>,
    others: Others,
    problems: Arc<std::sync::Mutex<std::collections::BTreeMap<&'static str, String>>>,
}

impl Starter<'_> {
    fn watch<K>(&mut self, kind: &'static str, change: fn(&K) -> Change) -> Store<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Default + Eq + Hash + Clone,
    {
        self.watch_selected(kind, watcher::Config::default(), change)
    }

    /// Watches the metadata of Secrets that may hold a cluster's credential.
    /// Only the trigger is used: the data is read when it is needed.
    fn watch_credentials(&mut self) {
        let labelled = format!("{}=true", crate::api::LABEL_CREDENTIAL);
        let import = format!("metadata.name={}", crate::api::AUTO_IMPORT_SECRET);
        let change = |secret: &PartialObjectMeta<Secret>| {
            Change::Credential(ClusterName::from(secret.namespace().unwrap_or_default()))
        };
        let _ = self.watch_selected(
            "secrets",
            watcher::Config::default().labels(&labelled),
            change,
        );
        let _ = self.watch_selected(
            "import secrets",
            watcher::Config::default().fields(&import),
            change,
        );
    }

    fn watch_selected<K>(
        &mut self,
        kind: &'static str,
        config: watcher::Config,
        change: fn(&K) -> Change,
    ) -> Store<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Default + Eq + Hash + Clone,
    {
        let (store, writer) = reflector::store();
        let (ready_tx, ready_rx) = watch::channel(false);
        self.ready.push(ready_rx);
        let (met, others) = (self.others.clone(), self.others.clone());
        let stream = start_watcher(Api::<K>::all(self.client.clone()), config)
            .default_backoff()
            .modify(move |object: &mut K| {
                met.meet(kind, object);
                object.meta_mut().managed_fields = None;
            })
            .reflect(writer);
        let reader = store.clone();
        let changes = self.changes.clone();
        let problems = Arc::clone(&self.problems);
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let mut stream = std::pin::pin!(stream.take_until(shutdown.cancelled_owned()));
            while let Some(event) = stream.next().await {
                let mut problems = problems.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match event {
                    Ok(event) => {
                        problems.remove(kind);
                        drop(problems);
                        match event {
                            Event::Apply(object) => changes.send(change(&object)),
                            Event::Delete(object) => {
                                others.forget(kind, &name_of(&object));
                                changes.send(change(&object));
                            }
                            Event::InitDone => {
                                let there = reader.state();
                                others.keep(kind, &there.iter().map(|object| name_of(object.as_ref())).collect());
                                ready_tx.send_replace(true);
                                there.iter().for_each(|object| changes.send(change(object)));
                                // Objects that vanished while the watch was away left no event.
                                changes.send(Change::Everything);
                            }
                            Event::Init | Event::InitApply(_) => {}
                        }
                    }
                    Err(error) => {
                        tracing::warn!(kind, error = %crate::hub::chain(&error), "watch failed, trying again");
                        problems.insert(kind, crate::hub::chain(&error));
                    }
                }
            }
        });
        store
    }
}
