//! `apps.open-cluster-management.io`: Channel, Subscription, PlacementRule and
//! the two report kinds; `app.k8s.io` Application. Fields and their meaning
//! are those of multicloud-operators-subscription; everything is optional on
//! reading, so that one odd object cannot poison a watch.

mod report;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use report::{
    OverallStatus, PackageStatus, ReportResource, ReportResult, ReportSummary, ReportTime,
    SubscriptionClusterStatus, SubscriptionReport, SubscriptionReportFields, SubscriptionStatus,
    SubscriptionStatusSpec,
};

/// Free-form JSON: the schema keeps whatever is there.
fn any(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// A list of free-form JSON objects.
fn any_list(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}})
}

/// Where content comes from.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.open-cluster-management.io",
    version = "v1",
    kind = "Channel",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.type","description":"type of the channel"}"#,
    printcolumn = r#"{"name":"Pathname","type":"string","jsonPath":".spec.pathname","description":"pathname of the channel"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ChannelSpec {
    /// Git or GitHub in any case; the other upstream types are refused with a reason.
    #[serde(default, rename = "type")]
    pub type_: String,
    /// URL of the repository.
    #[serde(default)]
    pub pathname: String,
    /// Secret of the Channel's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectReference>,
    /// ConfigMap of the Channel's own namespace, key `caCerts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ObjectReference>,
    /// Skip verification of the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// Accepted for old manifests, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub gates: Option<Value>,
    /// Accepted for old manifests, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_namespaces: Option<Vec<String>>,
}

/// What to deliver where.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.open-cluster-management.io",
    version = "v1",
    kind = "Subscription",
    namespaced,
    shortname = "appsub",
    status = "SubscriptionStatusFields",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"SubscriptionState","type":"string","jsonPath":".status.phase","description":"subscription state"}"#,
    printcolumn = r#"{"name":"AppstatusReference","type":"string","jsonPath":".status.appstatusReference","description":"application status reference"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Updated","type":"date","jsonPath":".status.lastUpdateTime"}"#,
    printcolumn = r#"{"name":"Local placement","type":"boolean","jsonPath":".spec.placement.local"}"#,
    printcolumn = r#"{"name":"Time window","type":"string","jsonPath":".spec.timewindow.windowtype"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionSpec {
    /// Channel as `namespace/name`.
    #[serde(default)]
    pub channel: String,
    /// Fallback Channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_channel: Option<String>,
    /// Package name; with packageFilter it filters by metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which objects of the path are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_filter: Option<PackageFilter>,
    /// Overrides by package; values are free-form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_list")]
    pub package_overrides: Option<Value>,
    /// Overrides by cluster; values are free-form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_list")]
    pub overrides: Option<Value>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<SubscriptionPlacement>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub timewindow: Option<Value>,
    /// Ansible credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooksecretref: Option<ObjectReference>,
    /// Kinds a subscription-admin allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<KindList>>,
    /// Kinds a subscription-admin denies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<KindList>>,
    /// Helm only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_helm_namespace_scoped_resources: Option<bool>,
}

/// Which objects of the path are taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageFilter {
    /// By their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Every pair must match exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Helm only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Older way to give path and branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub filter_ref: Option<Value>,
}

/// An apiVersion and kinds of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KindList {
    /// Exact apiVersion.
    #[serde(default)]
    pub api_version: String,
    /// Kinds, or `*`.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// Where a Subscription goes; placementRef wins over clusters over clusterSelector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionPlacement {
    /// A list of clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Vec<ClusterReference>>,
    /// Clusters by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<LabelSelector>,
    /// A PlacementRule or Placement of the Subscription's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement_ref: Option<ObjectReference>,
    /// On the hub itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<bool>,
}

/// A cluster by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterReference {
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// Status of a Subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatusFields {
    /// Empty, `Propagated` or `PropagationFailed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Why, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `Active` or `Blocked`, or what is awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the status changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// The command that shows the details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appstatus_reference: Option<String>,
    /// Legacy, left empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub ansiblejobs: Option<Value>,
    /// Legacy, left empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub statuses: Option<Value>,
}

/// Picks clusters by label and condition.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.open-cluster-management.io",
    version = "v1",
    kind = "PlacementRule",
    namespaced,
    status = "PlacementRuleStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".spec.clusterReplicas"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct PlacementRuleSpec {
    /// Beats clusterSelector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Vec<ClusterReference>>,
    /// Absent or empty: all clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<LabelSelector>,
    /// All must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_conditions: Option<Vec<ClusterConditionFilter>>,
    /// Absent: all; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_replicas: Option<i32>,
    /// Order by allocatable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_hint: Option<ResourceHint>,
    /// Another scheduler writes the decisions when not empty, `default` or `mcm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// Accepted, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_list")]
    pub policies: Option<Value>,
}

