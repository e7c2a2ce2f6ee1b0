//! Defaults of built-in kinds (kube-apiserver's `SetDefaults_…`), as rows of
//! path and value where possible.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::super::crd;
use super::super::object;
use super::super::resource::Resource;

/// Fills absent fields.
pub(in super::super) fn defaults(resource: &Resource, object: &mut Value) {
    if resource.custom.is_some() {
        return;
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => secret(object),
        ("", "services") => service(object),
        ("", "namespaces") => namespace_label(object),
        ("", "pods") => fill(object, "spec", |spec| {
            pod_spec(spec);
            absent(spec, &[("enableServiceLinks", json!(true))]);
        }),
        ("discovery.k8s.io", "endpointslices") => {
            if let Some(map) = object.as_object_mut() {
                each(map, "ports", |port| {
                    absent(port, &[("name", json!("")), ("protocol", json!("TCP"))]);
                });
            }
        }
        ("apps" | "batch", _) | ("", "replicationcontrollers") => workloads(resource, object),
        ("networking.k8s.io", "networkpolicies") => fill(object, "spec", |spec| {
            let mut types = vec!["Ingress"];
            if spec.contains_key("egress") {
                types.push("Egress");
            }
            absent(spec, &[("policyTypes", json!(types))]);
        }),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => subjects(object),
        ("apiextensions.k8s.io", "customresourcedefinitions") => crd::complete(object),
        ("autoscaling", "horizontalpodautoscalers") => {
            fill(object, "spec", |spec| {
                let metrics = json!([{"type": "Resource", "resource": {
                    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
                if spec.get("metrics") == Some(&json!([])) {
                    spec.remove("metrics");
                }
                absent(spec, &[("minReplicas", json!(1)), ("metrics", metrics)])
            });
        }
        ("storage.k8s.io", "storageclasses") => {
            let rows = [
                ("reclaimPolicy", json!("Delete")),
                ("volumeBindingMode", json!("Immediate")),
            ];
            if let Some(map) = object.as_object_mut() {
                absent(map, &rows);
            }
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            if let Some(map) = object.as_object_mut() {
                absent(map, &[("preemptionPolicy", json!("PreemptLowerPriority"))]);
            }
        }
        ("", "persistentvolumeclaims") => {
            fill(object, "spec", |spec| {
                absent(spec, &[("volumeMode", json!("Filesystem"))])
            });
        }
        _ => {}
    }
}

fn workloads(resource: &Resource, object: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "replicationcontrollers") => workload(object, &[("replicas", json!(1))]),
        ("apps", "deployments") => {
            let rows = [
                ("progressDeadlineSeconds", json!(600)),
                ("replicas", json!(1)),
                ("revisionHistoryLimit", json!(10)),
                ("strategy", json!({"type": "RollingUpdate"})),
            ];
            workload(object, &rows);
            rolling(
                object,
                "strategy",
                &[("maxSurge", json!("25%")), ("maxUnavailable", json!("25%"))],
            );
        }
        ("apps", "replicasets") => workload(object, &[("replicas", json!(1))]),
        ("apps", "daemonsets") => {
            let rows = [
                ("revisionHistoryLimit", json!(10)),
                ("updateStrategy", json!({"type": "RollingUpdate"})),
            ];
            workload(object, &rows);
            let rolling_rows = [("maxSurge", json!(0)), ("maxUnavailable", json!(1))];
            rolling(object, "updateStrategy", &rolling_rows);
        }
        ("apps", "statefulsets") => {
            let rows = [
                (
                    "persistentVolumeClaimRetentionPolicy",
                    json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
                ),
                ("podManagementPolicy", json!("OrderedReady")),
                ("replicas", json!(1)),
                ("revisionHistoryLimit", json!(10)),
                ("updateStrategy", json!({"type": "RollingUpdate"})),
            ];
            workload(object, &rows);
            rolling(object, "updateStrategy", &[("partition", json!(0))]);
        }
        ("batch", "jobs") => job(object),
        ("batch", "cronjobs") => fill(object, "spec", |spec| {
            let rows = [
                ("concurrencyPolicy", json!("Allow")),
                ("failedJobsHistoryLimit", json!(1)),
                ("successfulJobsHistoryLimit", json!(3)),
                ("suspend", json!(false)),
            ];
            absent(spec, &rows);
            if let Some(Value::Object(template)) = spec.get_mut("jobTemplate")
                && let Some(Value::Object(job)) = template.get_mut("spec")
                && let Some(Value::Object(pod)) = job.get_mut("template")
                && let Some(Value::Object(spec)) = pod.get_mut("spec")
            {
                pod_spec(spec);
            }
        }),
        _ => {}
    }
}

/// Changes an existing map field.
fn fill(object: &mut Value, field: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(Value::Object(map)) = object.get_mut(field) {
        change(map);
    }
}

fn absent(map: &mut Map<String, Value>, rows: &[(&str, Value)]) {
    for (field, value) in rows {
        map.entry(*field).or_insert_with(|| value.clone());
    }
}

fn each(
    map: &mut Map<String, Value>,
    field: &str,
    mut change: impl FnMut(&mut Map<String, Value>),
) {
    let items = map.get_mut(field).and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        if let Value::Object(item) = item {
            change(item);
        }
    }
}

/// Every namespace can be selected by its name.
fn namespace_label(object: &mut Value) {
    let name = object::meta_text(object, "name").to_owned();
    if name.is_empty() {
        return;
    }
    object::with_meta(object, |meta| {
        let labels = meta.entry("labels").or_insert_with(|| json!({}));
        object::set(labels, "kubernetes.io/metadata.name", json!(name));
    });
}

/// stringData is write-only: it goes into data, encoded.
fn secret(object: &mut Value) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    if let Some(Value::Object(plain)) = map.remove("stringData") {
        let data = map.entry("data").or_insert_with(|| json!({}));
        for (key, value) in plain {
            let text = value.as_str().unwrap_or_default();
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            super::set(data, &key, json!(encoded));
        }
    }
    absent(map, &[("type", json!("Opaque"))]);
}

