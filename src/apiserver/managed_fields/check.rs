//! Whether an applied object fits its type.

use std::collections::BTreeSet;

use serde_json::Value;

use super::path::PathElement;
use super::typed::{TypeRef, check_scalar, describe};

/// Every reason why the value does not fit, as `PATH: message` in structured-merge-diff's words.
pub(super) fn check(value: &Value, type_ref: TypeRef<'_>) -> Vec<String> {
    let mut errors = Vec::new();
    node(value, type_ref, "", &mut errors);
    errors
}

fn node(value: &Value, type_ref: TypeRef<'_>, path: &str, errors: &mut Vec<String>) {
    let atom = type_ref.resolve().deduce(Some(value));
    let mut report = |message: String| {
        errors.push(if path.is_empty() {
            message
        } else {
            format!("{path}: {message}")
        });
    };
    if let Some(map) = atom.map {
        match value {
            Value::Null => {}
            Value::Object(object) => {
                for (name, child) in object {
                    let path = format!("{path}.{name}");
                    match map.child(name) {
                        TypeRef::Nothing => {
                            errors.push(format!("{path}: field not declared in schema"));
                        }
                        type_ref => node(child, type_ref, &path, errors),
                    }
                }
            }
            other => report(format!("expected map, got {}", describe(other))),
        }
    } else if let Some(scalar) = atom.scalar {
        if let Some(message) = check_scalar(scalar, Some(value), "") {
            report(message);
        }
    } else if let Some(list) = atom.list {
        let items = match value {
            Value::Null => return,
            Value::Array(items) => items,
            other => return report(format!("expected list, got {}", describe(other))),
        };
        let mut seen: BTreeSet<PathElement> = BTreeSet::new();
        for (at, item) in items.iter().enumerate() {
            let step = if list.is_atomic() {
                PathElement::Index(i64::try_from(at).unwrap_or(i64::MAX))
            } else {
                match list.element_of(item) {
                    Err(message) => {
                        errors.push(format!("{path}: element {at}: {message}"));
                        return;
                    }
                    Ok(step) => {
                        if seen.contains(&step) {
                            errors.push(format!("{path}: duplicate entries for key {step}"));
                        }
                        step
                    }
                }
            };
            node(item, list.element, &format!("{path}{step}"), errors);
            seen.insert(step);
        }
    }
}
