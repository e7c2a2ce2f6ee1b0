//! EndpointSlices of Services, and the statuses of what leads to them from
//! outside.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Profile;
use super::fields::{hash, list, number, suffix, text};
use super::pods::VirtualPod;
use super::status::second;

/// Selects the slices that the (played) endpoint slice controller writes.
pub(super) const OWN_SLICES: &str =
    "endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io";

/// The slice of a Service; `None` for one without a selector, whose
/// endpoints are somebody else's.
pub(super) fn slice(service: &Value, pods: &[VirtualPod], profile: &Profile) -> Option<Value> {
    let selector = service.pointer("/spec/selector")?.as_object()?;
    if selector.is_empty() || text(service, "/spec/type") == "ExternalName" {
        return None;
    }
    let name = text(service, "/metadata/name");
    let namespace = text(service, "/metadata/namespace");
    let mut chosen: Vec<&VirtualPod> = pods.iter().filter(|pod| selects(selector, pod)).collect();
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    let endpoints: Vec<Value> = chosen
        .iter()
        .map(|pod| {
            json!({
                "addresses": [pod.ip.to_string()],
                "conditions": {"ready": pod.ready, "serving": pod.ready, "terminating": false},
                "nodeName": profile.node,
                "targetRef": {"kind": "Pod", "name": pod.name, "namespace": namespace},
            })
        })
        .collect();
    let ports: Vec<Value> = list(service, "/spec/ports")
        .iter()
        .filter_map(|port| slice_port(port, &chosen))
        .collect();
    Some(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-{}", suffix(hash(&[namespace, name]), 5)),
            "namespace": namespace,
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Service", "name": name,
                "uid": text(service, "/metadata/uid"),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }))
}

fn selects(selector: &Map<String, Value>, pod: &VirtualPod) -> bool {
    selector
        .iter()
        .all(|(key, value)| pod.labels.get(key) == Some(value))
}

/// A port of the slice: the target of the Service's port. `None` when it
/// names a port that no pod has.
fn slice_port(port: &Value, pods: &[&VirtualPod]) -> Option<Value> {
    let target = match port.get("targetPort") {
        Some(Value::String(name)) => pods
            .iter()
            .flat_map(|pod| &pod.ports)
            .find(|(known, _)| known == name)
            .map(|(_, number)| *number)?,
        Some(Value::Number(number)) => number.as_i64()?,
        _ => number(port, "/port"),
    };
    let protocol = match text(port, "/protocol") {
        "" => "TCP",
        known => known,
    };
    Some(json!({"name": text(port, "/name"), "port": target, "protocol": protocol}))
}

/// An address from outside for Services of type `LoadBalancer`.
pub(super) fn balancer_status(service: &Value) -> Option<Value> {
    (text(service, "/spec/type") == "LoadBalancer").then(|| {
        let seed = hash(&[
            text(service, "/metadata/namespace"),
            text(service, "/metadata/name"),
        ]);
        json!({"loadBalancer": {"ingress": [{"ip": format!("198.51.100.{}", seed % 250 + 2)}]}})
    })
}

/// OpenShift's router admits every Route.
pub(super) fn route_status(route: &Value, profile: &Profile, now: Timestamp) -> Value {
    let host = match text(route, "/spec/host") {
        "" => format!(
            "{}-{}.{}",
            text(route, "/metadata/name"),
            text(route, "/metadata/namespace"),
            profile.apps_domain
        ),
        own => own.to_owned(),
    };
    let admitted = "/status/ingress/0/conditions/0/lastTransitionTime";
    let since = match text(route, admitted) {
        "" => second(now),
        known => known.to_owned(),
    };
    json!({"ingress": [{
        "host": host,
        "routerName": "default",
        "routerCanonicalHostname": format!("router-default.{}", profile.apps_domain),
        "wildcardPolicy": "None",
        "conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": since}],
    }]})
}

/// An ingress controller gives every Ingress the Node's address.
pub(super) fn ingress_status(_: &Value, profile: &Profile, _: Timestamp) -> Value {
    json!({"loadBalancer": {"ingress": [{"ip": profile.node_ip}]}})
}

/// Every claim is bound at once.
pub(super) fn claim_status(claim: &Value, _: &Profile, _: Timestamp) -> Value {
    let storage = claim.pointer("/spec/resources/requests/storage");
    json!({
        "phase": "Bound",
        "accessModes": claim.pointer("/spec/accessModes"),
        "capacity": {"storage": storage},
    })
}
