//! Columns of the built-in kinds, as kube-apiserver's printers have them.

use jiff::Timestamp;
use serde_json::Value;

use super::Cell::{Age, At, Count, Created, From};
use super::{Column, since, text_at};

const DEFAULT: &[Column] = &[("Age", false, Age)];

/// Columns after the name.
#[rustfmt::skip]
pub(super) fn columns(group: &str, plural: &str) -> &'static [Column] {
    match (group, plural) {
        ("", "namespaces") => &[("Status", false, At("/status/phase")), ("Age", false, Age)],
        ("", "configmaps") => &[("Data", false, From(data_count)), ("Age", false, Age)],
        ("", "secrets") => &[
            ("Type", false, At("/type")), ("Data", false, From(data_count)), ("Age", false, Age),
        ],
        ("", "serviceaccounts") => &[("Secrets", false, From(secrets)), ("Age", false, Age)],
        ("", "services") => &[
            ("Type", false, At("/spec/type")), ("Cluster-IP", false, At("/spec/clusterIP")),
            ("External-IP", false, From(external_ip)), ("Port(s)", false, From(service_ports)),
            ("Age", false, Age), ("Selector", true, From(selector)),
        ],
        ("", "endpoints") => &[("Endpoints", false, From(endpoints)), ("Age", false, Age)],
        ("" | "events.k8s.io", "events") => &[
            ("Last Seen", false, From(last_seen)), ("Type", false, At("/type")),
            ("Reason", false, At("/reason")), ("Object", false, From(event_object)),
            ("Subobject", true, At("/involvedObject/fieldPath")), ("Source", true, From(event_source)),
            ("Message", false, At("/message")), ("First Seen", true, From(first_seen)),
            ("Count", true, At("/count")), ("Name", true, At("/metadata/name")),
        ],
        ("", "nodes") => &[
            ("Status", false, From(node_status)), ("Roles", false, From(node_roles)),
            ("Age", false, Age), ("Version", false, At("/status/nodeInfo/kubeletVersion")),
            ("Internal-IP", true, From(node_internal)), ("External-IP", true, From(node_external)),
            ("OS-Image", true, At("/status/nodeInfo/osImage")),
            ("Kernel-Version", true, At("/status/nodeInfo/kernelVersion")),
            ("Container-Runtime", true, At("/status/nodeInfo/containerRuntimeVersion")),
        ],
        ("", "pods") => &[
            ("Ready", false, From(pod_ready)), ("Status", false, From(pod_status)),
            ("Restarts", false, From(pod_restarts)), ("Age", false, Age),
            ("IP", true, At("/status/podIP")), ("Node", true, At("/spec/nodeName")),
            ("Nominated Node", true, At("/status/nominatedNodeName")), ("Readiness Gates", true, At("/none")),
        ],
        ("", "replicationcontrollers") => &[
            ("Desired", false, Count("/spec/replicas")), ("Current", false, Count("/status/replicas")),
            ("Ready", false, Count("/status/readyReplicas")), ("Age", false, Age),
        ],
        ("", "persistentvolumeclaims") => &[
            ("Status", false, At("/status/phase")), ("Volume", false, At("/spec/volumeName")),
            ("Capacity", false, At("/status/capacity/storage")), ("Access Modes", false, From(access_modes)),
            ("StorageClass", false, At("/spec/storageClassName")), ("Age", false, Age),
            ("VolumeMode", true, At("/spec/volumeMode")),
        ],
        ("", "persistentvolumes") => &[
            ("Capacity", false, At("/spec/capacity/storage")), ("Access Modes", false, From(access_modes)),
            ("Reclaim Policy", false, At("/spec/persistentVolumeReclaimPolicy")),
            ("Status", false, At("/status/phase")), ("StorageClass", false, At("/spec/storageClassName")),
            ("Age", false, Age),
        ],
        ("apps", "deployments") => &[
            ("Ready", false, From(deployment_ready)), ("Up-to-date", false, Count("/status/updatedReplicas")),
            ("Available", false, Count("/status/availableReplicas")), ("Age", false, Age),
            ("Containers", true, From(containers)), ("Images", true, From(images)),
            ("Selector", true, From(match_labels)),
        ],
        ("apps", "replicasets") => &[
            ("Desired", false, Count("/spec/replicas")), ("Current", false, Count("/status/replicas")),
            ("Ready", false, Count("/status/readyReplicas")), ("Age", false, Age),
            ("Containers", true, From(containers)), ("Images", true, From(images)),
            ("Selector", true, From(match_labels)),
        ],
        ("apps", "statefulsets") => &[
            ("Ready", false, From(deployment_ready)), ("Age", false, Age),
            ("Containers", true, From(containers)), ("Images", true, From(images)),
        ],
        ("apps", "daemonsets") => &[
            ("Desired", false, Count("/status/desiredNumberScheduled")),
            ("Current", false, Count("/status/currentNumberScheduled")),
            ("Ready", false, Count("/status/numberReady")),
            ("Up-to-date", false, Count("/status/updatedNumberScheduled")),
            ("Available", false, Count("/status/numberAvailable")),
            ("Node Selector", false, From(node_selector)), ("Age", false, Age),
            ("Containers", true, From(containers)), ("Images", true, From(images)),
            ("Selector", true, From(match_labels)),
        ],
        ("batch", "jobs") => &[
            ("Status", false, From(job_status)), ("Completions", false, From(job_completions)),
            ("Age", false, Age), ("Containers", true, From(containers)), ("Images", true, From(images)),
        ],
        ("batch", "cronjobs") => &[
            ("Schedule", false, At("/spec/schedule")), ("Timezone", false, At("/spec/timeZone")),
            ("Suspend", false, At("/spec/suspend")), ("Last Schedule", false, At("/status/lastScheduleTime")),
            ("Age", false, Age),
        ],
        ("networking.k8s.io", "ingresses") => &[
            ("Class", false, At("/spec/ingressClassName")), ("Hosts", false, From(ingress_hosts)),
            ("Address", false, From(ingress_address)), ("Age", false, Age),
        ],
        ("networking.k8s.io", "networkpolicies") => &[
            ("Pod-Selector", false, From(pod_selector)), ("Age", false, Age),
        ],
        ("policy", "poddisruptionbudgets") => &[
            ("Min Available", false, At("/spec/minAvailable")),
            ("Max Unavailable", false, At("/spec/maxUnavailable")),
            ("Allowed Disruptions", false, Count("/status/disruptionsAllowed")), ("Age", false, Age),
        ],
        ("autoscaling", "horizontalpodautoscalers") => &[
            ("Reference", false, From(hpa_reference)), ("MinPods", false, Count("/spec/minReplicas")),
            ("MaxPods", false, Count("/spec/maxReplicas")),
            ("Replicas", false, Count("/status/currentReplicas")), ("Age", false, Age),
        ],
        ("rbac.authorization.k8s.io", "roles" | "clusterroles")
        | ("apiextensions.k8s.io", "customresourcedefinitions") => &[("Created At", false, Created)],
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &[
            ("Role", false, From(role_ref)), ("Age", false, Age),
        ],
        ("storage.k8s.io", "storageclasses") => &[
            ("Provisioner", false, At("/provisioner")), ("ReclaimPolicy", false, At("/reclaimPolicy")),
            ("VolumeBindingMode", false, At("/volumeBindingMode")),
            ("AllowVolumeExpansion", false, From(expansion)), ("Age", false, Age),
        ],
        ("scheduling.k8s.io", "priorityclasses") => &[
            ("Value", false, Count("/value")), ("Global-Default", false, From(global_default)),
            ("Age", false, Age),
        ],
        ("coordination.k8s.io", "leases") => &[
            ("Holder", false, At("/spec/holderIdentity")), ("Age", false, Age),
        ],
        ("discovery.k8s.io", "endpointslices") => &[
            ("AddressType", false, At("/addressType")), ("Ports", false, From(slice_ports)),
            ("Endpoints", false, From(slice_endpoints)), ("Age", false, Age),
        ],
        _ => DEFAULT,
    }
}

