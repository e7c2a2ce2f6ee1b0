//! Kubernetes objects to facts. Objects come from members and may be of any
//! Submariner release or made by anyone: a field that is missing or of the
//! wrong type reads as empty, and never hides its object.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::NamespacedName;
use crate::core::mesh::beat::Beat;
use crate::core::mesh::observation::{
    BackendFacts, BrokerFacts, ClusterFacts, ConditionFacts, ConnectionFacts, EndpointFacts,
    EndpointObject, ExportFacts, GatewayFacts, ImportFacts, PortFacts, RoundTrip, RouteAgentFacts,
    ServiceFacts, SliceFacts, SubmarinerFacts,
};

/// Label of Lighthouse's slices, and its value.
pub const MANAGED_BY: (&str, &str) = (
    "endpointslice.kubernetes.io/managed-by",
    "lighthouse-agent.submariner.io",
);
/// Label (annotation on the broker's imports): the service's name.
pub const SERVICE_NAME: &str = "multicluster.kubernetes.io/service-name";
/// Label: the exporting cluster.
pub const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";
/// Label (annotation on the broker's imports): the service's namespace.
pub const SOURCE_NAMESPACE: &str = "lighthouse.submariner.io/sourceNamespace";
/// Label: whether the service is headless.
pub const IS_HEADLESS: &str = "lighthouse.submariner.io/is-headless";
/// Annotation of a gateway's last report, unix seconds.
pub const UPDATE_TIMESTAMP: &str = "update-timestamp";
/// Annotation by which a delivered object names its Subscription.
const HOSTING_SUBSCRIPTION: &str = "apps.open-cluster-management.io/hosting-subscription";
/// Lists longer than this are cut: no real fleet has them.
const LIST_LIMIT: usize = 4_096;

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn owned(value: &Value, pointer: &str) -> String {
    text(value, pointer).to_owned()
}

fn flag(value: &Value, pointer: &str) -> Option<bool> {
    value.pointer(pointer).and_then(Value::as_bool)
}

fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .take(LIST_LIMIT)
}

fn texts(value: &Value, pointer: &str) -> Vec<String> {
    items(value, pointer)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// A list that may also be written as one string, with commas between.
fn text_or_list(value: &Value, pointer: &str) -> Vec<String> {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => texts(value, pointer),
    }
}

fn metadata<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get(map)?.get(key)?.as_str()
}

/// A label, or the annotation of the same key.
fn label(object: &Value, key: &str) -> Option<String> {
    metadata(object, "labels", key)
        .or_else(|| metadata(object, "annotations", key))
        .map(str::to_owned)
}

/// Submariner of `submariner.io/v1alpha1`. Reads no secret field.
#[must_use]
pub fn submariner(object: &Value) -> SubmarinerFacts {
    let first = |a: &str, b: &str| {
        let found = text_or_list(object, a);
        if found.is_empty() {
            text_or_list(object, b)
        } else {
            found
        }
    };
    SubmarinerFacts {
        namespace: owned(object, "/metadata/namespace"),
        cluster_id: [
            text(object, "/spec/clusterID"),
            text(object, "/status/clusterID"),
        ]
        .into_iter()
        .find(|id| !id.is_empty())
        .unwrap_or_default()
        .to_owned(),
        cable_driver: owned(object, "/spec/cableDriver"),
        repository: owned(object, "/spec/repository"),
        version: owned(object, "/spec/version"),
        broker_server: owned(object, "/spec/brokerK8sApiServer"),
        broker_namespace: owned(object, "/spec/brokerK8sRemoteNamespace"),
        service_discovery: flag(object, "/spec/serviceDiscoveryEnabled").unwrap_or(false),
        health_check: flag(object, "/spec/connectionHealthCheck/enabled").unwrap_or(true),
        network_plugin: owned(object, "/status/networkPlugin"),
        service_cidr: first("/status/serviceCIDR", "/spec/serviceCIDR"),
        cluster_cidr: first("/status/clusterCIDR", "/spec/clusterCIDR"),
        global_cidr: first("/status/globalCIDR", "/spec/globalCIDR"),
        clusterset_ip_cidr: first("/status/clustersetIPCIDR", "/spec/clustersetIPCIDR"),
        legacy_gateways: items(object, "/status/gateways")
            .map(gateway_status)
            .collect(),
    }
}

