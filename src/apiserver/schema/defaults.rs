//! Filling in the defaults a schema declares.

use serde_json::Value;

use super::{Additional, Schema};

/// Fills in declared defaults wherever the enclosing object exists, depth first, as
/// kube-apiserver does for structural schemas: an explicit `null` where null is not allowed and a
/// default is declared counts as absent; defaults are filled in themselves.
pub fn apply_defaults(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, child) in &schema.properties {
                let Some(default) = &child.default else {
                    continue;
                };
                match map.get(name) {
                    None => {}
                    Some(Value::Null) if !child.nullable => {}
                    Some(_) => continue,
                }
                map.insert(name.clone(), default.clone());
            }
            for (name, item) in map.iter_mut() {
                if let Some(child) = schema.properties.get(name) {
                    apply_defaults(child, item);
                } else if let Additional::Schema(child) = &schema.additional {
                    if item.is_null() && !child.nullable && child.default.is_some() {
                        *item = child.default.clone().unwrap_or_default();
                    }
                    apply_defaults(child, item);
                }
            }
        }
        Value::Array(list) => {
            if let Some(child) = &schema.items {
                for item in list {
                    if item.is_null() && !child.nullable && child.default.is_some() {
                        *item = child.default.clone().unwrap_or_default();
                    }
                    apply_defaults(child, item);
                }
            }
        }
        _ => {}
    }
}
