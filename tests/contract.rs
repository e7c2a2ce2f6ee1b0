//! One history of requests, played to the embedded API server and to a real
//! kube-apiserver: where clients can tell the difference, there is none.
#![allow(
    clippy::too_many_lines,
    reason = "a table: one step a line of the contract"
)]
#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does")]

#[path = "contract/histories.rs"]
mod histories;
#[path = "support/support.rs"]
mod support;

use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use pilothouse::apiserver::{Options, Server};
use serde_json::{Value, json};
use support::controlplane::Binaries;
use support::{ControlPlane, ControlPlaneOptions, have};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const PATCH: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// How much of two answers must agree.
#[derive(Clone, Copy, PartialEq)]
enum Alike {
    /// Everything but times, uids, revisions and allocated values.
    Whole,
    /// Status code and reason; the words differ.
    Reason,
}
use Alike::{Reason, Whole};

struct Step {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    content_type: &'static str,
    body: Value,
    alike: Alike,
}

fn step(
    alike: Alike,
    name: &'static str,
    method: &'static str,
    path: &'static str,
    content_type: &'static str,
    body: Value,
) -> Step {
    Step {
        name,
        method,
        path,
        content_type,
        body,
        alike,
    }
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/contract/configmaps";
const A: &str = "/api/v1/namespaces/contract/configmaps/a";
const SERVICES: &str = "/api/v1/namespaces/contract/services";
const SECRETS: &str = "/api/v1/namespaces/contract/secrets";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/contract/deployments";
const WEB: &str = "/apis/apps/v1/namespaces/contract/deployments/web";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/contract.example.com/v1/namespaces/contract/widgets";
const W: &str = "/apis/contract.example.com/v1/namespaces/contract/widgets/w";

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn config_maps() -> Vec<Step> {
    let post = |alike, name, body| step(alike, name, "POST", CONFIG_MAPS, JSON, body);
    let meta = |meta: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta});
    vec![
        post(Whole, "create", config_map("a", json!({"k": "v"}))),
        post(Whole, "create again", config_map("a", json!({}))),
        post(
            Whole,
            "type left out",
            json!({"metadata": {"name": "untyped"}}),
        ),
        post(Reason, "no name", meta(json!({}))),
        post(
            Reason,
            "bad label",
            meta(json!({"name": "b", "labels": {"a/b/c": "-"}})),
        ),
        post(
            Reason,
            "other kind",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}),
        ),
        post(
            Reason,
            "other namespace",
            meta(json!({"name": "b", "namespace": "other"})),
        ),
        post(Reason, "wrong type", config_map("b", json!({"a": 1}))),
        step(
            Whole,
            "missing namespace",
            "POST",
            "/api/v1/namespaces/nope/configmaps",
            JSON,
            config_map("a", json!({})),
        ),
        step(
            Whole,
            "strict",
            "POST",
            "/api/v1/namespaces/contract/configmaps?fieldValidation=Strict",
            JSON,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "foo": 1}, "dat": {}}),
        ),
        step(
            Whole,
            "dry run",
            "POST",
            "/api/v1/namespaces/contract/configmaps?dryRun=All",
            JSON,
            config_map("dry", json!({})),
        ),
        step(Whole, "read", "GET", A, JSON, Value::Null),
        step(
            Whole,
            "read missing",
            "GET",
            "/api/v1/namespaces/contract/configmaps/zz",
            JSON,
            Value::Null,
        ),
        step(
            Whole,
            "replace",
            "PUT",
            A,
            JSON,
            config_map("a", json!({"k": "v2", "l": "w"})),
        ),
        step(
            Whole,
            "replace stale",
            "PUT",
            A,
            JSON,
            meta(json!({"name": "a", "resourceVersion": "1"})),
        ),
        step(
            Whole,
            "replace under another name",
            "PUT",
            A,
            JSON,
            config_map("b", json!({})),
        ),
        step(
            Whole,
            "replace missing",
            "PUT",
            "/api/v1/namespaces/contract/configmaps/zz",
            JSON,
            config_map("zz", json!({})),
        ),
        step(
            Whole,
            "merge",
            "PATCH",
            A,
            MERGE,
            json!({"data": {"l": null, "m": "1"}}),
        ),
        step(
            Whole,
            "merge another name",
            "PATCH",
            A,
            MERGE,
            json!({"metadata": {"name": "q"}}),
        ),
        step(
            Reason,
            "failed test",
            "PATCH",
            A,
            PATCH,
            json!([{"op": "test", "path": "/data/m", "value": "2"}]),
        ),
        step(
            Whole,
            "null test",
            "PATCH",
            A,
            PATCH,
            json!([{"op": "test", "path": "/metadata/finalizers", "value": null}]),
        ),
        step(
            Whole,
            "json patch",
            "PATCH",
            A,
            PATCH,
            json!([{"op": "add", "path": "/data/j", "value": "2"}]),
        ),
        step(
            Reason,
            "unknown patch type",
            "PATCH",
            A,
            "application/foo",
            json!({}),
        ),
        step(
            Reason,
            "apply without manager",
            "PATCH",
            A,
            APPLY,
            config_map("a", json!({})),
        ),
        step(
            Whole,
            "apply conflict",
            "PATCH",
            "/api/v1/namespaces/contract/configmaps/a?fieldManager=x",
            APPLY,
            config_map("a", json!({"j": "9"})),
        ),
        step(
            Whole,
            "apply conflicts",
            "PATCH",
            "/api/v1/namespaces/contract/configmaps/a?fieldManager=x",
            APPLY,
            config_map("a", json!({"j": "9", "m": "8"})),
        ),
        step(
            Whole,
            "apply by force",
            "PATCH",
            "/api/v1/namespaces/contract/configmaps/a?fieldManager=x&force=true",
            APPLY,
            config_map("a", json!({"j": "9", "m": "8"})),
        ),
        step(
            Whole,
            "apply less",
            "PATCH",
            "/api/v1/namespaces/contract/configmaps/a?fieldManager=x",
            APPLY,
            config_map("a", json!({"j": "9"})),
        ),
        step(
            Reason,
            "apply unknown field",
            "PATCH",
            "/api/v1/namespaces/contract/configmaps/a?fieldManager=x",
            APPLY,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}}),
        ),
        step(
            Whole,
            "apply new",
            "PATCH",
            "/api/v1/namespaces/contract/configmaps/new?fieldManager=x",
            APPLY,
            config_map("new", json!({"j": "9"})),
        ),
        step(
            Reason,
            "delete another uid",
            "DELETE",
            "/api/v1/namespaces/contract/configmaps/new",
            JSON,
            json!({"preconditions": {"uid": "x"}}),
        ),
        step(
            Whole,
            "delete",
            "DELETE",
            "/api/v1/namespaces/contract/configmaps/new",
            JSON,
            json!({}),
        ),
        step(
            Whole,
            "delete missing",
            "DELETE",
            "/api/v1/namespaces/contract/configmaps/new",
            JSON,
            Value::Null,
        ),
        step(Whole, "post to an object", "POST", A, JSON, json!({})),
        step(
            Whole,
            "post without namespace",
            "POST",
            "/api/v1/configmaps",
            JSON,
            config_map("a", json!({})),
        ),
        step(
            Reason,
            "unknown field selector",
            "GET",
            "/api/v1/namespaces/contract/configmaps?fieldSelector=data.x%3D1",
            JSON,
            Value::Null,
        ),
        step(
            Reason,
            "bad label selector",
            "GET",
            "/api/v1/namespaces/contract/configmaps?labelSelector=a+in",
            JSON,
            Value::Null,
        ),
        step(
            Whole,
            "unknown resource",
            "GET",
            "/api/v1/foos",
            JSON,
            Value::Null,
        ),
        step(
            Whole,
            "unknown subresource",
            "GET",
            "/api/v1/namespaces/contract/configmaps/a/foo",
            JSON,
            Value::Null,
        ),
    ]
}

