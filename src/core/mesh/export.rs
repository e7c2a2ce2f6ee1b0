//! The conditions of a ServiceExport, over all releases.
//!
//! The vocabulary changed four times (submariner.md §2.1). Up to 0.12 the
//! list is a history of one type, so the last entry of a type is the truth;
//! from 0.14 on `Synced` and later `Ready` say what `Valid` used to say.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::core::mesh::observation::{ConditionFacts, ExportFacts};

/// A fresh export without conditions is waited for this long before it is
/// said that nobody answers.
const ANSWER_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// What the agent says about an export, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ExportState {
    /// It reached the broker. Proves no more than that.
    Published,
    /// On its way.
    Pending,
    /// The conditions do not say.
    Unknown,
    /// No conditions at all, although it is not new: no controller for
    /// ServiceExports answers on that cluster.
    Unanswered,
    /// The Service is missing or cannot be exported.
    Invalid,
    /// It could not be published.
    Failed,
}

/// The verdict over all conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportVerdict {
    /// State.
    pub state: ExportState,
    /// Whether `Valid` holds; `None` when it is not said.
    pub valid: Option<bool>,
    /// One sentence.
    pub sentence: String,
    /// Message of a conflict with other exporters, when there is one.
    pub conflict: Option<String>,
    /// Transition time of the deciding condition.
    pub since: Option<Timestamp>,
}

/// Reasons of `False` that pass by themselves.
const PASSING: [&str; 4] = [
    "AwaitingSync",
    "AwaitingExport",
    "Pending",
    "NoServiceImport",
];

/// Judges an export at `now`.
#[must_use]
pub fn verdict(export: &ExportFacts, now: Timestamp) -> ExportVerdict {
    let mut last: BTreeMap<&str, &ConditionFacts> = BTreeMap::new();
    for condition in &export.conditions {
        last.insert(&condition.kind, condition);
    }
    let valid = last.get("Valid").copied();
    let conflict = last
        .get("Conflict")
        .or_else(|| last.get("Conflicted"))
        .filter(|condition| condition.status == "True")
        .map(|condition| said(condition));
    let published = last.get("Ready").or_else(|| last.get("Synced")).copied();
    let deciding = match (valid, published) {
        (Some(valid), Some(_)) if valid.status == "False" => Some(valid),
        (_, Some(published)) => Some(published),
        (valid, None) => valid,
    };
    let (state, sentence) = match deciding {
        Some(condition) => judge(condition, published.is_some()),
        None => unanswered(export, now),
    };
    ExportVerdict {
        state,
        valid: valid.and_then(|condition| match condition.status.as_str() {
            "True" => Some(true),
            // Up to 0.13 `Valid=False AwaitingSync` means "not yet", not "wrong".
            "False" if !PASSING.contains(&condition.reason.as_str()) => Some(false),
            _ => None,
        }),
        sentence,
        conflict,
        since: deciding.and_then(|condition| condition.since),
    }
}

fn judge(condition: &ConditionFacts, has_published: bool) -> (ExportState, String) {
    let state = match condition.status.as_str() {
        "True" => ExportState::Published,
        "False" if PASSING.contains(&condition.reason.as_str()) => ExportState::Pending,
        "False" if condition.kind == "Valid" => ExportState::Invalid,
        "False" => ExportState::Failed,
        _ => ExportState::Unknown,
    };
    let sentence = match state {
        ExportState::Published if condition.message.is_empty() && has_published => {
            "The export reached the broker.".to_owned()
        }
        ExportState::Published if condition.message.is_empty() => {
            "The Service is exported.".to_owned()
        }
        _ => said(condition),
    };
    (state, sentence)
}

fn unanswered(export: &ExportFacts, now: Timestamp) -> (ExportState, String) {
    let young = export
        .created
        .is_some_and(|created| now.duration_since(created) < ANSWER_WITHIN);
    if young {
        (
            ExportState::Pending,
            "The export is new; no condition yet.".to_owned(),
        )
    } else {
        (
            ExportState::Unanswered,
            "No controller answers this ServiceExport: is the Lighthouse agent running?".to_owned(),
        )
    }
}

