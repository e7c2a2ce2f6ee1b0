//! Structural schemas: what apiextensions demands of the schema of a custom resource, so that it
//! can be pruned, defaulted and applied.

use serde_json::{Map, Value, json};

use super::check::Faults;
use crate::apiserver::schema::{self, Schema};

/// Checks a whole schema; `path` is where it stands.
pub(super) fn check(schema: &Value, path: &str, faults: &mut Faults) {
    match schema["type"].as_str() {
        None | Some("") => {
            faults.required(&format!("{path}.type"), "must not be empty at the root");
        }
        Some("object") => {}
        Some(_) => {
            let field = format!("{path}.type");
            faults.invalid(&field, &schema["type"], "must be object at the root");
        }
    }
    node(schema, path, faults, 0);
}

/// Deeper ones are refused by the reader of schemas.
const DEEPEST: usize = 100;

fn node(schema: &Value, path: &str, faults: &mut Faults, depth: usize) {
    let Some(map) = schema.as_object() else {
        return;
    };
    if depth > DEEPEST {
        return;
    }
    itself(map, path, faults);
    lists(map, path, faults);
    for (name, child) in properties(map) {
        let path = format!("{path}.properties[{name}]");
        typed(
            child,
            &path,
            "must not be empty for specified object fields",
            faults,
        );
        node(child, &path, faults, depth + 1);
    }
    for (field, why) in [
        ("items", "must not be empty for specified array items"),
        (
            "additionalProperties",
            "must not be empty for specified object fields",
        ),
    ] {
        if let Some(child) = map.get(field).filter(|child| child.is_object()) {
            let path = format!("{path}.{field}");
            typed(child, &path, why, faults);
            node(child, &path, faults, depth + 1);
        }
    }
    let types = map.get("x-kubernetes-int-or-string") == Some(&json!(true));
    junctions(map, path, types, faults, depth);
}

/// The schemas of `allOf`, `anyOf`, `oneOf` and `not`, which restrict values;
/// the types of the first three may be named where `types` says so.
fn junctions(map: &Map<String, Value>, path: &str, types: bool, faults: &mut Faults, depth: usize) {
    for field in ["allOf", "anyOf", "oneOf"] {
        let list = map.get(field).and_then(Value::as_array);
        for (at, child) in list.into_iter().flatten().enumerate() {
            let path = format!("{path}.{field}[{at}]");
            value_only(child, &path, types, faults, depth + 1);
        }
    }
    if let Some(child) = map.get("not") {
        value_only(child, &format!("{path}.not"), false, faults, depth + 1);
    }
}

/// The schemas of named fields.
fn properties(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let properties = map.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten()
}

fn typed(schema: &Value, path: &str, why: &str, faults: &mut Faults) {
    let free = [
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
    ];
    let is_free = free.iter().any(|field| schema[field] == true);
    let is_free = is_free || !schema["$ref"].is_null();
    if schema["type"].as_str().unwrap_or_default().is_empty() && !is_free {
        faults.required(&format!("{path}.type"), why);
    }
}

/// Keywords that are refused wherever they stand.
fn itself(map: &Map<String, Value>, path: &str, faults: &mut Faults) {
    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    if !kind.is_empty() && !TYPES.contains(&kind) {
        faults.unsupported(&format!("{path}.type"), &json!(kind), &TYPES);
    }
    if map.contains_key("$ref") {
        faults.forbidden(&format!("{path}.$ref"), "$ref is not supported");
    }
    if map.get("uniqueItems") == Some(&json!(true)) {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        faults.forbidden(&format!("{path}.uniqueItems"), why);
    }
    let has_properties = map
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|p| !p.is_empty());
    match map.get("additionalProperties") {
        Some(Value::Bool(false)) => {
            let why = "additionalProperties cannot be set to false";
            faults.forbidden(&format!("{path}.additionalProperties"), why);
        }
        Some(_) if has_properties => {
            let why = "additionalProperties and properties are mutual exclusive";
            faults.forbidden(&format!("{path}.additionalProperties"), why);
        }
        _ => {}
    }
    if let Some(pattern) = map.get("pattern").and_then(Value::as_str)
        && regex_fault(pattern)
    {
        let why = "must be a valid regular expression, but isn't";
        faults.invalid(&format!("{path}.pattern"), &json!(pattern), why);
    }
    if let Some(default) = map.get("default").filter(|default| !default.is_null()) {
        default_fits(map, default, &format!("{path}.default"), faults);
    }
}