/// Events have no name column in front.
pub(super) fn hides_name(plural: &str) -> bool {
    plural == "events"
}

fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    let found = object.pointer(pointer).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn or_none(text: String) -> String {
    match text.is_empty() {
        true => "<none>".to_owned(),
        false => text,
    }
}

fn joined<'a>(items: impl Iterator<Item = &'a str>) -> String {
    or_none(items.collect::<Vec<_>>().join(","))
}

/// At most three items, then how many more.
fn shortened(items: &[String]) -> String {
    match items.len() {
        0..=3 => or_none(items.join(",")),
        more => format!("{} + {} more...", items[..3].join(","), more - 3),
    }
}

fn map_text(object: &Value, pointer: &str) -> String {
    let map = object.pointer(pointer).and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    let pairs = pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
    or_none(pairs.collect::<Vec<_>>().join(","))
}

fn data_count(object: &Value, _: Timestamp) -> String {
    let size = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    (size("data") + size("binaryData")).to_string()
}

fn secrets(object: &Value, _: Timestamp) -> String {
    list(object, "/secrets").count().to_string()
}

fn external_ip(object: &Value, _: Timestamp) -> String {
    let balancer = list(object, "/status/loadBalancer/ingress")
        .filter_map(|i| i["ip"].as_str().or_else(|| i["hostname"].as_str()));
    let external = list(object, "/spec/externalIPs").filter_map(Value::as_str);
    match object["spec"]["type"].as_str() {
        Some("ExternalName") => text_at(object, "/spec/externalName"),
        Some("LoadBalancer") => {
            let all = balancer.chain(external).collect::<Vec<_>>().join(",");
            match all.is_empty() {
                true => "<pending>".to_owned(),
                false => all,
            }
        }
        _ => joined(external),
    }
}

