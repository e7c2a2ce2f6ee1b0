//! What single built-in kinds need beyond their schema: defaults, values
//! that the server allocates, and rules over several fields. Kept to what
//! our clients and simulated controllers rely on; kube-apiserver does more.

pub(super) mod autoscaler;
mod defaults;
mod pods;
mod service;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Inner;
use super::crd;
use super::failure::{Cause, Failure};
use super::object::{self, set, with_meta};
use super::resource::Resource;
use super::schema::{Additional, Schema, Type};

pub(super) use defaults::defaults;
pub(super) use service::Range;

/// Go decodes `null` into an absent field, so for built-in kinds it is one.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, item| !item.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Go's structs by value are never absent, only empty. A `status` is: other rules fill it.
pub(super) fn present(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in &schema.properties {
                let is_struct = field.kind == Some(Type::Object) && !field.properties.is_empty();
                if is_struct && field.always_present && name != "status" {
                    map.entry(name).or_insert_with(|| json!({}));
                }
                if let Some(item) = map.get_mut(name) {
                    present(field, item);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = &schema.items {
                items.iter_mut().for_each(|item| present(child, item));
            }
        }
        _ => {}
    }
}

/// Go omits empty maps and lists of optional fields.
pub(super) fn drop_empty(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|field, item| {
                let Some(child) = schema.properties.get(field) else {
                    return true;
                };
                drop_empty(child, item);
                let list = child.items.is_some() && item.as_array().is_some_and(Vec::is_empty);
                let is_map = matches!(child.additional, Additional::Schema(_));
                let map = is_map && item.as_object().is_some_and(serde_json::Map::is_empty);
                !(list || map) || schema.required.contains(field)
            });
        }
        Value::Array(items) => {
            if let Some(child) = &schema.items {
                items.iter_mut().for_each(|item| drop_empty(child, item));
            }
        }
        _ => {}
    }
}

/// Sets what only the server decides. `old` is the stored object, `None`
/// when it is created.
pub(super) fn prepare(
    inner: &Inner,
    resource: &Resource,
    new: &mut Value,
    old: Option<&Value>,
    now: Timestamp,
) -> Result<(), Failure> {
    if resource.custom.is_some() {
        return Ok(());
    }
    if old.is_none() {
        first_status(resource, new);
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") if old.is_none() => {
            set(new, "spec", json!({"finalizers": ["kubernetes"]}));
            Ok(())
        }
        ("batch", "jobs") if old.is_none() => {
            job_selector(new);
            Ok(())
        }
        ("", "services") => service::allocate(inner, resource, new, old),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            crd::set_status(new, now);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The status that an object begins with.
fn first_status(resource: &Resource, new: &mut Value) {
    let status = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => json!({"phase": "Active"}),
        ("", "pods") => json!({"phase": "Pending", "qosClass": "BestEffort"}),
        ("", "persistentvolumeclaims" | "persistentvolumes") => json!({"phase": "Pending"}),
        ("", "services") | ("networking.k8s.io", "ingresses") => json!({"loadBalancer": {}}),
        ("apps", "deployments") | ("batch", "jobs" | "cronjobs") => json!({}),
        ("apps", "replicasets") | ("", "replicationcontrollers") => json!({"replicas": 0}),
        ("apps", "statefulsets") => json!({"replicas": 0, "availableReplicas": 0}),
        ("apps", "daemonsets") => json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0,
            "desiredNumberScheduled": 0, "numberReady": 0,
        }),
        ("autoscaling", "horizontalpodautoscalers") => {
            json!({"desiredReplicas": 0})
        }
        ("policy", "poddisruptionbudgets") => json!({
            "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
        }),
        _ => return,
    };
    set(new, "status", status);
}

