//! Writing a schema as OpenAPI v3.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Additional, ListType, Rules, Schema};

/// Keywords of a field that has a shared type; the type itself does not carry them.
const BELONGS_TO_THE_FIELD: [&str; 3] = [
    "default",
    "x-kubernetes-patch-strategy",
    "x-kubernetes-patch-merge-key",
];

const COMPONENTS: &str = "#/components/schemas/";

/// See [`Schema::to_openapi`].
pub(super) fn render(schema: &Schema, components: &mut BTreeMap<String, Value>) -> Value {
    let Some(name) = schema.definition.as_deref() else {
        return body(schema, components);
    };
    if !components.contains_key(name) {
        // Present before its body is rendered: a definition that contains itself ends here.
        components.insert(name.to_owned(), Value::Null);
        let mut rendered = body(schema, components);
        if let Value::Object(map) = &mut rendered {
            for keyword in BELONGS_TO_THE_FIELD {
                map.remove(keyword);
            }
        }
        components.insert(name.to_owned(), rendered);
    }
    let mut field = Map::new();
    field.insert(
        "allOf".into(),
        json!([{ "$ref": format!("{COMPONENTS}{name}") }]),
    );
    if let Some(description) = schema.docs.get("description") {
        field.insert("description".into(), description.clone());
    }
    if let Some(default) = &schema.default {
        field.insert("default".into(), default.clone());
    }
    field.extend(merge_keywords(schema));
    Value::Object(field)
}

fn body(schema: &Schema, components: &mut BTreeMap<String, Value>) -> Value {
    let mut out = schema.docs.clone();
    if let Some(kind) = schema.kind {
        out.insert("type".into(), kind.as_str().into());
    }
    if let Some(format) = &schema.format {
        out.insert("format".into(), format.as_str().into());
    }
    if let Some(default) = &schema.default {
        out.insert("default".into(), default.clone());
    }
    if !schema.required.is_empty() {
        out.insert("required".into(), json!(schema.required));
    }
    if !schema.properties.is_empty() {
        let properties: Map<String, Value> = schema
            .properties
            .iter()
            .map(|(name, child)| (name.clone(), render(child, components)))
            .collect();
        out.insert("properties".into(), Value::Object(properties));
    }
    match &schema.additional {
        Additional::Unset => {}
        Additional::Forbidden => {
            out.insert("additionalProperties".into(), false.into());
        }
        Additional::Any => {
            out.insert("additionalProperties".into(), true.into());
        }
        Additional::Schema(child) => {
            out.insert("additionalProperties".into(), render(child, components));
        }
    }
    if let Some(items) = &schema.items {
        out.insert("items".into(), render(items, components));
    }
    extensions(schema, &mut out);
    if let Some(rules) = &schema.rules {
        bounds(rules, components, &mut out);
    }
    Value::Object(out)
}

fn extensions(schema: &Schema, out: &mut Map<String, Value>) {
    let flags = [
        ("nullable", schema.nullable),
        (
            "x-kubernetes-preserve-unknown-fields",
            schema.preserve_unknown,
        ),
        ("x-kubernetes-embedded-resource", schema.embedded_resource),
        ("x-kubernetes-int-or-string", schema.int_or_string),
    ];
    for (name, set) in flags {
        if set {
            out.insert(name.into(), true.into());
        }
    }
    out.extend(merge_keywords(schema));
    if !schema.cel.is_empty() {
        out.insert(
            "x-kubernetes-validations".into(),
            Value::Array(schema.cel.clone()),
        );
    }
}

/// The keywords that say how a node merges.
pub(super) fn merge_keywords(schema: &Schema) -> Map<String, Value> {
    let mut out = Map::new();
    if schema.map_atomic {
        out.insert("x-kubernetes-map-type".into(), "atomic".into());
    }
    match &schema.list_type {
        ListType::Atomic => {}
        ListType::Set => {
            out.insert("x-kubernetes-list-type".into(), "set".into());
        }
        ListType::Map(keys) => {
            out.insert("x-kubernetes-list-type".into(), "map".into());
            out.insert("x-kubernetes-list-map-keys".into(), json!(keys));
        }
    }
    let strategy = match (schema.patch_merge, schema.patch_retain_keys) {
        (true, true) => Some("merge,retainKeys"),
        (true, false) => Some("merge"),
        (false, true) => Some("retainKeys"),
        (false, false) => None,
    };
    if let Some(strategy) = strategy {
        out.insert("x-kubernetes-patch-strategy".into(), strategy.into());
    }
    if let Some(key) = &schema.patch_merge_key {
        out.insert("x-kubernetes-patch-merge-key".into(), key.as_str().into());
    }
    out
}

fn bounds(rules: &Rules, components: &mut BTreeMap<String, Value>, out: &mut Map<String, Value>) {
    if let Some(values) = &rules.one_of_values {
        out.insert("enum".into(), Value::Array(values.clone()));
    }
    if let Some(pattern) = &rules.pattern {
        out.insert("pattern".into(), pattern.as_str().into());
    }
    let numbers = [
        ("minimum", rules.minimum),
        ("maximum", rules.maximum),
        ("multipleOf", rules.multiple_of),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            out.insert(name.into(), super::parse::number_value(number));
        }
    }
    let counts = [
        ("minLength", rules.min_length),
        ("maxLength", rules.max_length),
        ("minItems", rules.min_items),
        ("maxItems", rules.max_items),
        ("minProperties", rules.min_properties),
        ("maxProperties", rules.max_properties),
    ];
    for (name, count) in counts {
        if let Some(count) = count {
            out.insert(name.into(), count.into());
        }
    }
    let flags = [
        ("exclusiveMinimum", rules.exclusive_minimum),
        ("exclusiveMaximum", rules.exclusive_maximum),
        ("uniqueItems", rules.unique_items),
    ];
    for (name, set) in flags {
        if set {
            out.insert(name.into(), true.into());
        }
    }
    let groups = [
        ("allOf", &rules.all_of),
        ("anyOf", &rules.any_of),
        ("oneOf", &rules.one_of),
    ];
    for (name, group) in groups {
        if !group.is_empty() {
            let list = group
                .iter()
                .map(|schema| render(schema, components))
                .collect();
            out.insert(name.into(), Value::Array(list));
        }
    }
    if let Some(not) = &rules.not {
        let rendered = render(not, components);
        out.insert("not".into(), rendered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crd_schema_comes_back_as_it_was_written() {
        let recording = include_str!("../../../tests/fixtures/ssa/validation.json");
        let recording: Value = serde_json::from_str(recording).expect("recording");
        let written = &recording["schema"]["properties"]["spec"];
        let schema = Schema::from_openapi(&recording["schema"]).expect("schema");
        let mut components = BTreeMap::new();
        let mut rendered = render(&schema, &mut components)["properties"]["spec"].clone();
        // The three fields that every embedded object has are ours.
        let embedded = rendered
            .pointer_mut("/properties/emb")
            .and_then(Value::as_object_mut);
        embedded.expect("embedded").remove("properties");
        assert_eq!(&rendered, written);
    }

    #[test]
    fn every_reference_of_a_built_in_kind_leads_somewhere() {
        let schema = Schema::builtin("apps", "v1", "Deployment").expect("built in");
        let mut components = BTreeMap::new();
        let root = render(&schema, &mut components);
        let whole = json!({ "root": root, "components": { "schemas": components } });
        let mut references = Vec::new();
        collect(&whole, &mut references);
        assert!(
            references.len() > 100,
            "only {} references",
            references.len()
        );
        for reference in references {
            let target = whole.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some_and(Value::is_object), "{reference}");
        }
    }

    fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                references.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }
}
