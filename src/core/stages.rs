//! How far a revision got: fetched, rendered, placed, applied, healthy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::ClusterName;
use crate::core::delivery::{ClusterDelivery, Failure, Health, Sync};
use crate::core::fleet::{CommitFacts, RevisionRecord, Stage, StageState};

/// What the stages are judged from.
#[derive(Clone, Copy, Debug)]
pub struct StageInput<'a> {
    /// Why the hub stopped before the members, when it did.
    pub failure: Option<&'a Failure>,
    /// The commit in use.
    pub commit: Option<&'a CommitFacts>,
    /// Objects of its content, once rendered.
    pub objects: Option<usize>,
    /// Clusters it is placed on.
    pub placed: &'a BTreeSet<ClusterName>,
    /// State on the clusters.
    pub deliveries: &'a BTreeMap<ClusterName, Arc<ClusterDelivery>>,
    /// The newest revision of the history.
    pub newest: Option<&'a RevisionRecord>,
}

/// One stage on its own, before the order is considered.
struct Step {
    name: &'static str,
    done: bool,
    failed: bool,
    detail: String,
    at: Option<Timestamp>,
}

/// The stages in order. One after a stage that is not done has not begun.
#[must_use]
pub fn stages(input: &StageInput<'_>) -> Vec<Stage> {
    let mut open = true;
    [
        fetched(input),
        rendered(input),
        placed(input),
        applied(input),
        healthy(input),
    ]
    .into_iter()
    .map(|step| {
        let state = match (open, step.done, step.failed) {
            (true, true, false) => StageState::Done,
            (true, _, true) => StageState::Failed,
            (true, false, false) => StageState::Now,
            (false, ..) => StageState::Todo,
        };
        open = open && state == StageState::Done;
        Stage {
            name: step.name,
            state,
            detail: step.detail,
            at: step.at,
        }
    })
    .collect()
}

fn failed_in(input: &StageInput<'_>, prefixes: &[&str]) -> bool {
    input.failure.is_some_and(|failure| {
        prefixes
            .iter()
            .any(|prefix| failure.reason.starts_with(prefix))
    })
}

fn here<'a>(input: &StageInput<'a>) -> impl Iterator<Item = &'a ClusterDelivery> {
    let deliveries = input.deliveries;
    input
        .placed
        .iter()
        .filter_map(|cluster| deliveries.get(cluster).map(Arc::as_ref))
}

fn fetched(input: &StageInput<'_>) -> Step {
    let failed = failed_in(input, &["Source", "Channel", "Secret"]);
    Step {
        name: "Fetched",
        done: input.commit.is_some() && !failed,
        failed,
        detail: input.commit.map_or_else(
            || "waiting for git".to_owned(),
            |commit| commit.id.get(..7).unwrap_or(&commit.id).to_owned(),
        ),
        at: input.newest.map(|revision| revision.seen_at),
    }
}

fn rendered(input: &StageInput<'_>) -> Step {
    let failed = failed_in(input, &["Manifest", "Unsupported"]);
    Step {
        name: "Rendered",
        done: input.objects.is_some() && !failed,
        failed,
        detail: input
            .objects
            .map_or_else(|| "nothing yet".to_owned(), |count| plural(count, "object")),
        at: None,
    }
}

fn placed(input: &StageInput<'_>) -> Step {
    let failed = failed_in(input, &["Placement"]);
    let mut names = input.placed.iter().take(2);
    let detail = match (input.placed.len(), names.next(), names.next()) {
        (1, Some(only), _) => only.to_string(),
        (2, Some(a), Some(b)) => format!("{a}, {b}"),
        (0, ..) => "on no cluster".to_owned(),
        (count, ..) => plural(count, "cluster"),
    };
    Step {
        name: "Placed",
        done: !input.placed.is_empty() && !failed,
        failed,
        detail,
        at: None,
    }
}

fn applied(input: &StageInput<'_>) -> Step {
    let wanted = input.placed.len();
    let count = here(input)
        .filter(|delivery| delivery.sync() == Sync::Synced)
        .count();
    let done = wanted > 0 && count == wanted;
    let took = input.newest.and_then(|revision| revision.live_after_ms);
    Step {
        name: "Applied",
        done,
        failed: here(input).any(|delivery| {
            delivery
                .objects
                .iter()
                .any(|object| object.failure.is_some())
        }),
        detail: match took.filter(|_| done) {
            Some(took) => format!("{count} of {wanted}, {took} ms"),
            None => format!("{count} of {wanted}"),
        },
        at: here(input).filter_map(|delivery| delivery.applied_at).max(),
    }
}

fn healthy(input: &StageInput<'_>) -> Step {
    let wanted = input.placed.len();
    let count = here(input)
        .filter(|delivery| {
            delivery.sync() == Sync::Synced && delivery.health() <= Health::Suspended
        })
        .count();
    Step {
        name: "Healthy",
        done: wanted > 0 && count == wanted,
        failed: here(input).any(|delivery| delivery.health() == Health::Degraded),
        detail: format!("{count} of {wanted}"),
        at: None,
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::delivery::FailureClass;

    fn states(input: &StageInput<'_>) -> Vec<StageState> {
        stages(input).into_iter().map(|stage| stage.state).collect()
    }

    #[test]
    fn a_broken_file_fails_rendering_and_nothing_after_it_begins() {
        let commit = CommitFacts {
            id: "4f1c2abd".into(),
            summary: "x".into(),
            author: "a".into(),
            time: Timestamp::UNIX_EPOCH,
        };
        let failure = Failure {
            class: FailureClass::Invalid,
            reason: "ManifestInvalid".into(),
            message: "app/x.yaml:3: broken".into(),
        };
        let placed = BTreeSet::from([ClusterName::from("a")]);
        let input = StageInput {
            failure: Some(&failure),
            commit: Some(&commit),
            objects: Some(2),
            placed: &placed,
            deliveries: &BTreeMap::new(),
            newest: None,
        };
        assert_eq!(
            states(&input),
            [
                StageState::Done,
                StageState::Failed,
                StageState::Todo,
                StageState::Todo,
                StageState::Todo
            ]
        );
        let fine = StageInput {
            failure: None,
            ..input
        };
        assert_eq!(
            states(&fine),
            [
                StageState::Done,
                StageState::Done,
                StageState::Done,
                StageState::Now,
                StageState::Todo
            ]
        );
    }

    #[test]
    fn nothing_fetched_is_under_way_not_failed() {
        let input = StageInput {
            failure: None,
            commit: None,
            objects: None,
            placed: &BTreeSet::new(),
            deliveries: &BTreeMap::new(),
            newest: None,
        };
        assert_eq!(states(&input)[0], StageState::Now);
        assert!(
            states(&input)[1..]
                .iter()
                .all(|state| *state == StageState::Todo)
        );
    }
}
