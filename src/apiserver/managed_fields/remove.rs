//! Taking fields out of an object.

use serde_json::{Map as JsonMap, Value};

use super::path::PathElement;
use super::set::Set;
use super::typed::TypeRef;

/// Removes the fields in `set`. A container in which something was to be removed and nothing is
/// left becomes `null`, as structured-merge-diff leaves it: the field is still there for whoever
/// compares owners, and only what a kind's decoding makes of the `null` decides what is stored.
/// Atomic values are removed as a whole.
pub(super) fn remove(value: &Value, set: &Set, type_ref: TypeRef<'_>) -> Value {
    match node(value, set, type_ref) {
        Value::Null => Value::Object(JsonMap::new()),
        left => left,
    }
}

fn node(value: &Value, set: &Set, type_ref: TypeRef<'_>) -> Value {
    let atom = type_ref.resolve().deduce(Some(value));
    match value {
        Value::Object(object) => {
            let Some(map) = atom.map.filter(|map| !map.atomic) else {
                return Value::Null;
            };
            let mut out = JsonMap::new();
            for (name, child) in object {
                let element = PathElement::Field(name.clone());
                if !set.has_member(&element) {
                    let left = child_without(child, set.below(&element), map.child(name));
                    out.insert(name.clone(), left);
                }
            }
            match out.is_empty() {
                true => Value::Null,
                false => Value::Object(out),
            }
        }
        Value::Array(items) => {
            let Some(list) = atom.list.filter(|list| !list.is_atomic()) else {
                return Value::Null;
            };
            let mut out = Vec::new();
            for item in items {
                match list.element_of(item) {
                    Ok(element) if set.has_member(&element) => {}
                    Ok(element) => {
                        out.push(child_without(item, set.below(&element), list.element));
                    }
                    Err(_) => out.push(item.clone()),
                }
            }
            match out.is_empty() {
                true => Value::Null,
                false => Value::Array(out),
            }
        }
        scalar => scalar.clone(),
    }
}

fn child_without(child: &Value, below: Option<&Set>, type_ref: TypeRef<'_>) -> Value {
    match below {
        Some(below) => node(child, below, type_ref),
        None => child.clone(),
    }
}
