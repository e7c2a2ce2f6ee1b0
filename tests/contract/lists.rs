//! Lists: pages, versions, selectors, tables.

use super::config_maps::config_map;
use super::step::{JSON, Step, delete, get, post, step};
use serde_json::{Value, json};

const LISTED: &str = "/api/v1/namespaces/lists/secrets";

fn secret(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": "contract.io/listed",
        "metadata": {"name": name, "labels": labels}, "data": {"k": "dg=="}})
}

pub fn lists() -> Vec<Step> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lists"}});
    let mut steps = vec![post("namespace of lists", "/api/v1/namespaces", namespace)];
    for (name, labels) in [
        ("a", json!({"app": "x", "tier": "1"})),
        ("b", json!({"app": "y"})),
        ("c", json!({"app": "x", "tier": "2"})),
        ("d", json!({"tier": "2"})),
        ("e", json!({})),
    ] {
        steps.push(post(
            &format!("listed {name}"),
            LISTED,
            secret(name, &labels),
        ));
    }
    steps.extend(pages());
    steps.extend(versions());
    steps.extend(selectors());
    steps.extend(tables());
    steps
}

/// A list with these parameters.
fn list(name: &str, query: &str) -> Step {
    get(name, &format!("{LISTED}?{query}"))
}

fn pages() -> Vec<Step> {
    vec![
        list("whole list", ""),
        list("first page", "limit=2").keep("page", "/metadata/continue"),
        post("between pages", LISTED, secret("ca", &json!({}))),
        delete("gone between pages", &format!("{LISTED}/d"), Value::Null),
        list("second page", "limit=2&continue={page}").keep("page", "/metadata/continue"),
        list("last page", "limit=2&continue={page}"),
        list("all the rest", "continue={page}"),
        list("page of one revision, now", "limit=2"),
        list("first selected page", "limit=1&labelSelector=app").keep("page", "/metadata/continue"),
        list(
            "second selected page",
            "limit=1&labelSelector=app&continue={page}",
        ),
        list("limit as long as the list", "limit=5"),
        list("no limit", "limit=0"),
        list("page of a forgotten state", "limit=2&continue={forgotten}")
            .keep("page", "/metadata/continue"),
        list("going on today", "limit=2&continue={page}"),
        list("damaged token", "limit=2&continue=abc"),
        list(
            "token with a version",
            "limit=2&continue={page}&resourceVersion=5",
        ),
        list("negative limit", "limit=-1"),
        list("limit no number", "limit=x"),
    ]
}

fn versions() -> Vec<Step> {
    vec![
        list("any version", "resourceVersion=0"),
        list("version", "").keep("version", "/metadata/resourceVersion"),
        list(
            "not older",
            "resourceVersion={version}&resourceVersionMatch=NotOlderThan",
        ),
        post("after the version", LISTED, secret("f", &json!({}))),
        list(
            "exactly",
            "resourceVersion={version}&resourceVersionMatch=Exact",
        ),
        list(
            "not older, with something newer",
            "resourceVersion={version}",
        ),
        list(
            "exactly a page",
            "resourceVersion={version}&resourceVersionMatch=Exact&limit=2",
        )
        .keep("page", "/metadata/continue"),
        list("exactly the next page", "limit=2&continue={page}"),
        list(
            "forgotten version",
            "resourceVersion=1&resourceVersionMatch=Exact",
        ),
        list("match without version", "resourceVersionMatch=Exact"),
        list(
            "exactly none",
            "resourceVersion=0&resourceVersionMatch=Exact",
        ),
        list(
            "unknown match",
            "resourceVersion=1&resourceVersionMatch=Foo",
        ),
        list("version no number", "resourceVersion=abc"),
        get(
            "object at a version",
            &format!("{LISTED}/a?resourceVersion=0"),
        ),
        get(
            "object at no version",
            &format!("{LISTED}/a?resourceVersion=abc"),
        ),
    ]
}

