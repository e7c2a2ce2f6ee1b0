//! CustomResourceDefinitions: checked and completed when written, and turned
//! into served resources. Our definitions are established at once; the real
//! server takes a moment.

mod check;
mod structural;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::columns::CustomColumn;
use super::failure::Cause;
use super::resource::{self, Custom, Form, Resource, Scale};
use super::schema::Schema;
use super::store::{Collection, Key, Stored};

pub(super) use check::check;

/// Finalizer that keeps a definition until its objects are gone.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Where the definitions are stored.
pub(super) fn collection() -> Collection {
    resource::collection("apiextensions.k8s.io", "customresourcedefinitions")
}

/// Where the definition of a group and plural is stored.
pub(super) fn key(group: &str, plural: &str) -> Key {
    Key {
        collection: collection(),
        namespace: String::new(),
        name: format!("{plural}.{group}"),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array);
    let list = list.into_iter().flatten().filter_map(Value::as_str);
    list.map(str::to_owned).collect()
}

/// Fills what kube-apiserver fills in the spec.
pub(super) fn complete(crd: &mut Value) {
    let kind = text(crd, "/spec/names/kind").to_owned();
    if let Some(names) = crd
        .pointer_mut("/spec/names")
        .and_then(Value::as_object_mut)
        && !kind.is_empty()
    {
        names
            .entry("singular")
            .or_insert_with(|| json!(kind.to_lowercase()));
        names
            .entry("listKind")
            .or_insert_with(|| json!(format!("{kind}List")));
    }
    if let Some(spec) = crd.pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.entry("conversion")
            .or_insert_with(|| json!({"strategy": "None"}));
    }
}

