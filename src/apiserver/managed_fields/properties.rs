//! Laws of ownership that hold for any objects.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema() -> Schema {
    let text = json!({"type": "string"});
    let tags = json!({"type": "array", "x-kubernetes-list-type": "set", "items": text});
    let item = json!({"type": "object", "properties": {
        "name": text, "v": text, "tags": tags}});
    let schema = json!({"type": "object", "properties": {"spec": {
        "type": "object",
        "properties": {
            "scalar": text,
            "tags": tags,
            "items": {"type": "array", "items": item,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            "atomic": {"type": "array", "items": text},
            "map": {"type": "object", "additionalProperties": text},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    }}});
    Schema::from_openapi(&schema).expect("schema")
}

/// An object with this spec, or none.
fn object(spec: Value) -> Value {
    without_nulls(json!({
        "apiVersion": "t/v1", "kind": "T", "metadata": {"name": "n"}, "spec": spec
    }))
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn tags() -> impl Strategy<Value = Vec<String>> {
    btree_set(text(), 1..3).prop_map(|tags| tags.into_iter().rev().collect())
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    let item = (option::of(text()), option::of(tags()));
    btree_map(text(), item, 1..4).prop_map(|items| {
        let item = |(name, (v, tags)): (String, (Option<String>, Option<Vec<String>>))| {
            without_nulls(json!({"name": name, "v": v, "tags": tags}))
        };
        items.into_iter().map(item).rev().collect()
    })
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.retain(|_, child| !child.is_null());
    }
    value
}

prop_compose! {
    fn spec()(
        scalar in option::of(text()),
        tags in option::of(tags()),
        items in option::of(items()),
        atomic in option::of(vec(text(), 1..3)),
        map in option::of(btree_map(text(), text(), 1..3)),
        free in option::of(btree_map(text(), btree_map(text(), text(), 1..3), 1..3)),
    ) -> Value {
        without_nulls(json!({
            "scalar": scalar, "tags": tags, "items": items, "atomic": atomic, "map": map,
            "free": free,
        }))
    }
}

fn apply_as(
    manager: &str,
    live: Option<&Value>,
    spec: &Value,
    force: bool,
) -> Result<Value, ApplyError> {
    let schema = schema();
    let result = apply(&ApplyRequest {
        schema: Some(&schema),
        live,
        applied: &object(spec.clone()),
        manager,
        api_version: "t/v1",
        subresource: "",
        status_subresource: false,
        force,
        now: "2026-11-25T12:00:00Z".parse().expect("time"),
    });
    result.map(|mut new| {
        if let Some(live) = live {
            keep_times(live, &mut new);
        }
        new
    })
}

fn update_as(manager: &str, live: &Value, spec: &Value) -> Value {
    let schema = schema();
    update(UpdateRequest {
        schema: Some(&schema),
        live: Some(live),
        new: object(spec.clone()),
        manager,
        api_version: "t/v1",
        subresource: "",
        status_subresource: false,
        now: "2026-11-25T12:00:01Z".parse().expect("time"),
    })
}

fn managers(object: &Value) -> Managers {
    match entries::read(object) {
        Declared::Managers(managers) => managers,
        _ => Managers::new(),
    }
}

/// The spec with lists in an order of their own and without the `null`s that emptied fields leave.
fn unordered(object: &Value) -> Value {
    fn sort(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|_, item| !item.is_null());
                map.values_mut().for_each(sort);
            }
            Value::Array(items) => {
                items.iter_mut().for_each(sort);
                items.sort_by_key(Value::to_string);
            }
            _ => {}
        }
    }
    let spec = object.get("spec").filter(|spec| !spec.is_null());
    let mut spec = spec.cloned().unwrap_or_else(|| json!({}));
    sort(&mut spec);
    spec
}

/// Only the keys in `names`.
fn part(spec: &Value, names: &[&str]) -> Value {
    let mut spec = spec.clone();
    if let Value::Object(map) = &mut spec {
        map.retain(|name, _| names.contains(&name.as_str()));
    }
    spec
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn applying_twice_changes_nothing(first in spec(), second in spec()) {
        let live = apply_as("a", None, &first, false).expect("created");
        let once = apply_as("b", Some(&live), &second, true).expect("forced");
        let twice = apply_as("b", Some(&once), &second, false).expect("own fields");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_was_applied_is_there(first in spec(), second in spec()) {
        let live = apply_as("a", None, &first, false).expect("created");
        let new = apply_as("b", Some(&live), &second, true).expect("forced");
        let schema = schema();
        let type_ref = TypeRef::root(Some(&schema));
        let wanted = compare::field_set(&object(second), type_ref);
        let found = compare::field_set(&new, type_ref).with_declared_fields(type_ref);
        prop_assert!(wanted.difference(&found).is_empty());
    }

    #[test]
    fn applying_nothing_takes_back_what_was_applied(first in spec(), second in spec()) {
        let live = apply_as("a", None, &first, false).expect("created");
        let Ok(new) = apply_as("b", Some(&live), &second, false) else { return Ok(()) };
        let back = apply_as("b", Some(&new), &Value::Null, false).expect("own fields");
        prop_assert_eq!(unordered(&back), unordered(&live));
        let left = managers(&back).keys().any(|manager| manager.name == "b");
        prop_assert!(!left, "still an owner");
    }

    #[test]
    fn managers_of_different_fields_never_meet(first in spec(), second in spec()) {
        let (mine, yours) = (["scalar", "items", "free"], ["tags", "atomic", "map"]);
        let (first, second) = (part(&first, &mine), part(&second, &yours));
        let ab = apply_as("a", None, &first, false).expect("created");
        let ab = apply_as("b", Some(&ab), &second, false).expect("no conflict");
        let ba = apply_as("b", None, &second, false).expect("created");
        let ba = apply_as("a", Some(&ba), &first, false).expect("no conflict");
        prop_assert_eq!(&ab["spec"], &ba["spec"]);
        prop_assert_eq!(managers(&ab).len(), managers(&ba).len());
    }

    #[test]
    fn nobody_else_owns_what_an_update_changed(first in spec(), second in spec(), third in spec()) {
        let live = apply_as("a", None, &first, false).expect("created");
        let live = apply_as("b", Some(&live), &second, true).expect("forced");
        let new = update_as("c", &live, &third);
        let schema = schema();
        let changes = compare::compare(&live, &new, TypeRef::root(Some(&schema)));
        let changed = changes.modified.union(&changes.added).union(&changes.removed);
        let type_ref = TypeRef::root(Some(&schema));
        let there = compare::field_set(&new, type_ref).with_declared_fields(type_ref);
        for (manager, owned) in managers(&new) {
            prop_assert!(!owned.set.is_empty());
            if manager.name == "c" {
                let written = changes.modified.union(&changes.added).difference(&owners::unowned());
                prop_assert_eq!(owned.set, written);
            } else {
                prop_assert!(owned.set.intersection(&changed).is_empty());
                prop_assert!(owned.set.difference(&there).is_empty());
            }
        }
    }

    #[test]
    fn an_update_without_change_changes_nobody(first in spec()) {
        let live = apply_as("a", None, &first, false).expect("created");
        let same = update_as("c", &live, &first);
        prop_assert_eq!(same, live);
    }

    #[test]
    fn fields_v1_is_read_as_written(first in spec()) {
        let live = apply_as("a", None, &first, false).expect("created");
        for (_, owned) in managers(&live) {
            let written = owned.set.to_fields_v1();
            prop_assert_eq!(Set::from_fields_v1(&written), Some(owned.set));
        }
    }
}
