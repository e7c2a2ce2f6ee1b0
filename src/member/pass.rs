//! One pass over an application: the plan's writes, in order.
//!
//! ids are recorded before they are written, so that a crash at any point
//! leaves nothing behind that nobody knows; digests and fingerprints are
//! recorded once at the end. The failure of one object never hides the others.
//!
//! While many applications are written at once, the record at the end waits
//! until their objects are out ([`Pass::flush`]). A crash before that costs
//! applies that change nothing: what is recorded already names every object.

mod adopt;
mod apply;
mod prune;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::calls::{CallError, Calls};
use super::discovery::Discovery;
use super::failure;
use super::ledger::Ledger;
use super::metrics::MemberMetrics;
use super::observe::Row;
use crate::api::{
    ANNOTATION_HOSTING_SUBSCRIPTION, ANNOTATION_SYNC_SOURCE, FIELD_MANAGER, NamespacedName,
};
use crate::core::delivery::{Failure, FailureClass, Health, PassCounts};
use crate::core::desired::DesiredSet;
use crate::core::health;
use crate::core::inventory::{Entry, Inventory, parent_name};
use crate::core::object::ObjectId;
use crate::core::plan::{ApplyReason, Plan, check_writer};

/// Objects of one application under way at once; the permits of the member
/// bound the calls.
const CONCURRENT: usize = 64;
/// Longest wait for definitions to be established before their objects go.
const ESTABLISH: Duration = Duration::from_secs(5);

/// What passes over one member share while it is reachable.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) calls: Calls,
    pub(super) discovery: Discovery,
    ledger: Arc<Ledger>,
    /// Namespaces known to be there.
    pub(super) namespaces: Arc<Mutex<BTreeSet<String>>>,
    metrics: MemberMetrics,
}

impl Session {
    pub(super) fn new(calls: Calls, ledger: Arc<Ledger>, metrics: MemberMetrics) -> Self {
        Self {
            ledger,
            discovery: Discovery::new(calls.clone()),
            calls,
            namespaces: Arc::default(),
            metrics,
        }
    }

    fn knows(&self, namespace: &str) -> bool {
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(namespace)
    }

    fn learn(&self, namespace: &str) {
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(namespace.to_owned());
    }

    fn unlearn(&self, namespace: &str) {
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(namespace);
    }
}

/// What became of one object.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was written.
    Applied {
        row: Box<Row>,
        entry: Entry,
        reason: ApplyReason,
    },
    /// It was not written.
    Failed(Failure),
    /// It is gone.
    Pruned,
    /// It is being deleted and waits for finalizers.
    Deleting,
    /// It is not deleted, and no longer ours to delete.
    Released,
}

/// A pass to run.
pub(super) struct Pass {
    pub(super) session: Session,
    pub(super) application: NamespacedName,
    pub(super) hub_id: String,
    /// `None`: everything is removed.
    pub(super) desired: Option<Arc<DesiredSet>>,
    pub(super) inventory: Option<Inventory>,
    /// Whether the inventory says more than the member's record does.
    pub(super) unsettled: bool,
    pub(super) plan: Plan,
    /// Rows of the objects to delete, where they are watched.
    pub(super) rows: BTreeMap<ObjectId, Row>,
}

/// What became of a pass.
pub(super) struct PassResult {
    pub(super) application: NamespacedName,
    /// The record as it is on the member now; `None`: there is none.
    pub(super) inventory: Option<Inventory>,
    /// Whether it is still to be written there.
    pub(super) unsettled: bool,
    pub(super) outcomes: Vec<(ObjectId, Outcome)>,
    /// What stopped the pass as a whole.
    pub(super) failure: Option<Failure>,
    /// `None`: only the record was written.
    pub(super) counts: Option<PassCounts>,
    /// Whether a call was not answered at all: worth a probe.
    pub(super) unreachable: bool,
}

