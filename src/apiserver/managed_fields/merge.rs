//! Merging an applied object into the live one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map as JsonMap, Value};

use super::path::PathElement;
use super::typed::{Atom, List, Map, TypeRef, check_scalar};

/// Merges `applied` into `live`: where both name a leaf, the applied one wins; nothing is
/// removed. Lists that merge keep the order of `live` unless `applied` says otherwise.
///
/// # Errors
/// `PATH: message` lines in structured-merge-diff's words.
pub(super) fn merge(
    live: &Value,
    applied: &Value,
    type_ref: TypeRef<'_>,
) -> Result<Value, Vec<String>> {
    let mut errors = Vec::new();
    let merged = node(Some(live), Some(applied), type_ref, "", &mut errors);
    if errors.is_empty() {
        Ok(merged.unwrap_or(Value::Null))
    } else {
        Err(errors)
    }
}

fn node(
    live: Option<&Value>,
    applied: Option<&Value>,
    type_ref: TypeRef<'_>,
    path: &str,
    errors: &mut Vec<String>,
) -> Option<Value> {
    let atom = type_ref.resolve();
    let from_live = atom.deduce(live);
    let from_applied = atom.deduce(applied);
    if applied.is_none() {
        return by_atom(from_live, live, applied, path, errors);
    }
    if live.is_some() && !from_live.same_parts(&from_applied) {
        // Another JSON type than before: only checked as what it was.
        by_atom(from_live, live, applied, path, errors);
    }
    by_atom(from_applied, live, applied, path, errors)
}

fn by_atom(
    atom: Atom<'_>,
    live: Option<&Value>,
    applied: Option<&Value>,
    path: &str,
    errors: &mut Vec<String>,
) -> Option<Value> {
    if let Some(map) = atom.map {
        return objects(&map, live, applied, path, errors);
    }
    if let Some(scalar) = atom.scalar {
        let left = check_scalar(scalar, live, "lhs: ");
        let right = check_scalar(scalar, applied, "rhs: ");
        if let (Some(left), Some(right)) = (left, right) {
            errors.push(format!("{path}: {left}"));
            errors.push(format!("{path}: {right}"));
            return None;
        }
        return leaf(live, applied);
    }
    if let Some(list) = atom.list {
        return lists(&list, live, applied, path, errors);
    }
    errors.push(format!("{path}: field not declared in schema"));
    None
}

fn leaf(live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    applied.or(live).cloned()
}

