//! Objects that another controller works on: RHACM's or OCM's, on a hub that
//! runs them. Two controllers that write one object undo each other.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

/// Prefix of our own field managers.
const OURS: &str = "pilothouse";
/// Prefixes of the tools that people use: what they write is drift, not a
/// controller's word.
const PEOPLE: [&str; 4] = ["kubectl", "oc", "Mozilla", "OpenAPI-Generator"];

/// The controllers whose word stands in an object's status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusWriters {
    /// The one that wrote last, besides us and people, and when.
    pub other: Option<(String, Option<Timestamp>)>,
    /// When we wrote.
    pub ours: Option<Timestamp>,
}

impl StatusWriters {
    /// Reads them from an object's managedFields.
    #[must_use]
    pub fn of(managed_fields: &[ManagedFieldsEntry]) -> Self {
        let mut writers = Self::default();
        for entry in managed_fields.iter().filter(|entry| writes_status(entry)) {
            let Some(manager) = &entry.manager else {
                continue;
            };
            let at = entry.time.as_ref().map(|time| time.0);
            if manager.starts_with(OURS) {
                writers.ours = writers.ours.max(at);
            } else if !PEOPLE.iter().any(|tool| manager.starts_with(tool))
                && writers
                    .other
                    .as_ref()
                    .is_none_or(|(_, before)| *before <= at)
            {
                writers.other = Some((manager.clone(), at));
            }
        }
        writers
    }

    /// The controller to which the object is left; `None` when it is ours.
    ///
    /// One that wrote after us is at work. One that wrote before we ever did
    /// may have gone long ago: nobody can tell from the object, so it is left
    /// alone unless the operator says to `take_over`.
    #[must_use]
    pub fn leave_to(&self, take_over: bool) -> Option<&str> {
        let (manager, at) = self.other.as_ref()?;
        let left = match self.ours {
            Some(ours) => at.is_some_and(|at| at > ours),
            None => !take_over,
        };
        left.then_some(manager.as_str())
    }
}

fn writes_status(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref();
    entry.subresource.as_deref() == Some("status")
        || fields.is_some_and(|fields| fields.0.get("f:status").is_some())
}

/// What is left to others, in sentences: `objects` are kind and manager of each.
#[must_use]
pub fn sentences<'a>(objects: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for object in objects {
        *counts.entry(object).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((kind, manager), count)| format!("{count} {kind} {}", left_words(kind, manager)))
        .collect()
}

/// That an object of the kind is left to `manager`, and what can be done.
#[must_use]
pub fn left_words(kind: &str, manager: &str) -> String {
    format!(
        "left to another controller ({manager}): say so with --controllers=*,-{}, or, when it is gone, start with --take-over",
        controller_of(kind)
    )
}

/// Our controller that would write the kind (plural, lower-case).
#[must_use]
pub fn controller_of(kind: &str) -> &'static str {
    match kind {
        "managedclusters" => "cluster",
        "managedclustersets" | "managedclustersetbindings" => "clusterset",
        "placements" | "placementrules" | "placementdecisions" => "placement",
        "applications" => "application",
        _ => "subscription",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn writer(manager: &str, second: u32) -> Value {
        json!({
            "manager": manager, "operation": "Update", "subresource": "status",
            "time": format!("2026-11-26T00:00:{second:02}Z"), "fieldsV1": {"f:status": {}},
        })
    }

    fn left(entries: &[Value], take_over: bool) -> Option<String> {
        let entries: Vec<ManagedFieldsEntry> = serde_json::from_value(json!(entries)).unwrap();
        let writers = StatusWriters::of(&entries);
        writers.leave_to(take_over).map(str::to_owned)
    }

    #[test]
    fn what_nobody_or_only_we_or_people_wrote_is_ours() {
        for entries in [
            &[][..],
            &[writer("pilothouse-status", 1)],
            &[writer("kubectl-edit", 1)],
            &[writer("pilothouse-status", 1), writer("kubectl-edit", 2)],
            &[json!({"manager": "argocd", "operation": "Update", "fieldsV1": {"f:spec": {}}})],
        ] {
            assert_eq!(left(entries, false), None, "{entries:?}");
        }
    }

    #[test]
    fn what_another_controller_left_is_left_alone_until_the_operator_says_so() {
        let entries = [writer("placement", 1)];
        assert_eq!(left(&entries, false).as_deref(), Some("placement"));
        assert_eq!(left(&entries, true), None);
    }

    #[test]
    fn who_writes_after_us_is_at_work_and_keeps_the_object() {
        let taken = [writer("placement", 1), writer("pilothouse-status", 2)];
        assert_eq!(left(&taken, false), None);
        let fought = [writer("placement", 3), writer("pilothouse-status", 2)];
        assert_eq!(left(&fought, true).as_deref(), Some("placement"));
    }

    #[test]
    fn the_last_of_several_is_named() {
        let entries = [writer("b", 2), writer("a", 3), writer("c", 1)];
        assert_eq!(left(&entries, false).as_deref(), Some("a"));
    }

    #[test]
    fn sentences_count_and_name_the_flags() {
        let objects = [("placements", "placement"), ("placements", "placement")];
        let said = sentences(objects.into_iter());
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("2 placements left to another controller (placement)"));
        assert!(said[0].contains("--controllers=*,-placement") && said[0].contains("--take-over"));
    }
}