impl Pass {
    pub(super) async fn run(mut self) -> PassResult {
        let mut outcomes = Vec::new();
        let mut counts = PassCounts {
            unchanged: self.plan.unchanged,
            ..PassCounts::default()
        };
        let written = self.write_all(&mut outcomes).await;
        let mut unreachable = false;
        for (_, outcome) in &outcomes {
            match outcome {
                Outcome::Applied { .. } => counts.sent += 1,
                Outcome::Pruned => counts.pruned += 1,
                Outcome::Failed(failure) => {
                    counts.failed += 1;
                    unreachable |= failure.reason == "Unreachable";
                }
                Outcome::Deleting | Outcome::Released => {}
            }
        }
        let ended = self.ended(written);
        PassResult {
            outcomes,
            counts: Some(counts),
            unreachable: unreachable || ended.unreachable,
            ..ended
        }
    }

    /// Writes the record that an earlier pass left for later.
    pub(super) async fn flush(mut self) -> PassResult {
        let written = match self.inventory.clone() {
            Some(inventory) => self.write_inventory(inventory).await,
            None => Ok(()),
        };
        self.ended(written)
    }

    fn ended(self, written: Result<(), Stop>) -> PassResult {
        let unreachable = matches!(written, Err(Stop::Call(CallError::Unreachable(_))));
        PassResult {
            application: self.application,
            inventory: self.inventory,
            unsettled: self.unsettled,
            outcomes: Vec::new(),
            failure: written.err().map(Stop::into_failure),
            counts: None,
            unreachable,
        }
    }

    async fn write_all(&mut self, outcomes: &mut Vec<(ObjectId, Outcome)>) -> Result<(), Stop> {
        let fresh = self.ensure_namespaces().await?;
        if self.plan.records_intent {
            self.record_intent().await?;
        }
        let phases = std::mem::take(&mut self.plan.apply);
        let last = phases.len().saturating_sub(1);
        for (index, phase) in phases.into_iter().enumerate() {
            let this = &*self;
            let fresh = &fresh;
            let done: Vec<(ObjectId, Outcome)> = futures::stream::iter(phase)
                .map(|action| async move {
                    (action.object.id.clone(), this.apply(&action, fresh).await)
                })
                .buffer_unordered(CONCURRENT)
                .collect()
                .await;
            if index < last {
                self.await_definitions(&done).await;
            }
            outcomes.extend(done);
        }
        for phase in std::mem::take(&mut self.plan.prune) {
            let this = &*self;
            let done: Vec<(ObjectId, Outcome)> = futures::stream::iter(phase)
                .map(|(id, entry)| async move { (id.clone(), this.prune(&id, &entry).await) })
                .buffer_unordered(CONCURRENT)
                .collect()
                .await;
            outcomes.extend(done);
        }
        self.settle(outcomes).await
    }

    /// The Subscription's namespace and those of its objects; returns those
    /// that were made now, in which nothing of anyone can be yet. Namespaces
    /// that were made here are never deleted (ocm-apps §2.8).
    async fn ensure_namespaces(&self) -> Result<BTreeSet<String>, Stop> {
        let mut fresh = BTreeSet::new();
        if self.desired.is_none() || self.plan.apply.is_empty() {
            return Ok(fresh);
        }
        let actions = || self.plan.apply.iter().flatten();
        let delivered: BTreeSet<&str> = actions()
            .filter(|action| {
                action.object.id.group.is_empty() && action.object.id.kind == "Namespace"
            })
            .map(|action| action.object.id.name.as_str())
            .collect();
        let mut wanted: BTreeSet<&str> = actions()
            .filter_map(|action| action.object.id.namespace.as_deref())
            .filter(|name| !delivered.contains(name))
            .collect();
        wanted.insert(&self.application.namespace);
        for namespace in wanted {
            if !self.session.knows(namespace) && self.ensure_namespace(namespace).await? {
                fresh.insert(namespace.to_owned());
            }
        }
        Ok(fresh)
    }