/// A condition that a cluster must have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterConditionFilter {
    /// Condition type.
    #[serde(default, rename = "type")]
    pub type_: String,
    /// Its status.
    #[serde(default)]
    pub status: String,
}

/// Order by allocatable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceHint {
    /// `cpu` or `memory`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// `asc` or `desc` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// Status of a PlacementRule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlacementRuleStatus {
    /// Chosen clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decisions: Option<Vec<PlacementRuleDecision>>,
}

/// A chosen cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementRuleDecision {
    /// Its name.
    #[serde(default)]
    pub cluster_name: String,
    /// Its namespace: the same as its name.
    #[serde(default)]
    pub cluster_namespace: String,
}

/// Groups Subscriptions by label (sig-apps Application).
// Its group is protected: API servers take the definition only with the link
// to its approval.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "app.k8s.io",
    version = "v1beta1",
    kind = "Application",
    namespaced,
    annotation(
        "api-approved.kubernetes.io",
        "https://github.com/kubernetes-sigs/application/pull/2"
    ),
    shortname = "app",
    category = "all",
    status = "ApplicationStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.descriptor.type","description":"The type of the application"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.descriptor.version","description":"The creation date"}"#,
    printcolumn = r#"{"name":"Owner","type":"boolean","jsonPath":".spec.addOwnerRef","description":"The application object owns the matched resources"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.componentsReady","description":"Numbers of components ready"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"The creation date"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSpec {
    /// Kinds of its components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_kinds: Option<Vec<ComponentKind>>,
    /// Absent: all Subscriptions of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub descriptor: Option<Value>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_list")]
    pub info: Option<Value>,
    /// Not used by RHACM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_owner_ref: Option<bool>,
    /// Not used by RHACM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assembly_phase: Option<String>,
}

/// A kind of component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentKind {
    /// API group.
    #[serde(default)]
    pub group: String,
    /// Kind.
    #[serde(default)]
    pub kind: String,
}

/// Status of an Application; RHACM leaves it empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// Generation seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_list")]
    pub conditions: Option<Value>,
    /// Components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_list")]
    pub components: Option<Value>,
    /// `n/m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components_ready: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of the article's manifests: no apiVersion in placementRef, an
    /// empty descriptor or none, fields that we do not know.
    #[test]
    fn manifests_in_the_wild_are_read() {
        fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
            serde_yaml::from_str(text).unwrap()
        }
        let channel: Channel = read(
            "apiVersion: apps.open-cluster-management.io/v1\nkind: Channel\n\
             metadata: {name: shop-latest, namespace: shop}\n\
             spec:\n  type: GitHub\n  pathname: https://git.example.com/shop.git\n  sourceNamespaces: [default]\n  gates: {annotations: {a: b}}\n  novel: 1\n",
        );
        assert_eq!(channel.spec.type_, "GitHub");
        assert!(channel.spec.gates.is_some());
        let subscription: Subscription = read(
            "apiVersion: apps.open-cluster-management.io/v1\nkind: Subscription\n\
             metadata:\n  name: shop\n  namespace: shop\n  labels: {app: shop}\n  annotations:\n    apps.open-cluster-management.io/git-path: shop/web\n\
             spec:\n  channel: shop/shop-latest\n  placement:\n    placementRef:\n      kind: PlacementRule\n      name: shop-rule\n  packageOverrides:\n  - packageName: web\n    packageOverrides:\n    - {path: spec.replicas, value: 5}\n",
        );
        let reference = subscription.spec.placement.unwrap().placement_ref.unwrap();
        assert_eq!(reference.name.as_deref(), Some("shop-rule"));
        assert_eq!(reference.api_version, None);
        let kept = subscription.spec.package_overrides.unwrap();
        assert_eq!(kept.pointer("/0/packageOverrides/0/value"), Some(&5.into()));
        let rule: PlacementRule = read(
            "metadata: {name: shop-rule, namespace: shop}\n\
             spec:\n  clusterReplicas: 2\n  clusterConditions:\n  - type: ManagedClusterConditionAvailable\n    status: \"True\"\n  clusterSelector:\n    matchLabels: {name: aws-sub1}\n",
        );
        assert_eq!(rule.spec.cluster_replicas, Some(2));
        for descriptor in ["", "  descriptor: {}\n"] {
            let application: Application = read(&format!(
                "metadata: {{name: shop, namespace: shop}}\n\
                 spec:\n{descriptor}  componentKinds:\n  - {{group: apps.open-cluster-management.io, kind: Subscription}}\n  selector:\n    matchExpressions:\n    - {{key: app, operator: In, values: [shop]}}\n",
            ));
            assert!(application.spec.selector.is_some());
        }
    }
}