/// Broker of `submariner.io/v1alpha1`.
#[must_use]
pub fn broker(object: &Value) -> BrokerFacts {
    BrokerFacts {
        namespace: owned(object, "/metadata/namespace"),
        name: owned(object, "/metadata/name"),
        components: texts(object, "/spec/components"),
        globalnet: flag(object, "/spec/globalnetEnabled").unwrap_or(false),
        globalnet_cidr: owned(object, "/spec/globalnetCIDRRange"),
        globalnet_size: object
            .pointer("/spec/defaultGlobalnetClusterSize")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        domains: texts(object, "/spec/defaultCustomDomains"),
    }
}

/// Gateway of `submariner.io/v1`. The beat is for the observer to fill in.
#[must_use]
pub fn gateway(object: &Value) -> GatewayFacts {
    GatewayFacts {
        namespace: owned(object, "/metadata/namespace"),
        name: owned(object, "/metadata/name"),
        stamp: metadata(object, "annotations", UPDATE_TIMESTAMP).map(str::to_owned),
        ..object.get("status").map(gateway_status).unwrap_or_default()
    }
}

fn gateway_status(status: &Value) -> GatewayFacts {
    let local = status
        .get("localEndpoint")
        .map(endpoint_spec)
        .unwrap_or_default();
    GatewayFacts {
        namespace: String::new(),
        name: local.hostname.clone(),
        stamp: None,
        beat: Beat::Unheard,
        version: owned(status, "/version"),
        ha_status: owned(status, "/haStatus"),
        failure: owned(status, "/statusFailure"),
        local,
        connections: items(status, "/connections").map(connection).collect(),
    }
}

fn connection(value: &Value) -> ConnectionFacts {
    ConnectionFacts {
        endpoint: value.get("endpoint").map(endpoint_spec).unwrap_or_default(),
        status: owned(value, "/status"),
        message: owned(value, "/statusMessage"),
        using_ip: Some(owned(value, "/usingIP")).filter(|ip| !ip.is_empty()),
        using_nat: flag(value, "/usingNAT"),
        rtt: value
            .get("latencyRTT")
            .filter(|rtt| rtt.is_object())
            .map(round_trip),
    }
}

fn round_trip(value: &Value) -> RoundTrip {
    let read = |key: &str| value.get(key)?.as_str()?.parse().ok();
    RoundTrip {
        last: read("last"),
        min: read("min"),
        average: read("average"),
        max: read("max"),
        std_dev: read("stdDev"),
    }
}

fn endpoint_spec(spec: &Value) -> EndpointFacts {
    let addresses = |many: &str, one: &str| {
        let found = texts(spec, many);
        if found.is_empty() {
            text_or_list(spec, one)
        } else {
            found
        }
    };
    EndpointFacts {
        cluster_id: owned(spec, "/cluster_id"),
        cable_name: owned(spec, "/cable_name"),
        hostname: owned(spec, "/hostname"),
        private_ips: addresses("/privateIPs", "/private_ip"),
        public_ips: addresses("/publicIPs", "/public_ip"),
        health_check_ips: addresses("/healthCheckIPs", "/healthCheckIP"),
        subnets: texts(spec, "/subnets"),
        nat_enabled: flag(spec, "/nat_enabled").unwrap_or(false),
        backend: owned(spec, "/backend"),
        ports: ["udp-port", "natt-discovery-port"]
            .into_iter()
            .filter_map(|key| {
                let value = spec.get("backend_config")?.get(key)?.as_str()?;
                Some((key.to_owned(), value.to_owned()))
            })
            .collect::<BTreeMap<_, _>>(),
    }
}

/// Endpoint of `submariner.io/v1`.
#[must_use]
pub fn endpoint(object: &Value) -> EndpointObject {
    EndpointObject {
        namespace: owned(object, "/metadata/namespace"),
        name: owned(object, "/metadata/name"),
        spec: object.get("spec").map(endpoint_spec).unwrap_or_default(),
    }
}

