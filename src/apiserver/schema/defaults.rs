//! Filling in the defaults a schema declares.

use serde_json::Value;

use super::{Additional, Schema};

/// Fills in declared defaults wherever the enclosing object exists, depth first, as
/// kube-apiserver does for structural schemas. An explicit `null` where null is not allowed counts
/// as absent where there is a default. Defaults are filled in themselves.
pub fn apply_defaults(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, child) in &schema.properties {
                if let Some(default) = &child.default
                    && map.get(name).is_none_or(|item| is_unset(child, item))
                {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, item) in map {
                if let Some(child) = child_of(schema, name) {
                    default_item(child, item);
                }
            }
        }
        Value::Array(list) => {
            let Some(child) = &schema.items else { return };
            for item in list {
                default_item(child, item);
            }
        }
        _ => {}
    }
}

fn default_item(schema: &Schema, item: &mut Value) {
    if let Some(default) = &schema.default
        && is_unset(schema, item)
    {
        *item = default.clone();
    }
    apply_defaults(schema, item);
}

/// Drops every field that is `null` where that is neither allowed nor defaulted: kube-apiserver
/// does so when it decodes an object, and not to the outcome of a server-side apply. List items
/// stay.
pub fn drop_unset(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|name, item| {
            let Some(child) = child_of(schema, name) else {
                return true;
            };
            drop_unset(child, item);
            !(is_unset(child, item) && child.default.is_none())
        }),
        Value::Array(list) => {
            let Some(child) = &schema.items else { return };
            list.iter_mut().for_each(|item| drop_unset(child, item));
        }
        _ => {}
    }
}

fn child_of<'a>(schema: &'a Schema, name: &str) -> Option<&'a Schema> {
    match (schema.properties.get(name), &schema.additional) {
        (Some(child), _) | (None, Additional::Schema(child)) => Some(child),
        (None, _) => None,
    }
}

fn is_unset(schema: &Schema, item: &Value) -> bool {
    item.is_null() && !schema.nullable && !takes_anything(schema)
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
            drop_unset(&schema, &mut object);
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
