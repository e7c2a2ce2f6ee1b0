//! What a write may not touch: the other half of an object with a status subresource, and the
//! server's own metadata.

use serde_json::{Map, Value};

use super::path::PathElement;
use super::set::Set;
use crate::apiserver::schema::Schema;

/// Set by the server alone; what a client sends there is ignored.
const SYSTEM_METADATA: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The fields that a write to this place leaves alone.
pub(super) fn ignored_fields(schema: Option<&Schema>, subresource: &str, has_status: bool) -> Set {
    let built_in = schema.is_some_and(|schema| schema.go_type);
    match subresource {
        "" if has_status => Set::of_fields(&[&["status"]]),
        "status" if !built_in => Set::of_fields(&[&["metadata"], &["spec"]]),
        "status" => match schema.and_then(|schema| schema.definition.as_deref()) {
            Some("io.k8s.api.apps.v1.Deployment") => {
                Set::of_fields(&[&["spec"], &["metadata", "labels"]])
            }
            Some("io.k8s.api.core.v1.Pod") => Set::of_fields(&[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ]),
            _ => Set::of_fields(&[&["spec"]]),
        },
        _ => Set::default(),
    }
}

/// Puts ignored fields and the server's own metadata back as they were.
pub(super) fn keep_what_is_not_written(object: &mut Value, live: Option<&Value>, ignored: &Set) {
    for path in ignored.paths() {
        let names: Vec<&str> = path
            .iter()
            .filter_map(|element| match element {
                PathElement::Field(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        // System metadata and identity are dealt with below; the rest of `metadata` is ignored
        // as a whole only by status writes of custom resources, which exist.
        restore(object, live, &names);
    }
    if live.is_some() {
        for name in SYSTEM_METADATA {
            restore(object, live, &["metadata", name]);
        }
    }
}

fn restore(object: &mut Value, live: Option<&Value>, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let old = path
        .iter()
        .try_fold(live.unwrap_or(&Value::Null), |value, name| value.get(*name));
    let mut parent = object;
    for name in parents {
        let Some(map) = parent.as_object_mut() else {
            return;
        };
        if old.is_none() && !map.contains_key(*name) {
            return;
        }
        parent = map
            .entry(*name)
            .or_insert_with(|| Value::Object(Map::new()));
    }
    let Some(map) = parent.as_object_mut() else {
        return;
    };
    match old {
        Some(old) => {
            map.insert((*last).to_owned(), old.clone());
        }
        None => {
            map.remove(*last);
        }
    }
}