/// Cluster of `submariner.io/v1`.
#[must_use]
pub fn cluster(object: &Value) -> ClusterFacts {
    ClusterFacts {
        namespace: owned(object, "/metadata/namespace"),
        cluster_id: owned(object, "/spec/cluster_id"),
        cluster_cidr: texts(object, "/spec/cluster_cidr"),
        service_cidr: texts(object, "/spec/service_cidr"),
        global_cidr: texts(object, "/spec/global_cidr"),
    }
}

/// RouteAgent of `submariner.io/v1`.
#[must_use]
pub fn route_agent(object: &Value) -> RouteAgentFacts {
    RouteAgentFacts {
        name: owned(object, "/metadata/name"),
        version: owned(object, "/status/version"),
        remotes: items(object, "/status/remoteEndpoints")
            .map(|remote| {
                (
                    owned(remote, "/spec/cluster_id"),
                    owned(remote, "/status"),
                    owned(remote, "/statusMessage"),
                )
            })
            .collect(),
    }
}

/// ServiceExport of `multicluster.x-k8s.io`, any version.
#[must_use]
pub fn export(object: &Value) -> ExportFacts {
    ExportFacts {
        service: NamespacedName::new(
            text(object, "/metadata/namespace"),
            text(object, "/metadata/name"),
        ),
        created: time(object, "/metadata/creationTimestamp"),
        delivered_by: metadata(object, "annotations", HOSTING_SUBSCRIPTION)
            .filter(|owner| !owner.is_empty())
            .map(str::to_owned),
        conditions: items(object, "/status/conditions")
            .map(|condition| ConditionFacts {
                kind: owned(condition, "/type"),
                status: owned(condition, "/status"),
                reason: owned(condition, "/reason"),
                message: owned(condition, "/message"),
                since: time(condition, "/lastTransitionTime"),
            })
            .collect(),
    }
}

fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer).parse().ok()
}

fn ports(object: &Value, pointer: &str) -> Vec<PortFacts> {
    let mut ports: Vec<PortFacts> = items(object, pointer)
        .map(|port| PortFacts {
            name: owned(port, "/name"),
            protocol: Some(owned(port, "/protocol"))
                .filter(|protocol| !protocol.is_empty())
                .unwrap_or_else(|| "TCP".to_owned()),
            port: port
                .get("port")
                .and_then(Value::as_u64)
                .and_then(|number| u16::try_from(number).ok())
                .unwrap_or(0),
        })
        .collect();
    ports.sort();
    ports
}

/// ServiceImport of `multicluster.x-k8s.io`: aggregated, local or legacy
/// (submariner.md §1.3, §1.4).
#[must_use]
pub fn import(object: &Value) -> ImportFacts {
    let (namespace, name) = (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    );
    let service = label(object, SERVICE_NAME)
        .or_else(|| label(object, "lighthouse.submariner.io/sourceName"))
        .or_else(|| label(object, "origin-name"));
    let service_namespace =
        label(object, SOURCE_NAMESPACE).or_else(|| label(object, "origin-namespace"));
    ImportFacts {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        service: NamespacedName::new(
            service_namespace.as_deref().unwrap_or(namespace),
            service.as_deref().unwrap_or(name),
        ),
        source_cluster: label(object, SOURCE_CLUSTER)
            .or_else(|| label(object, "lighthouse.submariner.io/sourceCluster")),
        clusters: items(object, "/status/clusters")
            .filter_map(|cluster| cluster.get("cluster")?.as_str())
            .map(str::to_owned)
            .collect(),
        headless: text(object, "/spec/type") == "Headless",
        ips: texts(object, "/spec/ips"),
        ports: ports(object, "/spec/ports"),
    }
}

