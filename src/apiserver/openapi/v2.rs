//! The v2 document: every v3 document in one, with the names of v2 and without
//! what v2 cannot say. kubectl's readers of v2 want certain nodes untyped: the
//! rules are those by which kube-apiserver publishes custom resources there.

use serde_json::{Map, Value, json};

use crate::apiserver::registry::Registry;

/// Keywords of v3 alone.
const NEWER: [&str; 5] = ["allOf", "anyOf", "oneOf", "not", "nullable"];

/// `/openapi/v2` as JSON.
pub(in crate::apiserver) fn document(registry: &Registry) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for (group, versions) in registry.groups() {
        for version in versions {
            let Some(mut newer) = super::document(registry, group, version) else {
                continue;
            };
            if let Value::Object(items) = newer["paths"].take() {
                paths.extend(
                    items
                        .into_iter()
                        .map(|(path, item)| (path, path_item(item))),
                );
            }
            let custom = registry.of_version(group, version);
            let custom = custom.iter().any(|resource| resource.custom.is_some());
            if let Value::Object(schemas) = newer["components"]["schemas"].take() {
                for (name, body) in schemas {
                    let mut body = schema(body);
                    if custom {
                        drop_defaults(&mut body);
                    }
                    definitions.insert(name, body);
                }
            }
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": super::VERSION},
        "paths": paths,
        "definitions": definitions,
    })
}

fn path_item(item: Value) -> Value {
    let Value::Object(operations) = item else {
        return item;
    };
    let operations = operations.into_iter().map(|(verb, mut operation)| {
        if let Some(parameters) = operation["parameters"].as_array_mut() {
            parameters.iter_mut().for_each(flatten);
        }
        if let Some(answer) = operation.pointer_mut("/responses/200")
            && let Some(map) = answer.as_object_mut()
        {
            let content = map.remove("content").unwrap_or_default();
            let body = content["application/json"]["schema"].clone();
            map.insert("schema".to_owned(), schema(body));
        }
        (verb, operation)
    });
    Value::Object(operations.collect())
}

/// v2 has the type of a parameter beside its name.
fn flatten(parameter: &mut Value) {
    let Some(map) = parameter.as_object_mut() else {
        return;
    };
    if let Some(Value::Object(schema)) = map.remove("schema") {
        map.extend(schema);
    }
}

fn schema(value: Value) -> Value {
    let Value::Object(mut map) = value else {
        return value;
    };
    // v3 wraps a reference that has something to say beside it.
    if let Some(Value::Array(all)) = map.get("allOf")
        && let [only] = all.as_slice()
        && let Some(reference) = only.get("$ref")
    {
        map.insert("$ref".to_owned(), reference.clone());
    }
    if let Some(Value::String(reference)) = map.get_mut("$ref") {
        *reference = reference.replace("#/components/schemas/", "#/definitions/");
    }
    let is = |map: &Map<String, Value>, name: &str| map.get(name) == Some(&Value::Bool(true));
    let nullable = is(&map, "nullable");
    let open = is(&map, "x-kubernetes-preserve-unknown-fields");
    for keyword in NEWER {
        map.remove(keyword);
    }
    if nullable || open {
        map.remove("items");
        map.remove("properties");
    }
    let kind = map.get("type").and_then(Value::as_str);
    let untyped = match kind {
        _ if nullable => true,
        Some("array") => !map.contains_key("items"),
        Some("object") => open,
        _ => false,
    };
    if untyped {
        map.remove("type");
    }
    drop_nullable(&mut map);
    for name in ["items", "additionalProperties"] {
        if let Some(child) = map.get_mut(name) {
            *child = schema(child.take());
        }
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        for child in properties.values_mut() {
            *child = schema(child.take());
        }
    }
    Value::Object(map)
}

/// kube-apiserver tells of a custom resource's defaults in v3 alone.
fn drop_defaults(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    map.remove("default");
    for name in ["items", "additionalProperties"] {
        map.get_mut(name).into_iter().for_each(drop_defaults);
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(drop_defaults);
    }
}

/// v2 cannot say that a required field may be null.
fn drop_nullable(map: &mut Map<String, Value>) {
    let nullable = |schema: &Value| schema["nullable"] == Value::Bool(true);
    let required = match map.remove("required") {
        Some(Value::Array(names)) => names,
        _ => return,
    };
    let properties = map.get("properties");
    let values = map.get("additionalProperties");
    let kept: Vec<Value> = required
        .into_iter()
        .filter(|name| {
            let field = properties.and_then(|fields| fields.get(name.as_str()?));
            !field.is_some_and(nullable) && !values.is_some_and(nullable)
        })
        .collect();
    if !kept.is_empty() {
        map.insert("required".to_owned(), Value::Array(kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::registry::Served;
    use crate::apiserver::store::Store;

    #[test]
    fn every_reference_resolves() {
        let registry = Served::new(&Store::open(None, 1).unwrap()).now();
        let document = document(&registry);
        let text = document.to_string();
        assert!(!text.contains("#/components/"));
        for part in text.split("#/definitions/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["definitions"].get(name).is_some(), "{name}");
        }
        let patch = &document["paths"]["/api/v1/namespaces/{name}"]["patch"];
        assert_eq!(patch["parameters"][2]["name"], "fieldValidation");
        assert_eq!(patch["parameters"][2]["type"], "string");
    }

    #[test]
    fn what_v2_cannot_say_is_left_out() {
        let table = [
            (
                json!({"allOf": [{"$ref": "#/components/schemas/a"}], "description": "d"}),
                json!({"$ref": "#/definitions/a", "description": "d"}),
            ),
            (
                json!({"type": "object", "nullable": true, "properties": {"a": {}}}),
                json!({}),
            ),
            (
                json!({"type": "array", "items": {"type": "string", "anyOf": [{}]}}),
                json!({"type": "array", "items": {"type": "string"}}),
            ),
            (
                json!({"type": "object", "required": ["a", "b"], "properties": {
                    "a": {"type": "string", "nullable": true}, "b": {"type": "string"}}}),
                json!({"type": "object", "required": ["b"], "properties": {
                    "a": {}, "b": {"type": "string"}}}),
            ),
        ];
        for (newer, older) in table {
            assert_eq!(schema(newer), older);
        }
    }
}
