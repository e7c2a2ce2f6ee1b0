//! The imports and slices that Lighthouse makes.

use serde_json::{Value, json};

use super::Source;
use crate::api::NamespacedName;
use crate::core::mesh::read::{
    IS_HEADLESS, MANAGED_BY, SERVICE_NAME, SOURCE_CLUSTER, SOURCE_NAMESPACE,
};
use crate::core::object::Digest;
use crate::simulator::lighthouse::MADE_BY;
use crate::simulator::submariner::{BROKER_NAMESPACE, OPERATOR_NAMESPACE};

fn union_of_ports(sources: &[&Source<'_>]) -> Vec<Value> {
    let mut ports = Vec::new();
    for port in sources
        .iter()
        .flat_map(|source| source.service.ports_of_import())
    {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

fn kind(source: &Source<'_>) -> &'static str {
    if source.service.headless() {
        "Headless"
    } else {
        "ClusterSetIP"
    }
}

pub(super) fn aggregated(
    namespace: &str,
    object: &str,
    name: &NamespacedName,
    sources: &[&Source<'_>],
) -> Value {
    let mut annotations = json!({
        SERVICE_NAME: name.name,
        SOURCE_NAMESPACE: name.namespace,
        "lighthouse.submariner.io/use-clusterset-ip": "false",
    });
    for source in sources {
        if let Some(created) = source.export.created {
            annotations[format!("timestamp.submariner.io/{}", source.cluster)] =
                json!(created.as_nanosecond().to_string());
        }
    }
    let clusters: Vec<Value> = sources
        .iter()
        .map(|source| json!({"cluster": source.cluster}))
        .collect();
    json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceImport",
        "metadata": {
            "name": object,
            "namespace": namespace,
            "labels": {MADE_BY.0: MADE_BY.1},
            "annotations": annotations,
        },
        "spec": {
            "type": sources.first().map_or("ClusterSetIP", |source| kind(source)),
            "sessionAffinity": sources.first().map_or("None", |source| source.service.affinity.as_str()),
            "ports": union_of_ports(sources),
        },
        "status": {"clusters": clusters},
    })
}

pub(super) fn local(object: &str, name: &NamespacedName, source: &Source<'_>) -> Value {
    let mut spec = json!({
        "type": kind(source),
        "sessionAffinity": source.service.affinity,
        "ports": source.service.ports_of_import(),
    });
    if let Some(ip) = &source.service.cluster_ip {
        spec["ips"] = json!([ip]);
    }
    json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceImport",
        "metadata": {
            "name": object,
            "namespace": OPERATOR_NAMESPACE,
            "labels": {
                MADE_BY.0: MADE_BY.1,
                SERVICE_NAME: name.name,
                SOURCE_NAMESPACE: name.namespace,
                SOURCE_CLUSTER: source.cluster,
            },
            "annotations": {"lighthouse.submariner.io/publish-not-ready-addresses": "false"},
        },
        "spec": spec,
        "status": {"clusters": [{"cluster": source.cluster}]},
    })
}

/// Lighthouse generates the suffix; here it is the same each time, so that a
/// restart changes nothing.
pub(super) fn slice_name(name: &NamespacedName, cluster: &str) -> String {
    let digest = Digest::of_bytes(format!("{name}@{cluster}").as_bytes());
    format!(
        "{}-{}",
        name.name,
        digest.as_str().get(..5).unwrap_or_default()
    )
}

pub(super) fn slice(namespace: &str, name: &NamespacedName, source: &Source<'_>) -> Value {
    let mut labels = json!({
        MADE_BY.0: MADE_BY.1,
        MANAGED_BY.0: MANAGED_BY.1,
        SERVICE_NAME: name.name,
        SOURCE_CLUSTER: source.cluster,
        SOURCE_NAMESPACE: name.namespace,
        IS_HEADLESS: source.service.headless().to_string(),
        "submariner-io/clusterID": source.cluster,
    });
    if namespace == BROKER_NAMESPACE {
        labels["submariner-io/originatingNamespace"] = json!(name.namespace);
    }
    let backends = &source.export.backends;
    let endpoints: Vec<Value> = match &source.service.cluster_ip {
        Some(ip) => {
            let ready = backends
                .iter()
                .any(|backend| backend["conditions"]["ready"] != json!(false));
            vec![json!({"addresses": [ip], "conditions": {"ready": ready}})]
        }
        None => backends.clone(),
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": slice_name(name, source.cluster), "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": source.service.ports_of_slice(),
    })
}