/// A Job selects its pods by its own uid unless it says otherwise.
fn job_selector(new: &mut Value) {
    let uid = object::meta_text(new, "uid").to_owned();
    let name = object::meta_text(new, "name").to_owned();
    let spec = &mut new["spec"];
    if spec["manualSelector"] == true || !spec["template"].is_object() {
        return;
    }
    set(spec, "manualSelector", json!(false));
    set(
        spec,
        "selector",
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
    with_meta(&mut spec["template"], |meta| {
        let labels = meta.entry("labels").or_insert_with(|| json!({}));
        for (key, value) in [("controller-uid", &uid), ("job-name", &name)] {
            set(labels, key, json!(value));
            set(labels, &format!("batch.kubernetes.io/{key}"), json!(value));
        }
    });
}

/// Rules over several fields, and fields that never change.
pub(super) fn check(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    if resource.custom.is_some() {
        return Vec::new();
    }
    let mut causes = Vec::new();
    if new["spec"]["replicas"].as_i64().is_some_and(|n| n < 0) {
        causes.push(Cause {
            field: "spec.replicas".to_owned(),
            reason: "FieldValueInvalid".to_owned(),
            message: format!(
                "Invalid value: {}: must be greater than or equal to 0",
                new["spec"]["replicas"]
            ),
        });
    }
    let (group, plural) = (resource.group.as_str(), resource.plural.as_str());
    if let Some(pointer) = pods::spec_pointer(group, plural)
        && let Some(pod) = new.pointer(pointer)
    {
        let always = group == "apps" || plural == "replicationcontrollers";
        causes.extend(pods::check(pod, &dotted(pointer), always));
    }
    match (group, plural) {
        ("apps", "deployments" | "replicasets" | "daemonsets" | "statefulsets") => {
            causes.extend(selector_misses_template(new));
            causes.extend(fixed(new, old, &["/spec/selector"]));
        }
        ("", "secrets") => {
            causes.extend(fixed(new, old, &["/type"]));
            causes.extend(frozen(new, old, &["/data"]));
        }
        ("", "configmaps") => causes.extend(frozen(new, old, &["/data", "/binaryData"])),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            causes.extend(fixed(new, old, &["/roleRef"]));
        }
        ("", "services") => causes.extend(service::check(new)),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            causes.extend(crd::check(new, old));
            if let Some(old) = old {
                causes.extend(crd::immutable_changes(old, new));
            }
        }
        _ => {}
    }
    causes
}

/// Kubernetes' dotted form of a JSON pointer.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

fn fixed(new: &Value, old: Option<&Value>, pointers: &[&str]) -> Vec<Cause> {
    let Some(old) = old else { return Vec::new() };
    let changed = pointers.iter().filter(|p| old.pointer(p) != new.pointer(p));
    changed
        .map(|pointer| Cause {
            field: dotted(pointer),
            reason: "FieldValueInvalid".to_owned(),
            message: format!(
                "Invalid value: {}: field is immutable",
                new.pointer(pointer).unwrap_or(&Value::Null)
            ),
        })
        .collect()
}

/// `immutable: true` of Secrets and ConfigMaps.
fn frozen(new: &Value, old: Option<&Value>, pointers: &[&str]) -> Vec<Cause> {
    let Some(old) = old.filter(|old| old["immutable"] == true) else {
        return Vec::new();
    };
    let mut pointers: Vec<&str> = pointers.to_vec();
    pointers.push("/immutable");
    let changed = pointers.iter().filter(|p| old.pointer(p) != new.pointer(p));
    changed
        .map(|pointer| Cause {
            field: dotted(pointer),
            reason: "FieldValueForbidden".to_owned(),
            message: "Forbidden: field is immutable when `immutable` is set".to_owned(),
        })
        .collect()
}

fn selector_misses_template(new: &Value) -> Option<Cause> {
    let wanted = new.pointer("/spec/selector/matchLabels")?.as_object()?;
    let labels = new.pointer("/spec/template/metadata/labels");
    let matches = |(key, value)| labels.and_then(|l| l.get(key)) == Some(value);
    if wanted.iter().all(matches) {
        return None;
    }
    Some(Cause {
        field: "spec.template.metadata.labels".to_owned(),
        reason: "FieldValueInvalid".to_owned(),
        message: format!(
            "Invalid value: {}: `selector` does not match template `labels`",
            labels.unwrap_or(&Value::Null)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_must_match_its_template() {
        let workload = |label: &str| {
            json!({"spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": label}}},
            }})
        };
        assert!(selector_misses_template(&workload("b")).is_none());
        assert!(selector_misses_template(&workload("c")).is_some());
    }

    #[test]
    fn immutable_config_maps_do_not_change() {
        let old = json!({"immutable": true, "data": {"a": "b"}});
        let new = json!({"immutable": true, "data": {"a": "c"}});
        assert_eq!(frozen(&new, Some(&old), &["/data"]).len(), 1);
        assert!(frozen(&old, Some(&old), &["/data"]).is_empty());
    }
}
