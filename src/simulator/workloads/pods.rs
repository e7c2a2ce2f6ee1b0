//! The pods of workloads. They exist as numbers and addresses even where no
//! Pod objects are written.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Profile;
use super::fields::{hash, list, suffix, text};
use super::kind::Kind;
use super::status::{replicas, second};

/// One pod, written as an object or not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VirtualPod {
    pub(super) name: String,
    pub(super) ip: Ipv4Addr,
    pub(super) labels: Map<String, Value>,
    /// Ports that containers name: name and number.
    pub(super) ports: Vec<(String, i64)>,
    pub(super) ready: bool,
}

/// Hash of the pod template: a new one means new pods.
pub(super) fn template_hash(object: &Value) -> String {
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    suffix(hash(&[&template.to_string()]), 10)
}

/// The pods of a workload's present revision. Names and addresses follow
/// from the workload alone, so a restarted simulator says the same.
pub(super) fn of(kind: Kind, object: &Value, profile: &Profile, ready: bool) -> Vec<VirtualPod> {
    let name = text(object, "/metadata/name");
    let namespace = text(object, "/metadata/namespace");
    let revision = template_hash(object);
    let labels = object.pointer("/spec/template/metadata/labels");
    let mut labels = labels
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if kind == Kind::Deployment {
        labels.insert("pod-template-hash".to_owned(), json!(revision));
    }
    let ports = named_ports(object, "/spec/template/spec/containers");
    (0..replicas(kind, object).clamp(0, 200))
        .map(|index| {
            let seed = hash(&[namespace, name, &revision, &index.to_string()]);
            let pod = match kind {
                Kind::StatefulSet => format!("{name}-{index}"),
                Kind::Deployment => format!("{name}-{revision}-{}", suffix(seed, 5)),
                _ => format!("{name}-{}", suffix(seed, 5)),
            };
            VirtualPod {
                ip: address(&profile.pod_cidr, seed),
                name: pod,
                labels: labels.clone(),
                ports: ports.clone(),
                ready,
            }
        })
        .collect()
}

/// A pod that somebody made by hand.
pub(super) fn lone(pod: &Value, profile: &Profile) -> VirtualPod {
    let name = text(pod, "/metadata/name");
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
    VirtualPod {
        name: name.to_owned(),
        ip: address(
            &profile.pod_cidr,
            hash(&[text(pod, "/metadata/namespace"), name]),
        ),
        labels: labels.cloned().unwrap_or_default(),
        ports: named_ports(pod, "/spec/containers"),
        ready: text(pod, "/metadata/deletionTimestamp").is_empty(),
    }
}

fn named_ports(object: &Value, containers: &str) -> Vec<(String, i64)> {
    list(object, containers)
        .iter()
        .flat_map(|container| list(container, "/ports"))
        .filter_map(|port| {
            let name = port.get("name")?.as_str()?;
            let number = port.get("containerPort")?.as_i64()?;
            Some((name.to_owned(), number))
        })
        .collect()
}

/// An address of the second to 250th host of one of the first 128 blocks of
/// 256 addresses: pods of one cluster look like neighbours.
fn address(cidr: &str, seed: u64) -> Ipv4Addr {
    let base = cidr.split('/').next().unwrap_or_default();
    let base: Ipv4Addr = base.parse().unwrap_or(Ipv4Addr::new(10, 128, 0, 0));
    let block = u32::try_from(seed % 126).unwrap_or_default() + 2;
    let host = u32::try_from((seed >> 16) % 249).unwrap_or_default() + 2;
    Ipv4Addr::from(u32::from(base) + block * 256 + host)
}

/// The object of a workload's pod.
pub(super) fn manifest(kind: Kind, owner: &Value, pod: &VirtualPod, profile: &Profile) -> Value {
    let mut spec = owner
        .pointer("/spec/template/spec")
        .cloned()
        .unwrap_or_else(|| json!({}));
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("nodeName".to_owned(), json!(profile.node));
    }
    let annotations = owner
        .pointer("/spec/template/metadata/annotations")
        .cloned()
        .unwrap_or_else(|| json!({}));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": text(owner, "/metadata/namespace"),
            "labels": pod.labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": kind.api_version(),
                "kind": kind.name(),
                "name": text(owner, "/metadata/name"),
                "uid": text(owner, "/metadata/uid"),
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    })
}

/// The status of a pod; one whose status says that it runs keeps its times.
pub(super) fn status(
    owner: Kind,
    object: &Value,
    pod: &VirtualPod,
    profile: &Profile,
    now: Timestamp,
) -> Value {
    let finished = owner == Kind::Job && pod.ready;
    let ready = pod.ready && !finished;
    let phase = match (finished, ready) {
        (true, _) => "Succeeded",
        (_, true) => "Running",
        _ => "Pending",
    };
    let same = text(object, "/status/phase") == phase;
    let started = match text(object, "/status/startTime") {
        "" => second(now),
        known => known.to_owned(),
    };
    let changed = object
        .pointer("/status/conditions/0/lastTransitionTime")
        .and_then(Value::as_str)
        .filter(|_| same)
        .map_or_else(|| second(now), str::to_owned);
    let conditions: Vec<Value> = [
        ("Ready", ready),
        ("ContainersReady", ready),
        ("Initialized", true),
        ("PodScheduled", true),
    ]
    .iter()
    .map(|(name, yes)| {
        let state = if *yes { "True" } else { "False" };
        json!({"type": name, "status": state, "lastTransitionTime": changed})
    })
    .collect();
    let container_state = match phase {
        "Succeeded" => {
            json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": changed, "startedAt": started}})
        }
        "Running" => json!({"running": {"startedAt": changed}}),
        _ => json!({"waiting": {"reason": "ContainerCreating"}}),
    };
    let containers: Vec<Value> = list(object, "/spec/containers")
        .iter()
        .map(|container| {
            json!({
                "name": text(container, "/name"),
                "image": text(container, "/image"),
                "imageID": "",
                "ready": ready,
                "started": ready,
                "restartCount": 0,
                "state": container_state,
            })
        })
        .collect();
    let mut status = json!({
        "phase": phase,
        "hostIP": profile.node_ip,
        "startTime": started,
        "conditions": conditions,
        "containerStatuses": containers,
    });
    if phase != "Pending" {
        status["podIP"] = json!(pod.ip.to_string());
        status["podIPs"] = json!([{"ip": pod.ip.to_string()}]);
    }
    status
}
