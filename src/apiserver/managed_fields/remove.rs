//! Taking fields out of an object.

use serde_json::{Map as JsonMap, Value};

use super::path::PathElement;
use super::set::Set;
use super::typed::TypeRef;

/// Removes the fields in `set`. A container that loses everything goes with it; atomic values
/// are only removed as a whole.
pub(super) fn remove(value: &Value, set: &Set, type_ref: TypeRef<'_>) -> Value {
    node(value, set, type_ref).unwrap_or_else(|| Value::Object(JsonMap::new()))
}

fn node(value: &Value, set: &Set, type_ref: TypeRef<'_>) -> Option<Value> {
    let atom = type_ref.resolve().deduce(Some(value));
    match value {
        Value::Object(object) => {
            let map = atom.map.filter(|map| !map.atomic)?;
            let mut out = JsonMap::new();
            for (name, child) in object {
                let element = PathElement::Field(name.clone());
                if set.has_member(&element) {
                    continue;
                }
                match set.below(&element) {
                    None => {
                        out.insert(name.clone(), child.clone());
                    }
                    Some(below) => {
                        if let Some(child) = node(child, below, map.child(name)) {
                            out.insert(name.clone(), child);
                        }
                    }
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        Value::Array(items) => {
            let list = atom.list.filter(|list| !list.is_atomic())?;
            let mut out = Vec::new();
            for item in items {
                let Ok(element) = list.element_of(item) else {
                    out.push(item.clone());
                    continue;
                };
                if set.has_member(&element) {
                    continue;
                }
                match set.below(&element) {
                    None => out.push(item.clone()),
                    Some(below) => out.extend(node(item, below, list.element)),
                }
            }
            (!out.is_empty()).then_some(Value::Array(out))
        }
        Value::Null => None,
        scalar => Some(scalar.clone()),
    }
}
