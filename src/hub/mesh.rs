//! What is observed of cables and services: one observer a member and one for
//! the hub, which may host the broker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::stores::{Change, Changes};
use crate::api::ClusterName;
use crate::core::mesh::MeshObservation;
use crate::member::client::MemberClient;
use crate::member::mesh;

/// Name under which the hub's own observation runs; no cluster can have it.
const HUB: &str = "(hub)";

/// All observers.
pub struct Meshes {
    changes: Changes,
    observers: Mutex<BTreeMap<ClusterName, Observer>>,
    hub: Mutex<Option<Observer>>,
}

struct Observer {
    fingerprint: String,
    seen: watch::Receiver<Arc<MeshObservation>>,
    _stop: DropGuard,
}

impl Meshes {
    /// No observer yet; changes go to `changes`.
    #[must_use]
    pub fn new(changes: Changes) -> Self {
        Self {
            changes,
            observers: Mutex::default(),
            hub: Mutex::default(),
        }
    }

    /// Observes a member, anew when its credential changed.
    pub fn observe(&self, cluster: &ClusterName, client: MemberClient, fingerprint: &str) {
        let mut observers = lock(&self.observers);
        if observers
            .get(cluster)
            .is_some_and(|observer| observer.fingerprint == fingerprint)
        {
            return;
        }
        let (published, seen) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        tokio::spawn(mesh::observe(
            cluster.clone(),
            client,
            published,
            mesh::steady_now,
            stop.clone(),
        ));
        self.forward(cluster.clone(), seen.clone(), stop.clone());
        observers.insert(
            cluster.clone(),
            Observer {
                fingerprint: fingerprint.to_owned(),
                seen,
                _stop: stop.drop_guard(),
            },
        );
    }

    /// Observes the hub itself, where a broker may live.
    pub fn observe_hub(&self, client: Client) {
        let (published, seen) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let name = ClusterName::from(HUB);
        tokio::spawn(mesh::observe_local(
            name.clone(),
            client,
            published,
            stop.clone(),
        ));
        self.forward(name, seen.clone(), stop.clone());
        *lock(&self.hub) = Some(Observer {
            fingerprint: String::new(),
            seen,
            _stop: stop.drop_guard(),
        });
    }

    /// Stops observing a member.
    pub fn forget(&self, cluster: &ClusterName) {
        lock(&self.observers).remove(cluster);
    }

    /// What was observed of each member.
    #[must_use]
    pub fn members(&self) -> BTreeMap<ClusterName, Arc<MeshObservation>> {
        lock(&self.observers)
            .iter()
            .map(|(cluster, observer)| (cluster.clone(), Arc::clone(&observer.seen.borrow())))
            .collect()
    }

    /// What was observed of the hub.
    #[must_use]
    pub fn hub(&self) -> Option<Arc<MeshObservation>> {
        lock(&self.hub)
            .as_ref()
            .map(|observer| Arc::clone(&observer.seen.borrow()))
    }

    fn forward(
        &self,
        cluster: ClusterName,
        mut seen: watch::Receiver<Arc<MeshObservation>>,
        stop: CancellationToken,
    ) {
        let changes = self.changes.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = seen.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        seen.mark_unchanged();
                        changes.send(Change::Mesh(cluster.clone()));
                    }
                }
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
