//! Readers of OCM's vectors.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::ClusterName;
use crate::core::placement::ClusterFacts;

pub(in crate::core::placement) fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

pub(in crate::core::placement) fn fixture(section: &str) -> Vec<Value> {
    let text = include_str!("../../../../tests/fixtures/placement/ocm.json");
    let all: Value = serde_json::from_str(text).unwrap();
    let cases = all[section].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

pub(in crate::core::placement) fn strings(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

pub(in crate::core::placement) fn names(value: &Value) -> Vec<ClusterName> {
    strings(value).into_iter().map(ClusterName::from).collect()
}

/// A cluster of a vector, in the set `s`.
pub(in crate::core::placement) fn facts(cluster: &Value) -> ClusterFacts {
    let map = |field: &str| -> BTreeMap<String, String> {
        serde_json::from_value(cluster.get(field).cloned().unwrap_or(json!({}))).unwrap()
    };
    let quantities = |field: &str| {
        let read = |(name, text): (String, String)| {
            (
                name,
                crate::core::placement::facts::quantity(&text).unwrap(),
            )
        };
        map(field).into_iter().map(read).collect()
    };
    let mut facts = ClusterFacts::named(cluster["name"].as_str().unwrap());
    facts.labels = map("labels");
    facts.claims = map("claims");
    facts.allocatable = quantities("allocatable");
    facts.capacity = quantities("capacity");
    for taint in cluster["taints"].as_array().into_iter().flatten() {
        let mut taint = taint.clone();
        if let Some(seconds) = taint["timeAdded"].as_i64() {
            taint["timeAdded"] = json!(now() + SignedDuration::from_secs(seconds));
        }
        facts.taints.push(serde_json::from_value(taint).unwrap());
    }
    facts
}