fn service_ports(object: &Value, _: Timestamp) -> String {
    let ports = list(object, "/spec/ports").map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_u64() {
            Some(node) => format!("{}:{node}/{protocol}", port["port"]),
            None => format!("{}/{protocol}", port["port"]),
        }
    });
    or_none(ports.collect::<Vec<_>>().join(","))
}

fn selector(object: &Value, _: Timestamp) -> String {
    map_text(object, "/spec/selector")
}

fn match_labels(object: &Value, _: Timestamp) -> String {
    map_text(object, "/spec/selector/matchLabels")
}

fn pod_selector(object: &Value, _: Timestamp) -> String {
    map_text(object, "/spec/podSelector/matchLabels")
}

fn node_selector(object: &Value, _: Timestamp) -> String {
    map_text(object, "/spec/template/spec/nodeSelector")
}

fn endpoints(object: &Value, _: Timestamp) -> String {
    let mut all = Vec::new();
    for subset in list(object, "/subsets") {
        for port in list(subset, "/ports") {
            for address in list(subset, "/addresses") {
                let ip = address["ip"].as_str().unwrap_or_default();
                all.push(format!("{ip}:{}", port["port"]));
            }
        }
    }
    shortened(&all)
}

fn first_time<'a>(object: &'a Value, pointers: &[&str]) -> &'a str {
    let mut found = pointers.iter().filter_map(|p| object.pointer(p)?.as_str());
    found.find(|text| !text.is_empty()).unwrap_or_default()
}

fn last_seen(object: &Value, now: Timestamp) -> String {
    let pointers = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/firstTimestamp",
        "/eventTime",
    ];
    since(first_time(object, &pointers), now)
}

fn first_seen(object: &Value, now: Timestamp) -> String {
    since(first_time(object, &["/firstTimestamp", "/eventTime"]), now)
}

fn event_object(object: &Value, _: Timestamp) -> String {
    let about = &object["involvedObject"];
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    format!("{kind}/{}", about["name"].as_str().unwrap_or_default())
}

fn event_source(object: &Value, _: Timestamp) -> String {
    let pointers = ["/reportingComponent", "/source/component"];
    or_none(first_time(object, &pointers).to_owned())
}

fn node_status(object: &Value, _: Timestamp) -> String {
    let ready = list(object, "/status/conditions").find(|c| c["type"] == "Ready");
    let mut words = vec![match ready.map(|c| &c["status"]) {
        Some(status) if status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }];
    if object["spec"]["unschedulable"] == true {
        words.push("SchedulingDisabled");
    }
    words.join(",")
}

fn node_roles(object: &Value, _: Timestamp) -> String {
    let labels = object["metadata"]["labels"].as_object();
    let labels = labels.into_iter().flat_map(|l| l.keys());
    joined(labels.filter_map(|key| key.strip_prefix("node-role.kubernetes.io/")))
}

fn node_address(object: &Value, kind: &str) -> String {
    let found = list(object, "/status/addresses").find(|a| a["type"] == kind);
    or_none(
        found
            .and_then(|a| a["address"].as_str())
            .unwrap_or_default()
            .to_owned(),
    )
}

fn node_internal(object: &Value, _: Timestamp) -> String {
    node_address(object, "InternalIP")
}

