//! What the probe learns about a member besides that it answers.

use std::collections::BTreeMap;

/// Facts about a member, for ManagedCluster status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFacts {
    /// `gitVersion` of its API server.
    pub kubernetes_version: String,
    /// Sum over its nodes, by resource name (`cpu`, `memory`, …), as
    /// Kubernetes quantities. Empty when it has no nodes or hides them.
    pub capacity: BTreeMap<String, String>,
    /// Sum of what its nodes have to give.
    pub allocatable: BTreeMap<String, String>,
    /// ClusterClaims by name, where the member serves them.
    pub claims: BTreeMap<String, String>,
    /// uid of its `kube-system` namespace; empty when hidden.
    pub cluster_id: String,
}