fn service(object: &mut Value) {
    if !object["spec"].is_object() {
        return;
    }
    fill(object, "spec", |spec| {
        absent(
            spec,
            &[
                ("sessionAffinity", json!("None")),
                ("type", json!("ClusterIP")),
            ],
        );
        if spec["type"] != "ExternalName" {
            absent(spec, &[("internalTrafficPolicy", json!("Cluster"))]);
        }
        if spec["type"] == "LoadBalancer" || spec["type"] == "NodePort" {
            absent(spec, &[("externalTrafficPolicy", json!("Cluster"))]);
        }
        if spec["type"] == "LoadBalancer" {
            absent(spec, &[("allocateLoadBalancerNodePorts", json!(true))]);
        }
        each(spec, "ports", |port| {
            absent(port, &[("protocol", json!("TCP"))]);
            if let Some(number) = port.get("port").cloned() {
                let target = port.entry("targetPort").or_insert_with(|| number.clone());
                if *target == json!(0) || *target == json!("") {
                    *target = number;
                }
            }
        });
    });
}

fn workload(object: &mut Value, rows: &[(&str, Value)]) {
    fill(object, "spec", |spec| {
        absent(spec, rows);
        // kubectl create sends empty structs.
        for field in ["strategy", "updateStrategy"] {
            if let Some(Value::Object(strategy)) = spec.get_mut(field)
                && strategy.get("type").is_none_or(|t| t == "")
            {
                strategy.insert("type".to_owned(), json!("RollingUpdate"));
            }
        }
        pod_template(spec);
        each(spec, "volumeClaimTemplates", |claim| {
            absent(
                claim,
                &[
                    ("apiVersion", json!("v1")),
                    ("kind", json!("PersistentVolumeClaim")),
                    ("status", json!({"phase": "Pending"})),
                ],
            );
            if let Some(Value::Object(spec)) = claim.get_mut("spec") {
                absent(spec, &[("volumeMode", json!("Filesystem"))]);
            }
        });
    });
}

fn rolling(object: &mut Value, field: &str, rows: &[(&str, Value)]) {
    fill(object, "spec", |spec| {
        if let Some(Value::Object(strategy)) = spec.get_mut(field)
            && strategy.get("type").is_some_and(|t| t == "RollingUpdate")
        {
            let update = strategy.entry("rollingUpdate").or_insert_with(|| json!({}));
            if let Some(update) = update.as_object_mut() {
                absent(update, rows);
            }
        }
    });
}

