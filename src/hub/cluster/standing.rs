//! How it stands with a cluster's credential, told: condition, event, the
//! words for a member that does not take it any more.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::events::EventType;

use crate::api::ClusterName;
use crate::api::cluster::{ManagedCluster, ManagedClusterStatus};
use crate::core::activity::Severity;
use crate::core::cluster::set_condition;
use crate::core::fleet::Connection;
use crate::hub::context::{CredentialState, Shared};
use crate::hub::credential::SourceKind;
use crate::hub::credential::renewal::{CONDITION, Standing};
use crate::hub::event;
use crate::hub::queue::Requeue;

/// A Secret without our label appears, and is rotated, without a trigger.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// When the cluster is looked at again though nothing changes.
pub(super) fn requeue(credential: &CredentialState, now: Timestamp) -> Requeue {
    let due = credential.standing.as_ref();
    let due = due
        .and_then(|standing| standing.look_again(now))
        .and_then(|at| Duration::try_from(at.duration_since(now)).ok())
        .map(|wait| wait.max(Duration::from_secs(1)));
    match (credential.watched, due) {
        (true, None) => Requeue::Await,
        (true, Some(wait)) => Requeue::After(wait),
        (false, due) => Requeue::After(due.map_or(LOOK_AGAIN, |wait| wait.min(LOOK_AGAIN))),
    }
}

/// A member that does not answer and whose credential has ended: that is most
/// likely why, and what can be done.
pub(super) fn explain(
    connection: Connection,
    credential: &CredentialState,
    now: Timestamp,
) -> Connection {
    let ended = credential.ends.filter(|ends| *ends <= now);
    match (connection, ended, credential.kind) {
        (
            Connection::Unreachable {
                since,
                mut failure,
                next_probe,
            },
            Some(ended),
            Some(kind),
        ) => {
            let advice = match kind {
                SourceKind::Joined => "renew it with pilothouse cluster rotate --kubeconfig ADMIN",
                _ => "whoever keeps it has to renew it",
            };
            failure.message = format!(
                "the credential ({kind}, {}) ended at {ended}: {advice}; {}",
                credential.source.as_deref().unwrap_or_default(),
                failure.message
            );
            Connection::Unreachable {
                since,
                failure,
                next_probe,
            }
        }
        (connection, ..) => connection,
    }
}

/// Puts the condition into a status, or takes it out where the hub does not
/// renew the credential.
pub(super) fn set(
    status: &mut ManagedClusterStatus,
    cluster: &ManagedCluster,
    name: &ClusterName,
    standing: Option<&Standing>,
    now: Timestamp,
) {
    let conditions = status.conditions.get_or_insert_default();
    match standing {
        Some(standing) => {
            let (word, reason, message) = standing.condition(name);
            let generation = cluster.metadata.generation;
            set_condition(
                conditions, CONDITION, word, reason, message, generation, now,
            );
        }
        None => conditions.retain(|condition| condition.type_ != CONDITION),
    }
}

/// Tells of a renewal, of one that fails (once), and of an end.
pub(super) async fn announce(
    context: &Shared,
    cluster: &ManagedCluster,
    before: Option<&Standing>,
    after: Option<&Standing>,
) {
    let name = ClusterName::from(cluster.name_any());
    let (severity, type_, text) = match (before, after) {
        (Some(Standing::Failing { .. }), Some(Standing::Failing { .. }))
        | (Some(Standing::Expired { .. }), Some(Standing::Expired { .. })) => return,
        (_, Some(standing @ (Standing::Failing { .. } | Standing::Expired { .. }))) => (
            Severity::Bad,
            EventType::Warning,
            standing.condition(&name).2,
        ),
        (Some(before), Some(after @ Standing::Valid { until, .. })) if before != after => (
            Severity::Good,
            EventType::Normal,
            format!("the token was renewed and ends at {until}"),
        ),
        _ => return,
    };
    let reason = match after {
        Some(Standing::Valid { .. }) => "CredentialRenewed",
        Some(Standing::Expired { .. }) => "CredentialExpired",
        _ => "RenewalFailed",
    };
    let note = format!("cluster {name}: {text}");
    context.note(severity, reason, note, None, Some(&name));
    event::publish(context, cluster, type_, ("RenewCredential", reason), &text).await;
}