fn selectors() -> Vec<Step> {
    let mut steps = vec![delete("e goes", &format!("{LISTED}/e"), Value::Null)];
    for selector in [
        "app%3Dx",
        "app%3D%3Dx",
        "app%21%3Dx",
        "app",
        "%21app",
        "app+in+(x,y)",
        "app+notin+(x)",
        "app%3Dx,tier%3D2",
        "tier%3E1",
        "tier+in+()",
        "a%20b",
        "%3Dx",
        "app%3D",
        "app%3Dx,",
        "app+in+(x",
        "app%3Dx%3Dy",
        "app%3D-",
        "a/b/c%3Dx",
        "tier%3Ex",
    ] {
        steps.push(list(
            &format!("labels {selector}"),
            &format!("labelSelector={selector}"),
        ));
    }
    for selector in [
        "metadata.name%3Da",
        "metadata.name%21%3Da",
        "metadata.namespace%3Dlists",
        "metadata.namespace%3Dother",
        "type%3Dcontract.io/listed",
        "type%21%3Dcontract.io/listed",
        "metadata.name%3Da,type%3DOpaque",
        "metadata.uid%3D1",
        "data.k%3Dv",
        "metadata.name",
        "metadata.name%3E1",
        "metadata.name%3D",
    ] {
        steps.push(list(
            &format!("fields {selector}"),
            &format!("fieldSelector={selector}"),
        ));
    }
    for (kind, selector) in [
        ("pods", "status.phase%3DRunning"),
        ("pods", "spec.nodeName%3Dn,spec.restartPolicy%3DAlways"),
        (
            "pods",
            "spec.schedulerName%3Ddefault-scheduler,spec.serviceAccountName%3Dx,status.podIP%3D1,status.nominatedNodeName%3Dn,spec.hostNetwork%3Dtrue",
        ),
        ("pods", "spec.containers%3Dx"),
        (
            "events",
            "involvedObject.name%3Dx,involvedObject.kind%3DPod,reason%3Dy,type%3DNormal",
        ),
        ("events", "source.component%3Dx"),
        ("replicationcontrollers", "status.replicas%3D0"),
        ("services", "spec.type%3DClusterIP"),
        ("services", "spec.clusterIP%3D1.2.3.4"),
    ] {
        steps.push(get(
            &format!("{kind} by {selector}"),
            &format!("/api/v1/namespaces/lists/{kind}?fieldSelector={selector}"),
        ));
    }
    for (path, selector) in [
        (
            "/api/v1/namespaces",
            "metadata.name%3Dlists,status.phase%3DActive",
        ),
        ("/api/v1/nodes", "spec.unschedulable%3Dtrue"),
        (
            "/apis/apps/v1/namespaces/lists/replicasets",
            "status.replicas%3D0",
        ),
        (
            "/apis/apps/v1/namespaces/lists/deployments",
            "spec.replicas%3D0",
        ),
        (
            "/apis/batch/v1/namespaces/lists/jobs",
            "status.successful%3D0",
        ),
        (
            "/apis/events.k8s.io/v1/namespaces/lists/events",
            "regarding.name%3Dx",
        ),
    ] {
        steps.push(get(
            &format!("{path} by {selector}"),
            &format!("{path}?fieldSelector={selector}"),
        ));
    }
    steps
}

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn tables() -> Vec<Step> {
    let metadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let metadata_list = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let mut steps = vec![
        post(
            "map in a table",
            "/api/v1/namespaces/lists/configmaps",
            config_map("m", json!({"a": "b"})),
        ),
        list("table", "").accept(TABLE),
        list("page of a table", "limit=1").accept(TABLE),
        list("table without objects", "includeObject=None").accept(TABLE),
        list("table of objects", "includeObject=Object").accept(TABLE),
        list("table of what", "includeObject=Foo").accept(TABLE),
        list("empty table", "labelSelector=nope").accept(TABLE),
        list("table of another group", "").accept("application/json;as=Table;v=v1;g=foo"),
        list("table or JSON", "")
            .accept("application/json;as=Table;v=v9;g=meta.k8s.io,application/json"),
        list("metadata of a list", "").accept(metadata_list),
        list("metadata of objects", "").accept(metadata),
        get("row", &format!("{LISTED}/a")).accept(TABLE),
        get("metadata of one", &format!("{LISTED}/a")).accept(metadata),
        get("metadata of none", &format!("{LISTED}/zz")).accept(metadata),
        list("text/plain", "").accept("text/plain"),
        list("anything", "").accept("*/*"),
        step(
            super::step::Whole,
            "created row",
            "POST",
            "/api/v1/namespaces/lists/configmaps?dryRun=All",
            JSON,
            config_map("n", json!({})),
        )
        .accept(TABLE),
    ];
    let columns = [
        "/api/v1/namespaces/lists/configmaps?fieldSelector=metadata.name%3Dm",
        "/api/v1/namespaces/contract/services?fieldSelector=metadata.name%3Dext",
        "/api/v1/namespaces/lists/pods",
        "/api/v1/namespaces?fieldSelector=metadata.name%3Dlists",
        "/api/v1/nodes",
        "/api/v1/namespaces/lists/events",
        "/api/v1/namespaces/lists/endpoints",
        "/api/v1/namespaces/contract/serviceaccounts?labelSelector=no",
        "/api/v1/namespaces/lists/persistentvolumeclaims",
        "/api/v1/persistentvolumes",
        "/api/v1/namespaces/lists/replicationcontrollers",
        "/api/v1/namespaces/lists/resourcequotas",
        "/api/v1/namespaces/lists/limitranges",
        "/apis/apps/v1/namespaces/contract/statefulsets",
        "/apis/apps/v1/namespaces/lists/deployments",
        "/apis/apps/v1/namespaces/lists/daemonsets",
        "/apis/apps/v1/namespaces/lists/replicasets",
        "/apis/apps/v1/namespaces/lists/controllerrevisions",
        "/apis/batch/v1/namespaces/lists/jobs",
        "/apis/batch/v1/namespaces/lists/cronjobs",
        "/apis/networking.k8s.io/v1/namespaces/contract/ingresses",
        "/apis/networking.k8s.io/v1/namespaces/contract/networkpolicies",
        "/apis/networking.k8s.io/v1/ingressclasses",
        "/apis/discovery.k8s.io/v1/namespaces/lists/endpointslices",
        "/apis/coordination.k8s.io/v1/namespaces/contract/leases",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/contract/roles",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/contract/rolebindings",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles?labelSelector=no",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings?labelSelector=no",
        "/apis/storage.k8s.io/v1/storageclasses",
        "/apis/scheduling.k8s.io/v1/priorityclasses?labelSelector=no",
        "/apis/policy/v1/namespaces/lists/poddisruptionbudgets",
        "/apis/autoscaling/v1/namespaces/lists/horizontalpodautoscalers",
        "/apis/autoscaling/v2/namespaces/lists/horizontalpodautoscalers",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/apiregistration.k8s.io/v1/apiservices?labelSelector=no",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests",
    ];
    steps.extend(columns.map(|path| get(&format!("table of {path}"), path).accept(TABLE)));
    steps
}
