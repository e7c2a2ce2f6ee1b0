//! Kinds, names, labels and annotations of the APIs that Pilothouse serves and
//! reads. The groups, versions and words are upstream's; only `pilothouse.dev`
//! is ours.

pub mod apps;
pub mod cluster;
pub mod crds;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Field manager of objects that a Subscription owns.
pub const FIELD_MANAGER: &str = "pilothouse";
/// Field manager of everything the hub writes to its own kinds.
pub const STATUS_MANAGER: &str = "pilothouse-status";
/// Finalizer that keeps a Subscription until its objects are deleted.
pub const FINALIZER: &str = "pilothouse.dev/cleanup";
/// Label of a hub Namespace whose Subscriptions are subscription-admin.
/// Tenants cannot label namespaces, so it can be believed.
pub const LABEL_SUBSCRIPTION_ADMIN: &str = "pilothouse.dev/subscription-admin";
/// Annotation of a ManagedCluster naming the Secret of its own namespace that holds its kubeconfig.
pub const ANNOTATION_CREDENTIAL: &str = "pilothouse.dev/credential";
/// Annotation of a ManagedCluster naming, as `namespace/name, …`, deleted Subscriptions
/// whose objects are to be removed once the cluster answers.
pub const ANNOTATION_REMOVALS: &str = "pilothouse.dev/removals";
/// Label of a Secret that holds the credential of the cluster named like its namespace.
pub const LABEL_CREDENTIAL: &str = "pilothouse.dev/credential";
/// RHACM's import Secret, read where our own is absent.
pub const AUTO_IMPORT_SECRET: &str = "auto-import-secret";

/// Label of PlacementDecisions that belong to a PlacementRule.
pub const LABEL_PLACEMENT_RULE: &str = "cluster.open-cluster-management.io/placementrule";
/// Label of PlacementDecisions that belong to a Placement.
pub const LABEL_PLACEMENT: &str = "cluster.open-cluster-management.io/placement";
/// Label of PlacementDecisions: index of the decision group.
pub const LABEL_DECISION_GROUP_INDEX: &str =
    "cluster.open-cluster-management.io/decision-group-index";
/// Label of PlacementDecisions: name of the decision group.
pub const LABEL_DECISION_GROUP_NAME: &str =
    "cluster.open-cluster-management.io/decision-group-name";
/// Label of a ManagedCluster: its exclusive cluster set.
pub const LABEL_CLUSTER_SET: &str = "cluster.open-cluster-management.io/clusterset";
/// Taint of a cluster whose availability is unknown.
pub const TAINT_UNREACHABLE: &str = "cluster.open-cluster-management.io/unreachable";
/// Taint of a cluster that is not available.
pub const TAINT_UNAVAILABLE: &str = "cluster.open-cluster-management.io/unavailable";
/// Annotation that freezes a Placement's decisions.
pub const ANNOTATION_SCHEDULING_DISABLED: &str =
    "cluster.open-cluster-management.io/experimental-scheduling-disable";
/// Condition of a ManagedCluster: the API server answers.
pub const CONDITION_AVAILABLE: &str = "ManagedClusterConditionAvailable";
/// Condition of a ManagedCluster: the hub accepts it.
pub const CONDITION_HUB_ACCEPTED: &str = "HubAcceptedManagedCluster";
/// Condition of a ManagedCluster: it joined.
pub const CONDITION_JOINED: &str = "ManagedClusterJoined";

/// Directory in the repository.
pub const ANNOTATION_GIT_PATH: &str = "apps.open-cluster-management.io/git-path";
/// Older alias of [`ANNOTATION_GIT_PATH`], which upstream prefers.
pub const ANNOTATION_GITHUB_PATH: &str = "apps.open-cluster-management.io/github-path";
/// Branch.
pub const ANNOTATION_GIT_BRANCH: &str = "apps.open-cluster-management.io/git-branch";
/// Older alias of [`ANNOTATION_GIT_BRANCH`].
pub const ANNOTATION_GITHUB_BRANCH: &str = "apps.open-cluster-management.io/github-branch";
/// Tag.
pub const ANNOTATION_GIT_TAG: &str = "apps.open-cluster-management.io/git-tag";
/// Commit; wins over the tag.
pub const ANNOTATION_GIT_DESIRED_COMMIT: &str =
    "apps.open-cluster-management.io/git-desired-commit";
