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
            "containers merge by name and new ones follow",
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
            json!({"containers": [{"name": "c"}, {"name": "b", "image": "2"}]}),
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"},
                {"name": "c"}]}),
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
        json!({"metadata": {"finalizers": ["b", "c"]}})
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
