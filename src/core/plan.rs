//! From desire, inventory and observation to the writes that are missing.

use crate::core::object::ObjectId;

/// When an object is applied; objects of one phase go out together. Deletion
/// runs in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Namespaces and CustomResourceDefinitions: others live in them.
    Ground,
    /// ServiceAccounts, roles and bindings, quotas and classes: workloads need
    /// them when they start.
    Rights,
    /// Everything else.
    Workload,
}

impl Phase {
    /// All phases, in the order in which they are applied.
    pub const ALL: [Self; 3] = [Self::Ground, Self::Rights, Self::Workload];

    /// The phase of an object, by its kind.
    #[must_use]
    pub fn of(id: &ObjectId) -> Self {
        match (id.group.as_str(), id.kind.as_str()) {
            ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                Self::Ground
            }
            ("", "ServiceAccount" | "ResourceQuota" | "LimitRange")
            | ("rbac.authorization.k8s.io" | "scheduling.k8s.io" | "storage.k8s.io", _) => {
                Self::Rights
            }
            _ => Self::Workload,
        }
    }
}
