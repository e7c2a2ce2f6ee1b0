//! What hub and member task tell each other: wishes one way, results the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, broadcast};

use super::facts::MemberFacts;
use crate::api::{ClusterName, NamespacedName};
use crate::core::delivery::ClusterDelivery;
use crate::core::desired::DesiredSet;
use crate::core::fleet::Connection;

/// What is wished for one application on one member.
#[derive(Clone, Debug)]
pub enum Desire {
    /// Bring this there and keep it so.
    Deliver(Arc<DesiredSet>),
    /// Delete what the inventory names, then the inventory.
    Remove,
    /// Leave what is there as it is, without healing it.
    Hold,
}

impl Desire {
    /// Whether two wishes ask for the same (a desired set counts by content;
    /// a revision without a change of content is no new wish).
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Deliver(a), Self::Deliver(b)) => {
                Arc::ptr_eq(a, b) || (a.digest == b.digest && a.revision == b.revision)
            }
            (Self::Remove, Self::Remove) | (Self::Hold, Self::Hold) => true,
            _ => false,
        }
    }
}

/// What changed on a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// [`super::Pool::connection`] changed its state.
    Connection,
    /// [`super::Pool::facts`] changed.
    Facts,
    /// [`super::Pool::inventories`] were read, or that of the application came
    /// or went.
    Inventories,
    /// [`super::Pool::delivery`] of the application changed.
    Delivery,
}

/// A trigger for the hub: it names what to look at, nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// The member.
    pub cluster: ClusterName,
    /// The application, when one is concerned.
    pub application: Option<NamespacedName>,
    /// What changed.
    pub kind: ChangeKind,
}

/// Shared by the pool and the task of one member. Locks are held for moments.
pub(super) struct Ledger {
    pub(super) cluster: ClusterName,
    state: Mutex<State>,
    /// Wakes the member's task when wishes changed.
    pub(super) wake: Notify,
    changes: broadcast::Sender<MemberChange>,
    /// Applications being written to the member, or waiting to be.
    crowd: AtomicUsize,
}

/// So many applications at once are a rollout: what is only a record, on the
/// member or the hub, may wait a moment for the objects of all of them.
const CROWD: usize = 8;

struct State {
    wishes: BTreeMap<NamespacedName, Desire>,
    dirty: BTreeSet<NamespacedName>,
    deliveries: BTreeMap<NamespacedName, Arc<ClusterDelivery>>,
    connection: Connection,
    facts: Option<MemberFacts>,
    inventories: Option<BTreeSet<NamespacedName>>,
}

impl Ledger {
    pub(super) fn new(cluster: ClusterName, changes: broadcast::Sender<MemberChange>) -> Self {
        Self {
            cluster,
            state: Mutex::new(State {
                wishes: BTreeMap::new(),
                dirty: BTreeSet::new(),
                deliveries: BTreeMap::new(),
                connection: Connection::Connecting,
                facts: None,
                inventories: None,
            }),
            wake: Notify::new(),
            changes,
            crowd: AtomicUsize::new(0),
        }
    }

    pub(super) fn set_crowd(&self, applications: usize) {
        self.crowd.store(applications, Ordering::Relaxed);
    }

    /// Whether many applications are being written at once.
    pub(super) fn crowded(&self) -> bool {
        self.crowd.load(Ordering::Relaxed) > CROWD
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave these maps half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, application: Option<NamespacedName>, kind: ChangeKind) {
        // Nobody listening is fine: the state is there to be read.
        let _ = self.changes.send(MemberChange {
            cluster: self.cluster.clone(),
            application,
            kind,
        });
    }

    pub(super) fn desire(&self, application: &NamespacedName, desire: Desire) {
        let mut state = self.state();
        if state
            .wishes
            .get(application)
            .is_some_and(|old| old.same(&desire))
        {
            return;
        }
        state.wishes.insert(application.clone(), desire);
        state.dirty.insert(application.clone());
        drop(state);
        self.wake.notify_one();
    }

    /// Applications whose wish changed since the last call.
    pub(super) fn take_dirty(&self) -> BTreeSet<NamespacedName> {
        std::mem::take(&mut self.state().dirty)
    }

    pub(super) fn wish(&self, application: &NamespacedName) -> Option<Desire> {
        self.state().wishes.get(application).cloned()
    }

    pub(super) fn wishes(&self) -> BTreeMap<NamespacedName, Desire> {
        self.state().wishes.clone()
    }

    pub(super) fn delivery(&self, application: &NamespacedName) -> Option<Arc<ClusterDelivery>> {
        self.state().deliveries.get(application).cloned()
    }

    pub(super) fn set_delivery(&self, delivery: ClusterDelivery) {
        let application = delivery.application.clone();
        let mut state = self.state();
        let old = state.deliveries.get(&application);
        if old.is_some_and(|old| **old == delivery) {
            return;
        }
        state
            .deliveries
            .insert(application.clone(), Arc::new(delivery));
        drop(state);
        self.tell(Some(application), ChangeKind::Delivery);
    }

    pub(super) fn connection(&self) -> Connection {
        self.state().connection.clone()
    }

    /// Probe times move without a trigger; a change of state triggers.
    pub(super) fn set_connection(&self, connection: Connection) {
        let old = std::mem::replace(&mut self.state().connection, connection.clone());
        if std::mem::discriminant(&old) != std::mem::discriminant(&connection) {
            self.tell(None, ChangeKind::Connection);
        }
    }

    pub(super) fn facts(&self) -> Option<MemberFacts> {
        self.state().facts.clone()
    }

    pub(super) fn set_facts(&self, facts: MemberFacts) {
        let changed = self.state().facts.replace(facts.clone()) != Some(facts);
        if changed {
            self.tell(None, ChangeKind::Facts);
        }
    }

    pub(super) fn inventories(&self) -> Option<BTreeSet<NamespacedName>> {
        self.state().inventories.clone()
    }

    /// Whether the application's inventory is there; `None` until they were read.
    pub(super) fn holds(&self, application: &NamespacedName) -> Option<bool> {
        let state = self.state();
        Some(state.inventories.as_ref()?.contains(application))
    }

    /// Notes that one inventory came or went. Ignored until all were read.
    pub(super) fn note_inventory(&self, application: &NamespacedName, present: bool) {
        let mut state = self.state();
        let Some(known) = &mut state.inventories else {
            return;
        };
        let changed = if present {
            known.insert(application.clone())
        } else {
            known.remove(application)
        };
        drop(state);
        if changed {
            self.tell(Some(application.clone()), ChangeKind::Inventories);
        }
    }

    pub(super) fn set_inventories(&self, inventories: BTreeSet<NamespacedName>) {
        let changed = self.state().inventories.replace(inventories.clone()) != Some(inventories);
        if changed {
            self.tell(None, ChangeKind::Inventories);
        }
    }
}
