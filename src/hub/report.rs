//! What the hub says of a Subscription: status, SubscriptionReport, the
//! SubscriptionStatus of each cluster where something failed, Events and the
//! activity log. Everything is written only when it changed.

mod cluster_status;
mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::EventType;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::context::Shared;
use super::event;
use super::record::SubscriptionRecord;
use crate::api::apps::{Subscription, SubscriptionStatusFields};
use crate::api::{ANNOTATION_GIT_CURRENT_COMMIT, ClusterName, NamespacedName, STATUS_MANAGER};
use crate::core::activity::Severity;
use crate::core::delivery::{ClusterDelivery, DeliveryPhase, Failure};
use crate::core::subscription::{Decision, Phase};

/// Characters of a message in status; the whole stands on the dashboard.
const MAX_MESSAGE: usize = 2000;

/// How long a report may wait for what is under way, so that it is written
/// once: RHACM's own agents report every ten seconds or less often.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reports one Subscription. `Some` when something waits to be reported with
/// what comes next, and how long it may.
///
/// # Errors
/// When the hub's API fails.
pub async fn report(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    decision: &Decision,
) -> Result<Option<Duration>, kube::Error> {
    let deliveries = context.pool.deliveries(name);
    note_progress(context, name, &deliveries);
    let patience = patience(context, name);
    if patience.is_some() && crowded(context, decision, &deliveries) {
        return Ok(patience);
    }
    write_status(context, name, subscription, decision).await?;
    let complete =
        summary::write(context, name, subscription, &deliveries, patience.is_some()).await?;
    let written = cluster_status::write(context, name, &deliveries).await?;
    write_commit(context, name, subscription, &deliveries).await?;
    let told = Told {
        reason: subscription
            .status
            .as_ref()
            .and_then(|status| status.reason.clone()),
        written,
    };
    announce(context, name, subscription, decision, &deliveries, &told).await;
    if complete {
        context
            .subscriptions()
            .entry(name.clone())
            .or_default()
            .reporting = None;
        return Ok(None);
    }
    Ok(patience)
}

/// How long the report may still wait.
fn patience(context: &Shared, name: &NamespacedName) -> Option<Duration> {
    let mut records = context.subscriptions();
    let record = records.entry(name.clone()).or_default();
    let since = *record.reporting.get_or_insert_with(Instant::now);
    PATIENCE
        .checked_sub(since.elapsed())
        .filter(|left| !left.is_zero())
}

/// Whether many applications are being written and all goes well: their
/// objects come first, and this report waits. A failure is told at once.
fn crowded(
    context: &Shared,
    decision: &Decision,
    deliveries: &BTreeMap<ClusterName, Arc<ClusterDelivery>>,
) -> bool {
    decision.failure.is_none()
        && deliveries
            .values()
            .all(|delivery| first_failure(delivery).is_none())
        && decision
            .wishes
            .keys()
            .any(|cluster| context.pool.crowded(cluster))
}

/// How long a start may take to come to its first decision. Until then what
/// an earlier process reported stands.
pub(super) const FIRST_DECISION: Duration = Duration::from_secs(60);

/// Whether nothing is to be reported yet: this process has not come to a
/// decision, and an earlier one reported. With the time after which it counts.
pub fn held_back(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    decision: &Decision,
) -> Option<Duration> {
    let mut records = context.subscriptions();
    let record = records.entry(name.clone()).or_default();
    record.decided |= decision.waiting.is_none();
    let reported = subscription
        .status
        .as_ref()
        .is_some_and(|status| status.phase.is_some());
    if record.decided || !reported {
        return None;
    }
    FIRST_DECISION
        .checked_sub(context.age())
        .filter(|left| !left.is_zero())
}

/// What an earlier process has told already.
struct Told {
    /// `.status.reason` before this pass.
    reason: Option<String>,
    /// Clusters whose failures were written in this pass.
    written: BTreeSet<ClusterName>,
}

/// Patch parameters of everything that is written here.
fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    }
}

/// 404: deleted meanwhile, nothing to report to.
fn unless_gone<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

