//! SubscriptionReport and SubscriptionStatus: results by application and cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Results of an application over its clusters, or of a cluster over its
/// applications. Its fields stand at the root.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.open-cluster-management.io",
    version = "v1alpha1",
    kind = "SubscriptionReport",
    namespaced,
    no_spec,
    shortname = "appsubreport",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"ReportType","type":"string","jsonPath":".reportType"}"#,
    printcolumn = r#"{"name":"Deployed","type":"string","jsonPath":".summary.deployed"}"#,
    printcolumn = r#"{"name":"InProgress","type":"string","jsonPath":".summary.inProgress"}"#,
    printcolumn = r#"{"name":"Failed","type":"string","jsonPath":".summary.failed"}"#,
    printcolumn = r#"{"name":"PropagationFailed","type":"string","jsonPath":".summary.propagationFailed"}"#,
    printcolumn = r#"{"name":"Clusters","type":"string","jsonPath":".summary.clusters"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionReportFields {
    /// `Application` or `Cluster`.
    #[serde(default)]
    pub report_type: String,
    /// Counts, as strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<ReportSummary>,
    /// One entry a cluster (or an application).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<ReportResult>>,
    /// Objects of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<ReportResource>>,
}

/// Counts of a report, as strings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportSummary {
    /// Clusters on which everything is deployed.
    #[serde(default)]
    pub deployed: String,
    /// Clusters on which it is under way.
    #[serde(default)]
    pub in_progress: String,
    /// Clusters on which something failed.
    #[serde(default)]
    pub failed: String,
    /// Clusters that it could not be propagated to.
    #[serde(default)]
    pub propagation_failed: String,
    /// All clusters.
    #[serde(default)]
    pub clusters: String,
}

/// Result of one cluster or application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportResult {
    /// Cluster, or `ns/name` of the application.
    #[serde(default)]
    pub source: String,
    /// `deployed`, `failed` or `propagationFailed`.
    #[serde(default)]
    pub result: String,
    /// Always zero in application reports, as upstream.
    #[serde(default)]
    pub timestamp: ReportTime,
}

/// A time as policy reports write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportTime {
    /// Seconds since the epoch.
    #[serde(default)]
    pub seconds: i64,
    /// Nanoseconds.
    #[serde(default)]
    pub nanos: i32,
}

/// An object of an application.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ReportResource {
    /// apiVersion.
    #[serde(default)]
    pub api_version: String,
    /// Kind.
    #[serde(default)]
    pub kind: String,
    /// Namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    #[serde(default)]
    pub name: String,
}

/// Objects of an application on one cluster that are not well; on the hub, in
/// the cluster's namespace. Its fields stand at the root.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.open-cluster-management.io",
    version = "v1alpha1",
    kind = "SubscriptionStatus",
    namespaced,
    no_spec,
    shortname = "appsubstatus",
    derive = "Default",
    derive = "PartialEq"
)]
pub struct SubscriptionStatusSpec {
    /// Results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<SubscriptionClusterStatus>,
}

/// Results of an application on one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionClusterStatus {
    /// By object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<Vec<PackageStatus>>,
    /// Of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<OverallStatus>,
}

/// Result of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageStatus {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// apiVersion.
    #[serde(default)]
    pub api_version: String,
    /// Kind.
    #[serde(default)]
    pub kind: String,
    /// `Deployed`, `Failed` or `PropagationFailed`.
    #[serde(default)]
    pub phase: String,
    /// The error in full.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When this began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
}

/// Result of the whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverallStatus {
    /// `Deployed` or `Failed`.
    #[serde(default)]
    pub phase: String,
    /// Failed messages joined.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When this began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
}
