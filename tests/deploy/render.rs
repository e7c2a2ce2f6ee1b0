//! `deploy/` through the oldest and the newest kubectl at hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{have, kubectls};

/// A folder of this repository.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The objects of a kustomization, by one kubectl.
fn rendered_by(kubectl: &Path, folder: &str) -> Vec<Value> {
    let ran = Command::new(kubectl)
        .arg("kustomize")
        .arg(root(folder))
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{} kustomize {folder}: {}",
        kubectl.display(),
        String::from_utf8_lossy(&ran.stderr)
    );
    let text = String::from_utf8(ran.stdout).unwrap();
    text.split("\n---\n")
        .map(|document| serde_yaml::from_str(document).unwrap())
        .collect()
}

/// The objects of a kustomization; `None` without a kubectl.
pub fn rendered(folder: &str) -> Option<Vec<Value>> {
    let kubectls = have("kubectl", kubectls())?;
    Some(rendered_by(&kubectls[0], folder))
}

/// `Kind/name`, sorted.
fn names(objects: &[Value]) -> Vec<String> {
    let mut names: Vec<String> = objects
        .iter()
        .map(|object| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!(
                "{}/{}",
                text(&object["kind"]),
                text(&object["metadata"]["name"])
            )
        })
        .collect();
    names.sort();
    names
}

/// What an overlay adds to `deploy`.
const OVERLAYS: &[(&str, &[&str])] = &[
    (
        "deploy/overlays/openshift-route",
        &["NetworkPolicy/pilothouse-router", "Route/pilothouse"],
    ),
    (
        "deploy/overlays/ingress",
        &["Ingress/pilothouse", "NetworkPolicy/pilothouse-ingress"],
    ),
    (
        "deploy/overlays/monitoring",
        &[
            "ConfigMap/pilothouse-dashboard",
            "NetworkPolicy/pilothouse-monitoring",
            "PrometheusRule/pilothouse",
            "Service/pilothouse-operators",
            "ServiceMonitor/pilothouse",
        ],
    ),
    ("deploy/overlays/two-replicas", &[]),
];

#[test]
fn overlays_add_to_the_base_with_every_kubectl() {
    let Some(kubectls) = have("kubectl", kubectls()) else {
        return;
    };
    for kubectl in kubectls {
        let base = names(&rendered_by(&kubectl, "deploy"));
        for (overlay, added) in OVERLAYS {
            let all = names(&rendered_by(&kubectl, overlay));
            let more: Vec<&String> = all.iter().filter(|name| !base.contains(name)).collect();
            assert_eq!(more, *added, "{overlay} by {}", kubectl.display());
            assert_eq!(all.len(), base.len() + added.len(), "{overlay}");
        }
    }
}

#[test]
fn everything_lies_in_the_namespace_of_the_product() {
    for (overlay, _) in OVERLAYS {
        let Some(objects) = rendered(overlay) else {
            return;
        };
        for object in objects {
            let place = object["metadata"].get("namespace");
            assert!(
                place.is_none_or(|namespace| namespace == "pilothouse"),
                "{overlay}: {object}"
            );
        }
    }
}

fn deployment(folder: &str) -> Option<Value> {
    rendered(folder).map(|objects| deployment_of(&objects).clone())
}

fn deployment_of(objects: &[Value]) -> &Value {
    let found = objects.iter().find(|object| object["kind"] == "Deployment");
    found.unwrap()
}

/// The container of the Deployment among these objects.
pub fn container(objects: &[Value]) -> &Value {
    &pod(objects)["containers"][0]
}

/// The pod of the Deployment among these objects.
pub fn pod(objects: &[Value]) -> &Value {
    &deployment_of(objects)["spec"]["template"]["spec"]
}

#[test]
fn two_replicas_are_spread_over_nodes() {
    let Some(two) = deployment("deploy/overlays/two-replicas") else {
        return;
    };
    assert_eq!(two["spec"]["replicas"], 2);
    let spread = &two["spec"]["template"]["spec"]["topologySpreadConstraints"][0];
    assert_eq!(spread["topologyKey"], "kubernetes.io/hostname");
    let pods = &two["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&spread["labelSelector"]["matchLabels"], pods);
}

/// Every port that a Service, a policy, a monitor or a probe names is a port of
/// the container.
#[test]
fn named_ports_are_those_of_the_container() {
    let mut used = Vec::new();
    let mut ports = Vec::new();
    for (overlay, _) in OVERLAYS {
        let Some(objects) = rendered(overlay) else {
            return;
        };
        for object in &objects {
            let spec = &object["spec"];
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            match object["kind"].as_str().unwrap() {
                "Deployment" => {
                    let container = &spec["template"]["spec"]["containers"][0];
                    ports.extend(list(&container["ports"]).iter().map(|p| p["name"].clone()));
                    for probe in ["livenessProbe", "readinessProbe"] {
                        used.push(container[probe]["httpGet"]["port"].clone());
                    }
                }
                "Service" => {
                    used.extend(list(&spec["ports"]).iter().map(|p| p["targetPort"].clone()))
                }
                "NetworkPolicy" => {
                    for rule in list(&spec["ingress"]) {
                        used.extend(list(&rule["ports"]).iter().map(|p| p["port"].clone()));
                    }
                }
                "ServiceMonitor" => {
                    used.extend(list(&spec["endpoints"]).iter().map(|e| e["port"].clone()));
                }
                _ => {}
            }
        }
    }
    assert!(used.len() > 4, "{used:?}");
    for port in used {
        assert!(ports.contains(&port), "{port} is none of {ports:?}");
    }
}