async fn write_status(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    decision: &Decision,
) -> Result<(), kube::Error> {
    let reason = decision
        .failure
        .as_ref()
        .map(|failure| shorten(&failure.message, MAX_MESSAGE));
    let message = match (&decision.waiting, decision.phase) {
        (Some(waiting), _) => Some(waiting.clone()),
        // RHACM's word for "not held back by a time window".
        (None, Phase::Propagated) => Some("Active".to_owned()),
        _ => None,
    };
    let mut wanted = SubscriptionStatusFields {
        phase: Some(decision.phase.as_str().to_owned()).filter(|phase| !phase.is_empty()),
        reason,
        message,
        appstatus_reference: Some(format!(
            "kubectl get appsubreport -n {} {}",
            name.namespace, name.name
        )),
        ..SubscriptionStatusFields::default()
    };
    let current = subscription.status.clone().unwrap_or_default();
    wanted
        .last_update_time
        .clone_from(&current.last_update_time);
    wanted.ansiblejobs.clone_from(&current.ansiblejobs);
    wanted.statuses.clone_from(&current.statuses);
    if wanted == current {
        return Ok(());
    }
    let api: Api<Subscription> = Api::namespaced(context.client.clone(), &name.namespace);
    // Merge keeps what is not named: a word that no longer holds is set to null.
    let patch = json!({"status": {
        "phase": wanted.phase, "reason": wanted.reason, "message": wanted.message,
        "appstatusReference": wanted.appstatus_reference,
        "lastUpdateTime": Time(whole_second(Timestamp::now())),
    }});
    unless_gone(
        api.patch_status(&name.name, &params(), &Patch::Merge(patch))
            .await,
    )
}

/// `git-current-commit`: the commit that every placed cluster holds.
async fn write_commit(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    deliveries: &BTreeMap<ClusterName, Arc<ClusterDelivery>>,
) -> Result<(), kube::Error> {
    let placed = context
        .subscriptions()
        .get(name)
        .map(|record| record.placed.clone())
        .unwrap_or_default();
    // Without content that was wished for, only the inventory speaks: its
    // revision may be older than the one that was told before a restart.
    let mut revisions = placed.iter().map(|cluster| {
        deliveries
            .get(cluster)
            .filter(|delivery| delivery.desired.is_some())
            .and_then(|delivery| delivery.revision.clone())
    });
    let Some(Some(revision)) = revisions.next() else {
        return Ok(());
    };
    let same = revisions.all(|other| other.as_ref() == Some(&revision));
    let told = subscription
        .annotations()
        .get(ANNOTATION_GIT_CURRENT_COMMIT);
    if !same
        || told == Some(&revision)
        || told.is_some_and(|told| stands(told, &placed, deliveries))
    {
        return Ok(());
    }
    let api: Api<Subscription> = Api::namespaced(context.client.clone(), &name.namespace);
    let patch = json!({"metadata": {"annotations": {ANNOTATION_GIT_CURRENT_COMMIT: revision}}});
    unless_gone(api.patch(&name.name, &params(), &Patch::Merge(patch)).await)
}

/// Whether the commit that was told before a restart still names what is in
/// place: later commits changed nothing here, so a member records it still.
fn stands(
    told: &String,
    placed: &BTreeSet<ClusterName>,
    deliveries: &BTreeMap<ClusterName, Arc<ClusterDelivery>>,
) -> bool {
    let mut in_place = placed.iter().filter_map(|cluster| deliveries.get(cluster));
    in_place.any(|delivery| delivery.recorded.as_ref() == Some(told))
}

/// Keeps the history of revisions: how many clusters hold it, and how long it took.
fn note_progress(
    context: &Shared,
    name: &NamespacedName,
    deliveries: &BTreeMap<ClusterName, Arc<ClusterDelivery>>,
) {
    let mut live = None;
    {
        let mut records = context.subscriptions();
        let Some(record) = records.get_mut(name) else {
            return;
        };
        let placed = record.placed.clone();
        let failure = placed
            .iter()
            .filter_map(|cluster| deliveries.get(cluster))
            .find_map(|delivery| first_failure(delivery))
            .map(|(_, failure)| failure);
        let Some(newest) = record.history.first_mut() else {
            return;
        };
        newest.placed = placed.len();
        newest.applied = placed
            .iter()
            .filter_map(|cluster| deliveries.get(cluster))
            .filter(|delivery| delivery.revision.as_ref() == Some(&newest.commit.id))
            .count();
        newest.failure = failure.filter(|_| newest.applied < newest.placed);
        if newest.applied == newest.placed && newest.placed > 0 && newest.live_after_ms.is_none() {
            let took = Timestamp::now().duration_since(newest.seen_at);
            newest.live_after_ms = u64::try_from(took.as_millis()).ok();
            live = Some((
                newest.commit.clone(),
                newest.placed,
                newest.live_after_ms.unwrap_or_default(),
            ));
        }
    }
    if let Some((commit, clusters, took)) = live {
        context.note(
            Severity::Good,
            "RevisionLive",
            format!(
                "{} {} is live on {clusters} cluster{} after {took} ms: {}",
                name.name,
                commit.id.get(..7).unwrap_or(&commit.id),
                if clusters == 1 { "" } else { "s" },
                commit.summary
            ),
            Some(name),
            None,
        );
    }
}

