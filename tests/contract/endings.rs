//! How objects end: options, garbage collection, collections, namespaces.

use super::config_maps::config_map;
use super::step::{JSON, Step, Whole, delete, get, merge, post, step};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/endings/configmaps";

fn at(name: &str) -> String {
    format!("{MAPS}/{name}")
}

/// A ConfigMap owned by `owner`, whose uid was kept under that name.
fn owned(name: &str, owner: &str, blocks: bool) -> Value {
    let mut map = config_map(name, json!({}));
    map["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": format!("{{{owner}}}"),
        "blockOwnerDeletion": blocks,
    }]);
    map
}

pub fn endings() -> Vec<Step> {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "endings"}});
    let mut steps = vec![post(
        "namespace of endings",
        "/api/v1/namespaces",
        namespace,
    )];
    steps.extend(options());
    steps.extend(collection());
    steps.extend(garbage());
    steps.extend(namespaces());
    steps
}

fn options() -> Vec<Step> {
    let body = |name: &str, body: Value| delete(name, &at("o"), body);
    let query =
        |name: &str, query: &str| delete(name, &format!("{}?{query}", at("o")), Value::Null);
    vec![
        post("to delete", MAPS, config_map("o", json!({}))),
        body("dry deletion", json!({"dryRun": ["All"]})),
        query("dry deletion by query", "dryRun=All"),
        body("dry deletion of another form", json!({"dryRun": ["Some"]})),
        query("dry deletion of another form by query", "dryRun=Some"),
        body("unknown policy", json!({"propagationPolicy": "Foo"})),
        body(
            "two policies",
            json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
        ),
        body(
            "wrong uid",
            json!({"preconditions": {"uid": "11111111-1111-4111-8111-111111111111"}}),
        ),
        body(
            "wrong version",
            json!({"preconditions": {"resourceVersion": "1"}}),
        ),
        body(
            "other kind of options",
            json!({"apiVersion": "v1", "kind": "Foo"}),
        ),
        body(
            "typed options",
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}),
        ),
        body(
            "options of meta",
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "DeleteOptions", "dryRun": ["All"]}),
        ),
        body(
            "negative grace",
            json!({"gracePeriodSeconds": -1, "dryRun": ["All"]}),
        ),
        query("grace", "gracePeriodSeconds=0&dryRun=All"),
        delete("deletion of nothing", &at("zz"), json!({"dryRun": ["All"]})),
        step(
            Whole,
            "deletion of a status",
            "DELETE",
            "/apis/apps/v1/namespaces/contract/deployments/web/status",
            JSON,
            Value::Null,
        ),
        get("still there", &at("o")),
        query("background", "propagationPolicy=Background"),
        get("gone", &at("o")),
    ]
}

fn collection() -> Vec<Step> {
    let labelled = |name: &str| {
        let mut map = config_map(name, json!({}));
        map["metadata"]["labels"] = json!({"group": "g"});
        map
    };
    let query = |name: &str, query: &str| delete(name, &format!("{MAPS}?{query}"), Value::Null);
    let mut held = labelled("l2");
    held["metadata"]["finalizers"] = json!(["contract.io/hold"]);
    vec![
        post("collected 1", MAPS, labelled("l1")),
        post("collected 2, held", MAPS, held),
        post("not collected", MAPS, config_map("keep", json!({}))),
        query("dry collection", "labelSelector=group%3Dg&dryRun=All"),
        query("collection by a bad selector", "labelSelector=a+in"),
        query("collection of nothing", "labelSelector=none"),
        query("collection", "labelSelector=group%3Dg"),
        get("collected is gone", &at("l1")),
        get("held is ending", &at("l2")),
        get("kept", &at("keep")),
        merge(
            "held is let go",
            &at("l2"),
            json!({"metadata": {"finalizers": null}}),
        ),
        get("held is gone", &at("l2")),
        query("collection of one", "fieldSelector=metadata.name%3Dkeep"),
        get("kept no more", &at("keep")),
        delete(
            "collection of namespaces",
            "/api/v1/namespaces?labelSelector=none",
            Value::Null,
        ),
        delete(
            "collection of services",
            "/api/v1/namespaces/endings/services",
            Value::Null,
        ),
        delete(
            "collection in no namespace",
            "/api/v1/configmaps",
            Value::Null,
        ),
    ]
}

