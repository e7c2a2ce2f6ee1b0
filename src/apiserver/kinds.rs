//! What single built-in kinds need beyond their schema: defaults, values
//! that the server allocates, and rules over several fields. Kept to what
//! our clients and simulated controllers rely on; kube-apiserver does more.

mod defaults;
mod service;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Inner;
use super::crd;
use super::failure::{Cause, Failure};
use super::object::{self, set, with_meta};
use super::resource::Resource;

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
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => {
            prepare_namespace(new, old);
            Ok(())
        }
        ("", "services") => service::allocate(inner, resource, new, old),
        ("", "pods") if old.is_none() => {
            set(
                new,
                "status",
                json!({"phase": "Pending", "qosClass": "BestEffort"}),
            );
            Ok(())
        }
        ("", "persistentvolumeclaims" | "persistentvolumes") if old.is_none() => {
            set(new, "status", json!({"phase": "Pending"}));
            Ok(())
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            crd::set_status(new, now);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn prepare_namespace(new: &mut Value, old: Option<&Value>) {
    let name = object::meta_text(new, "name").to_owned();
    with_meta(new, |meta| {
        let labels = meta.entry("labels").or_insert_with(|| json!({}));
        set(labels, "kubernetes.io/metadata.name", json!(name));
    });
    if old.is_none() {
        set(new, "spec", json!({"finalizers": ["kubernetes"]}));
        set(new, "status", json!({"phase": "Active"}));
    }
}

/// Rules over several fields, and fields that never change.
pub(super) fn check(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    if resource.custom.is_some() {
        return Vec::new();
    }
    let mut causes = Vec::new();
    match (resource.group.as_str(), resource.plural.as_str()) {
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
            causes.extend(crd::check(new));
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