fn job(object: &mut Value) {
    fill(object, "spec", |spec| {
        let rows = [
            ("backoffLimit", json!(6)),
            ("completionMode", json!("NonIndexed")),
            ("completions", json!(1)),
            ("parallelism", json!(1)),
            ("podReplacementPolicy", json!("TerminatingOrFailed")),
            ("suspend", json!(false)),
        ];
        absent(spec, &rows);
        pod_template(spec);
    });
}

fn pod_template(spec: &mut Map<String, Value>) {
    if let Some(Value::Object(template)) = spec.get_mut("template")
        && let Some(Value::Object(pod)) = template.get_mut("spec")
    {
        pod_spec(pod);
    }
}

fn pod_spec(spec: &mut Map<String, Value>) {
    let rows = [
        ("dnsPolicy", json!("ClusterFirst")),
        ("restartPolicy", json!("Always")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("terminationGracePeriodSeconds", json!(30)),
    ];
    absent(spec, &rows);
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        absent(spec, &[("serviceAccount", account)]);
    }
    for field in ["containers", "initContainers"] {
        each(spec, field, container);
    }
    each(spec, "volumes", volume);
}

fn container(container: &mut Map<String, Value>) {
    let image = container
        .get("image")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let pull = if is_latest(image) {
        "Always"
    } else {
        "IfNotPresent"
    };
    let rows = [
        ("imagePullPolicy", json!(pull)),
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
    ];
    absent(container, &rows);
    each(container, "ports", |port| {
        absent(port, &[("protocol", json!("TCP"))])
    });
    each(container, "env", |env| {
        if let Some(Value::Object(source)) = env.get_mut("valueFrom")
            && let Some(Value::Object(field)) = source.get_mut("fieldRef")
        {
            absent(field, &[("apiVersion", json!("v1"))]);
        }
    });
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(field) {
            let rows = [
                ("failureThreshold", json!(3)),
                ("periodSeconds", json!(10)),
                ("successThreshold", json!(1)),
                ("timeoutSeconds", json!(1)),
            ];
            absent(probe, &rows);
            if let Some(Value::Object(get)) = probe.get_mut("httpGet") {
                absent(get, &[("path", json!("/")), ("scheme", json!("HTTP"))]);
            }
        }
    }
}

/// An image without tag or digest, or with the tag `latest`.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Map<String, Value>) {
    for field in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(Value::Object(source)) = volume.get_mut(field) {
            absent(source, &[("defaultMode", json!(420))]);
        }
    }
    if let Some(Value::Object(path)) = volume.get_mut("hostPath") {
        absent(path, &[("type", json!(""))]);
    }
    if volume.len() == 1 && volume.contains_key("name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
}

fn subjects(object: &mut Value) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    each(map, "subjects", |subject| {
        if subject
            .get("kind")
            .is_some_and(|kind| kind != "ServiceAccount")
        {
            absent(subject, &[("apiGroup", json!("rbac.authorization.k8s.io"))]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::super::resource;
    use super::*;

    fn defaulted(plural: &str, mut object: Value) -> Value {
        let all = resource::builtin();
        let found = all.iter().find(|r| r.plural == plural).unwrap();
        defaults(found, &mut object);
        object
    }

    #[test]
    fn a_deployment_gets_what_kubectl_shows() {
        let got = defaulted(
            "deployments",
            json!({"spec": {"strategy": {}, "template": {"spec": {"containers": [{"name": "a", "image": "r:5000/x", "ports": [{"containerPort": 80}]}]}}}}),
        );
        let spec = &got["spec"];
        assert_eq!(spec["replicas"], 1);
        assert_eq!(spec["strategy"]["rollingUpdate"]["maxSurge"], "25%");
        let container = &spec["template"]["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
    }

    #[test]
    fn string_data_is_encoded_over_data() {
        let got = defaulted(
            "secrets",
            json!({"data": {"a": "eA=="}, "stringData": {"a": "y"}}),
        );
        assert_eq!(got, json!({"data": {"a": "eQ=="}, "type": "Opaque"}));
    }

    #[test]
    fn defaults_keep_what_is_set() {
        let got = defaulted(
            "services",
            json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "targetPort": "http", "protocol": "UDP"}]}}),
        );
        assert_eq!(got["spec"]["type"], "NodePort");
        assert_eq!(got["spec"]["ports"][0]["targetPort"], "http");
        assert_eq!(got["spec"]["ports"][0]["protocol"], "UDP");
    }
}
