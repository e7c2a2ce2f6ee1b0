//! Lists in strategic merge patches.

use serde_json::{Map, Value};

use super::{Directive, PATCH, StrategicError, bad, directive, objects, without_directives};
use crate::apiserver::schema::Schema;

/// Merges a patch list into a live one, or replaces it when the field has no merge strategy.
pub(super) fn merge(
    schema: Option<&Schema>,
    live: Vec<Value>,
    patch: &[Value],
    path: &str,
) -> Result<Vec<Value>, StrategicError> {
    let merges = schema.is_some_and(|schema| schema.patch_merge);
    if !merges {
        return replacement(patch, path);
    }
    let before = live.clone();
    let key = schema.and_then(|schema| schema.patch_merge_key.as_deref());
    let merged = match key {
        None => unite(live, patch),
        Some(key) => {
            let item_schema = schema.and_then(|schema| schema.items.as_deref());
            merge_by_key(item_schema, key, live, patch, path)?
        }
    };
    Ok(arrange(merged, &before, patch, key))
}

fn replacement(patch: &[Value], path: &str) -> Result<Vec<Value>, StrategicError> {
    let whole = Value::Array(patch.to_vec());
    match without_directives(&whole, path)? {
        Some(Value::Array(items)) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

fn unite(mut live: Vec<Value>, patch: &[Value]) -> Vec<Value> {
    for item in patch {
        if !live.contains(item) {
            live.push(item.clone());
        }
    }
    live
}

fn merge_by_key(
    schema: Option<&Schema>,
    key: &str,
    mut live: Vec<Value>,
    patch: &[Value],
    path: &str,
) -> Result<Vec<Value>, StrategicError> {
    let mut additions = Vec::new();
    for (at, item) in patch.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let Value::Object(map) = item else {
            return Err(bad(&path, "must be an object"));
        };
        match directive(map, &path)? {
            // The rest of the patch is the whole new list.
            Some(Directive::Replace) => live.clear(),
            Some(Directive::Delete) => {
                let wanted = key_of(map, key, &path)?;
                live.retain(|item| item.get(key) != Some(wanted));
            }
            Some(Directive::Merge) => {
                return Err(bad(
                    &path,
                    format!("{PATCH}: merge makes no sense in a list"),
                ));
            }
            None => additions.push((path, map)),
        }
    }
    for (path, map) in additions {
        let wanted = key_of(map, key, &path)?;
        let found = live.iter_mut().find(|item| item.get(key) == Some(wanted));
        if let Some(Value::Object(known)) = found {
            *known = objects(schema, std::mem::take(known), map, &path)?;
        } else {
            live.extend(without_directives(&Value::Object(map.clone()), &path)?);
        }
    }
    Ok(live)
}

fn key_of<'a>(
    map: &'a Map<String, Value>,
    key: &str,
    path: &str,
) -> Result<&'a Value, StrategicError> {
    let missing = || bad(path, format!("does not contain declared merge key: {key}"));
    map.get(key).ok_or_else(missing)
}

/// `$deleteFromPrimitiveList/NAME`.
pub(super) fn delete_scalars(
    live: &mut Map<String, Value>,
    name: &str,
    values: &Value,
    path: &str,
) -> Result<(), StrategicError> {
    let Value::Array(values) = values else {
        return Err(bad(path, "must be a list"));
    };
    if let Some(Value::Array(items)) = live.get_mut(name) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

/// `$setElementOrder/NAME`: merges the field, then orders it. Items the order names come in that
/// order; items it does not know (the server's own) keep their place before those that followed
/// them in the live list.
pub(super) fn merge_in_order(
    schema: Option<&Schema>,
    live: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    name: &str,
    order: &[Value],
    path: &str,
) -> Result<(), StrategicError> {
    let list = |map: &Map<String, Value>| map.get(name).and_then(Value::as_array).cloned();
    let before = list(live);
    let merged = match (before.clone(), patch.get(name)) {
        (_, Some(Value::Null)) => {
            live.remove(name);
            return Ok(());
        }
        (None, None) => return Ok(()),
        (Some(before), None) => before,
        (before, Some(Value::Array(patch))) => {
            let key = schema.and_then(|schema| schema.patch_merge_key.as_deref());
            check_order(patch, order, key, path)?;
            match before {
                Some(before) => merge(schema, before, patch, path)?,
                None => replacement(patch, path)?,
            }
        }
        (_, Some(_)) => return Err(bad(path, "must be a list")),
    };
    let key = schema.and_then(|schema| schema.patch_merge_key.as_deref());
    let ordered = arrange(merged, &before.unwrap_or_default(), order, key);
    live.insert(name.to_owned(), Value::Array(ordered));
    Ok(())
}

fn identity<'a>(item: &'a Value, key: Option<&str>) -> Option<&'a Value> {
    match key {
        Some(key) => item.get(key),
        None => Some(item),
    }
}

fn position(list: &[Value], item: &Value, key: Option<&str>) -> Option<usize> {
    let wanted = identity(item, key)?;
    list.iter()
        .position(|known| identity(known, key) == Some(wanted))
}

fn check_order(
    patch: &[Value],
    order: &[Value],
    key: Option<&str>,
    path: &str,
) -> Result<(), StrategicError> {
    let mut last = 0;
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        let at = position(order, item, key).filter(|at| *at >= last);
        last = at.ok_or_else(|| {
            bad(
                path,
                "the order in the patch does not match $setElementOrder",
            )
        })?;
    }
    Ok(())
}

fn arrange(merged: Vec<Value>, before: &[Value], order: &[Value], key: Option<&str>) -> Vec<Value> {
    let (mut named, mut own): (Vec<_>, Vec<_>) = merged
        .into_iter()
        .partition(|item| position(order, item, key).is_some());
    named.sort_by_key(|item| position(order, item, key));
    own.sort_by_key(|item| position(before, item, key));
    let mut out = Vec::with_capacity(named.len() + own.len());
    let (mut named, mut own) = (named.into_iter().peekable(), own.into_iter().peekable());
    while let (Some(ours), Some(theirs)) = (own.peek(), named.peek()) {
        let (ours, theirs) = (position(before, ours, key), position(before, theirs, key));
        let own_first = matches!((ours, theirs), (Some(ours), Some(theirs)) if ours < theirs);
        out.extend(if own_first { own.next() } else { named.next() });
    }
    out.extend(own);
    out.extend(named);
    out
}
