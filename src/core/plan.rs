//! From desire, inventory and observation to the writes that are missing.
//!
//! An object is sent when it is new, changed, or observed to differ; it is
//! deleted only when the inventory names it and git no longer does. What was
//! refused or failed stays in the inventory and is not deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::delivery::{Failure, FailureClass};
use crate::core::desired::{DesiredObject, DesiredSet};
use crate::core::inventory::{Entry, Inventory, Stamp};
use crate::core::object::ObjectId;

/// When an object is applied; objects of one phase go out together. Deletion
/// runs in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Namespaces and CustomResourceDefinitions: others live in them.
    Ground,
    /// ServiceAccounts, roles and bindings, quotas and classes: workloads need
    /// them when they start.
    Rights,
    /// Everything else.
    Workload,
}

impl Phase {
    /// All phases, in the order in which they are applied.
    pub const ALL: [Self; 3] = [Self::Ground, Self::Rights, Self::Workload];

    /// The phase of an object, by its kind.
    #[must_use]
    pub fn of(id: &ObjectId) -> Self {
        match (id.group.as_str(), id.kind.as_str()) {
            ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                Self::Ground
            }
            ("", "ServiceAccount" | "ResourceQuota" | "LimitRange")
            | ("rbac.authorization.k8s.io" | "scheduling.k8s.io" | "storage.k8s.io", _) => {
                Self::Rights
            }
            _ => Self::Workload,
        }
    }
}

/// What the watches of a member say about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedObject {
    /// Fingerprint of our fields ([`crate::core::inventory::fingerprint`]).
    pub fingerprint: Option<String>,
    /// Value of the annotation `hosting-subscription`.
    pub hosted_by: Option<String>,
    /// Whether it has a deletionTimestamp.
    pub deleting: bool,
}

/// What the watches of a member say.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// (group, kind) whose watch has listed everything. Of other kinds nothing
    /// is known, and the inventory is believed.
    pub synced: BTreeSet<(String, String)>,
    /// Objects that carry an ApplySet label.
    pub objects: BTreeMap<ObjectId, ObservedObject>,
}

/// Why an object is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyReason {
    /// It is not in the inventory.
    New,
    /// It was recorded before a write whose end is not known.
    Unfinished,
    /// Git changed it.
    Changed,
    /// Another writer changed fields that are ours.
    Drifted,
    /// It was deleted, or lost our label.
    Vanished,
}

impl ApplyReason {
    /// Whether the object may exist and belong to someone else, so that its
    /// owner is asked for before it is written.
    #[must_use]
    pub fn needs_owner_check(self) -> bool {
        matches!(self, Self::New | Self::Unfinished | Self::Vanished)
    }
}

/// One object to send.
#[derive(Clone, Debug)]
pub struct ApplyAction {
    /// The object.
    pub object: Arc<DesiredObject>,
    /// Why.
    pub reason: ApplyReason,
}

/// The writes that are missing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Objects to send, phase by phase.
    pub apply: Vec<Vec<ApplyAction>>,
    /// Objects in place.
    pub unchanged: usize,
    /// Objects that wait for their next try, or to be gone before they can be
    /// created again.
    pub held: usize,
    /// Objects to delete, last phase first, after everything was applied.
    pub prune: Vec<Vec<(ObjectId, Entry)>>,
    /// Entries to drop without touching the object: fields were only merged.
    pub forget: Vec<ObjectId>,
    /// Whether ids must be recorded before they are written.
    pub records_intent: bool,
    /// Whether revision or order in the inventory are older than the desire
    /// and something is written anyway.
    pub removes_all: bool,
}

impl Plan {
    /// Whether nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.apply.is_empty()
            && self.prune.is_empty()
            && self.forget.is_empty()
            && !self.removes_all
    }
}