/// Output: the commit in use.
pub const ANNOTATION_GIT_CURRENT_COMMIT: &str =
    "apps.open-cluster-management.io/git-current-commit";
/// merge (default), mergeAndOwn or replace.
pub const ANNOTATION_RECONCILE_OPTION: &str = "apps.open-cluster-management.io/reconcile-option";
/// off, low, medium or high; also a label that flows down.
pub const ANNOTATION_RECONCILE_RATE: &str = "apps.open-cluster-management.io/reconcile-rate";
/// On a live object: exempt it from pruning and deletion.
pub const ANNOTATION_DO_NOT_DELETE: &str = "apps.open-cluster-management.io/do-not-delete";
/// Any new value fetches at once.
pub const ANNOTATION_MANUAL_REFRESH: &str = "apps.open-cluster-management.io/manual-refresh-time";
/// `ns/name` of the Subscription that an object belongs to.
pub const ANNOTATION_HOSTING_SUBSCRIPTION: &str =
    "apps.open-cluster-management.io/hosting-subscription";
/// Stamp of objects that a subscription-admin deployed.
pub const ANNOTATION_CLUSTER_ADMIN: &str = "apps.open-cluster-management.io/cluster-admin";
/// Forces the Subscription's namespace even for admins.
pub const ANNOTATION_CURRENT_NAMESPACE_SCOPED: &str =
    "apps.open-cluster-management.io/current-namespace-scoped";
/// Output on an Application: its Subscriptions.
pub const ANNOTATION_SUBSCRIPTIONS: &str = "apps.open-cluster-management.io/subscriptions";
/// Output on an Application, always empty now.
pub const ANNOTATION_DEPLOYABLES: &str = "apps.open-cluster-management.io/deployables";
/// Channel: Secret with the webhook's secret.
pub const ANNOTATION_WEBHOOK_SECRET: &str = "apps.open-cluster-management.io/webhook-secret";
/// Channel: webhooks are expected.
pub const ANNOTATION_WEBHOOK_ENABLED: &str = "apps.open-cluster-management.io/webhook-enabled";
/// Marks an auto-created namespace (ocm-apps §2.8).
pub const ANNOTATION_SYNC_SOURCE: &str = "apps.open-cluster-management.io/sync-source";
/// Label that pauses a Subscription.
pub const LABEL_SUBSCRIPTION_PAUSE: &str = "subscription-pause";
/// Label that groups a Subscription's objects.
pub const LABEL_APP: &str = "app";
/// Label forced on every object.
pub const LABEL_PART_OF: &str = "app.kubernetes.io/part-of";
/// Label of reports: the cluster.
pub const LABEL_REPORT_CLUSTER: &str = "apps.open-cluster-management.io/cluster";

/// Name of a ManagedCluster. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterName(Arc<str>);

impl ClusterName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ClusterName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for ClusterName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Namespace and name; shown and parsed as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamespacedName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl NamespacedName {
    /// From its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The text is not `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form namespace/name")]
pub struct NotNamespacedName(String);

impl FromStr for NamespacedName {
    type Err = NotNamespacedName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if is_dns_label(namespace) && is_dns_subdomain(name) => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(NotNamespacedName(text.chars().take(200).collect())),
        }
    }
}

/// Whether a text is an RFC 1123 label: what names a namespace or a cluster.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

/// Whether a text is an RFC 1123 subdomain: what names most objects.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label_part)
}

fn is_dns_label_part(part: &str) -> bool {
    let bytes = part.as_bytes();
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_reference_is_namespace_slash_name() {
        assert_eq!(
            "guestbook/redis-slave-app-latest".parse(),
            Ok(NamespacedName::new("guestbook", "redis-slave-app-latest"))
        );
        for bad in ["guestbook", "/x", "x/", "a/b/c", "A/b", "a/b c"] {
            assert!(bad.parse::<NamespacedName>().is_err(), "{bad}");
        }
    }
}