/// Reason and message of a condition as one sentence.
fn said(condition: &ConditionFacts) -> String {
    let message = condition.message.replace('\n', "; ");
    let message = message.trim().trim_end_matches('.');
    match (condition.reason.as_str(), message) {
        ("", "") => format!("{} is {}.", condition.kind, condition.status),
        (reason, "") => format!("{} is {}: {reason}.", condition.kind, condition.status),
        ("", message) => format!("{message}."),
        (reason, message) if condition.status == "True" && condition.kind != "Conflict" => {
            let _ = reason;
            format!("{message}.")
        }
        (reason, message) => format!("{reason}: {message}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::NamespacedName;

    fn condition(text: &str) -> ConditionFacts {
        let mut parts = text.splitn(4, '|').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        ConditionFacts {
            kind: next(),
            status: next(),
            reason: next(),
            message: next(),
            since: None,
        }
    }

    fn judged(conditions: &[&str], age: i64) -> ExportVerdict {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let export = ExportFacts {
            service: NamespacedName::new("default", "nginx"),
            created: Some(now - SignedDuration::from_secs(age)),
            delivered_by: None,
            conditions: conditions.iter().map(|text| condition(text)).collect(),
        };
        verdict(&export, now)
    }

    #[test]
    fn every_release_reads_alike() {
        use ExportState::{Failed, Invalid, Pending, Published, Unanswered, Unknown};
        for (conditions, age, state) in [
            // 0.8: a history; the last entry is the truth (the article's nginx).
            (
                vec![
                    "Valid|False|AwaitingSync|Awaiting sync of the ServiceImport to the broker",
                    "Valid|True||Service was successfully synced to the broker",
                ],
                0,
                Published,
            ),
            (vec!["Valid|False|AwaitingSync|Awaiting sync"], 0, Pending),
            (
                vec![
                    "Valid|True||",
                    "Valid|False|ServiceUnavailable|Service to be exported doesn't exist",
                ],
                0,
                Invalid,
            ),
            (vec!["Valid|Unknown|ServiceRetrievalFailed|"], 0, Unknown),
            // 0.14
            (
                vec!["Valid|True||", "Synced|False|AwaitingSync|"],
                0,
                Pending,
            ),
            (vec!["Valid|True||", "Synced|True||"], 0, Published),
            // 0.16
            (
                vec!["Valid|True||", "Ready|False|AwaitingExport|"],
                0,
                Pending,
            ),
            (
                vec!["Valid|True||", "Ready|False|ExportFailed|Unable to export"],
                0,
                Failed,
            ),
            (
                vec!["Valid|False|UnsupportedServiceType|", "Ready|True||"],
                0,
                Invalid,
            ),
            // 0.21
            (
                vec![
                    "Valid|True|Valid|",
                    "Ready|True|Exported|",
                    "Conflict|False|NoConflicts|",
                ],
                0,
                Published,
            ),
            (vec!["Valid|False|NoService|no such Service"], 0, Invalid),
            (vec![], 10, Pending),
            (vec![], 31, Unanswered),
        ] {
            assert_eq!(judged(&conditions, age).state, state, "{conditions:?}");
        }
    }

    #[test]
    fn waiting_for_the_broker_does_not_make_a_service_invalid() {
        assert_eq!(judged(&["Valid|False|AwaitingSync|"], 0).valid, None);
        assert_eq!(judged(&["Valid|False|NoService|"], 0).valid, Some(false));
    }

    #[test]
    fn a_conflict_is_kept_beside_the_state() {
        let verdict = judged(
            &[
                "Valid|True|Valid|",
                "Ready|True|Exported|",
                "Conflict|True|PortConflict|ports differ",
            ],
            0,
        );
        assert_eq!(verdict.state, ExportState::Published);
        assert_eq!(
            verdict.conflict.as_deref(),
            Some("PortConflict: ports differ.")
        );
    }
}