/// Plans the writes for one application on one member. `desired` of `None`
/// removes everything. `held` are objects whose next try is not due.
///
/// # Errors
/// When the inventory is of another hub or of a later leader of this one.
pub fn plan(
    desired: Option<&DesiredSet>,
    inventory: Option<&Inventory>,
    observed: &Observed,
    held: &BTreeSet<ObjectId>,
) -> Result<Plan, Failure> {
    if let (Some(desired), Some(inventory)) = (desired, inventory) {
        check_writer(inventory, &desired.hub_id, desired.stamp)?;
    }
    let none = BTreeMap::new();
    let entries = inventory.map_or(&none, |inventory| &inventory.entries);
    let mut plan = Plan {
        removes_all: desired.is_none() && inventory.is_some(),
        ..Plan::default()
    };
    let (mut apply, mut keep) = (BTreeMap::<Phase, Vec<ApplyAction>>::new(), BTreeSet::new());
    if let Some(desired) = desired {
        keep.extend(desired.refused.iter().map(|refused| &refused.id));
        for object in &desired.objects {
            keep.insert(&object.id);
            match judge(object, entries.get(&object.id), observed, held) {
                Verdict::Send(reason) => {
                    plan.records_intent |= !entries.contains_key(&object.id);
                    apply
                        .entry(Phase::of(&object.id))
                        .or_default()
                        .push(ApplyAction {
                            object: object.clone(),
                            reason,
                        });
                }
                Verdict::InPlace => plan.unchanged += 1,
                Verdict::Hold => plan.held += 1,
            }
        }
    }
    plan.apply = apply.into_values().collect();
    plan_prune(&mut plan, entries, &keep, held);
    Ok(plan)
}

/// An inventory is written only by the hub that made it, and never by a leader
/// that was followed by another (its lease is lost, it just does not know).
///
/// # Errors
/// When the inventory belongs to another writer.
pub fn check_writer(inventory: &Inventory, hub_id: &str, stamp: Stamp) -> Result<(), Failure> {
    let conflict = |reason: &str, message: String| {
        Err(Failure {
            class: FailureClass::Conflict,
            reason: reason.to_owned(),
            message,
        })
    };
    if inventory.hub_id != hub_id {
        return conflict(
            "OtherHub",
            format!(
                "{} is delivered to this cluster by another hub ({}); remove it there, or delete the inventory here after checking",
                inventory.application, inventory.hub_id
            ),
        );
    }
    if inventory.stamp.transitions > stamp.transitions {
        return conflict(
            "NewerLeader",
            format!(
                "a later leader of this hub (term {}) has written here; this one (term {}) stands back; if there is no other, raise spec.leaseTransitions of the hub's Lease above that and restart",
                inventory.stamp.transitions, stamp.transitions
            ),
        );
    }
    Ok(())
}

enum Verdict {
    Send(ApplyReason),
    InPlace,
    Hold,
}

fn judge(
    object: &DesiredObject,
    entry: Option<&Entry>,
    observed: &Observed,
    held: &BTreeSet<ObjectId>,
) -> Verdict {
    if held.contains(&object.id) {
        return Verdict::Hold;
    }
    let Some(entry) = entry else {
        return Verdict::Send(ApplyReason::New);
    };
    if entry.digest.is_empty() {
        return Verdict::Send(ApplyReason::Unfinished);
    }
    let changed = entry.digest != object.digest.short() || entry.api_version != object.api_version;
    let watched = !entry.merged
        && observed
            .synced
            .contains(&(object.id.group.clone(), object.id.kind.clone()));
    if !watched {
        return if changed {
            Verdict::Send(ApplyReason::Changed)
        } else {
            Verdict::InPlace
        };
    }
    match observed.objects.get(&object.id) {
        None => Verdict::Send(ApplyReason::Vanished),
        // It cannot be applied before it is gone; the watch tells.
        Some(live) if live.deleting => Verdict::Hold,
        Some(_) if changed => Verdict::Send(ApplyReason::Changed),
        Some(live) if live.fingerprint != entry.fingerprint => Verdict::Send(ApplyReason::Drifted),
        Some(_) => Verdict::InPlace,
    }
}

fn plan_prune(
    plan: &mut Plan,
    entries: &BTreeMap<ObjectId, Entry>,
    keep: &BTreeSet<&ObjectId>,
    held: &BTreeSet<ObjectId>,
) {
    let mut prune = BTreeMap::<Phase, Vec<(ObjectId, Entry)>>::new();
    for (id, entry) in entries.iter().filter(|(id, _)| !keep.contains(id)) {
        if entry.merged {
            plan.forget.push(id.clone());
        } else if held.contains(id) {
            plan.held += 1;
        } else {
            prune
                .entry(Phase::of(id))
                .or_default()
                .push((id.clone(), entry.clone()));
        }
    }
    plan.prune = prune.into_values().rev().collect();
}

#[cfg(test)]
mod tests;