/// A Lighthouse EndpointSlice; `None` when its labels name no service and cluster.
#[must_use]
pub fn slice(object: &Value) -> Option<SliceFacts> {
    let namespace = text(object, "/metadata/namespace");
    let service = label(object, SERVICE_NAME)
        .or_else(|| label(object, "lighthouse.submariner.io/sourceName"))?;
    let service_namespace = label(object, SOURCE_NAMESPACE).unwrap_or_else(|| namespace.to_owned());
    Some(SliceFacts {
        namespace: namespace.to_owned(),
        name: owned(object, "/metadata/name"),
        service: NamespacedName::new(service_namespace, service),
        source_cluster: label(object, SOURCE_CLUSTER)
            .or_else(|| label(object, "lighthouse.submariner.io/sourceCluster"))?,
        headless: label(object, IS_HEADLESS).as_deref() == Some("true"),
        endpoints: items(object, "/endpoints")
            .map(|endpoint| BackendFacts {
                addresses: texts(endpoint, "/addresses"),
                ready: flag(endpoint, "/conditions/ready"),
                hostname: Some(owned(endpoint, "/hostname"))
                    .filter(|hostname| !hostname.is_empty()),
            })
            .collect(),
        ports: ports(object, "/ports"),
    })
}

/// A Service, as far as its export needs it.
#[must_use]
pub fn service(object: &Value) -> ServiceFacts {
    let address = text(object, "/spec/clusterIP");
    ServiceFacts {
        kind: match text(object, "/spec/type") {
            "" => "ClusterIP".to_owned(),
            kind => kind.to_owned(),
        },
        cluster_ip: (!address.is_empty() && address != "None").then(|| address.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn odd_fields_read_as_empty_and_hide_nothing() {
        let odd = json!({
            "metadata": {"name": "gw", "namespace": 7, "annotations": {"update-timestamp": 5}},
            "status": {
                "haStatus": "active", "version": {}, "localEndpoint": [],
                "connections": [
                    null,
                    {"status": "connected", "usingNAT": "yes", "latencyRTT": "fast", "endpoint": {"cluster_id": "b", "subnets": "x"}},
                ],
            },
        });
        let facts = gateway(&odd);
        assert!(facts.is_active());
        assert_eq!(facts.stamp, None);
        assert_eq!(facts.connections.len(), 2);
        assert_eq!(facts.connections[1].endpoint.cluster_id, "b");
        assert_eq!(facts.connections[1].rtt, None);
        for value in [
            json!(null),
            json!([]),
            json!("x"),
            json!({"spec": [], "status": 1, "metadata": {"labels": []}}),
        ] {
            let _ = (
                submariner(&value),
                broker(&value),
                endpoint(&value),
                cluster(&value),
                route_agent(&value),
            );
            let _ = (
                export(&value),
                import(&value),
                slice(&value),
                service(&value),
            );
        }
    }

    #[test]
    fn plural_addresses_of_later_releases_win() {
        let spec = json!({"spec": {"private_ip": "10.0.0.1", "privateIPs": ["10.0.0.2", "fd00::2"], "public_ip": "1.1.1.1"}});
        let facts = endpoint(&spec).spec;
        assert_eq!(facts.private_ips, ["10.0.0.2", "fd00::2"]);
        assert_eq!(facts.public_ips, ["1.1.1.1"]);
    }

    #[test]
    fn secrets_of_the_submariner_resource_are_not_read() {
        let object = json!({"spec": {
            "clusterID": "a", "brokerK8sApiServerToken": "TOKEN-X", "ceIPSecPSK": "KEY-X", "brokerK8sCA": "CERT-X",
        }});
        let facts = submariner(&object);
        let text = format!("{facts:?}{}", serde_json::to_string(&facts).unwrap());
        assert!(!text.contains("-X"), "{text}");
    }

    #[test]
    fn imports_of_every_kind_name_their_service() {
        for (object, service, source) in [
            (
                json!({"metadata": {"namespace": "guestbook", "name": "db"}}),
                "guestbook/db",
                None,
            ),
            (
                json!({"metadata": {"namespace": "submariner-broker", "name": "db-guestbook", "annotations": {
                    SERVICE_NAME: "db", SOURCE_NAMESPACE: "guestbook",
                }}}),
                "guestbook/db",
                None,
            ),
            (
                json!({"metadata": {"namespace": "submariner-operator", "name": "db-guestbook-a",
                    "labels": {"lighthouse.submariner.io/sourceCluster": "a"},
                    "annotations": {"origin-name": "db", "origin-namespace": "guestbook"},
                }}),
                "guestbook/db",
                Some("a"),
            ),
        ] {
            let facts = import(&object);
            assert_eq!(facts.service.to_string(), service);
            assert_eq!(facts.source_cluster.as_deref(), source);
        }
    }
}
