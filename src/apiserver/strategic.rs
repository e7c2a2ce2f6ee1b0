//! Strategic merge patch, for built-in kinds only (as in kube-apiserver).
//!
//! Objects merge by field and `null` deletes; lists merge when the schema has a patch strategy
//! for them, by merge key or, for scalars, by value. Directives: `$patch`, `$retainKeys`,
//! `$setElementOrder/FIELD`, `$deleteFromPrimitiveList/FIELD`.

use serde_json::{Map, Value};

use super::schema::{Additional, Schema};

mod lists;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER_PREFIX: &str = "$setElementOrder/";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";

/// Why a patch was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategicError {
    /// The patch or a directive in it has the wrong shape.
    #[error("{path}: {message}")]
    BadPatch {
        /// Where in the patch.
        path: String,
        /// What is wrong.
        message: String,
    },
}

/// Applies a strategic merge patch to `live` and returns the new object.
///
/// # Errors
/// [`StrategicError::BadPatch`] for a patch that is not an object, an unknown `$patch`, a list item
/// without its merge key, or a directive of the wrong shape.
pub fn merge(
    schema: Option<&Schema>,
    live: &Value,
    patch: &Value,
) -> Result<Value, StrategicError> {
    match (live, patch) {
        (Value::Object(live), Value::Object(patch)) => {
            objects(schema, live.clone(), patch, "").map(Value::Object)
        }
        _ => Err(bad("patch", "must be an object")),
    }
}

fn bad(path: &str, message: impl Into<String>) -> StrategicError {
    let path = if path.is_empty() { "patch" } else { path };
    StrategicError::BadPatch {
        path: path.to_owned(),
        message: message.into(),
    }
}

/// What `$patch` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(map: &Map<String, Value>, path: &str) -> Result<Option<Directive>, StrategicError> {
    match map.get(PATCH) {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some("merge") => Ok(Some(Directive::Merge)),
            Some("replace") => Ok(Some(Directive::Replace)),
            Some("delete") => Ok(Some(Directive::Delete)),
            _ => Err(bad(path, format!("unknown patch type found: {value}"))),
        },
    }
}

fn child<'a>(schema: Option<&'a Schema>, name: &str) -> Option<&'a Schema> {
    let schema = schema?;
    match (schema.properties.get(name), &schema.additional) {
        (Some(known), _) => Some(known),
        (None, Additional::Schema(other)) => Some(other),
        _ => None,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Merges a patch object into a live one.
fn objects(
    schema: Option<&Schema>,
    mut live: Map<String, Value>,
    patch: &Map<String, Value>,
    path: &str,
) -> Result<Map<String, Value>, StrategicError> {
    match directive(patch, path)? {
        Some(Directive::Delete) => return Ok(Map::new()),
        Some(Directive::Replace) => {
            let mut patch = patch.clone();
            patch.remove(PATCH);
            return Ok(patch);
        }
        Some(Directive::Merge) | None => {}
    }
    retain_keys(&mut live, patch, path)?;
    for (key, values) in patch {
        if let Some(name) = key.strip_prefix(DELETE_PREFIX) {
            lists::delete_scalars(&mut live, name, values, &join(path, key))?;
        }
    }
    let mut ordered: Vec<&str> = Vec::new();
    for (key, order) in patch {
        if let Some(name) = key.strip_prefix(ORDER_PREFIX) {
            let order = order
                .as_array()
                .ok_or_else(|| bad(&join(path, key), "must be a list"))?;
            let path = join(path, name);
            lists::merge_in_order(child(schema, name), &mut live, patch, name, order, &path)?;
            ordered.push(name);
        }
    }
    for (name, value) in patch {
        if name.starts_with('$') || ordered.contains(&name.as_str()) {
            continue;
        }
        if value.is_null() {
            live.remove(name);
            continue;
        }
        let merged = field(
            child(schema, name),
            live.remove(name),
            value,
            &join(path, name),
        )?;
        if let Some(merged) = merged {
            live.insert(name.clone(), merged);
        }
    }
    Ok(live)
}

/// Merges one field.
fn field(
    schema: Option<&Schema>,
    live: Option<Value>,
    patch: &Value,
    path: &str,
) -> Result<Option<Value>, StrategicError> {
    match (live, patch) {
        (Some(Value::Object(live)), Value::Object(patch)) => {
            objects(schema, live, patch, path).map(|merged| Some(Value::Object(merged)))
        }
        (Some(Value::Array(live)), Value::Array(patch)) => {
            lists::merge(schema, live, patch, path).map(|merged| Some(Value::Array(merged)))
        }
        (_, patch) => without_directives(patch, path),
    }
}

/// What a patch means where nothing was: directives and nulls dropped. `None` when it deletes.
fn without_directives(patch: &Value, path: &str) -> Result<Option<Value>, StrategicError> {
    match patch {
        Value::Null => Ok(None),
        Value::Object(map) => {
            if directive(map, path)? == Some(Directive::Delete) {
                return Ok(None);
            }
            let mut out = Map::new();
            for (name, value) in map.iter().filter(|(name, _)| !name.starts_with('$')) {
                if let Some(value) = without_directives(value, &join(path, name))? {
                    out.insert(name.clone(), value);
                }
            }
            Ok(Some(Value::Object(out)))
        }
        Value::Array(items) => {
            let mut out = Vec::new();
            for (at, item) in items.iter().enumerate() {
                if is_only_directive(item) {
                    continue;
                }
                out.extend(without_directives(item, &format!("{path}[{at}]"))?);
            }
            Ok(Some(Value::Array(out)))
        }
        scalar => Ok(Some(scalar.clone())),
    }
}

/// `{"$patch": "replace"}` in a list speaks of the list.
fn is_only_directive(item: &Value) -> bool {
    item.as_object()
        .is_some_and(|map| map.len() == 1 && map.contains_key(PATCH))
}

fn retain_keys(
    live: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    path: &str,
) -> Result<(), StrategicError> {
    let Some(keys) = patch.get(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(keys) = keys else {
        return Err(bad(path, format!("{RETAIN_KEYS} must be a list")));
    };
    let kept = |name: &str| keys.iter().any(|key| key == name);
    let stray = patch
        .iter()
        .find(|(name, value)| !name.starts_with('$') && !value.is_null() && !kept(name));
    if let Some((name, _)) = stray {
        return Err(bad(
            path,
            format!("{RETAIN_KEYS} does not list {name}, which the patch sets"),
        ));
    }
    live.retain(|name, _| kept(name));
    Ok(())
}

#[cfg(test)]
mod tests;
