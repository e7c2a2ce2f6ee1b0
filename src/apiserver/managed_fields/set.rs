//! Sets of field paths, as trees.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::PathElement;
use super::typed::{Atom, TypeRef};

/// A set of field paths. Children are never empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Set {
    members: BTreeSet<PathElement>,
    children: BTreeMap<PathElement, Set>,
}

impl Set {
    /// Adds `path`; the empty path is ignored, because nobody owns a whole object.
    pub(super) fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => {
                self.children.entry(first.clone()).or_default().insert(rest);
            }
        }
    }

    /// The set of these dotted paths (field names only).
    pub(super) fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<_> = path
                .iter()
                .map(|name| PathElement::Field((*name).to_owned()))
                .collect();
            set.insert(&path);
        }
        set
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Whether the child itself is in the set.
    pub(super) fn has_member(&self, element: &PathElement) -> bool {
        self.members.contains(element)
    }

    /// Whether the field at `path` is in the set.
    pub(super) fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self
                .children
                .get(first)
                .is_some_and(|child| child.has(rest)),
        }
    }

    /// What the set holds below a child.
    pub(super) fn below(&self, element: &PathElement) -> Option<&Self> {
        self.children.get(element)
    }

    /// Members and children, in order: each element, whether it is a member, what is below.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&PathElement, bool, Option<&Self>)> {
        let all: BTreeSet<_> = self.members.iter().chain(self.children.keys()).collect();
        all.into_iter().map(|element| {
            (
                element,
                self.members.contains(element),
                self.children.get(element),
            )
        })
    }

    /// All paths: the members of each level before what is below them.
    pub(super) fn paths(&self) -> Vec<Vec<PathElement>> {
        let mut out = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut out);
        out
    }

    fn collect_paths(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Vec<PathElement>>) {
        for member in &self.members {
            prefix.push(member.clone());
            out.push(prefix.clone());
            prefix.pop();
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect_paths(prefix, out);
            prefix.pop();
        }
    }

    /// What is in either.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            let merged = match out.children.get(element) {
                Some(own) => own.union(child),
                None => child.clone(),
            };
            out.children.insert(element.clone(), merged);
        }
        out
    }

    /// What is in both.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        let members = self.members.intersection(&other.members).cloned().collect();
        let children = self.children.iter().filter_map(|(element, child)| {
            let both = child.intersection(other.children.get(element)?);
            (!both.is_empty()).then(|| (element.clone(), both))
        });
        Self {
            members,
            children: children.collect(),
        }
    }

    /// What is here but not in `other`. A parent in `other` does not take its children away.
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.subtract(other, false)
    }

    /// What is neither in `other` nor below something in `other`.
    pub(super) fn recursive_difference(&self, other: &Self) -> Self {
        self.subtract(other, true)
    }

    fn subtract(&self, other: &Self, recursive: bool) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        let children = self.children.iter().filter_map(|(element, child)| {
            if recursive && other.members.contains(element) {
                return None;
            }
            let rest = match other.children.get(element) {
                Some(theirs) => child.subtract(theirs, recursive),
                None => child.clone(),
            };
            (!rest.is_empty()).then(|| (element.clone(), rest))
        });
        Self {
            members,
            children: children.collect(),
        }
    }

    /// Adds every declared field (not map key, not list item) that has something below it: such
    /// a field is never recorded by itself, yet it goes when all that was owned in it goes.
    pub(super) fn with_declared_fields(&self, type_ref: TypeRef<'_>) -> Self {
        let atom = type_ref.resolve();
        let mut out = Self {
            members: self.members.clone(),
            children: BTreeMap::new(),
        };
        for (element, child) in &self.children {
            let mut below = TypeRef::Nothing;
            match element {
                PathElement::Field(name) => {
                    if let Some(map) = &atom.map {
                        if map.declares(name) {
                            out.members.insert(element.clone());
                        }
                        below = map.child(name);
                    }
                }
                PathElement::Key(_) => {
                    if let Some(list) = &atom.list {
                        below = list.element;
                    }
                }
                PathElement::Value(_) | PathElement::Index(_) => {}
            }
            out.children
                .insert(element.clone(), child.with_declared_fields(below));
        }
        out
    }

    /// Fits the set to a schema that may have changed since it was written: where a list or an
    /// object has become atomic, whoever owned something in it owns it as a whole.
    pub(super) fn reconciled(&self, type_ref: TypeRef<'_>) -> Self {
        let mut out = self.clone();
        self.reconcile(type_ref, &mut out);
        out
    }

    fn reconcile(&self, type_ref: TypeRef<'_>, out: &mut Self) {
        let atom = type_ref.resolve();
        for (element, child) in &self.children {
            let below = match (element, &atom) {
                (PathElement::Field(name), Atom { map: Some(map), .. }) => map.child(name),
                (
                    PathElement::Key(_),
                    Atom {
                        list: Some(list), ..
                    },
                ) => list.element,
                _ => continue,
            };
            if below.is_declared_atomic() {
                out.children.remove(element);
                out.members.insert(element.clone());
            } else if let Some(out) = out.children.get_mut(element) {
                child.reconcile(below, out);
            }
        }
    }

    /// Reads `fieldsV1`; `None` when it is malformed.
    pub(super) fn from_fields_v1(value: &Value) -> Option<Self> {
        Some(Self::read(value.as_object()?)?.0)
    }

    fn read(map: &Map<String, Value>) -> Option<(Self, bool)> {
        let mut out = Self::default();
        let mut own = false;
        for (key, below) in map {
            if key == "." {
                own = true;
                continue;
            }
            let element = PathElement::parse(key)?;
            let below = below.as_object()?;
            if below.is_empty() {
                out.members.insert(element);
                continue;
            }
            let (child, member) = Self::read(below)?;
            if member {
                out.members.insert(element.clone());
            }
            if !child.is_empty() {
                out.children.insert(element, child);
            }
        }
        Some((out, own))
    }

    /// Writes `fieldsV1`.
    pub(super) fn to_fields_v1(&self) -> Value {
        Value::Object(self.write(false))
    }

    fn write(&self, own: bool) -> Map<String, Value> {
        let mut out = Map::new();
        if own && !self.is_empty() {
            out.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, member, below) in self.entries() {
            let value = below.map_or_else(Map::new, |below| below.write(member));
            out.insert(element.to_key(), Value::Object(value));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> Set {
        Set::from_fields_v1(&value).expect("fields")
    }

    #[test]
    fn fields_v1_survives_a_round_trip() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:port": {}}},
                "f:tags": {r#"v:"a""#: {}},
            },
        });
        assert_eq!(set(fields.clone()).to_fields_v1(), fields);
    }

    #[test]
    fn a_malformed_set_is_refused() {
        for fields in [
            json!([]),
            json!({"x": {}}),
            json!({"f:a": 1}),
            json!({"f:a": {"b": {}}}),
        ] {
            assert!(Set::from_fields_v1(&fields).is_none(), "{fields}");
        }
    }

    #[test]
    fn difference_keeps_children_of_a_removed_parent() {
        let both = set(json!({"f:a": {".": {}, "f:b": {}}}));
        let parent = set(json!({"f:a": {}}));
        assert_eq!(both.difference(&parent), set(json!({"f:a": {"f:b": {}}})));
        assert!(both.recursive_difference(&parent).is_empty());
        assert_eq!(parent.difference(&both), Set::default());
    }

    #[test]
    fn union_and_intersection_work_by_path() {
        let a = set(json!({"f:a": {"f:b": {}, "f:c": {}}}));
        let b = set(json!({"f:a": {".": {}, "f:c": {}}, "f:d": {}}));
        let all = json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}});
        assert_eq!(a.union(&b).to_fields_v1(), all);
        assert_eq!(
            a.intersection(&b).to_fields_v1(),
            json!({"f:a": {"f:c": {}}})
        );
    }
}
