//! Removing the fields a schema does not know.

use serde_json::{Map, Value};

use super::{Additional, Schema, Type};

/// Removes unknown fields and returns their paths, in the form kube-apiserver prints
/// (`spec.foo`, `spec.items[0].bar`), sorted by field at each level.
///
/// Unknown fields stay where the schema preserves them; what lies below a declared field is
/// looked at again. In built-in types `null` fields are dropped as well, without a word: Go decodes them
/// as absent.
pub fn prune(schema: &Schema, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    node(schema, value, "", &mut unknown);
    unknown
}

fn node(schema: &Schema, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => object(schema, map, path, unknown),
        Value::Array(items) => {
            let Some(item_schema) = schema.items.as_deref() else {
                return;
            };
            for (at, item) in items.iter_mut().enumerate() {
                node(item_schema, item, &format!("{path}[{at}]"), unknown);
            }
        }
        _ => {}
    }
}

fn object(schema: &Schema, map: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) {
    map.retain(|name, child| {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        if let Some(known) = schema.properties.get(name) {
            if schema.go_type && child.is_null() {
                return false;
            }
            node(known, child, &path, unknown);
            return true;
        }
        match &schema.additional {
            Additional::Schema(known) => {
                if schema.go_type && child.is_null() && known.kind == Some(Type::String) {
                    *child = "".into();
                }
                node(known, child, &path, unknown);
                true
            }
            Additional::Any => true,
            Additional::Unset | Additional::Forbidden if schema.preserve_unknown => true,
            Additional::Unset | Additional::Forbidden => {
                unknown.push(path);
                false
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pruned(schema: Value, mut value: Value) -> (Value, Vec<String>) {
        let schema = Schema::from_openapi(&schema).expect("schema");
        let unknown = prune(&schema, &mut value);
        (value, unknown)
    }

    #[test]
    fn unknown_fields_go_and_are_named() {
        let schema = json!({"type": "object", "properties": {"spec": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "l": {"type": "array", "items": {
                "type": "object", "properties": {"x": {"type": "string"}}}}},
        }}});
        let value = json!({
            "apiVersion": "v1", "kind": "K", "metadata": {"name": "n", "nope": 1},
            "other": 1, "spec": {"a": "1", "b": 2, "l": [{"x": "1"}, {"y": 1}]},
        });
        let (value, unknown) = pruned(schema, value);
        assert_eq!(unknown, ["metadata.nope", "other", "spec.b", "spec.l[1].y"]);
        assert_eq!(value["spec"], json!({"a": "1", "l": [{"x": "1"}, {}]}));
    }

    #[test]
    fn preserved_fields_stay_but_declared_ones_are_looked_at() {
        let schema = json!({"type": "object", "properties": {"spec": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}},
        }}});
        let value = json!({"spec": {"free": {"x": 1}, "known": {"a": "", "b": 1}}});
        let (value, unknown) = pruned(schema, value);
        assert_eq!(unknown, ["spec.known.b"]);
        assert_eq!(
            value,
            json!({"spec": {"free": {"x": 1}, "known": {"a": ""}}})
        );
    }

    #[test]
    fn map_values_follow_their_schema() {
        let schema = json!({"type": "object", "properties": {"spec": {
            "type": "object",
            "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}},
        }}});
        let (value, unknown) = pruned(schema, json!({"spec": {"k": {"a": "", "b": 1}}}));
        assert_eq!(unknown, ["spec.k.b"]);
        assert_eq!(value, json!({"spec": {"k": {"a": ""}}}));
    }

    #[test]
    fn embedded_resources_keep_their_identity() {
        let schema = json!({"type": "object", "properties": {"spec": {
            "type": "object",
            "x-kubernetes-embedded-resource": true,
            "properties": {"data": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        }}});
        let embedded = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"a": 1}
        });
        let (value, unknown) = pruned(schema, json!({ "spec": embedded.clone() }));
        assert_eq!(unknown, Vec::<String>::new());
        assert_eq!(value["spec"], embedded);
    }

    #[test]
    fn nulls_in_built_in_types_are_absent() {
        let schema = Schema::builtin("apps", "v1", "Deployment").expect("built in");
        let mut value = json!({
            "metadata": {"name": "n", "creationTimestamp": null, "labels": {"a": null}},
            "spec": {"replicas": null, "template": {"spec": {"containers": [
                {"name": "c", "resources": {"limits": {"cpu": "1"}}, "imag": "typo"}]}}},
            "status": {},
        });
        assert_eq!(
            prune(&schema, &mut value),
            ["spec.template.spec.containers[0].imag"]
        );
        assert_eq!(value["metadata"], json!({"name": "n", "labels": {"a": ""}}));
        let container = json!({"name": "c", "resources": {"limits": {"cpu": "1"}}});
        assert_eq!(
            value["spec"],
            json!({"template": {"spec": {"containers": [container]}}})
        );
    }
}
