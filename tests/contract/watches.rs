//! Watches: their events from a version on, selections, bookmarks, the
//! initial state, what is forgotten.

use super::step::{Step, delete, get, merge, post};
use serde_json::{Value, json};

const WATCHED: &str = "/api/v1/namespaces/watches/secrets";

fn secret(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})
}

/// A watch that ends by itself, so that its events are one answer.
fn watch(name: &str, query: &str) -> Step {
    get(name, &format!("{WATCHED}?watch=1&timeoutSeconds=1&{query}"))
}

pub fn watches() -> Vec<Step> {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "watches"}});
    let mut labelled = secret("w", json!({"k": "MQ=="}));
    labelled["metadata"]["labels"] = json!({"seen": "yes"});
    let w = format!("{WATCHED}/w");
    let label = |value: Value| json!({"metadata": {"labels": {"seen": value}}});
    vec![
        post("namespace of watches", "/api/v1/namespaces", namespace),
        get("start", &format!("{WATCHED}?limit=1")).keep("start", "/metadata/resourceVersion"),
        post("watched", WATCHED, labelled),
        merge("watched changes", &w, json!({"data": {"k": "Mg=="}})),
        merge("watched is out", &w, label(Value::Null)),
        merge("watched changes unseen", &w, json!({"data": {"k": "Mw=="}})),
        merge("watched is in", &w, label(json!("yes"))),
        post("another", WATCHED, secret("x", json!({}))),
        merge("watched does not change", &w, json!({})),
        delete("watched goes", &w, Value::Null),
        watch("all events", "resourceVersion={start}"),
        watch("selected events", "resourceVersion={start}&labelSelector=seen"),
        watch("other events", "resourceVersion={start}&labelSelector=%21seen"),
        watch("events of one", "resourceVersion={start}&fieldSelector=metadata.name%3Dx"),
        watch("state first", "fieldSelector=metadata.name%3Dx"),
        watch("any state first", "resourceVersion=0&fieldSelector=metadata.name%3Dx"),
        watch("bookmarks", "resourceVersion={start}&fieldSelector=metadata.name%3Dx&allowWatchBookmarks=true"),
        watch("initial events", "fieldSelector=metadata.name%3Dx&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"),
        watch("initial events of a version", "fieldSelector=metadata.name%3Dx&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion={start}"),
        watch("initial events, no bookmarks", "fieldSelector=metadata.name%3Dx&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        watch("initial events, no match", "sendInitialEvents=true&allowWatchBookmarks=true"),
        watch("initial events, wrong match", "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=Exact"),
        watch("no initial events", "resourceVersion={start}&fieldSelector=metadata.name%3Dx&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"),
        get("initial events of a list", &format!("{WATCHED}?sendInitialEvents=true")),
        watch("match in a watch", "resourceVersionMatch=NotOlderThan"),
        watch("forgotten start", "resourceVersion=1"),
        watch("start to come", "resourceVersion=999999999"),
        watch("start no number", "resourceVersion=abc"),
        watch("bad selector", "labelSelector=a+in"),
        watch("unknown field", "fieldSelector=data%3D1"),
        watch("rows", "resourceVersion={start}").accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
        watch("metadata", "resourceVersion={start}").accept("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
        watch("metadata bookmark", "fieldSelector=metadata.name%3Dx&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true").accept("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
        get("old form", "/api/v1/watch/namespaces/watches/secrets?timeoutSeconds=1&resourceVersion={start}"),
        get("old form of one", "/api/v1/watch/namespaces/watches/secrets/x?timeoutSeconds=1&resourceVersion={start}"),
        get("watch of an object", &format!("{WATCHED}/x?watch=1&timeoutSeconds=1&resourceVersion={{start}}")),
        get("watch of no namespace", "/api/v1/namespaces/nope/secrets?watch=1&timeoutSeconds=1"),
    ]
}