/// The first thing that is wrong on a cluster, with the object concerned.
fn first_failure(delivery: &ClusterDelivery) -> Option<(String, Failure)> {
    if let Some(failure) = &delivery.failure {
        return Some((String::new(), failure.clone()));
    }
    delivery
        .objects
        .iter()
        .find_map(|object| Some((object.id.to_string(), object.failure.clone()?)))
}

/// Publishes an Event and an activity entry when a failure begins or ends.
async fn announce(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    decision: &Decision,
    deliveries: &BTreeMap<ClusterName, Arc<ClusterDelivery>>,
    told: &Told,
) {
    let failing = decision
        .failure
        .clone()
        .map(|failure| (None, failure))
        .or_else(|| {
            deliveries.values().find_map(|delivery| {
                let (object, failure) = first_failure(delivery)?;
                let message = match object.as_str() {
                    "" => format!("{}: {}", delivery.cluster, failure.message),
                    object => format!("{object} on {}: {}", delivery.cluster, failure.message),
                };
                Some((
                    Some(delivery.cluster.clone()),
                    Failure { message, ..failure },
                ))
            })
        });
    let settled = deliveries.values().all(|delivery| {
        matches!(
            delivery.phase,
            DeliveryPhase::Applied | DeliveryPhase::Removed
        )
    });
    let looked_at = !deliveries.is_empty()
        && deliveries
            .values()
            .all(|delivery| delivery.desired.is_some());
    let before = {
        let mut records = context.subscriptions();
        let record = records.entry(name.clone()).or_default();
        let mut before = record.announced.clone();
        match &failing {
            Some((cluster, failure)) => {
                if !record.compared && told.holds(record, cluster.as_ref(), failure) {
                    before = Some(failure.clone());
                }
                record.announced = Some(failure.clone());
            }
            None if settled => record.announced = None,
            None => return,
        }
        // A start first shows what inventories name, without any failure.
        record.compared |= failing.is_some() || looked_at;
        before
    };
    let after = failing.as_ref().map(|(_, failure)| failure);
    if before.as_ref() == after {
        return;
    }
    let (type_, severity, reason, message, cluster) = match failing {
        Some((cluster, failure)) => (
            EventType::Warning,
            Severity::Bad,
            failure.reason,
            failure.message,
            cluster,
        ),
        None => (
            EventType::Normal,
            Severity::Good,
            "Recovered".to_owned(),
            "what failed before is in place now".to_owned(),
            None,
        ),
    };
    let text = format!("{}: {message}", name.name);
    context.note(severity, &reason, text, Some(name), cluster.as_ref());
    event::publish(context, subscription, type_, ("Deliver", &reason), &message).await;
}

impl Told {
    /// Whether the first failure that a process meets was announced by an
    /// earlier one: it stands on the hub as it is now.
    fn holds(
        &self,
        record: &SubscriptionRecord,
        cluster: Option<&ClusterName>,
        failure: &Failure,
    ) -> bool {
        match cluster {
            None => self.reason.as_ref() == Some(&shorten(&failure.message, MAX_MESSAGE)),
            Some(cluster) => {
                !self.written.contains(cluster)
                    && record
                        .packages
                        .as_ref()
                        .and_then(|packages| packages.get(cluster))
                        .is_some_and(|packages| !packages.is_empty())
            }
        }
    }
}

/// At most `max` bytes, cut at a character.
pub(super) fn shorten(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub(3);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", text.get(..end).unwrap_or_default())
}

/// Kubernetes times have whole seconds.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(shorten("short", 10), "short");
        let cut = shorten(&"é".repeat(10), 10);
        assert!(cut.len() <= 10 && cut.ends_with("..."), "{cut}");
    }
}
