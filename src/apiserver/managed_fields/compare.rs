//! What changed between two objects, and what fields an object has.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value};

use super::path::{PathElement, compare_values};
use super::set::Set;
use super::typed::{Atom, List, Map, TypeRef};

/// The fields that differ between two objects.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: Set,
    pub(super) modified: Set,
    pub(super) added: Set,
}

impl Comparison {
    /// Forgets fields and all that is below them.
    pub(super) fn without(self, fields: &Set) -> Self {
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

/// Compares two objects of one type. Items that cannot be told apart are skipped.
pub(super) fn compare(old: &Value, new: &Value, type_ref: TypeRef<'_>) -> Comparison {
    let mut walk = Walk {
        path: Vec::new(),
        found: Comparison::default(),
    };
    walk.node(Some(old), Some(new), type_ref);
    walk.found
}

struct Walk {
    path: Vec<PathElement>,
    found: Comparison,
}

impl Walk {
    fn node(&mut self, old: Option<&Value>, new: Option<&Value>, type_ref: TypeRef<'_>) {
        let atom = type_ref.resolve();
        let (from_old, from_new) = (atom.deduce(old), atom.deduce(new));
        let leaf = if new.is_none() {
            self.by_atom(from_old, old, new)
        } else {
            if old.is_some() && !from_old.same_parts(&from_new) {
                self.by_atom(from_old, old, new);
            }
            self.by_atom(from_new, old, new)
        };
        if !leaf {
            if old.is_none() {
                self.found.added.insert(&self.path);
            } else if new.is_none() {
                self.found.removed.insert(&self.path);
            }
        }
    }

    /// Returns whether the value was treated as a leaf.
    fn by_atom(&mut self, atom: Atom<'_>, old: Option<&Value>, new: Option<&Value>) -> bool {
        if let Some(map) = atom.map {
            self.objects(&map, old, new)
        } else if let (None, Some(list)) = (atom.scalar, atom.list) {
            self.lists(&list, old, new)
        } else {
            self.leaf(old, new)
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) -> bool {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) => {
                if compare_values(old, new).is_ne() {
                    self.found.modified.insert(&self.path);
                }
            }
        }
        true
    }

    fn objects(&mut self, map: &Map<'_>, old: Option<&Value>, new: Option<&Value>) -> bool {
        let left = old.and_then(Value::as_object).filter(|map| !map.is_empty());
        let right = new.and_then(Value::as_object).filter(|map| !map.is_empty());
        if map.atomic || (left.is_none() && right.is_none()) {
            return self.leaf(old, new);
        }
        let empty = JsonMap::new();
        let (left, right) = (left.unwrap_or(&empty), right.unwrap_or(&empty));
        for name in left
            .keys()
            .chain(right.keys().filter(|name| !left.contains_key(*name)))
        {
            self.path.push(PathElement::Field(name.clone()));
            self.node(left.get(name), right.get(name), map.child(name));
            self.path.pop();
        }
        false
    }

    fn lists(&mut self, list: &List<'_>, old: Option<&Value>, new: Option<&Value>) -> bool {
        let left = old
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let right = new
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if list.is_atomic() || (left.is_empty() && right.is_empty()) {
            return self.leaf(old, new);
        }
        let mut pairs: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for item in left {
            if let Ok(element) = list.element_of(item) {
                pairs.entry(element).or_default().0.push(item);
            }
        }
        for item in right {
            if let Ok(element) = list.element_of(item) {
                pairs.entry(element).or_default().1.push(item);
            }
        }
        for (element, (old, new)) in pairs {
            self.path.push(element);
            self.items(list, &old, &new);
            self.path.pop();
        }
        false
    }

    /// Items with one key. More than one of them are an ambiguity that is owned as a whole.
    fn items(&mut self, list: &List<'_>, old: &[&Value], new: &[&Value]) {
        match (old.len(), new.len()) {
            (0 | 1, 0 | 1) => {
                self.node(old.first().copied(), new.first().copied(), list.element);
            }
            (0 | 1, _) => {
                if let Some(old) = old.first() {
                    self.node(Some(old), None, list.element);
                }
                self.found.added.insert(&self.path);
            }
            (_, 0 | 1) => {
                if let Some(new) = new.first() {
                    self.node(None, Some(new), list.element);
                }
                self.found.removed.insert(&self.path);
            }
            _ => {
                let equal = old.len() == new.len()
                    && old
                        .iter()
                        .zip(new)
                        .all(|(old, new)| compare_values(old, new).is_eq());
                if !equal {
                    self.found.modified.insert(&self.path);
                }
            }
        }
    }
}

/// Every leaf, map key and list item that the object has.
pub(super) fn field_set(object: &Value, type_ref: TypeRef<'_>) -> Set {
    let mut set = Set::default();
    fields(object, type_ref, &mut Vec::new(), &mut set);
    set
}

fn fields(value: &Value, type_ref: TypeRef<'_>, path: &mut Vec<PathElement>, set: &mut Set) {
    let atom = type_ref.resolve().deduce(Some(value));
    if let Some(map) = atom.map {
        if map.atomic {
            set.insert(path);
        } else if let Value::Object(object) = value {
            for (name, child) in object {
                path.push(PathElement::Field(name.clone()));
                fields(child, map.child(name), path, set);
                let empty = child.is_null() || child.as_object().is_some_and(JsonMap::is_empty);
                if empty || !map.declares(name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
    } else if let (None, Some(list)) = (atom.scalar, atom.list) {
        if list.is_atomic() {
            set.insert(path);
        } else if let Value::Array(items) = value {
            item_fields(&list, items, path, set);
        }
    } else {
        set.insert(path);
    }
}

fn item_fields(list: &List<'_>, items: &[Value], path: &mut Vec<PathElement>, set: &mut Set) {
    let mut found: BTreeMap<PathElement, Vec<&Value>> = BTreeMap::new();
    for item in items {
        if let Ok(element) = list.element_of(item) {
            found.entry(element).or_default().push(item);
        }
    }
    for (element, items) in found {
        path.push(element);
        if let [only] = items.as_slice() {
            fields(only, list.element, path, set);
        }
        set.insert(path);
        path.pop();
    }
}
