use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().expect("time")
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn applied(live: Option<&Value>, object: &Value, manager: &str) -> Result<Value, ApplyError> {
    let schema = Schema::builtin("", "v1", "ConfigMap").expect("built in");
    apply(&ApplyRequest {
        schema: Some(&schema),
        live,
        applied: object,
        manager,
        api_version: "v1",
        subresource: "",
        status_subresource: false,
        force: false,
        now: now(),
    })
}

#[test]
fn a_create_records_what_was_applied() {
    let live = applied(None, &config_map(json!({"a": "1"})), "me").expect("applied");
    let entry = json!([{
        "apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "me", "operation": "Apply",
        "time": "2026-11-25T12:00:00Z", "fieldsV1": {"f:data": {"f:a": {}}},
    }]);
    assert_eq!(live["metadata"]["managedFields"], entry);
    assert_eq!(live["data"], json!({"a": "1"}));
}

#[test]
fn what_is_no_longer_applied_goes() {
    let live = applied(None, &config_map(json!({"a": "1", "b": "2"})), "me").expect("applied");
    let live = applied(Some(&live), &config_map(json!({"b": "2"})), "me").expect("applied");
    assert_eq!(live["data"], json!({"b": "2"}));
}

#[test]
fn a_conflict_is_told_in_the_real_words() {
    let live = applied(None, &config_map(json!({"a": "1", "b": "2"})), "me").expect("applied");
    let one = applied(Some(&live), &config_map(json!({"a": "2"})), "you").expect_err("conflict");
    assert_eq!(
        one.to_string(),
        r#"Apply failed with 1 conflict: conflict with "me": .data.a"#
    );
    let two = config_map(json!({"a": "2", "b": "1"}));
    let two = applied(Some(&live), &two, "you").expect_err("conflict");
    let text = "Apply failed with 2 conflicts: conflicts with \"me\":\n- .data.a\n- .data.b";
    assert_eq!(two.to_string(), text);
}

#[test]
fn a_bad_object_is_told_in_the_real_words() {
    let cases = [
        (
            json!({"apiVersion": "v2", "kind": "ConfigMap"}),
            "invalid object type: /v2, Kind=ConfigMap",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"managedFields": []}}),
            "metadata.managedFields must be nil",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "c", "namespace": "n"}, "data": {"a": 1}, "nope": 1}),
            "failed to create typed patch object (n/c; /v1, Kind=ConfigMap): errors:\n  \
             .data.a: expected string, got &value.valueUnstructured{Value:1}\n  \
             .nope: field not declared in schema",
        ),
    ];
    for (object, expected) in cases {
        let error = applied(None, &object, "me").expect_err("refused");
        assert!(matches!(error, ApplyError::BadObject { .. }));
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn without_a_schema_objects_merge_and_lists_are_replaced() {
    let request = |live: Option<&Value>, spec: Value, manager: &str| {
        apply(&ApplyRequest {
            schema: None,
            live,
            applied: &json!({"apiVersion": "t/v1", "kind": "T", "spec": spec}),
            manager,
            api_version: "t/v1",
            subresource: "",
            status_subresource: true,
            force: false,
            now: now(),
        })
    };
    let live = request(None, json!({"a": {"b": 1}, "l": [1, 2]}), "me").expect("created");
    let live = request(Some(&live), json!({"a": {"c": 2}}), "you").expect("applied");
    assert_eq!(live["spec"], json!({"a": {"b": 1, "c": 2}, "l": [1, 2]}));
    let error = request(Some(&live), json!({"l": [3]}), "you").expect_err("conflict");
    assert_eq!(
        error.to_string(),
        r#"Apply failed with 1 conflict: conflict with "me": .spec.l"#
    );
}

#[test]
fn the_servers_own_metadata_cannot_be_applied() {
    let mut live = applied(None, &config_map(json!({"a": "1"})), "me").expect("created");
    live["metadata"]["uid"] = "u".into();
    live["metadata"]["resourceVersion"] = "7".into();
    let mut object = config_map(json!({"a": "2"}));
    object["metadata"]["uid"] = "other".into();
    object["metadata"]["creationTimestamp"] = "2000-01-01T00:00:00Z".into();
    let new = applied(Some(&live), &object, "me").expect("applied");
    assert_eq!(new["metadata"]["uid"], "u");
    assert_eq!(new["metadata"]["resourceVersion"], "7");
    assert_eq!(new["metadata"].get("creationTimestamp"), None);
    assert_eq!(new["data"], json!({"a": "2"}));
}

#[test]
fn times_are_kept_only_when_nothing_else_differs() {
    let live = applied(None, &config_map(json!({"a": "1"})), "me").expect("created");
    let mut later = live.clone();
    later["metadata"]["managedFields"][0]["time"] = "2030-01-01T00:00:00Z".into();
    let mut same = later.clone();
    keep_times(&live, &mut same);
    assert_eq!(same, live);
    let mut changed = later.clone();
    changed["data"]["a"] = "2".into();
    let before = changed.clone();
    keep_times(&live, &mut changed);
    assert_eq!(changed, before);
}

#[test]
fn an_owner_of_items_owns_the_list_once_it_is_atomic() {
    let schema = |list_type: &str| {
        let list = json!({"type": "array", "items": {"type": "string"},
            "x-kubernetes-list-type": list_type});
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
            "properties": {"l": list}}}});
        Schema::from_openapi(&schema).expect("schema")
    };
    let request = |schema: &Schema, live: Option<&Value>, list: Value, manager: &str| {
        apply(&ApplyRequest {
            schema: Some(schema),
            live,
            applied: &json!({"apiVersion": "t/v1", "kind": "T", "spec": {"l": list}}),
            manager,
            api_version: "t/v1",
            subresource: "",
            status_subresource: false,
            force: false,
            now: now(),
        })
    };
    let live = request(&schema("set"), None, json!(["a"]), "me").expect("created");
    let error = request(&schema("atomic"), Some(&live), json!(["b"]), "you").expect_err("conflict");
    assert_eq!(
        error.to_string(),
        r#"Apply failed with 1 conflict: conflict with "me": .spec.l"#
    );
}
