//! CustomResourceDefinitions generated from the Rust types, with the fix-ups
//! that make them like upstream's.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::apps::{
    Application, Channel, PlacementRule, Subscription, SubscriptionReport, SubscriptionStatus,
};
use super::cluster::{
    ClusterClaim, ManagedCluster, ManagedClusterSet, ManagedClusterSetBinding, Placement,
    PlacementDecision,
};

/// A definition could not be made into what the API serves.
#[derive(Debug, thiserror::Error)]
#[error("custom resource definition {name} does not serialise; this is a defect of this build")]
pub struct CrdError {
    name: String,
    #[source]
    source: serde_json::Error,
}

/// Definitions that a hub needs, in the order of their names.
///
/// # Errors
/// Only on a defect of this build.
pub fn all() -> Result<Vec<CustomResourceDefinition>, CrdError> {
    let mut crds = [
        Channel::crd(),
        Subscription::crd(),
        PlacementRule::crd(),
        SubscriptionReport::crd(),
        SubscriptionStatus::crd(),
        Application::crd(),
        ManagedCluster::crd(),
        ManagedClusterSet::crd(),
        ManagedClusterSetBinding::crd(),
        Placement::crd(),
        PlacementDecision::crd(),
    ]
    .into_iter()
    .map(finish)
    .collect::<Result<Vec<_>, _>>()?;
    crds.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok(crds)
}

/// Definitions that the simulated members serve beside the built-in kinds:
/// Submariner, the multi-cluster service API, ClusterClaim and OpenShift's
/// Route. They only have to store what is written; nothing decides by their
/// schemas.
///
/// # Errors
/// Only on a defect of this build.
pub fn simulated() -> Result<Vec<CustomResourceDefinition>, CrdError> {
    const MESH: &str = "multicluster.x-k8s.io";
    const SUBMARINER: &str = "submariner.io";
    let mut crds = vec![finish(ClusterClaim::crd())?];
    for (group, version, kind, plural, short, status, columns) in [
        (
            MESH,
            "v1alpha1",
            "ServiceExport",
            "serviceexports",
            &["svcex"][..],
            true,
            json!([age()]),
        ),
        (
            MESH,
            "v1alpha1",
            "ServiceImport",
            "serviceimports",
            &["svcim"],
            true,
            json!([
                column("Type", ".spec.type"),
                column("IP", ".spec.ips"),
                age()
            ]),
        ),
        (
            SUBMARINER,
            "v1",
            "Cluster",
            "clusters",
            &[],
            false,
            json!([age()]),
        ),
        (
            SUBMARINER,
            "v1",
            "Endpoint",
            "endpoints",
            &[],
            false,
            json!([age()]),
        ),
        (
            SUBMARINER,
            "v1",
            "Gateway",
            "gateways",
            &[],
            false,
            json!([column("HA Status", ".status.haStatus")]),
        ),
        (
            SUBMARINER,
            "v1",
            "RouteAgent",
            "routeagents",
            &[],
            false,
            json!([age()]),
        ),
        (
            SUBMARINER,
            "v1alpha1",
            "Submariner",
            "submariners",
            &[],
            true,
            json!([age()]),
        ),
        (
            SUBMARINER,
            "v1alpha1",
            "Broker",
            "brokers",
            &[],
            true,
            json!([age()]),
        ),
        (
            "route.openshift.io",
            "v1",
            "Route",
            "routes",
            &[],
            true,
            json!([
                column("Host", ".status.ingress[0].host"),
                column("Services", ".spec.to.name"),
                age()
            ]),
        ),
    ] {
        crds.push(open_schema(
            group, version, kind, plural, short, status, &columns,
        )?);
    }
    Ok(crds)
}

/// The definitions as a YAML stream.
///
/// # Errors
/// Only on a defect of this build.
pub fn to_yaml(crds: &[CustomResourceDefinition]) -> Result<String, serde_yaml::ser::Error> {
    let mut text = String::new();
    for crd in crds {
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(crd)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

fn column(name: &str, path: &str) -> Value {
    json!({"name": name, "type": "string", "jsonPath": path})
}

fn age() -> Value {
    json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
}

fn open_schema(
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
    short_names: &[&str],
    status: bool,
    columns: &Value,
) -> Result<CustomResourceDefinition, CrdError> {
    let name = format!("{plural}.{group}");
    let mut served = json!({
        "name": version, "served": true, "storage": true,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
    });
    if status {
        served["subresources"] = json!({"status": {}});
    }
    from_value(
        &name,
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": {
                    "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                    "singular": kind.to_lowercase(), "shortNames": short_names,
                },
                "versions": [served],
            },
        }),
    )
}

fn from_value(name: &str, value: Value) -> Result<CustomResourceDefinition, CrdError> {
    serde_json::from_value(value).map_err(|source| CrdError {
        name: name.to_owned(),
        source,
    })
}