fn deployment(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": labels}, "spec": {
                "containers": [{
                    "name": "c", "image": "nginx", "ports": [{"containerPort": 80}],
                    "env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "livenessProbe": {"httpGet": {"port": 80}},
                }],
                "volumes": [{"name": "v", "configMap": {"name": "q"}}, {"name": "e", "emptyDir": {}}],
            }},
        },
    })
}

fn built_ins() -> Vec<Step> {
    let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    // The real plane's controllers write to Deployments meanwhile.
    let mut no_containers = deployment("bad", json!({"a": "b"}));
    no_containers["spec"]["template"]["spec"]["containers"] = Value::Null;
    vec![
        step(
            Whole,
            "deployment",
            "POST",
            DEPLOYMENTS,
            JSON,
            deployment("web", json!({"a": "b"})),
        ),
        step(
            Whole,
            "selector misses",
            "POST",
            DEPLOYMENTS,
            JSON,
            deployment("bad", json!({"z": "z"})),
        ),
        step(
            Whole,
            "no containers",
            "POST",
            DEPLOYMENTS,
            JSON,
            no_containers,
        ),
        step(
            Reason,
            "strategic",
            "PATCH",
            WEB,
            STRATEGIC,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "x:1"}]}}}}),
        ),
        step(
            Reason,
            "status",
            "PATCH",
            "/apis/apps/v1/namespaces/contract/deployments/web/status",
            MERGE,
            json!({"status": {"replicas": 1, "readyReplicas": 1}, "spec": {"replicas": 9}}),
        ),
        step(
            Whole,
            "immutable selector",
            "PATCH",
            WEB,
            MERGE,
            json!({"spec": {"selector": {"matchLabels": {"q": "r"}}}}),
        ),
        step(
            Reason,
            "read scale",
            "GET",
            "/apis/apps/v1/namespaces/contract/deployments/web/scale",
            JSON,
            Value::Null,
        ),
        step(
            Reason,
            "write scale",
            "PATCH",
            "/apis/apps/v1/namespaces/contract/deployments/web/scale",
            MERGE,
            json!({"spec": {"replicas": 3}}),
        ),
        step(
            Whole,
            "apply deployment",
            "PATCH",
            "/apis/apps/v1/namespaces/contract/deployments/ssa?fieldManager=m",
            APPLY,
            deployment("ssa", json!({"a": "b"})),
        ),
        step(
            Whole,
            "service",
            "POST",
            SERVICES,
            JSON,
            service(
                "svc",
                json!({"ports": [{"port": 80}], "selector": {"a": "b"}}),
            ),
        ),
        step(
            Whole,
            "external name",
            "POST",
            SERVICES,
            JSON,
            service(
                "ext",
                json!({"type": "ExternalName", "externalName": "x.io"}),
            ),
        ),
        step(
            Whole,
            "no ports",
            "POST",
            SERVICES,
            JSON,
            service("np", json!({})),
        ),
        step(
            Whole,
            "strategic service",
            "PATCH",
            "/api/v1/namespaces/contract/services/svc",
            STRATEGIC,
            json!({"spec": {"ports": [{"name": "new", "port": 82}, {"name": "old", "port": 80}]}}),
        ),
        step(
            Whole,
            "replace service",
            "PUT",
            "/api/v1/namespaces/contract/services/svc",
            JSON,
            service(
                "svc",
                json!({"ports": [{"port": 81}], "selector": {"a": "b"}}),
            ),
        ),
        step(
            Whole,
            "secret",
            "POST",
            SECRETS,
            JSON,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}),
        ),
        step(
            Whole,
            "secret type",
            "PATCH",
            "/api/v1/namespaces/contract/secrets/s",
            MERGE,
            json!({"type": "x"}),
        ),
        step(
            Whole,
            "lease",
            "POST",
            "/apis/coordination.k8s.io/v1/namespaces/contract/leases",
            JSON,
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "x", "renewTime": "2024-01-01T00:00:00.123456Z"}}),
        ),
        step(
            Whole,
            "role",
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/contract/roles",
            JSON,
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        ),
        step(
            Whole,
            "role binding",
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/contract/rolebindings",
            JSON,
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r"}, "subjects": [{"kind": "User", "name": "x"}], "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}}),
        ),
        step(
            Whole,
            "ingress",
            "POST",
            "/apis/networking.k8s.io/v1/namespaces/contract/ingresses",
            JSON,
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": {"rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
        ),
        step(
            Whole,
            "network policy",
            "POST",
            "/apis/networking.k8s.io/v1/namespaces/contract/networkpolicies",
            JSON,
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "np"}, "spec": {"podSelector": {}}}),
        ),
        step(
            Whole,
            "stateful set",
            "POST",
            "/apis/apps/v1/namespaces/contract/statefulsets",
            JSON,
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "st"}, "spec": {"serviceName": "x", "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}}),
        ),
        step(
            Whole,
            "protected namespace",
            "DELETE",
            "/api/v1/namespaces/kube-system",
            JSON,
            Value::Null,
        ),
    ]
}

