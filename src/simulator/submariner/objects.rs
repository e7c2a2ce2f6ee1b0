//! The objects that Submariner's operator, gateways and broker keep.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::core::mesh::duration::GoDuration;
use crate::simulator::submariner::faults::{Faults, Gauge};
use crate::simulator::submariner::fleet::{Fleet, Site};
use crate::simulator::submariner::{BROKER_NAMESPACE, KEEP_CONDITIONS, OPERATOR_NAMESPACE};

/// Kind, namespace and name: what tells objects of one cluster apart.
pub(super) fn key(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "{}/{}/{}",
        text("/kind"),
        text("/metadata/namespace"),
        text("/metadata/name")
    )
}

fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn joined<'a>(fleet: &'a Fleet, faults: &Faults) -> Vec<&'a Site> {
    let mut sites: Vec<&Site> = fleet.sites.iter().collect();
    if faults.overlaps() {
        sites.push(&fleet.intruder);
    }
    sites
}

/// What stands on a member besides the gateway's report: its namespace, the
/// Submariner resource, its own Endpoint and Cluster and copies of the others.
pub(super) fn standing(fleet: &Fleet, site: &Site, faults: &Faults) -> Vec<Value> {
    let mut objects = vec![
        namespace(OPERATOR_NAMESPACE, json!({})),
        submariner(fleet, site),
    ];
    for other in joined(fleet, faults) {
        objects.push(endpoint(other, OPERATOR_NAMESPACE));
        objects.push(cluster(other, OPERATOR_NAMESPACE));
    }
    if fleet.workloads {
        objects.extend(workloads(&fleet.version));
    }
    objects
}

/// The operator's workloads, as `kubectl get pods -n submariner-operator`
/// shows them in the article.
fn workloads(version: &str) -> impl Iterator<Item = Value> + '_ {
    [
        ("DaemonSet", "submariner-gateway", "submariner-gateway", 0),
        (
            "DaemonSet",
            "submariner-routeagent",
            "submariner-route-agent",
            0,
        ),
        (
            "Deployment",
            "submariner-operator",
            "submariner-operator",
            1,
        ),
        (
            "Deployment",
            "submariner-lighthouse-agent",
            "lighthouse-agent",
            1,
        ),
        (
            "Deployment",
            "submariner-lighthouse-coredns",
            "lighthouse-coredns",
            2,
        ),
    ]
    .into_iter()
    .map(move |(kind, name, image, replicas)| {
        let labels = json!({"app": name});
        let mut workload = json!({
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": OPERATOR_NAMESPACE, "labels": labels},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{
                        "name": name,
                        "image": format!("quay.io/submariner/{image}:{version}"),
                    }]},
                },
            },
        });
        if replicas > 0 {
            workload["spec"]["replicas"] = json!(replicas);
        }
        workload
    })
}

/// What stands on the broker.
pub(super) fn broker(fleet: &Fleet, faults: &Faults) -> Vec<Value> {
    let mut objects = vec![
        namespace(BROKER_NAMESPACE, json!({"submariner.io/broker": "true"})),
        json!({
            "apiVersion": "submariner.io/v1alpha1",
            "kind": "Broker",
            "metadata": {"name": "submariner-broker", "namespace": BROKER_NAMESPACE},
            "spec": {
                "components": ["service-discovery", "connectivity"],
                "globalnetEnabled": false,
                "globalnetCIDRRange": "242.0.0.0/8",
                "defaultGlobalnetClusterSize": 65536,
            },
        }),
    ];
    for site in joined(fleet, faults) {
        objects.push(endpoint(site, BROKER_NAMESPACE));
        objects.push(cluster(site, BROKER_NAMESPACE));
    }
    objects
}

/// Objects of the intruder that an earlier run may have left and that are not wanted now.
pub(super) fn leftovers(wanted: &BTreeMap<String, Value>) -> Vec<Value> {
    let intruder = Fleet::article().intruder;
    [OPERATOR_NAMESPACE, BROKER_NAMESPACE]
        .into_iter()
        .filter(|name| wanted.contains_key(&format!("Namespace//{name}")))
        .flat_map(|name| [endpoint(&intruder, name), cluster(&intruder, name)])
        .filter(|object| !wanted.contains_key(&key(object)))
        .collect()
}

fn submariner(fleet: &Fleet, site: &Site) -> Value {
    json!({
        "apiVersion": "submariner.io/v1alpha1",
        "kind": "Submariner",
        "metadata": {"name": "submariner", "namespace": OPERATOR_NAMESPACE},
        "spec": {
            "broker": "k8s",
            "brokerK8sApiServer": "api.hub.example.com:6443",
            "brokerK8sRemoteNamespace": BROKER_NAMESPACE,
            "cableDriver": "libreswan",
            "ceIPSecNATTPort": 4500,
            "clusterID": site.cluster,
            "connectionHealthCheck": {"enabled": true, "intervalSeconds": 1, "maxPacketLossCount": 5},
            "debug": false,
            "namespace": OPERATOR_NAMESPACE,
            "natEnabled": true,
            "repository": "quay.io/submariner",
            "serviceDiscoveryEnabled": true,
            "version": fleet.version,
        },
        "status": {
            "clusterID": site.cluster,
            "clusterCIDR": site.cluster_cidr,
            "serviceCIDR": site.service_cidr,
            "networkPlugin": "OpenShiftSDN",
            "natEnabled": true,
            "gatewayDaemonSetStatus": {
                "mismatchedContainerImages": false,
                "status": {
                    "currentNumberScheduled": 1, "desiredNumberScheduled": 1, "numberMisscheduled": 0,
                    "numberReady": 1, "numberAvailable": 1,
                },
            },
        },
    })
}