/// The fix-ups: `nullable` only where upstream has it (nowhere), no required
/// root `spec` but an empty default (an object without spec must not poison a
/// typed watch), list maps of conditions and selectors.
fn finish(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, CrdError> {
    let name = crd.metadata.name.clone().unwrap_or_default();
    let mut value = serde_json::to_value(crd).map_err(|source| CrdError {
        name: name.clone(),
        source,
    })?;
    if let Some(versions) = value
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut)
    {
        for schema in versions
            .iter_mut()
            .filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema"))
        {
            strip_nullable(schema);
            if let Some(root) = schema.as_object_mut() {
                root.remove("required");
                root.remove("title");
                if let Some(spec) = root
                    .get_mut("properties")
                    .and_then(|properties| properties.get_mut("spec"))
                    .and_then(Value::as_object_mut)
                {
                    spec.insert("default".into(), json!({}));
                    spec.remove("required");
                }
            }
            list_maps(schema);
        }
    }
    from_value(&name, value)
}

fn strip_nullable(schema: &mut Value) {
    each_object(schema, &mut |object| {
        object.remove("nullable");
        if let Some(values) = object.get_mut("enum").and_then(Value::as_array_mut) {
            values.retain(|value| !value.is_null());
        }
    });
}

/// Conditions are a map by type in OCM's schemas, so that two writers of
/// different conditions do not overwrite each other.
fn list_maps(schema: &mut Value) {
    each_object(schema, &mut |object| {
        let Some(conditions) = object
            .get_mut("properties")
            .and_then(|properties| properties.get_mut("conditions"))
            .and_then(Value::as_object_mut)
        else {
            return;
        };
        let keyed = conditions
            .get("items")
            .and_then(|items| items.pointer("/properties/type"))
            .is_some();
        if keyed {
            conditions.insert("x-kubernetes-list-type".into(), json!("map"));
            conditions.insert("x-kubernetes-list-map-keys".into(), json!(["type"]));
        }
    });
}

fn each_object(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            object
                .values_mut()
                .for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| each_object(value, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_served_under_upstreams_names() {
        let served: Vec<(String, String, String, String, Vec<String>)> = all()
            .unwrap()
            .into_iter()
            .map(|crd| {
                (
                    crd.metadata.name.unwrap_or_default(),
                    crd.spec.versions[0].name.clone(),
                    crd.spec.names.kind,
                    crd.spec.scope,
                    crd.spec.names.short_names.unwrap_or_default(),
                )
            })
            .collect();
        let expected = [
            (
                "applications.app.k8s.io",
                "v1beta1",
                "Application",
                "Namespaced",
                vec!["app"],
            ),
            (
                "channels.apps.open-cluster-management.io",
                "v1",
                "Channel",
                "Namespaced",
                vec![],
            ),
            (
                "managedclusters.cluster.open-cluster-management.io",
                "v1",
                "ManagedCluster",
                "Cluster",
                vec!["mcl", "mcls"],
            ),
            (
                "managedclustersetbindings.cluster.open-cluster-management.io",
                "v1beta2",
                "ManagedClusterSetBinding",
                "Namespaced",
                vec!["mclsetbinding", "mclsetbindings"],
            ),
            (
                "managedclustersets.cluster.open-cluster-management.io",
                "v1beta2",
                "ManagedClusterSet",
                "Cluster",
                vec!["mclset", "mclsets"],
            ),
            (
                "placementdecisions.cluster.open-cluster-management.io",
                "v1beta1",
                "PlacementDecision",
                "Namespaced",
                vec![],
            ),
            (
                "placementrules.apps.open-cluster-management.io",
                "v1",
                "PlacementRule",
                "Namespaced",
                vec![],
            ),
            (
                "placements.cluster.open-cluster-management.io",
                "v1beta1",
                "Placement",
                "Namespaced",
                vec![],
            ),
            (
                "subscriptionreports.apps.open-cluster-management.io",
                "v1alpha1",
                "SubscriptionReport",
                "Namespaced",
                vec!["appsubreport"],
            ),
            (
                "subscriptions.apps.open-cluster-management.io",
                "v1",
                "Subscription",
                "Namespaced",
                vec!["appsub"],
            ),
            (
                "subscriptionstatuses.apps.open-cluster-management.io",
                "v1alpha1",
                "SubscriptionStatus",
                "Namespaced",
                vec!["appsubstatus"],
            ),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(name, version, kind, scope, short)| {
                (
                    name.to_owned(),
                    version.to_owned(),
                    kind.to_owned(),
                    scope.to_owned(),
                    short.into_iter().map(str::to_owned).collect::<Vec<_>>(),
                )
            })
            .collect();
        assert_eq!(served, expected);
    }

    #[test]
    fn an_object_without_a_spec_can_be_read() {
        for (crd, optional_spec) in all()
            .unwrap()
            .iter()
            .map(|crd| (crd, crd.spec.names.kind != "PlacementDecision"))
        {
            let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
            assert_eq!(schema.pointer("/openAPIV3Schema/required"), None);
            let spec = schema.pointer("/openAPIV3Schema/properties/spec");
            if let Some(spec) = spec.filter(|_| optional_spec) {
                assert_eq!(
                    spec.get("default"),
                    Some(&json!({})),
                    "{:?}",
                    crd.metadata.name
                );
            }
        }
    }

    #[test]
    fn committed_definitions_are_the_generated_ones() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crds/pilothouse.yaml");
        let generated = to_yaml(&all().unwrap()).unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            committed, generated,
            "run the tests with UPDATE_GOLDEN=1 and commit deploy/crds"
        );
    }
}