fn node_external(object: &Value, _: Timestamp) -> String {
    node_address(object, "ExternalIP")
}

fn pod_ready(object: &Value, _: Timestamp) -> String {
    let ready = list(object, "/status/containerStatuses").filter(|c| c["ready"] == true);
    format!(
        "{}/{}",
        ready.count(),
        list(object, "/spec/containers").count()
    )
}

fn pod_status(object: &Value, _: Timestamp) -> String {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    let waiting = list(object, "/status/containerStatuses")
        .find_map(|c| c["state"]["waiting"]["reason"].as_str());
    let reason = object["status"]["reason"].as_str();
    match waiting.or(reason) {
        Some(reason) => reason.to_owned(),
        None => text_at(object, "/status/phase"),
    }
}

fn pod_restarts(object: &Value, _: Timestamp) -> String {
    let restarts =
        list(object, "/status/containerStatuses").filter_map(|c| c["restartCount"].as_i64());
    restarts.sum::<i64>().to_string()
}

fn access_modes(object: &Value, _: Timestamp) -> String {
    joined(list(object, "/spec/accessModes").filter_map(|mode| {
        Some(match mode.as_str()? {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        })
    }))
}

fn deployment_ready(object: &Value, _: Timestamp) -> String {
    let ready = number(object, "/status/readyReplicas");
    format!("{ready}/{}", number(object, "/spec/replicas"))
}

fn containers(object: &Value, _: Timestamp) -> String {
    let all = list(object, "/spec/template/spec/containers");
    joined(all.filter_map(|c| c["name"].as_str()))
}

fn images(object: &Value, _: Timestamp) -> String {
    let all = list(object, "/spec/template/spec/containers");
    joined(all.filter_map(|c| c["image"].as_str()))
}

fn job_status(object: &Value, _: Timestamp) -> String {
    let holds = |kind: &str| {
        list(object, "/status/conditions").any(|c| c["type"] == kind && c["status"] == "True")
    };
    match () {
        () if holds("Complete") => "Complete",
        () if holds("Failed") => "Failed",
        () if object["metadata"]["deletionTimestamp"].is_string() => "Terminating",
        () if holds("Suspended") => "Suspended",
        () => "Running",
    }
    .to_owned()
}

fn job_completions(object: &Value, _: Timestamp) -> String {
    let done = number(object, "/status/succeeded");
    format!("{done}/{}", number(object, "/spec/completions").max(1))
}

fn ingress_hosts(object: &Value, _: Timestamp) -> String {
    let hosts = joined(list(object, "/spec/rules").filter_map(|r| r["host"].as_str()));
    match hosts.as_str() {
        "<none>" => "*".to_owned(),
        _ => hosts,
    }
}

fn ingress_address(object: &Value, _: Timestamp) -> String {
    let found = list(object, "/status/loadBalancer/ingress")
        .filter_map(|i| i["ip"].as_str().or_else(|| i["hostname"].as_str()));
    found.collect::<Vec<_>>().join(",")
}

fn hpa_reference(object: &Value, _: Timestamp) -> String {
    let target = &object["spec"]["scaleTargetRef"];
    let text = |field: &str| target[field].as_str().unwrap_or_default();
    format!("{}/{}", text("kind"), text("name"))
}

fn role_ref(object: &Value, _: Timestamp) -> String {
    let role = &object["roleRef"];
    let text = |field: &str| role[field].as_str().unwrap_or_default();
    format!("{}/{}", text("kind"), text("name"))
}

fn expansion(object: &Value, _: Timestamp) -> String {
    (object["allowVolumeExpansion"] == true).to_string()
}

fn global_default(object: &Value, _: Timestamp) -> String {
    (object["globalDefault"] == true).to_string()
}

fn slice_ports(object: &Value, _: Timestamp) -> String {
    let ports: Vec<String> = list(object, "/ports")
        .map(|p| p["port"].to_string())
        .collect();
    match ports.is_empty() {
        true => "<unset>".to_owned(),
        false => shortened(&ports),
    }
}

fn slice_endpoints(object: &Value, _: Timestamp) -> String {
    let addresses = list(object, "/endpoints").flat_map(|e| list(e, "/addresses"));
    let addresses = addresses.filter_map(Value::as_str).map(str::to_owned);
    let addresses: Vec<String> = addresses.collect();
    match addresses.is_empty() {
        true => "<unset>".to_owned(),
        false => shortened(&addresses),
    }
}
