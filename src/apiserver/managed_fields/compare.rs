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
    walk.node(Side::of(Some(old)), Side::of(Some(new)), type_ref);
    walk.found
}

/// One of the two values. A struct that Go embeds by value is there even when it is absent.
#[derive(Clone, Copy)]
struct Side<'v> {
    value: Option<&'v Value>,
    present: bool,
}

impl<'v> Side<'v> {
    fn of(value: Option<&'v Value>) -> Self {
        Self {
            value,
            present: value.is_some(),
        }
    }

    fn object(&self) -> Option<&'v JsonMap<String, Value>> {
        self.value
            .and_then(Value::as_object)
            .filter(|map| !map.is_empty())
    }

    fn items(&self) -> &'v [Value] {
        self.value
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn child(&self, map: &Map<'_>, name: &str) -> Self {
        let value = self.value.and_then(|value| value.get(name));
        let present = value.is_some() || (self.present && map.always_present(name));
        Self { value, present }
    }

    fn is_empty(&self) -> bool {
        match self.value {
            None | Some(Value::Null) => true,
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        }
    }
}

struct Walk {
    path: Vec<PathElement>,
    found: Comparison,
}

impl Walk {
    fn node(&mut self, old: Side<'_>, new: Side<'_>, type_ref: TypeRef<'_>) {
        let atom = type_ref.resolve();
        let (from_old, from_new) = (atom.deduce(old.value), atom.deduce(new.value));
        let leaf = if new.value.is_none() {
            self.by_atom(from_old, old, new)
        } else {
            if old.value.is_some() && !from_old.same_parts(&from_new) {
                self.by_atom(from_old, old, new);
            }
            self.by_atom(from_new, old, new)
        };
        if !leaf {
            if !old.present {
                self.found.added.insert(&self.path);
            } else if !new.present {
                self.found.removed.insert(&self.path);
            }
        }
    }

    /// Returns whether the value was treated as a leaf.
    fn by_atom(&mut self, atom: Atom<'_>, old: Side<'_>, new: Side<'_>) -> bool {
        if let Some(map) = atom.map {
            self.objects(&map, old, new)
        } else if let (None, Some(list)) = (atom.scalar, atom.list) {
            self.lists(&list, old, new)
        } else {
            self.leaf(old, new)
        }
    }

    fn leaf(&mut self, old: Side<'_>, new: Side<'_>) -> bool {
        if old.present && new.present && old.is_empty() && new.is_empty() {
            let changed = matches!((old.value, new.value), (Some(old), Some(new)) if old != new);
            if changed {
                self.found.modified.insert(&self.path);
            }
            return true;
        }
        match (old.value, new.value) {
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

    fn objects(&mut self, map: &Map<'_>, old: Side<'_>, new: Side<'_>) -> bool {
        let (left, right) = (old.object(), new.object());
        if map.atomic || (left.is_none() && right.is_none()) {
            return self.leaf(old, new);
        }
        let names = left.into_iter().flat_map(JsonMap::keys);
        let more = right.into_iter().flat_map(JsonMap::keys);
        let known = |name: &String| left.is_some_and(|left| left.contains_key(name));
        for name in names.chain(more.filter(|name| !known(name))) {
            self.path.push(PathElement::Field(name.clone()));
            self.node(old.child(map, name), new.child(map, name), map.child(name));
            self.path.pop();
        }
        false
    }

    fn lists(&mut self, list: &List<'_>, old: Side<'_>, new: Side<'_>) -> bool {
        let (left, right) = (old.items(), new.items());
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
                let (old, new) = (old.first().copied(), new.first().copied());
                self.node(Side::of(old), Side::of(new), list.element);
            }
            (0 | 1, _) => {
                if let Some(old) = old.first() {
                    self.node(Side::of(Some(old)), Side::of(None), list.element);
                }
                self.found.added.insert(&self.path);
            }
            (_, 0 | 1) => {
                if let Some(new) = new.first() {
                    self.node(Side::of(None), Side::of(Some(new)), list.element);
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