fn garbage() -> Vec<Step> {
    let mut steps = Vec::new();
    for (owner, policy) in [
        ("bg", "Background"),
        ("fg", "Foreground"),
        ("orph", "Orphan"),
    ] {
        let child = format!("{owner}-child");
        let options = json!({"propagationPolicy": policy});
        let own: &'static str = match owner {
            "bg" => "bg",
            "fg" => "fg",
            _ => "orph",
        };
        steps.push(
            post(
                &format!("{owner} owner"),
                MAPS,
                config_map(owner, json!({})),
            )
            .keep(own, "/metadata/uid"),
        );
        steps.push(post(
            &format!("{owner} owned"),
            MAPS,
            owned(&child, owner, true),
        ));
        steps.push(merge(
            &format!("{owner} is held"),
            &at(&child),
            json!({"metadata": {"finalizers": ["contract.io/hold"]}}),
        ));
        // The collector must have seen both before the owner goes.
        steps.push(delete(&format!("{owner} goes"), &at(owner), options));
        match policy {
            "Orphan" => {
                steps.push(get("owner of an orphan", &at(owner)).until(404));
                steps.push(get("orphan", &at(&child)));
            }
            "Foreground" => {
                steps.push(get("owner waits", &at(owner)));
                // The real collector may not have begun yet.
                steps.push(
                    merge(
                        "owned is let go",
                        &at(&child),
                        json!({"metadata": {"finalizers": null}}),
                    )
                    .at("/metadata/name"),
                );
                steps.push(get("owned is gone first", &at(&child)).until(404));
                steps.push(get("owner is gone last", &at(owner)).until(404));
            }
            _ => {
                steps.push(get("owner is gone at once", &at(owner)));
                steps.push(
                    merge(
                        "owned is let go later",
                        &at(&child),
                        json!({"metadata": {"finalizers": null}}),
                    )
                    .at("/metadata/name"),
                );
                steps.push(get("owned is gone", &at(&child)).until(404));
            }
        }
    }
    let stranger = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "no", "uid": "11111111-1111-4111-8111-111111111111"}]);
    let mut lost = config_map("lost", json!({}));
    lost["metadata"]["ownerReferences"] = stranger;
    let bad = |name: &str, owners: Value| {
        let mut map = config_map("bad", json!({}));
        map["metadata"]["ownerReferences"] = owners;
        post(name, MAPS, map)
    };
    steps.extend([
        post("owned by nobody", MAPS, lost),
        get("owned by nobody is gone", &at("lost")).until(404),
        bad(
            "owner without uid",
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}]),
        ),
        bad(
            "owner without kind",
            json!([{"apiVersion": "v1", "name": "x", "uid": "1"}]),
        ),
        bad(
            "two controllers",
            json!([
                {"apiVersion": "v1", "kind": "A", "name": "x", "uid": "1", "controller": true},
                {"apiVersion": "v1", "kind": "A", "name": "y", "uid": "2", "controller": true},
            ]),
        ),
    ]);
    steps
}

fn namespaces() -> Vec<Step> {
    let ns = "/api/v1/namespaces/ending";
    let maps = "/api/v1/namespaces/ending/configmaps";
    let mut held = config_map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["contract.io/hold"]);
    vec![
        post(
            "ending namespace",
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}}),
        ),
        post("held in it", maps, held),
        post("free in it", maps, config_map("free", json!({}))),
        delete("namespace ends", ns, Value::Null),
        delete("namespace ends again", ns, Value::Null),
        post("too late", maps, config_map("late", json!({}))),
        get("free is gone", "/api/v1/namespaces/ending/configmaps/free").until(404),
        get(
            "held in an ending namespace",
            "/api/v1/namespaces/ending/configmaps/held",
        ),
        merge(
            "change in an ending namespace",
            "/api/v1/namespaces/ending/configmaps/held",
            json!({"data": {"a": "b"}}),
        ),
        merge(
            "held in it is let go",
            "/api/v1/namespaces/ending/configmaps/held",
            json!({"metadata": {"finalizers": null}}),
        ),
        get("namespace is gone", ns).until(404),
        post("in no namespace", maps, config_map("later", json!({}))),
        get("list of no namespace", maps),
        step(
            Whole,
            "finalize of no namespace",
            "PUT",
            "/api/v1/namespaces/ending/finalize",
            JSON,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}}),
        ),
        post(
            "namespace of a bad name",
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a.b"}}),
        ),
        post(
            "namespace twice",
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "endings"}}),
        ),
    ]
}