    async fn ensure_namespace(&self, namespace: &str) -> Result<bool, Stop> {
        let calls = &self.session.calls;
        match calls
            .metadata(&format!("/api/v1/namespaces/{namespace}"))
            .await
        {
            Ok(live) if live.metadata.deletion_timestamp.is_some() => {
                return Err(Stop::Failure(Failure {
                    class: FailureClass::Waiting,
                    reason: "NamespaceTerminating".into(),
                    message: format!(
                        "namespace {namespace} is being deleted on this cluster; delivery goes on when it is gone"
                    ),
                }));
            }
            // Without the right to read namespaces, the writes will tell.
            Ok(_) | Err(CallError::Answer { code: 403, .. }) => {
                self.session.learn(namespace);
                return Ok(false);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(Stop::Call(error)),
        }
        let body = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "annotations": {
                    ANNOTATION_HOSTING_SUBSCRIPTION: self.application.to_string(),
                    ANNOTATION_SYNC_SOURCE: format!("subnsdpl-{}", self.application),
                },
            },
        });
        let created = calls
            .create(
                "/api/v1/namespaces",
                FIELD_MANAGER,
                Bytes::from(body.to_string()),
            )
            .await;
        match created {
            Ok(_) => {
                self.session.learn(namespace);
                Ok(true)
            }
            Err(CallError::Answer { code: 409, .. }) => {
                self.session.learn(namespace);
                Ok(false)
            }
            Err(error) => Err(Stop::Call(error)),
        }
    }

    async fn record_intent(&mut self) -> Result<(), Stop> {
        let mut inventory = self
            .inventory
            .take()
            .unwrap_or_else(|| Inventory::new(self.application.clone(), &self.hub_id));
        let known = inventory.clone();
        self.stamp(&mut inventory);
        for action in self.plan.apply.iter().flatten() {
            inventory
                .entries
                .entry(action.object.id.clone())
                .or_insert_with(|| Entry {
                    api_version: action.object.api_version.clone(),
                    ..Entry::default()
                });
        }
        self.inventory = known.resource_version.is_some().then_some(known);
        self.write_inventory(inventory).await
    }

    fn stamp(&self, inventory: &mut Inventory) {
        if let Some(desired) = &self.desired {
            inventory.revision.clone_from(&desired.revision);
            inventory.stamp = desired.stamp;
        }
    }

    /// Writes the record over the version it was read at. When another version
    /// is there, that one is read: the next pass starts from it.
    async fn write_inventory(&mut self, mut inventory: Inventory) -> Result<(), Stop> {
        let namespace = &self.application.namespace;
        let collection = format!("/api/v1/namespaces/{namespace}/configmaps");
        let body = Bytes::from(inventory.to_config_map().to_string());
        let calls = &self.session.calls;
        let written = match inventory.resource_version {
            None => calls.create(&collection, FIELD_MANAGER, body).await,
            Some(_) => {
                calls
                    .replace(&self.parent_path(), FIELD_MANAGER, body)
                    .await
            }
        };
        match written {
            Ok(live) => {
                inventory.resource_version = live.metadata.resource_version;
                inventory.uid = live.metadata.uid;
                self.inventory = Some(inventory);
                self.unsettled = false;
                Ok(())
            }
            Err(CallError::Answer { code: 409, .. }) => Err(self.reread().await),
            Err(error) => {
                if error.is_not_found() {
                    self.session.unlearn(namespace);
                }
                Err(Stop::Call(error))
            }
        }
    }

    fn parent_path(&self) -> String {
        let name = parent_name(&self.application.name);
        format!(
            "/api/v1/namespaces/{}/configmaps/{name}",
            self.application.namespace
        )
    }

    /// Reads the record after a conflict, and says why this pass stops.
    async fn reread(&mut self) -> Stop {
        let live: Value = match self.session.calls.get(&self.parent_path()).await {
            Ok(live) => live,
            Err(error) => return Stop::Call(error),
        };
        match Inventory::from_config_map(&live) {
            Ok(inventory) => {
                let stamp = self
                    .desired
                    .as_ref()
                    .map_or(inventory.stamp, |desired| desired.stamp);
                if let Err(failure) = check_writer(&inventory, &self.hub_id, stamp) {
                    return Stop::Failure(failure);
                }
                self.inventory = Some(inventory);
                self.unsettled = false;
                Stop::Reread
            }
            Err(error) => Stop::Failure(Failure {
                class: FailureClass::Stalled,
                reason: "InventoryUnreadable".into(),
                message: error.to_string(),
            }),
        }
    }

    /// Records what was done, now or later. Nothing is written when nothing
    /// changed.
    async fn settle(&mut self, outcomes: &[(ObjectId, Outcome)]) -> Result<(), Stop> {
        let Some(before) = self.inventory.clone() else {
            return Ok(());
        };
        let mut after = before.clone();
        for id in &self.plan.forget {
            after.entries.remove(id);
        }
        for (id, outcome) in outcomes {
            match outcome {
                Outcome::Applied { entry, .. } => {
                    after.entries.insert(id.clone(), entry.clone());
                }
                Outcome::Pruned | Outcome::Released => {
                    after.entries.remove(id);
                }
                // Recorded before it was tried and never there: nothing to delete later.
                Outcome::Failed(failure) if never_written(before.entries.get(id), failure) => {
                    after.entries.remove(id);
                }
                Outcome::Failed(_) | Outcome::Deleting => {}
            }
        }
        if self.desired.is_none() && after.entries.is_empty() {
            return self.delete_inventory(&before).await;
        }
        if after.entries == before.entries && !self.unsettled {
            return Ok(());
        }
        self.stamp(&mut after);
        if self.session.ledger.crowded() {
            self.inventory = Some(after);
            self.unsettled = true;
            return Ok(());
        }
        self.write_inventory(after).await
    }

    async fn delete_inventory(&mut self, inventory: &Inventory) -> Result<(), Stop> {
        if let Some(uid) = &inventory.uid {
            self.session
                .calls
                .delete(
                    &self.parent_path(),
                    uid,
                    inventory.resource_version.as_deref(),
                )
                .await
                .map_err(Stop::Call)?;
        }
        self.inventory = None;
        Ok(())
    }

    /// Waits until definitions that were just applied are established: their
    /// objects would fail before. Runs out quietly, since they heal alone.
    async fn await_definitions(&self, done: &[(ObjectId, Outcome)]) {
        let waits = done.iter().filter_map(|(id, outcome)| match outcome {
            Outcome::Applied { row, .. }
                if id.kind == "CustomResourceDefinition" && row.health != Health::Healthy =>
            {
                Some(self.await_definition(id))
            }
            _ => None,
        });
        let _ = tokio::time::timeout(ESTABLISH, futures::future::join_all(waits)).await;
    }

    async fn await_definition(&self, id: &ObjectId) {
        let path = format!(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}",
            id.name
        );
        let mut delay = Duration::from_millis(20);
        loop {
            match self.session.calls.get::<Value>(&path).await {
                Ok(definition) if health::assess(&definition).0 == Health::Healthy => return,
                Ok(_) => {}
                Err(_) => return,
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(Duration::from_millis(250));
        }
    }
}

/// Whether a failed object is certainly not on the member by our hand. A
/// refusal is an answer; a lost answer is none.
fn never_written(entry: Option<&Entry>, failure: &Failure) -> bool {
    entry.is_some_and(|entry| entry.digest.is_empty())
        && matches!(
            failure.reason.as_str(),
            failure::NOT_SERVED
                | "OwnedByOthers"
                | "NotSubscriptionAdmin"
                | "Invalid"
                | "Forbidden"
        )
}

/// Why a pass ends early.
enum Stop {
    Call(CallError),
    Failure(Failure),
    /// The record was another one; the next pass starts from it.
    Reread,
}

impl Stop {
    fn into_failure(self) -> Failure {
        match self {
            Self::Call(error) => failure::of_call(&error),
            Self::Failure(failure) => failure,
            Self::Reread => Failure {
                class: FailureClass::Transient,
                reason: "InventoryChanged".into(),
                message: "the inventory was changed by someone else; it was read again".into(),
            },
        }
    }
}