fn widget(spec: Value, status: Value) -> Value {
    let mut widget = json!({"apiVersion": "contract.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    if !status.is_null() {
        widget["status"] = status;
    }
    widget
}

fn definition() -> Value {
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

fn custom() -> Vec<Step> {
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

/// Plays one step; the code and the body.
async fn play(client: &Client, step: &Step) -> (u16, Value) {
    send(
        client,
        step.method,
        step.path,
        step.content_type,
        &step.body,
    )
    .await
}

/// Sends one request; the code and the body. A null sends no body.
async fn send(
    client: &Client,
    method: &str,
    path: &str,
    content_type: &str,
    body: &Value,
) -> (u16, Value) {
    let body = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .header("user-agent", "contract/1")
        .body(Body::from(body))
        .unwrap();
    let response = client.send(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    (code, body)
}

/// Takes out what no two servers agree on.
fn settle(value: &mut Value) {
    const OWN: [&str; 9] = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "time",
        "clusterIP",
        "clusterIPs",
        "nodePort",
        "lastTransitionTime",
    ];
    match value {
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                match OWN.contains(&key.as_str()) && !item.is_null() && !item.is_object() {
                    true => *item = json!("~"),
                    false => settle(item),
                }
            }
            // An absent time sorts entries differently in no way that counts.
            if let Some(fields) = map.get_mut("managedFields").and_then(Value::as_array_mut) {
                fields.sort_by_key(|f| {
                    f["manager"].to_string()
                        + &f["operation"].to_string()
                        + &f["subresource"].to_string()
                });
                for entry in fields.iter_mut().filter_map(Value::as_object_mut) {
                    entry.remove("time");
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

fn agree(step: &Step, real: (u16, Value), ours: (u16, Value)) -> Result<(), String> {
    let ((real_code, mut real), (our_code, mut ours)) = (real, ours);
    settle(&mut real);
    settle(&mut ours);
    let same = match step.alike {
        Whole => real == ours,
        Reason => real["reason"] == ours["reason"],
    };
    match same && real_code == our_code {
        true => Ok(()),
        false => Err(format!(
            "{}: {} {}\n  real {real_code} {real}\n  ours {our_code} {ours}\n",
            step.name, step.method, step.path
        )),
    }
}

#[tokio::test]
async fn answers_are_those_of_kube_apiserver() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let options = ControlPlaneOptions {
        workloads: false,
        service_cidr: "172.31.0.0/16".to_owned(),
        ..ControlPlaneOptions::default()
    };
    let plane = ControlPlane::start("contract", options).await.unwrap();
    let real = plane.client().await.unwrap();
    let server = Server::open(Options::in_memory("contract")).unwrap();
    let ours = server.client();
    let mut faults = Vec::new();
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "contract"}});
    let mut steps = vec![
        step(
            Whole,
            "namespace",
            "POST",
            "/api/v1/namespaces",
            JSON,
            namespace,
        ),
        step(Reason, "definition", "POST", CRDS, JSON, definition()),
    ];
    steps.extend(config_maps());
    steps.extend(built_ins());
    let custom = custom();
    for step in &steps {
        let (real, ours) = (play(&real, step).await, play(&ours, step).await);
        faults.extend(agree(step, real, ours).err());
    }
    // The real server serves a new definition a moment later.
    let served = step(Reason, "served", "GET", WIDGETS, JSON, Value::Null);
    let soon = std::time::Duration::from_secs(30);
    support::await_condition("widgets are served", soon, || async {
        match play(&real, &served).await.0 {
            200 => Ok(()),
            code => Err(code.to_string()),
        }
    })
    .await;
    for step in &custom {
        let (real, ours) = (play(&real, step).await, play(&ours, step).await);
        faults.extend(agree(step, real, ours).err());
    }
    plane.stop().await.unwrap();
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
