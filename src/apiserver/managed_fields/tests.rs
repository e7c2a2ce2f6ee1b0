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
