//! The one Node of a played cluster.

use serde_json::{Value, json};

use super::Profile;

/// What the Node is from its first moment; it never changes, so it costs no
/// heartbeat.
pub(super) fn node(profile: &Profile) -> Value {
    let resources = json!({
        "cpu": "8", "memory": "32Gi", "pods": "250", "ephemeral-storage": "120Gi",
    });
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
    });
    let mut allocatable = resources.clone();
    allocatable["cpu"] = json!("7500m");
    allocatable["memory"] = json!("31Gi");
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": profile.node,
            "labels": {
                "kubernetes.io/hostname": profile.node,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/worker": "",
                "submariner.io/gateway": "true",
                "topology.kubernetes.io/region": "eu-west-1",
            },
        },
        "spec": {"podCIDR": profile.pod_cidr, "podCIDRs": [profile.pod_cidr]},
        "status": {
            "capacity": resources,
            "allocatable": allocatable,
            "addresses": [
                {"type": "InternalIP", "address": profile.node_ip},
                {"type": "Hostname", "address": profile.node},
            ],
            "conditions": [ready],
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux",
                "kubeletVersion": "v1.33.0", "kubeProxyVersion": "v1.33.0",
                "containerRuntimeVersion": "simulated://1", "kernelVersion": "6.1.0",
                "osImage": "Pilothouse simulator", "bootID": "", "machineID": "", "systemUUID": "",
            },
        },
    })
}
