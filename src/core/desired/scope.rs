//! Whether a kind lives in a namespace, before any member is asked.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::manifest::Manifest;
use crate::core::object::ObjectId;

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In no namespace.
    Cluster,
    /// Neither a kind of Kubernetes nor defined in the same commit: the
    /// member's discovery tells at apply.
    Unknown,
}

/// Scopes of the kinds that a commit defines itself, by (group, kind).
pub(super) fn defined_scopes(manifests: &[Manifest]) -> BTreeMap<(String, String), Scope> {
    manifests
        .iter()
        .filter(|manifest| manifest.id.kind == "CustomResourceDefinition")
        .filter_map(|manifest| {
            let object = manifest.content.value();
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            let scope = match text("/spec/scope")? {
                "Cluster" => Scope::Cluster,
                _ => Scope::Namespaced,
            };
            Some((
                (
                    text("/spec/group")?.to_owned(),
                    text("/spec/names/kind")?.to_owned(),
                ),
                scope,
            ))
        })
        .collect()
}

/// Scope of a kind that the API server brings or that RHACM fleets have
/// everywhere; otherwise what the commit defines.
pub(super) fn scope_of(id: &ObjectId, defined: &BTreeMap<(String, String), Scope>) -> Scope {
    let kind = id.kind.as_str();
    let cluster_kinds: &[&str] = match id.group.as_str() {
        "" => &["Namespace", "Node", "PersistentVolume", "ComponentStatus"],
        "apps"
        | "batch"
        | "autoscaling"
        | "policy"
        | "discovery.k8s.io"
        | "events.k8s.io"
        | "coordination.k8s.io"
        | "extensions" => &[],
        "rbac.authorization.k8s.io" => &["ClusterRole", "ClusterRoleBinding"],
        "networking.k8s.io" => &["IngressClass", "IPAddress", "ServiceCIDR"],
        "storage.k8s.io" => &[
            "StorageClass",
            "VolumeAttachment",
            "CSIDriver",
            "CSINode",
            "VolumeAttributesClass",
        ],
        "route.openshift.io" | "multicluster.x-k8s.io" => &[],
        "apiextensions.k8s.io"
        | "apiregistration.k8s.io"
        | "admissionregistration.k8s.io"
        | "scheduling.k8s.io"
        | "node.k8s.io"
        | "flowcontrol.apiserver.k8s.io"
        | "certificates.k8s.io" => return Scope::Cluster,
        group => {
            return defined
                .get(&(group.to_owned(), kind.to_owned()))
                .copied()
                .unwrap_or(Scope::Unknown);
        }
    };
    if cluster_kinds.contains(&kind) {
        Scope::Cluster
    } else {
        Scope::Namespaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_well_known_kinds() {
        for (group, kind, scope) in [
            ("", "Namespace", Scope::Cluster),
            ("", "ConfigMap", Scope::Namespaced),
            ("rbac.authorization.k8s.io", "ClusterRole", Scope::Cluster),
            ("rbac.authorization.k8s.io", "Role", Scope::Namespaced),
            (
                "apiextensions.k8s.io",
                "CustomResourceDefinition",
                Scope::Cluster,
            ),
            ("route.openshift.io", "Route", Scope::Namespaced),
            ("example.com", "Widget", Scope::Unknown),
        ] {
            let id = ObjectId {
                group: group.into(),
                kind: kind.into(),
                namespace: None,
                name: "x".into(),
            };
            assert_eq!(scope_of(&id, &BTreeMap::new()), scope, "{group} {kind}");
        }
    }
}