fn objects(
    map: &Map<'_>,
    live: Option<&Value>,
    applied: Option<&Value>,
    path: &str,
    errors: &mut Vec<String>,
) -> Option<Value> {
    let left = live
        .and_then(Value::as_object)
        .filter(|map| !map.is_empty());
    let right = applied
        .and_then(Value::as_object)
        .filter(|map| !map.is_empty());
    if map.atomic || (left.is_none() && right.is_none()) {
        return leaf(live, applied);
    }
    let empty = JsonMap::new();
    let (left, right) = (left.unwrap_or(&empty), right.unwrap_or(&empty));
    let mut out = JsonMap::new();
    let names = left
        .keys()
        .chain(right.keys().filter(|name| !left.contains_key(*name)));
    for name in names {
        let path = format!("{path}.{name}");
        let merged = node(
            left.get(name),
            right.get(name),
            map.child(name),
            &path,
            errors,
        );
        if let Some(merged) = merged {
            out.insert(name.clone(), merged);
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

fn lists(
    list: &List<'_>,
    live: Option<&Value>,
    applied: Option<&Value>,
    path: &str,
    errors: &mut Vec<String>,
) -> Option<Value> {
    let left = live
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let right = applied
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if list.is_atomic() || (left.is_empty() && right.is_empty()) {
        return leaf(live, applied);
    }
    let before = errors.len();
    let right = Indexed::read(list, right, false, path, errors);
    let left = Indexed::read(list, left, true, path, errors);
    if errors.len() > before {
        return None;
    }
    let out = Zip {
        list,
        left,
        right,
        path,
        out: Vec::new(),
    }
    .run(errors);
    (!out.is_empty()).then_some(Value::Array(out))
}

/// List items with what tells them apart.
struct Indexed<'a> {
    items: Vec<(PathElement, &'a Value)>,
    /// The item with this key; null when there are several.
    by_key: BTreeMap<PathElement, &'a Value>,
}

impl<'a> Indexed<'a> {
    fn read(
        list: &List<'_>,
        values: &'a [Value],
        duplicates: bool,
        path: &str,
        errors: &mut Vec<String>,
    ) -> Self {
        let mut out = Self {
            items: Vec::with_capacity(values.len()),
            by_key: BTreeMap::new(),
        };
        for (at, value) in values.iter().enumerate() {
            let element = match list.element_of(value) {
                Ok(element) => element,
                Err(message) => {
                    errors.push(format!("{path}: element {at}: {message}"));
                    continue;
                }
            };
            if out.by_key.contains_key(&element) {
                if !duplicates {
                    errors.push(format!("{path}: duplicate entries for key {element}"));
                    continue;
                }
                out.by_key.insert(element.clone(), &Value::Null);
            } else {
                out.by_key.insert(element.clone(), value);
            }
            out.items.push((element, value));
        }
        out
    }

    fn contains(&self, element: &PathElement) -> bool {
        self.by_key.contains_key(element)
    }
}

/// Merges two lists in one pass. Items only in the live list keep their place before the next
/// item that both have; items that both have come in the applied order.
struct Zip<'a, 'l> {
    list: &'l List<'l>,
    left: Indexed<'a>,
    right: Indexed<'a>,
    path: &'l str,
    out: Vec<Value>,
}

impl Zip<'_, '_> {
    fn run(mut self, errors: &mut Vec<String>) -> Vec<Value> {
        let shared: Vec<PathElement> = self
            .right
            .items
            .iter()
            .map(|(element, _)| element.clone())
            .filter(|element| self.left.contains(element))
            .collect();
        let mut shared = shared.into_iter();
        let mut next_shared = shared.next();
        let mut merged: BTreeSet<PathElement> = BTreeSet::new();
        let (mut l, mut r) = (0, 0);
        let (left_len, right_len) = (self.left.items.len(), self.right.items.len());
        while l < left_len || r < right_len {
            if l < left_len && r < right_len {
                let element = self.left.items[l].0.clone();
                if element == self.right.items[r].0 {
                    merged.insert(element.clone());
                    self.push_both(&element, errors);
                    (l, r) = (l + 1, r + 1);
                    next_shared = shared.next();
                    continue;
                }
                let awaited = next_shared.as_ref().is_some_and(|next| *next != element);
                if awaited && self.right.contains(&element) {
                    // Shared, but the applied order wants another item first.
                    l += 1;
                    continue;
                }
            }
            if l < left_len {
                let (element, value) = self.left.items[l].clone();
                if !self.right.contains(&element) {
                    self.push(&element, Some(value), None, errors);
                    l += 1;
                    continue;
                }
                if merged.contains(&element) {
                    l += 1;
                }
            }
            if r < right_len {
                let element = self.right.items[r].0.clone();
                merged.insert(element.clone());
                self.push_both(&element, errors);
                r += 1;
                if next_shared.as_ref() == Some(&element) {
                    next_shared = shared.next();
                }
            }
        }
        self.out
    }

    fn push_both(&mut self, element: &PathElement, errors: &mut Vec<String>) {
        let left = self.left.by_key.get(element).copied();
        let right = self.right.by_key.get(element).copied();
        self.push(element, left, right, errors);
    }

    fn push(
        &mut self,
        element: &PathElement,
        left: Option<&Value>,
        right: Option<&Value>,
        errors: &mut Vec<String>,
    ) {
        let path = format!("{}{element}", self.path);
        self.out
            .extend(node(left, right, self.list.element, &path, errors));
    }
}