fn regex_fault(pattern: &str) -> bool {
    matches!(regex::Regex::new(pattern), Err(regex::Error::Syntax(_)))
}

fn lists(map: &Map<String, Value>, path: &str, faults: &mut Faults) {
    let text = |field: &str| map.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("type") == "array" && !map.get("items").is_some_and(Value::is_object) {
        faults.required(&format!("{path}.items"), "must be specified");
    }
    let keys = map
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array);
    let keys: Vec<&str> = keys
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let field = format!("{path}.x-kubernetes-list-type");
    let items = map.get("items").unwrap_or(&Value::Null);
    match text("x-kubernetes-list-type") {
        "map" if keys.is_empty() => {
            let field = format!("{path}.x-kubernetes-list-map-keys");
            faults.required(&field, "must not be empty if x-kubernetes-list-type is map");
        }
        "map" => {
            for key in keys {
                let required = items["required"].as_array();
                let is_required = required.is_some_and(|names| names.iter().any(|n| n == key));
                let property = &items["properties"][key];
                if !is_required && property["default"].is_null() {
                    let field = format!("{path}.items.properties[{key}].default");
                    let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                    faults.required(&field, why);
                }
            }
        }
        "set" if items["type"] == "object" && items["x-kubernetes-map-type"] != "atomic" => {
            let field = format!("{path}.items.x-kubernetes-map-type");
            let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
            faults.invalid(&field, &items["x-kubernetes-map-type"], why);
        }
        "" | "atomic" | "set" if !keys.is_empty() => {
            faults.required(
                &field,
                "must be map if x-kubernetes-list-map-keys is non-empty",
            );
        }
        "" | "atomic" | "set" => {}
        other => faults.unsupported(&field, &json!(other), &["atomic", "set", "map"]),
    }
}

/// Below `anyOf` and its like a schema restricts values and declares nothing.
fn value_only(schema: &Value, path: &str, types: bool, faults: &mut Faults, depth: usize) {
    let Some(map) = schema.as_object() else {
        return;
    };
    if depth > DEEPEST {
        return;
    }
    for field in [
        "type",
        "additionalProperties",
        "default",
        "description",
        "title",
        "nullable",
    ] {
        let empty = map
            .get(field)
            .is_none_or(|value| value.is_null() || *value == false);
        if !(empty || types && field == "type") {
            faults.forbidden(&format!("{path}.{field}"), "must be empty to be structural");
        }
    }
    for (name, child) in properties(map) {
        let path = format!("{path}.properties[{name}]");
        value_only(child, &path, false, faults, depth + 1);
    }
    if let Some(child) = map.get("items") {
        value_only(child, &format!("{path}.items"), false, faults, depth + 1);
    }
    junctions(map, path, types, faults, depth);
}

/// A default is kept whole and obeys its own schema.
fn default_fits(map: &Map<String, Value>, default: &Value, field: &str, faults: &mut Faults) {
    let Ok(read) = Schema::from_openapi(&Value::Object(map.clone())) else {
        return;
    };
    let mut pruned = default.clone();
    if default.is_object() && !schema::prune(&read, &mut pruned).is_empty() {
        faults.invalid(field, default, "must not have unknown fields");
        return;
    }
    // A default may itself be filled in by those below it.
    schema::apply_defaults(&read, &mut pruned);
    for error in schema::validate(&read, &pruned) {
        match error.reason {
            schema::Reason::TypeInvalid => faults.wrong_type(field, error.message),
            _ => faults.invalid(field, default, &error.message),
        }
    }
}
