use serde_json::json;

use super::*;

fn deployment(pod_spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"template": {"spec": pod_spec}}})
}

fn merged(live: Value, patch: Value) -> Value {
    let schema = Schema::builtin("apps", "v1", "Deployment").expect("built in");
    merge(Some(&schema), &live, &patch).expect("merged")
}

/// Patches of a pod template's spec: name, live, patch, result.
#[test]
fn pod_specs_merge_as_the_strategy_says() {
    let cases = [
        (
            "containers merge by name, in the order of the patch",
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
            json!({"containers": [{"name": "c"}, {"name": "b", "image": "2"}]}),
            json!({"containers": [{"name": "c"}, {"name": "a", "image": "1"},
                {"name": "b", "image": "2"}]}),
        ),
        (
            "an item is deleted by its key",
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "$patch": "delete"}]}),
            json!({"containers": [{"name": "b"}]}),
        ),
        (
            "a list is replaced on demand",
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"name": "z"}, {"$patch": "replace"}]}),
            json!({"containers": [{"name": "z"}]}),
        ),
        (
            "the order is set, and the server's own items keep their place",
            json!({"containers": [{"name": "own"}, {"name": "a"}, {"name": "b"}]}),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "a", "image": "2"}]}),
            json!({"containers": [{"name": "own"}, {"name": "b"}, {"name": "a", "image": "2"}]}),
        ),
        (
            "an atomic list is replaced",
            json!({"tolerations": [{"key": "a"}]}),
            json!({"tolerations": [{"key": "b"}]}),
            json!({"tolerations": [{"key": "b"}]}),
        ),
        (
            "keys not retained go",
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
            json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"],
                "configMap": {"name": "c"}}]}),
            json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}),
        ),
        (
            "null deletes, an object is replaced on demand",
            json!({"hostname": "h", "securityContext": {"runAsUser": 1}}),
            json!({"hostname": null, "securityContext": {"$patch": "replace", "fsGroup": 2}}),
            json!({"securityContext": {"fsGroup": 2}}),
        ),
        (
            "what is new comes without directives and nulls",
            json!({}),
            json!({"containers": [{"name": "a", "image": null}, {"name": "b", "$patch": "delete"}],
                "securityContext": {"$retainKeys": ["fsGroup"], "fsGroup": 2}}),
            json!({"containers": [{"name": "a"}], "securityContext": {"fsGroup": 2}}),
        ),
    ];
    for (name, live, patch, expected) in cases {
        let patch = json!({"spec": {"template": {"spec": patch}}});
        assert_eq!(
            merged(deployment(live), patch),
            deployment(expected),
            "{name}"
        );
    }
}

#[test]
fn scalars_are_united_and_deleted_by_value() {
    let live = json!({"metadata": {"finalizers": ["a", "b"]}});
    let patch = json!({"metadata": {"finalizers": ["c", "b"],
        "$deleteFromPrimitiveList/finalizers": ["a"]}});
    assert_eq!(
        merged(live, patch),
        json!({"metadata": {"finalizers": ["c", "b"]}})
    );
}

#[test]
fn what_kubectl_sends_to_remove_a_scalar_works() {
    let live = json!({"metadata": {"finalizers": ["a", "b"]}});
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"],
        "$setElementOrder/finalizers": ["b"]}});
    assert_eq!(
        merged(live, patch),
        json!({"metadata": {"finalizers": ["b"]}})
    );
}

#[test]
fn a_bad_patch_is_refused() {
    let schema = Schema::builtin("apps", "v1", "Deployment").expect("built in");
    let live = deployment(json!({"containers": [{"name": "a"}]}));
    let pod_patches = [
        (
            json!({"containers": [{"image": "x"}]}),
            "does not contain declared merge key: name",
        ),
        (
            json!({"containers": [{"$patch": "delete"}]}),
            "does not contain declared merge key: name",
        ),
        (
            json!({"$patch": "other"}),
            "unknown patch type found: \"other\"",
        ),
        (
            json!({"$retainKeys": ["b"], "a": 1}),
            "$retainKeys does not list a",
        ),
        (json!({"$setElementOrder/containers": 1}), "must be a list"),
        (
            json!({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}),
            "does not match $setElementOrder",
        ),
    ];
    for (patch, expected) in pod_patches {
        let patch = json!({"spec": {"template": {"spec": patch}}});
        let error = merge(Some(&schema), &live, &patch)
            .expect_err("refused")
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with("spec.template.spec"), "{error}");
    }
    assert!(merge(Some(&schema), &live, &json!([])).is_err());
}

#[derive(serde::Deserialize)]
struct Recorded {
    name: String,
    kind: String,
    live: Value,
    steps: Vec<Step>,
}

#[derive(serde::Deserialize)]
struct Step {
    patch: Value,
    status: u16,
    response: Value,
}

/// What differs between our result and the real one, which may hold more defaults. Of what was
/// there before, nothing may be missing.
fn difference(live: &Value, ours: &Value, real: &Value, path: &str) -> Option<String> {
    match (ours, real) {
        (Value::Object(ours), Value::Object(real)) => {
            let null = Value::Null;
            let gone = real
                .keys()
                .find(|name| !ours.contains_key(*name) && live.get(*name) == real.get(*name));
            if let Some(name) = gone {
                return Some(format!("{path}.{name} is missing"));
            }
            ours.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                let empty = value.as_object().is_some_and(Map::is_empty)
                    || value.as_array().is_some_and(Vec::is_empty);
                match real.get(name) {
                    None if empty => None,
                    None => Some(format!("{path} is too much")),
                    Some(real) => difference(live.get(name).unwrap_or(&null), value, real, &path),
                }
            })
        }
        (Value::Array(ours), Value::Array(real)) if ours.len() == real.len() => {
            let items = ours.iter().zip(real).enumerate();
            items
                .map(|(at, (ours, real))| {
                    difference(&Value::Null, ours, real, &format!("{path}[{at}]"))
                })
                .find_map(|found| found)
        }
        (ours, real) => (ours != real).then(|| format!("{path}: ours {ours}, real {real}")),
    }
}

/// Patches recorded on kube-apiserver 1.36.
#[test]
fn patches_do_what_they_do_on_the_real_server() {
    let recording = include_str!("../../../tests/fixtures/ssa/strategic.json");
    let recording: Vec<Recorded> = serde_json::from_str(recording).expect("recording");
    for history in recording {
        let group = if history.kind == "Deployment" {
            "apps"
        } else {
            ""
        };
        let schema = Schema::builtin(group, "v1", &history.kind).expect("built in");
        let mut live = history.live;
        for (at, step) in history.steps.into_iter().enumerate() {
            let place = format!("{} step {at}", history.name);
            let ours = merge(Some(&schema), &live, &step.patch);
            match step.status {
                // The patch is good, what comes of it is not.
                422 => {}
                300.. => assert!(ours.is_err(), "{place}: accepted"),
                _ => {
                    let ours = ours.expect(&place);
                    let real = &step.response;
                    assert_eq!(difference(&live, &ours, real, ""), None, "{place}");
                    live = step.response;
                }
            }
        }
    }
}