fn cable_name(site: &Site) -> String {
    format!(
        "submariner-cable-{}-{}",
        site.cluster,
        site.private_ip.replace('.', "-")
    )
}

fn endpoint_spec(site: &Site) -> Value {
    json!({
        "cluster_id": site.cluster,
        "cable_name": cable_name(site),
        "hostname": site.gateway,
        "private_ip": site.private_ip,
        "public_ip": site.public_ip,
        "healthCheckIP": site.health_check_ip,
        "subnets": [site.service_cidr, site.cluster_cidr],
        "nat_enabled": true,
        "backend": "libreswan",
        "backend_config": {"natt-discovery-port": "4490", "preferred-server": "false", "udp-port": "4500"},
    })
}

fn endpoint(site: &Site, namespace: &str) -> Value {
    json!({
        "apiVersion": "submariner.io/v1",
        "kind": "Endpoint",
        "metadata": {
            "name": format!("{}-{}", site.cluster, cable_name(site)),
            "namespace": namespace,
            "labels": {"submariner-io/clusterID": site.cluster},
        },
        "spec": endpoint_spec(site),
    })
}

fn cluster(site: &Site, namespace: &str) -> Value {
    json!({
        "apiVersion": "submariner.io/v1",
        "kind": "Cluster",
        "metadata": {"name": site.cluster, "namespace": namespace, "labels": {"submariner-io/clusterID": site.cluster}},
        "spec": {
            "cluster_id": site.cluster,
            "color_codes": ["blue"],
            "cluster_cidr": [site.cluster_cidr],
            "service_cidr": [site.service_cidr],
            "global_cidr": [],
        },
    })
}

/// A gateway's report at `now`.
pub(super) fn gateway(
    fleet: &Fleet,
    site: &Site,
    faults: &Faults,
    gauge: &Gauge,
    now: Timestamp,
) -> Value {
    // The intruder's endpoint overlaps: Submariner skips it without a word.
    let connections: Vec<Value> = fleet
        .sites
        .iter()
        .filter(|other| other.cluster != site.cluster)
        .map(|other| connection(site, other, faults, gauge))
        .collect();
    json!({
        "apiVersion": "submariner.io/v1",
        "kind": "Gateway",
        "metadata": {
            "name": site.gateway,
            "namespace": OPERATOR_NAMESPACE,
            "annotations": {"update-timestamp": now.as_second().to_string()},
        },
        "status": {
            "version": format!("v{}", fleet.version),
            "haStatus": "active",
            "statusFailure": "",
            "localEndpoint": endpoint_spec(site),
            "connections": connections,
        },
    })
}

fn connection(site: &Site, other: &Site, faults: &Faults, gauge: &Gauge) -> Value {
    let mut connection = json!({
        "status": "connected",
        "statusMessage": "",
        "usingIP": other.public_ip,
        "usingNAT": true,
        "endpoint": endpoint_spec(other),
    });
    if faults.is_connecting(&site.cluster, &other.cluster) {
        connection["status"] = json!("connecting");
        return connection;
    }
    if faults.is_cut(&site.cluster, &other.cluster) {
        connection["status"] = json!("error");
        connection["statusMessage"] = json!(format!(
            "Failed to successfully ping the remote endpoint IP {:?}",
            other.health_check_ip
        ));
    }
    let last = gauge.last(&other.cluster);
    let text = |nanos: i64| GoDuration::from_nanos(nanos).to_string();
    connection["latencyRTT"] = json!({
        "last": text(last),
        "min": text(1_002_311),
        // A mean moves less than its samples.
        "average": text(1_166_930 + (last - 1_166_930) / 8),
        "max": text(4_470_344),
        "stdDev": text(68_570),
    });
    connection
}

/// The article's nginx on the first cluster, made by hand.
pub(super) fn hand_made_nginx() -> Vec<Value> {
    let labels = json!({"app": "nginx"});
    vec![
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "nginx", "namespace": "default", "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{
                        "name": "nginx-unprivileged",
                        "image": "nginxinc/nginx-unprivileged:stable-alpine",
                    }]},
                },
            },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "nginx", "namespace": "default", "labels": labels},
            "spec": {"selector": labels, "ports": [{"port": 8080, "protocol": "TCP", "targetPort": 8080}]},
        }),
        json!({
            "apiVersion": "multicluster.x-k8s.io/v1alpha1",
            "kind": "ServiceExport",
            "metadata": {"name": "nginx", "namespace": "default", "annotations": {KEEP_CONDITIONS: "true"}},
            "status": {"conditions": [
                {
                    "type": "Valid", "status": "False", "reason": "AwaitingSync",
                    "message": "Awaiting sync of the ServiceImport to the broker",
                    "lastTransitionTime": "2021-04-10T15:10:05Z",
                },
                {
                    "type": "Valid", "status": "True", "reason": "",
                    "message": "Service was successfully synced to the broker",
                    "lastTransitionTime": "2021-04-10T15:10:05Z",
                },
            ]},
        }),
    ]
}