/// The status of an accepted definition.
pub(super) fn status(crd: &Value, now: Timestamp) -> Value {
    let old = |kind: &str| {
        let list = crd.pointer("/status/conditions").and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .find(|c| c["type"] == kind)
            .cloned()
    };
    let condition = |kind: &str, reason: &str, message: &str| {
        old(kind).unwrap_or_else(|| {
            json!({
                "type": kind, "status": "True", "reason": reason, "message": message,
                "lastTransitionTime": super::object::time(now),
            })
        })
    };
    let mut stored = texts(crd.pointer("/status/storedVersions"));
    if let Some(version) = storage_version(crd)
        && !stored.contains(&version)
    {
        stored.push(version);
    }
    let mut conditions = vec![
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition(
            "Established",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
    ];
    conditions.extend(old("Terminating"));
    json!({
        "acceptedNames": crd.pointer("/spec/names").cloned().unwrap_or_else(|| json!({})),
        "storedVersions": stored,
        "conditions": conditions,
    })
}

fn versions(crd: &Value) -> impl Iterator<Item = &Value> {
    let list = crd.pointer("/spec/versions").and_then(Value::as_array);
    list.into_iter().flatten()
}

fn storage_version(crd: &Value) -> Option<String> {
    let storage = versions(crd).find(|v| v["storage"] == true)?;
    storage["name"].as_str().map(str::to_owned)
}

/// The resources that a stored definition serves; versions that are not
/// served or cannot be read are left out.
pub(super) fn resources(object: &Stored) -> Vec<Arc<Resource>> {
    let crd = object.value();
    let storage = storage_version(&crd).unwrap_or_default();
    versions(&crd)
        .filter(|version| version["served"] == true || version["name"] == storage.as_str())
        .filter_map(|version| resource_of(&crd, version, &storage))
        .map(Arc::new)
        .collect()
}

/// Reads a schema, or takes the one that another server of this process read
/// from the same text: a fleet of simulated members serves the same kinds.
fn shared_schema(openapi: &Value) -> Option<Arc<Schema>> {
    static READ: Mutex<BTreeMap<[u8; 32], Weak<Schema>>> = Mutex::new(BTreeMap::new());
    let digest: [u8; 32] = Sha256::digest(openapi.to_string()).into();
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(schema) = read.get(&digest).and_then(Weak::upgrade) {
        return Some(schema);
    }
    let schema = Arc::new(Schema::from_openapi(openapi).ok()?);
    read.retain(|_, schema| schema.strong_count() > 0);
    read.insert(digest, Arc::downgrade(&schema));
    Some(schema)
}

fn resource_of(crd: &Value, version: &Value, storage: &str) -> Option<Resource> {
    let group = text(crd, "/spec/group");
    let name = version["name"].as_str()?;
    let names = crd.pointer("/spec/names")?;
    let schema = shared_schema(version.pointer("/schema/openAPIV3Schema")?)?;
    let scale = version.pointer("/subresources/scale").map(|scale| Scale {
        spec_replicas: pointer(text(scale, "/specReplicasPath")),
        status_replicas: pointer(text(scale, "/statusReplicasPath")),
        selector: scale["labelSelectorPath"].as_str().map(pointer),
    });
    let selectable = version["selectableFields"].as_array();
    let selectable = selectable.into_iter().flatten();
    let selectable =
        selectable.filter_map(|f| Some(f["jsonPath"].as_str()?.trim_start_matches('.').to_owned()));
    let deprecated = version["deprecated"] == true;
    let kind = text(names, "/kind").to_owned();
    let deprecation = deprecated.then(|| {
        let written = version["deprecationWarning"].as_str().map(str::to_owned);
        written.unwrap_or_else(|| format!("{group}/{name} {kind} is deprecated"))
    });
    Some(Resource {
        group: group.to_owned(),
        version: name.to_owned(),
        list_kind: text(names, "/listKind").to_owned(),
        plural: text(names, "/plural").to_owned(),
        singular: text(names, "/singular").to_owned(),
        short_names: texts(names.get("shortNames")),
        categories: texts(names.get("categories")),
        namespaced: text(crd, "/spec/scope") == "Namespaced",
        status: version.pointer("/subresources/status").is_some(),
        scale,
        generation: true,
        custom: Some(Custom {
            schema,
            definition: format!(
                "{}/{}",
                text(crd, "/metadata/uid"),
                crd["metadata"]["generation"]
            ),
            columns: columns(version),
            deprecation,
        }),
        collection: resource::collection(group, text(names, "/plural")),
        form: match name == storage {
            true => Form::Stored,
            false => Form::Version,
        },
        stored_api_version: resource::api_version(group, storage),
        selectable: selectable.collect(),
        kind,
    })
}

fn columns(version: &Value) -> Vec<CustomColumn> {
    let list = version["additionalPrinterColumns"].as_array();
    let list = list.into_iter().flatten();
    list.filter_map(CustomColumn::from_crd).collect()
}

/// `.spec.replicas` to `/spec/replicas`.
fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

/// Sets the status block of a definition.
pub(super) fn set_status(crd: &mut Value, now: Timestamp) {
    let status = status(crd, now);
    if let Some(map) = crd.as_object_mut() {
        map.insert("status".to_owned(), status);
    }
}

/// Tells in the status that the definition and its objects are going.
pub(super) fn terminate(crd: &mut Value, now: Timestamp) {
    let list = crd
        .pointer_mut("/status/conditions")
        .and_then(Value::as_array_mut);
    if let Some(list) = list.filter(|list| !list.iter().any(|c| c["type"] == "Terminating")) {
        list.push(json!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            "lastTransitionTime": super::object::time(now),
        }));
    }
}

/// True when the definition's names or scope changed in a way that its
/// stored objects would not survive.
pub(super) fn immutable_changes(old: &Value, new: &Value) -> Vec<Cause> {
    let fixed = [
        "/spec/group",
        "/spec/scope",
        "/spec/names/plural",
        "/spec/names/kind",
    ];
    let changed = fixed.iter().filter(|p| old.pointer(p) != new.pointer(p));
    changed
        .map(|path| Cause {
            field: path.trim_start_matches('/').replace('/', "."),
            reason: "FieldValueInvalid".to_owned(),
            message: format!(
                "Invalid value: {}: field is immutable",
                new.pointer(path).unwrap_or(&Value::Null)
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_one_process_share_equal_schemas() {
        let one = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let other = json!({"type": "object", "properties": {"b": {"type": "string"}}});
        let first = shared_schema(&one).unwrap();
        assert!(Arc::ptr_eq(&first, &shared_schema(&one).unwrap()));
        assert!(!Arc::ptr_eq(&first, &shared_schema(&other).unwrap()));
    }
}
