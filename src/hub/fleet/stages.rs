//! The stages of a revision, for the application page.

use std::collections::BTreeMap;

use crate::api::ClusterName;
use crate::core::delivery::{ClusterDelivery, Health, Sync};
use crate::core::fleet::{CommitFacts, Stage, StageState};
use crate::hub::record::SubscriptionRecord;

/// Fetched, Rendered, Placed, Applied, Healthy, in order. A stage after one
/// that is not done has not begun.
pub(super) fn stages(
    record: &SubscriptionRecord,
    commit: Option<&CommitFacts>,
    deliveries: &BTreeMap<ClusterName, ClusterDelivery>,
) -> Vec<Stage> {
    let failure = record
        .decision
        .as_ref()
        .and_then(|decision| decision.failure.as_ref());
    let failed_in = |prefixes: &[&str]| {
        failure.is_some_and(|failure| {
            prefixes
                .iter()
                .any(|prefix| failure.reason.starts_with(prefix))
        })
    };
    let placed: Vec<&ClusterName> = record.placed.iter().collect();
    let here: Vec<&ClusterDelivery> = placed
        .iter()
        .filter_map(|cluster| deliveries.get(*cluster))
        .collect();
    let objects = record.desired.as_ref().map(|desired| desired.objects.len());
    let applied = here
        .iter()
        .filter(|delivery| delivery.sync() == Sync::Synced)
        .count();
    let healthy = here
        .iter()
        .filter(|delivery| {
            delivery.sync() == Sync::Synced && delivery.health() <= Health::Suspended
        })
        .count();
    let broken = here.iter().any(|delivery| {
        delivery
            .objects
            .iter()
            .any(|object| object.failure.is_some())
    });
    let degraded = here
        .iter()
        .any(|delivery| delivery.health() == Health::Degraded);
    let newest = record.history.first();
    let steps = [
        (
            "Fetched",
            commit.is_some() && !failed_in(&["Source", "Channel", "Secret"]),
            failed_in(&["Source", "Channel", "Secret"]),
            commit.map_or_else(|| "waiting for git".to_owned(), |commit| short(&commit.id)),
            newest.map(|revision| revision.seen_at),
        ),
        (
            "Rendered",
            objects.is_some() && !failed_in(&["Manifest", "Unsupported"]),
            failed_in(&["Manifest", "Unsupported"]),
            objects.map_or_else(|| "nothing yet".to_owned(), |count| plural(count, "object")),
            None,
        ),
        (
            "Placed",
            !placed.is_empty() && !failed_in(&["Placement"]),
            failed_in(&["Placement"]),
            match placed.as_slice() {
                [] => "on no cluster".to_owned(),
                [a] => a.to_string(),
                [a, b] => format!("{a}, {b}"),
                more => plural(more.len(), "cluster"),
            },
            None,
        ),
        (
            "Applied",
            !placed.is_empty() && applied == placed.len(),
            broken,
            match newest.and_then(|revision| revision.live_after_ms) {
                Some(took) if applied == placed.len() => {
                    format!("{applied} of {}, {took} ms", placed.len())
                }
                _ => format!("{applied} of {}", placed.len()),
            },
            here.iter().filter_map(|delivery| delivery.applied_at).max(),
        ),
        (
            "Healthy",
            !placed.is_empty() && healthy == placed.len(),
            degraded,
            format!("{healthy} of {}", placed.len()),
            None,
        ),
    ];
    let mut open = true;
    steps
        .into_iter()
        .map(|(name, done, failed, detail, at)| {
            let state = match (open, done, failed) {
                (true, true, false) => StageState::Done,
                (true, _, true) => StageState::Failed,
                (true, false, false) => StageState::Now,
                (false, ..) => StageState::Todo,
            };
            open = open && state == StageState::Done;
            Stage {
                name,
                state,
                detail,
                at,
            }
        })
        .collect()
}

fn short(id: &str) -> String {
    id.get(..7).unwrap_or(id).to_owned()
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}
