//! Wishes to the members.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Gathered;
use crate::api::apps::Subscription;
use crate::api::{ClusterName, NamespacedName};
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
/// Revisions that are remembered.
const HISTORY: usize = 20;

/// What a deletion still has on the members.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Clusters that have something to remove and can be waited for.
    removing: BTreeSet<ClusterName>,
    /// Clusters that have not answered for too long to be waited for.
    pub(super) overdue: BTreeSet<ClusterName>,
}

impl Left {
    /// Whether nothing is left that is worth waiting for.
    pub(super) fn ended(&self) -> bool {
        self.removing.is_empty()
    }
}

/// Tells the members what the decision wishes, and says what is still to be
/// removed from them.
pub(super) fn execute(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    gathered: &Gathered,
    decision: &Decision,
) -> Left {
    let desired = desired(context, name, subscription, gathered);
    let mut asked = BTreeSet::new();
    let mut left = Left::default();
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
                match removed(context, name, cluster, subscription) {
                    Removal::Done => {}
                    Removal::UnderWay => {
                        asked.insert(cluster.clone());
                        left.removing.insert(cluster.clone());
                    }
                    Removal::Overdue => {
                        asked.insert(cluster.clone());
                        left.overdue.insert(cluster.clone());
                    }
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
    left
}

enum Removal {
    Done,
    UnderWay,
    Overdue,
}

/// How far a removal has come on a cluster that the hub has.
fn removed(
    context: &Shared,
    name: &NamespacedName,
    cluster: &ClusterName,
    subscription: &Subscription,
) -> Removal {
    if let Some(Connection::Reachable { .. }) = context.pool.connection(cluster) {
        let gone = context.pool.holds(cluster, name) == Some(false)
            && context
                .pool
                .delivery(cluster, name)
                .is_none_or(|delivery| delivery.phase == DeliveryPhase::Removed);
        return if gone {
            Removal::Done
        } else {
            Removal::UnderWay
        };
    }
    let Some(deleted) = &subscription.metadata.deletion_timestamp else {
        return Removal::UnderWay;
    };
    // Two clocks: a restart does not begin the wait anew, and a clock that is
    // set back does not lengthen it.
    let since_deletion = Timestamp::now().duration_since(deleted.0);
    let since_seen = context
        .subscriptions()
        .entry(name.clone())
        .or_default()
        .deleting
        .get_or_insert_with(Instant::now)
        .elapsed();
    let waited = since_seen.max(Duration::try_from(since_deletion).unwrap_or_default());
    if waited > context.options.release_after {
        Removal::Overdue
    } else {
        Removal::UnderWay
    }
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
