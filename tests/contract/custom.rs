//! A custom resource: validation, status, apply, finalizers.

use super::step::{APPLY, JSON, MERGE, Reason, STRATEGIC, Step, W, WIDGETS, Whole, step};
use serde_json::{Value, json};

fn widget(spec: Value, status: Value) -> Value {
    let mut widget = json!({"apiVersion": "contract.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    if !status.is_null() {
        widget["status"] = status;
    }
    widget
}

pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.contract.example.com"},
        "spec": {
            "group": "contract.example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer", "minimum": 1},
                        "colour": {"type": "string", "default": "red"},
                        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                        "mode": {"type": "string", "enum": ["A", "B"]},
                        "maybe": {"type": "object", "nullable": true, "properties": {"x": {"type": "string"}}},
                        "pattern": {"type": "string", "pattern": "^a"},
                    }},
                    "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                }}},
            }],
        },
    })
}

pub fn custom() -> Vec<Step> {
    let post = |alike, name, body| step(alike, name, "POST", WIDGETS, JSON, body);
    let none = || Value::Null;
    vec![
        post(
            Whole,
            "custom",
            widget(json!({"size": 1, "foo": 1}), json!({"phase": "x"})),
        ),
        step(
            Whole,
            "custom strict",
            "POST",
            "/apis/contract.example.com/v1/namespaces/contract/widgets?fieldValidation=Strict",
            JSON,
            widget(json!({"size": 1, "foo": 1}), none()),
        ),
        post(Whole, "minimum", widget(json!({"size": 0}), none())),
        post(Whole, "required", widget(json!({}), none())),
        post(Whole, "type", widget(json!({"size": "x"}), none())),
        post(
            Whole,
            "enum",
            widget(json!({"size": 1, "mode": "C"}), none()),
        ),
        post(
            Whole,
            "set",
            widget(json!({"size": 1, "tags": ["a", "a"]}), none()),
        ),
        post(
            Whole,
            "pattern",
            widget(json!({"size": 1, "pattern": "b"}), none()),
        ),
        step(
            Whole,
            "nulls",
            "PATCH",
            W,
            MERGE,
            json!({"spec": {"maybe": null, "colour": null, "pattern": null}}),
        ),
        step(
            Reason,
            "replace without version",
            "PUT",
            W,
            JSON,
            widget(json!({"size": 2}), none()),
        ),
        step(
            Whole,
            "custom status",
            "PATCH",
            "/apis/contract.example.com/v1/namespaces/contract/widgets/w/status",
            MERGE,
            json!({"status": {"phase": "R"}, "spec": {"size": 8}, "metadata": {"labels": {"q": "r"}}}),
        ),
        step(
            Whole,
            "apply status",
            "PATCH",
            "/apis/contract.example.com/v1/namespaces/contract/widgets/w/status?fieldManager=c&force=true",
            APPLY,
            widget(json!({"size": 5}), json!({"phase": "S"})),
        ),
        step(
            Whole,
            "strategic on custom",
            "PATCH",
            W,
            STRATEGIC,
            json!({}),
        ),
        step(
            Whole,
            "apply custom",
            "PATCH",
            "/apis/contract.example.com/v1/namespaces/contract/widgets/w?fieldManager=c&force=true",
            APPLY,
            widget(json!({"size": 5, "tags": ["a"]}), none()),
        ),
        step(
            Reason,
            "apply wrong type",
            "PATCH",
            "/apis/contract.example.com/v1/namespaces/contract/widgets/w?fieldManager=c&force=true",
            APPLY,
            widget(json!({"size": "x"}), none()),
        ),
        step(
            Whole,
            "finalizer",
            "PATCH",
            W,
            MERGE,
            json!({"metadata": {"finalizers": ["x.io/f"]}}),
        ),
        step(Whole, "delete held", "DELETE", W, JSON, none()),
        step(
            Reason,
            "new finalizer",
            "PATCH",
            W,
            MERGE,
            json!({"metadata": {"finalizers": ["x.io/f", "x.io/g"]}}),
        ),
        step(Whole, "delete held again", "DELETE", W, JSON, none()),
        step(
            Whole,
            "release",
            "PATCH",
            W,
            MERGE,
            json!({"metadata": {"finalizers": null}}),
        ),
        step(Whole, "gone", "GET", W, JSON, none()),
    ]
}
