//! Filling in the defaults a schema declares.

use serde_json::Value;

use super::{Additional, Schema};

/// Fills in declared defaults wherever the enclosing object exists, depth first, as
/// kube-apiserver does for structural schemas. An explicit `null` where null is not allowed counts
/// as absent: the default takes its place, or it goes. Defaults are filled in themselves.
pub fn apply_defaults(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, child) in &schema.properties {
                let unset = |value: &Value| value.is_null() && !child.nullable;
                if let Some(default) = &child.default
                    && map.get(name).is_none_or(unset)
                {
                    map.insert(name.clone(), default.clone());
                }
            }
            map.retain(|name, item| {
                let child = match (schema.properties.get(name), &schema.additional) {
                    (Some(child), _) | (None, Additional::Schema(child)) => child,
                    (None, _) => return true,
                };
                let unset = item.is_null() && !child.nullable && !takes_anything(child);
                match &child.default {
                    Some(default) if unset => *item = default.clone(),
                    None if unset => return false,
                    _ => {}
                }
                apply_defaults(child, item);
                true
            });
        }
        Value::Array(list) => {
            let Some(child) = &schema.items else { return };
            for item in list {
                if let Some(default) = &child.default
                    && item.is_null()
                    && !child.nullable
                {
                    *item = default.clone();
                }
                apply_defaults(child, item);
            }
        }
        _ => {}
    }
}

/// Built-in types of free form (`JSON`), in which `null` means something.
fn takes_anything(schema: &Schema) -> bool {
    schema.definition.is_some() && schema.kind.is_none() && schema.preserve_unknown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Schema of `spec`, `spec` as sent, `spec` after defaulting.
    #[test]
    fn defaults_fill_what_is_absent() {
        let nested = json!({"type": "object", "default": {}, "properties": {
            "a": {"type": "string", "default": "x"}}});
        let cases = [
            (
                json!({"n": {"type": "integer", "default": 3}}),
                json!({}),
                json!({"n": 3}),
            ),
            (
                json!({"n": {"type": "integer", "default": 3}}),
                json!({"n": 0}),
                json!({"n": 0}),
            ),
            (
                json!({"n": {"type": "integer", "default": 3}}),
                json!({"n": null}),
                json!({"n": 3}),
            ),
            (
                json!({"n": {"type": "integer"}}),
                json!({"n": null}),
                json!({}),
            ),
            (
                json!({"n": {"type": "integer", "nullable": true, "default": 3}}),
                json!({"n": null}),
                json!({"n": null}),
            ),
            (
                json!({ "o": nested.clone() }),
                json!({}),
                json!({"o": {"a": "x"}}),
            ),
            (
                json!({"l": {"type": "array", "items": nested.clone()}}),
                json!({"l": [{}, {"a": "y"}]}),
                json!({"l": [{"a": "x"}, {"a": "y"}]}),
            ),
            (
                json!({"m": {"type": "object", "additionalProperties": nested.clone()}}),
                json!({"m": {"k": {}}}),
                json!({"m": {"k": {"a": "x"}}}),
            ),
        ];
        for (properties, spec, expected) in cases {
            let schema = json!({"type": "object", "properties": {
                "spec": {"type": "object", "properties": properties.clone()}}});
            let schema = Schema::from_openapi(&schema).expect("schema");
            let mut object = json!({ "spec": spec });
            apply_defaults(&schema, &mut object);
            assert_eq!(object["spec"], expected, "{properties}");
        }
    }

    #[test]
    fn defaults_do_not_create_what_encloses_them() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
            "properties": {"a": {"type": "string", "default": "x"}}}}});
        let schema = Schema::from_openapi(&schema).expect("schema");
        let mut object = json!({});
        apply_defaults(&schema, &mut object);
        assert_eq!(object, json!({}));
    }
}
