//! Wishes to the members.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Gathered;
use crate::api::apps::Subscription;
use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::Severity;
use crate::core::delivery::DeliveryPhase;
use crate::core::desired::{DesiredInput, DesiredSet, Owner, desired_set};
use crate::core::fleet::{CommitFacts, Connection, RevisionRecord};
use crate::core::manifest::Rendered;
use crate::core::mesh::references;
use crate::core::subscription::{Decision, Wish};
use crate::git::Commit;
use crate::hub::context::Shared;
use crate::hub::record::SubscriptionRecord;
use crate::member::Desire;

/// How often a deletion looks at members that do not answer.
pub(super) const RELEASE_CHECK: Duration = Duration::from_secs(5);
/// How long a deletion waits for a member that does not answer. Then the
/// Subscription goes, and what is left there is shown as orphaned.
const RELEASE_AFTER_SECONDS: i64 = 300;
/// Revisions that are remembered.
const HISTORY: usize = 20;

/// Tells the members what the decision wishes. True when the Subscription is
/// being deleted and nothing of it is left that could be removed.
pub(super) fn execute(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    gathered: &Gathered,
    decision: &Decision,
) -> bool {
    let desired = desired(context, name, subscription, gathered);
    let mut asked = BTreeSet::new();
    let mut gone = true;
    for (cluster, wish) in &decision.wishes {
        match (wish, &desired) {
            (Wish::Deliver, Some(desired)) => {
                context
                    .pool
                    .desire(cluster, name, Desire::Deliver(Arc::clone(desired)));
                asked.insert(cluster.clone());
            }
            (Wish::Remove, _) => {
                context.pool.desire(cluster, name, Desire::Remove);
                if !removed(context, name, cluster, subscription) {
                    asked.insert(cluster.clone());
                    gone = false;
                }
            }
            (Wish::Hold, _) | (Wish::Deliver, None) => {
                // Healing goes on with what was delivered before, unless someone paused it.
                let first = !context
                    .subscriptions()
                    .get(name)
                    .is_some_and(|record| record.asked.contains(cluster));
                if gathered.inputs.paused || first {
                    context.pool.desire(cluster, name, Desire::Hold);
                }
                asked.insert(cluster.clone());
            }
        }
    }
    context
        .subscriptions()
        .entry(name.clone())
        .or_default()
        .asked = asked;
    gathered.inputs.deleting && gone
}

/// Whether nothing is left on a cluster that could be removed.
fn removed(
    context: &Shared,
    name: &NamespacedName,
    cluster: &ClusterName,
    subscription: &Subscription,
) -> bool {
    match context.pool.connection(cluster) {
        // Left the hub: nobody can reach it any more.
        None => true,
        Some(Connection::Reachable { .. }) => {
            context.pool.holds(cluster, name) == Some(false)
                && context
                    .pool
                    .delivery(cluster, name)
                    .is_none_or(|delivery| delivery.phase == DeliveryPhase::Removed)
        }
        Some(_) => overdue(context, name, cluster, subscription),
    }
}

fn overdue(
    context: &Shared,
    name: &NamespacedName,
    cluster: &ClusterName,
    subscription: &Subscription,
) -> bool {
    let Some(deleted) = &subscription.metadata.deletion_timestamp else {
        return false;
    };
    let overdue = Timestamp::now().duration_since(deleted.0).as_secs() > RELEASE_AFTER_SECONDS;
    if overdue {
        context.note(
            Severity::Warning,
            "Orphaned",
            format!(
                "{name} is deleted, but {cluster} did not answer: what it left there is orphaned"
            ),
            Some(name),
            Some(cluster),
        );
    }
    overdue
}

/// The desired set, made again only when something that it depends on changed.
fn desired(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    gathered: &Gathered,
) -> Option<Arc<DesiredSet>> {
    let rendered = gathered.content.rendered.as_ref()?;
    let commit = gathered.content.commit.as_ref()?;
    let owner = Owner::of(subscription, gathered.admin);
    let key = format!("{:?} {owner:?}", rendered.digest);
    let mut records = context.subscriptions();
    let record = records.entry(name.clone()).or_default();
    if record.desired_key.as_ref() != Some(&key) {
        let revision = commit.id.to_string();
        let set = desired_set(DesiredInput {
            owner: &owner,
            rendered,
            hub_id: &context.hub_id,
            revision: &revision,
            stamp: context.next_stamp(),
        });
        // A failure of the content was found before: it never gets here.
        record.desired = set.ok();
        record.desired_key = Some(key);
        note_services(record, rendered, &name.namespace);
    }
    record.desired.clone()
}

fn note_services(record: &mut SubscriptionRecord, rendered: &Rendered, namespace: &str) {
    record.references = rendered
        .manifests
        .iter()
        .flat_map(|manifest| references(&manifest.content.value()))
        .collect();
    record.references.sort();
    record.references.dedup();
    record.exports = rendered
        .manifests
        .iter()
        .filter(|manifest| {
            manifest.id.kind == "ServiceExport" && manifest.id.group == "multicluster.x-k8s.io"
        })
        .map(|manifest| {
            let own = manifest
                .id
                .namespace
                .clone()
                .unwrap_or_else(|| namespace.to_owned());
            NamespacedName::new(own, manifest.id.name.clone())
        })
        .collect();
}

/// Adds a commit that changed the content to the history.
pub(super) fn note_revision(record: &mut SubscriptionRecord, commit: &Commit) {
    let id = commit.id.to_string();
    let Some(desired) = &record.desired else {
        return;
    };
    if desired.revision != id
        || record
            .history
            .first()
            .is_some_and(|newest| newest.commit.id == id)
    {
        return;
    }
    record.reached.clear();
    record.history.insert(
        0,
        RevisionRecord {
            commit: facts(commit),
            digest: Some(desired.digest.clone()),
            seen_at: Timestamp::now(),
            applied: 0,
            placed: record.placed.len(),
            live_after_ms: None,
            failure: None,
        },
    );
    record.history.truncate(HISTORY);
}

/// A commit as the view shows it.
pub(in crate::hub) fn facts(commit: &Commit) -> CommitFacts {
    CommitFacts {
        id: commit.id.to_string(),
        summary: commit.summary.clone(),
        author: commit.author.clone(),
        time: commit.time,
    }
}
