//! OpenAPI documents for kubectl, built from the same schemas that check the
//! objects: v3 in JSON, v2 in JSON and, for kubectl 1.28 and older, in
//! protobuf. They say that PATCH takes `fieldValidation`, which is how kubectl
//! learns that the server validates.

mod gnostic;
mod v2;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::registry::Registry;
use super::resource::{Resource, api_version};

pub(super) use gnostic::{CONTENT_TYPE as V2_PROTOBUF, encode as v2_to_protobuf};
pub(super) use v2::document as v2;

/// The Kubernetes release whose API this is.
pub(super) const VERSION: &str = "v1.33.0+pilothouse";

/// `/openapi/v3`: where each document is, with a hash that changes when the
/// schema does, because clients cache by it.
pub(super) fn index(registry: &Registry) -> Value {
    let mut paths = serde_json::Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let path = match group {
                "" => format!("api/{version}"),
                _ => format!("apis/{group}/{version}"),
            };
            let hash = hash(registry, group, version);
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
    }
    json!({ "paths": paths })
}

fn hash(registry: &Registry, group: &str, version: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    digest.update(api_version(group, version));
    for resource in registry.of_version(group, version) {
        digest.update(&resource.plural);
        if let Some(custom) = &resource.custom {
            digest.update(&custom.definition);
        }
    }
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// The document of one group and version.
pub(super) fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let resources = registry.of_version(group, version);
    if resources.is_empty() {
        return None;
    }
    let mut components: BTreeMap<String, Value> = BTreeMap::new();
    let mut paths = serde_json::Map::new();
    for resource in resources {
        let name = component(resource, &mut components);
        let kind = kind_extension(resource);
        if let Some(schema) = components.get_mut(&name) {
            schema["x-kubernetes-group-version-kind"] = json!([kind]);
        }
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        paths.insert(
            collection_path(resource),
            collection_item(&kind, &reference),
        );
        let path = format!("{}/{{name}}", collection_path(resource));
        paths.insert(path, object_item(&kind, &reference));
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "components": {"schemas": components},
    }))
}

fn kind_extension(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// Puts the schema into the components and returns its name.
fn component(resource: &Resource, components: &mut BTreeMap<String, Value>) -> String {
    let own = resource
        .published_schema()
        .map(|schema| schema.to_openapi(components));
    let reference = own.as_ref().and_then(|schema| schema["$ref"].as_str());
    if let Some(name) = reference.and_then(|r| r.rsplit('/').next()) {
        return name.to_owned();
    }
    let mut group: Vec<&str> = resource.group.split('.').collect();
    group.reverse();
    let name = format!("{}.{}.{}", group.join("."), resource.version, resource.kind);
    let schema = own.unwrap_or_else(|| json!({"type": "object"}));
    components.insert(name.clone(), schema);
    name
}

fn collection_path(resource: &Resource) -> String {
    let root = match resource.group.as_str() {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    match resource.namespaced {
        true => format!("{root}/namespaces/{{namespace}}/{}", resource.plural),
        false => format!("{root}/{}", resource.plural),
    }
}

fn parameter(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}

fn operation(action: &str, kind: &Value, reference: &Value, parameters: &[Value]) -> Value {
    json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    })
}

fn write_parameters() -> Vec<Value> {
    ["dryRun", "fieldManager", "fieldValidation"]
        .iter()
        .map(|name| parameter(name, "string"))
        .collect()
}

fn collection_item(kind: &Value, reference: &Value) -> Value {
    json!({"post": operation("post", kind, reference, &write_parameters())})
}

fn object_item(kind: &Value, reference: &Value) -> Value {
    let mut patch = write_parameters();
    patch.push(parameter("force", "boolean"));
    json!({
        "get": operation("get", kind, reference, &[]),
        "put": operation("put", kind, reference, &write_parameters()),
        "patch": operation("patch", kind, reference, &patch),
    })
}

#[cfg(test)]
mod tests {
    use super::super::registry::Served;
    use super::super::store::Store;
    use super::*;

    #[test]
    fn every_document_of_the_index_is_served_and_its_references_resolve() {
        let registry = Served::new(&Store::open(None, 1).unwrap()).now();
        for (group, versions) in registry.groups() {
            for version in versions {
                let document = document(&registry, group, version).unwrap();
                let text = document.to_string();
                let schemas = document["components"]["schemas"].as_object().unwrap();
                for part in text.split("#/components/schemas/").skip(1) {
                    let name = part.split('"').next().unwrap();
                    assert!(schemas.contains_key(name), "{group}/{version}: {name}");
                }
            }
        }
    }

    #[test]
    fn patch_operations_tell_of_field_validation() {
        let registry = Served::new(&Store::open(None, 1).unwrap()).now();
        let core = document(&registry, "", "v1").unwrap();
        let patch = &core["paths"]["/api/v1/namespaces/{name}"]["patch"];
        assert_eq!(patch["parameters"][2]["name"], "fieldValidation");
        assert_eq!(
            patch["x-kubernetes-group-version-kind"]["kind"],
            "Namespace"
        );
    }
}
