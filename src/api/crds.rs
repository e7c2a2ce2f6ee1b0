//! CustomResourceDefinitions generated from the Rust types, with the fix-ups
//! that make them like upstream's.

mod refine;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::apps::{
    Application, Channel, PlacementRule, Subscription, SubscriptionReport, SubscriptionStatus,
};
use super::cluster::{
    AddOnPlacementScore, ClusterClaim, ManagedCluster, ManagedClusterSet, ManagedClusterSetBinding,
    Placement, PlacementDecision,
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
        AddOnPlacementScore::crd(),
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

/// The fix-ups: `nullable` and defaults only where upstream has them, no required
/// root `spec` but an empty default (an object without spec must not poison a
/// typed watch), list maps of conditions and selectors.
fn finish(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, CrdError> {
    let name = crd.metadata.name.clone().unwrap_or_default();
    let mut value = serde_json::to_value(crd).map_err(|source| CrdError {
        name: name.clone(),
        source,
    })?;
    let kind = value
        .pointer("/spec/names/kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if let Some(versions) = value
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut)
    {
        for schema in versions
            .iter_mut()
            .filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema"))
        {
            strip_rust(schema);
            if let Some(root) = schema.as_object_mut() {
                finish_root(root);
            }
            list_maps(schema);
            let lost = refine::refine(&kind, schema);
            debug_assert!(lost.is_empty(), "{kind}: {lost:?}");
            require_spec(schema);
        }
    }
    from_value(&name, value)
}

/// The type's own words describe the kind; no `spec` means an empty one.
fn finish_root(root: &mut Map<String, Value>) {
    root.remove("required");
    root.remove("title");
    root.remove("description");
    let spec = root
        .get_mut("properties")
        .and_then(|properties| properties.get_mut("spec"))
        .and_then(Value::as_object_mut);
    if let Some(spec) = spec {
        spec.insert("default".into(), json!({}));
        spec.remove("required");
        if let Some(description) = spec.remove("description") {
            root.insert("description".into(), description);
        }
    }
}

/// Where fields of the spec are required an empty one is no default: the API
/// server refuses a definition whose default does not fit its own schema.
fn require_spec(schema: &mut Value) {
    let spec = schema
        .pointer_mut("/properties/spec")
        .and_then(Value::as_object_mut);
    if let Some(spec) = spec.filter(|spec| spec.contains_key("required")) {
        spec.remove("default");
        schema["required"] = json!(["spec"]);
    }
}

fn strip_rust(schema: &mut Value) {
    each_object(schema, &mut |object| {
        object.remove("nullable");
        object.remove("default");
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
            if let Some(status) = conditions
                .get_mut("items")
                .and_then(|items| items.pointer_mut("/properties/status"))
                .and_then(Value::as_object_mut)
            {
                status.insert("enum".into(), json!(["True", "False", "Unknown"]));
            }
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

    /// Name, version, kind, scope, short names, status subresource, columns.
    type Row = (
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
        bool,
        &'static [&'static str],
    );

    /// Written from upstream's definitions.
    const SERVED: [Row; 12] = [
        (
            "addonplacementscores.cluster.open-cluster-management.io",
            "v1alpha1",
            "AddOnPlacementScore",
            "Namespaced",
            &[],
            true,
            &[],
        ),
        (
            "applications.app.k8s.io",
            "v1beta1",
            "Application",
            "Namespaced",
            &["app"],
            true,
            &["Type", "Version", "Owner", "Ready", "Age"],
        ),
        (
            "channels.apps.open-cluster-management.io",
            "v1",
            "Channel",
            "Namespaced",
            &[],
            false,
            &["Type", "Pathname", "Age"],
        ),
        (
            "managedclusters.cluster.open-cluster-management.io",
            "v1",
            "ManagedCluster",
            "Cluster",
            &["mcl", "mcls"],
            true,
            &[
                "Hub Accepted",
                "Managed Cluster URLs",
                "Joined",
                "Available",
                "Age",
            ],
        ),
        (
            "managedclustersetbindings.cluster.open-cluster-management.io",
            "v1beta2",
            "ManagedClusterSetBinding",
            "Namespaced",
            &["mclsetbinding", "mclsetbindings"],
            true,
            &[],
        ),
        (
            "managedclustersets.cluster.open-cluster-management.io",
            "v1beta2",
            "ManagedClusterSet",
            "Cluster",
            &["mclset", "mclsets"],
            true,
            &["Empty", "Age"],
        ),
        (
            "placementdecisions.cluster.open-cluster-management.io",
            "v1beta1",
            "PlacementDecision",
            "Namespaced",
            &[],
            true,
            &[],
        ),
        (
            "placementrules.apps.open-cluster-management.io",
            "v1",
            "PlacementRule",
            "Namespaced",
            &[],
            true,
            &["Age", "Replicas"],
        ),
        (
            "placements.cluster.open-cluster-management.io",
            "v1beta1",
            "Placement",
            "Namespaced",
            &[],
            true,
            &["Succeeded", "Reason", "SelectedClusters"],
        ),
        (
            "subscriptionreports.apps.open-cluster-management.io",
            "v1alpha1",
            "SubscriptionReport",
            "Namespaced",
            &["appsubreport"],
            false,
            &[
                "ReportType",
                "Deployed",
                "InProgress",
                "Failed",
                "PropagationFailed",
                "Clusters",
                "Age",
            ],
        ),
        (
            "subscriptions.apps.open-cluster-management.io",
            "v1",
            "Subscription",
            "Namespaced",
            &["appsub"],
            true,
            &[
                "SubscriptionState",
                "AppstatusReference",
                "Age",
                "Updated",
                "Local placement",
                "Time window",
            ],
        ),
        (
            "subscriptionstatuses.apps.open-cluster-management.io",
            "v1alpha1",
            "SubscriptionStatus",
            "Namespaced",
            &["appsubstatus"],
            false,
            &[],
        ),
    ];

    #[test]
    fn kinds_are_served_under_upstreams_names() {
        let crds = all().unwrap();
        assert_eq!(crds.len(), SERVED.len());
        for (crd, (name, version, kind, scope, short, status, columns)) in crds.iter().zip(SERVED) {
            assert_eq!(crd.metadata.name.as_deref(), Some(name));
            let served = &crd.spec.versions[0];
            let names = &crd.spec.names;
            assert_eq!(
                (
                    served.name.as_str(),
                    names.kind.as_str(),
                    crd.spec.scope.as_str()
                ),
                (version, kind, scope),
                "{name}"
            );
            assert_eq!(
                names.short_names.clone().unwrap_or_default(),
                short,
                "{name}"
            );
            assert_eq!(served.subresources.is_some(), status, "{name}");
            let found = served
                .additional_printer_columns
                .clone()
                .unwrap_or_default();
            let found: Vec<_> = found.iter().map(|column| column.name.as_str()).collect();
            assert_eq!(found, columns, "{name}");
        }
    }

    fn schema(kind: &str) -> Value {
        let crds = all().unwrap();
        let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        schema["openAPIV3Schema"].clone()
    }

    #[test]
    fn every_refinement_finds_its_field() {
        for kind in SERVED.map(|row| row.2) {
            let lost = refine::refine(kind, &mut schema(kind));
            assert!(lost.is_empty(), "{kind}: {lost:?}");
        }
    }

    #[test]
    fn a_missing_spec_is_an_empty_one_or_refused() {
        for kind in SERVED.map(|row| row.2) {
            let schema = schema(kind);
            let Some(spec) = schema.pointer("/properties/spec") else {
                continue;
            };
            let required = schema["required"] == json!(["spec"]);
            assert_ne!(required, spec.get("default").is_some(), "{kind}");
            assert_eq!(required, spec.get("required").is_some(), "{kind}");
        }
    }

    #[test]
    fn only_upstreams_defaults_are_written_into_objects() {
        let mut found = Vec::new();
        for kind in SERVED.map(|row| row.2) {
            each_object(&mut schema(kind), &mut |object| {
                let default = object.get("default").filter(|_| {
                    object.contains_key("type") || object.contains_key("x-kubernetes-int-or-string")
                });
                if let Some(default) = default.filter(|default| **default != json!({})) {
                    found.push(format!("{kind} {default}"));
                }
            });
        }
        found.sort();
        assert_eq!(
            found,
            [
                r#"ManagedCluster 60"#,
                r#"ManagedCluster false"#,
                r#"ManagedClusterSet "ExclusiveClusterSetLabel""#,
                r#"ManagedClusterSet {"clusterSelector":{"selectorType":"ExclusiveClusterSetLabel"}}"#,
                r#"ManagedClusterSet {"selectorType":"ExclusiveClusterSetLabel"}"#,
                r#"Placement "100%""#,
                r#"Placement "Additive""#,
                r#"Placement "BuiltIn""#,
                r#"Placement "Equal""#,
                r#"Placement 1"#,
            ]
        );
    }

    #[test]
    fn free_form_fields_of_old_manifests_are_kept() {
        for (kind, path) in [
            ("Channel", "/properties/spec/properties/gates"),
            (
                "Subscription",
                "/properties/spec/properties/overrides/items",
            ),
            (
                "Subscription",
                "/properties/spec/properties/packageOverrides/items/properties/packageOverrides/items",
            ),
            ("Subscription", "/properties/status/properties/statuses"),
            (
                "PlacementRule",
                "/properties/spec/properties/policies/items",
            ),
            ("Application", "/properties/spec/properties/descriptor"),
            ("Placement", "/properties/spec/properties/spreadPolicy"),
        ] {
            let schema = schema(kind);
            let kept = schema
                .pointer(path)
                .and_then(|node| node.get("x-kubernetes-preserve-unknown-fields"));
            assert_eq!(kept, Some(&json!(true)), "{kind} {path}");
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
