//! Dry runs of every verb: the answer of the deed, without the deed.

use super::config_maps::config_map;
use super::step::{
    APPLY, JSON, MERGE, PATCH, STRATEGIC, Step, WEB, Whole, delete, get, post, step,
};
use serde_json::{Value, json};

pub fn dry_runs() -> Vec<Step> {
    const MAPS: &str = "/api/v1/namespaces/contract/configmaps";
    const TRIED: &str = "/api/v1/namespaces/contract/configmaps/tried";
    let dry = |name: &str, method, content_type, body| {
        step(
            Whole,
            name,
            method,
            &format!("{TRIED}?dryRun=All&fieldManager=d"),
            content_type,
            body,
        )
    };
    let scale = |name: &str, method, content_type, body| {
        let path = format!("{WEB}/scale?dryRun=All");
        step(Whole, name, method, &path, content_type, body)
    };
    let mut replaced = config_map("tried", json!({"k": "put"}));
    replaced["metadata"]["labels"] = json!({"a": "b"});
    vec![
        post("tried", MAPS, config_map("tried", json!({"k": "v"}))),
        post(
            "dry creation again",
            &format!("{MAPS}?dryRun=All"),
            config_map("tried", json!({})),
        ),
        post(
            "dry creation of a name",
            &format!("{MAPS}?dryRun=All"),
            json!({"metadata": {"generateName": "g-"}}),
        )
        .alike(super::step::Reason),
        post(
            "dry creation in no namespace",
            "/api/v1/namespaces/nope/configmaps?dryRun=All",
            config_map("x", json!({})),
        ),
        dry("dry replacement", "PUT", JSON, replaced),
        dry("dry merge", "PATCH", MERGE, json!({"data": {"k": "merge"}})),
        dry(
            "dry JSON patch",
            "PATCH",
            PATCH,
            json!([{"op": "replace", "path": "/data/k", "value": "json"}]),
        ),
        dry(
            "dry strategic patch",
            "PATCH",
            STRATEGIC,
            json!({"data": {"k": "strategic"}}),
        ),
        dry(
            "dry apply conflict",
            "PATCH",
            APPLY,
            config_map("tried", json!({"k": "apply"})),
        ),
        dry(
            "dry apply",
            "PATCH",
            APPLY,
            config_map("tried", json!({"l": "apply"})),
        ),
        step(
            Whole,
            "dry apply of a new object",
            "PATCH",
            &format!("{MAPS}/fresh?dryRun=All&fieldManager=d"),
            APPLY,
            config_map("fresh", json!({"l": "apply"})),
        ),
        get("not made", &format!("{MAPS}/fresh")),
        dry("dry deletion of it", "DELETE", JSON, Value::Null),
        step(
            Whole,
            "dry run of what",
            "PATCH",
            &format!("{TRIED}?dryRun=Some"),
            MERGE,
            json!({}),
        ),
        step(
            Whole,
            "dry run of what, creating",
            "POST",
            &format!("{MAPS}?dryRun=Some"),
            JSON,
            config_map("x", json!({})),
        ),
        step(
            Whole,
            "dry run twice",
            "PATCH",
            &format!("{TRIED}?dryRun=All&dryRun=All"),
            MERGE,
            json!({}),
        ),
        get("not changed", TRIED),
        delete(
            "dry collection of them",
            &format!("{MAPS}?dryRun=All&fieldSelector=metadata.name%3Dtried"),
            Value::Null,
        ),
        get("still not gone", TRIED),
        scale(
            "dry scale",
            "PATCH",
            MERGE,
            json!({"spec": {"replicas": 7}}),
        )
        .at("/spec"),
        step(
            Whole,
            "dry status",
            "PATCH",
            "/api/v1/namespaces/lists/status?dryRun=All",
            MERGE,
            json!({"metadata": {"labels": {"a": "b"}}}),
        ),
        get("namespace without a label", "/api/v1/namespaces/lists"),
        post(
            "dry namespace",
            "/api/v1/namespaces?dryRun=All",
            json!({"metadata": {"name": "dry"}}),
        ),
        get("no dry namespace", "/api/v1/namespaces/dry"),
        step(
            Whole,
            "manager too long",
            "PATCH",
            &format!("{TRIED}?fieldManager={}", "m".repeat(129)),
            MERGE,
            json!({}),
        ),
        step(
            Whole,
            "manager of odd letters",
            "PATCH",
            &format!("{TRIED}?fieldManager=a%07b"),
            MERGE,
            json!({}),
        ),
        step(
            Whole,
            "validation of what",
            "PATCH",
            &format!("{TRIED}?fieldValidation=Foo"),
            MERGE,
            json!({}),
        ),
        step(
            Whole,
            "force of a merge",
            "PATCH",
            &format!("{TRIED}?force=true"),
            MERGE,
            json!({}),
        ),
        step(
            Whole,
            "broken JSON patch",
            "PATCH",
            TRIED,
            PATCH,
            json!({"op": "add"}),
        ),
        step(
            Whole,
            "JSON patch of nothing",
            "PATCH",
            TRIED,
            PATCH,
            json!([{"op": "remove", "path": "/data/none"}]),
        ),
        step(
            Whole,
            "unknown operation",
            "PATCH",
            TRIED,
            PATCH,
            json!([{"op": "foo", "path": "/data/none"}]),
        ),
        step(Whole, "merge of a list", "PATCH", TRIED, MERGE, json!([])),
        step(
            Whole,
            "merge of a missing object",
            "PATCH",
            &format!("{MAPS}/none"),
            MERGE,
            json!({}),
        ),
        step(
            Whole,
            "merge of a wrong type",
            "PATCH",
            TRIED,
            MERGE,
            json!({"data": {"k": 1}}),
        ),
        step(
            Whole,
            "merge of a kind",
            "PATCH",
            TRIED,
            MERGE,
            json!({"kind": "Secret"}),
        ),
        step(
            Whole,
            "merge of a uid",
            "PATCH",
            TRIED,
            MERGE,
            json!({"metadata": {"uid": "x"}}),
        ),
        step(
            Whole,
            "merge of an old version",
            "PATCH",
            TRIED,
            MERGE,
            json!({"metadata": {"resourceVersion": "1"}}),
        ),
        step(
            Whole,
            "merge of no version",
            "PATCH",
            TRIED,
            MERGE,
            json!({"metadata": {"resourceVersion": "x"}}),
        ),
        step(
            Whole,
            "put of another uid",
            "PUT",
            TRIED,
            JSON,
            json!({"metadata": {"name": "tried", "uid": "11111111-1111-4111-8111-111111111111"}}),
        ),
        step(Whole, "body of text", "POST", MAPS, "text/plain", json!({})),
        step(Whole, "body of nothing", "POST", MAPS, JSON, Value::Null),
        step(Whole, "body of a list", "POST", MAPS, JSON, json!([])),
        step(
            Whole,
            "unknown group",
            "GET",
            "/apis/foo.io/v1/foos",
            JSON,
            Value::Null,
        ),
        step(
            Whole,
            "unknown version",
            "GET",
            "/apis/apps/v9/deployments",
            JSON,
            Value::Null,
        ),
        step(
            Whole,
            "a method of its own",
            "TRACE",
            TRIED,
            JSON,
            Value::Null,
        ),
        step(
            Whole,
            "post to a version",
            "POST",
            "/api/v1",
            JSON,
            json!({}),
        ),
        step(Whole, "a path of nothing", "GET", "/foo", JSON, Value::Null),
        step(
            Whole,
            "double slashes",
            "GET",
            "/api/v1//namespaces",
            JSON,
            Value::Null,
        ),
        step(
            Whole,
            "name with a slash",
            "GET",
            "/api/v1/namespaces/a%2Fb",
            JSON,
            Value::Null,
        ),
    ]
}
