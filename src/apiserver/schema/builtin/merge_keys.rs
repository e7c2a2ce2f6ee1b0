//! What the types of `k8s-openapi` do not say: how fields of built-in kinds merge.
//!
//! Facts of the API, read from the OpenAPI v3 documents of kube-apiserver 1.36
//! (`x-kubernetes-list-type`, `-list-map-keys`, `-map-type`, `-patch-strategy`,
//! `-patch-merge-key`). Definitions are named without `io.k8s.api.` and the like. Rows for
//! fields that our older types lack do nothing.

use super::super::ListType;

/// One list or struct field that does not simply get replaced.
pub(super) struct Merge {
    /// The definition, such as `core.v1.PodSpec`.
    pub(super) definition: &'static str,
    /// Its field.
    pub(super) field: &'static str,
    /// How server-side apply merges it.
    pub(super) list: List,
    /// How strategic merge patch merges it.
    pub(super) patch: Patch,
}

/// [`ListType`] in a form that fits a constant.
pub(super) enum List {
    /// As a whole.
    Atomic,
    /// By value.
    Set,
    /// By these keys.
    Map(&'static [&'static str]),
}

impl List {
    /// The owned form.
    pub(super) fn list_type(&self) -> ListType {
        match self {
            Self::Atomic => ListType::Atomic,
            Self::Set => ListType::Set,
            Self::Map(keys) => ListType::Map(keys.iter().map(|key| (*key).to_owned()).collect()),
        }
    }
}

/// `x-kubernetes-patch-strategy` and `-merge-key`.
pub(super) enum Patch {
    /// Replaced as a whole.
    Replace,
    /// Lists of scalars are united.
    Merge,
    /// Items are merged by this key.
    By(&'static str),
    /// The same, and `$retainKeys` is understood in the items.
    RetainBy(&'static str),
    /// A struct in which `$retainKeys` is understood.
    Retain,
}

const fn row(definition: &'static str, field: &'static str, list: List, patch: Patch) -> Merge {
    Merge {
        definition,
        field,
        list,
        patch,
    }
}

/// Every field of the served kinds that merges by key, by value or with `retainKeys`.
#[rustfmt::skip]
pub(super) const MERGES: &[Merge] = &[
    row("admissionregistration.v1.MutatingWebhook", "matchConditions", List::Map(&["name"]), Patch::By("name")),
    row("admissionregistration.v1.MutatingWebhookConfiguration", "webhooks", List::Map(&["name"]), Patch::By("name")),
    row("admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec", "validationActions", List::Set, Patch::Replace),
    row("admissionregistration.v1.ValidatingAdmissionPolicySpec", "matchConditions", List::Map(&["name"]), Patch::By("name")),
    row("admissionregistration.v1.ValidatingAdmissionPolicySpec", "variables", List::Map(&["name"]), Patch::By("name")),
    row("admissionregistration.v1.ValidatingAdmissionPolicyStatus", "conditions", List::Map(&["type"]), Patch::Replace),
    row("admissionregistration.v1.ValidatingWebhook", "matchConditions", List::Map(&["name"]), Patch::By("name")),
    row("admissionregistration.v1.ValidatingWebhookConfiguration", "webhooks", List::Map(&["name"]), Patch::By("name")),
    row("apiextensions.v1.CustomResourceDefinitionStatus", "conditions", List::Map(&["type"]), Patch::Replace),
    row("apiextensions.v1.JSONSchemaProps", "x-kubernetes-validations", List::Map(&["rule"]), Patch::By("rule")),
    row("apiregistration.v1.APIServiceStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("apps.v1.DaemonSetStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("apps.v1.DeploymentSpec", "strategy", List::Atomic, Patch::Retain),
    row("apps.v1.DeploymentStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("apps.v1.ReplicaSetStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("apps.v1.StatefulSetStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("autoscaling.v2.HorizontalPodAutoscalerStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("batch.v1.JobStatus", "conditions", List::Atomic, Patch::By("type")),
    row("batch.v1.PodFailurePolicyOnExitCodesRequirement", "values", List::Set, Patch::Replace),
    row("batch.v1.UncountedTerminatedPods", "failed", List::Set, Patch::Replace),
    row("batch.v1.UncountedTerminatedPods", "succeeded", List::Set, Patch::Replace),
    row("certificates.v1.CertificateSigningRequestStatus", "conditions", List::Map(&["type"]), Patch::Replace),
    row("core.v1.Container", "env", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.Container", "ports", List::Map(&["containerPort", "protocol"]), Patch::By("containerPort")),
    row("core.v1.Container", "volumeDevices", List::Map(&["devicePath"]), Patch::By("devicePath")),
    row("core.v1.Container", "volumeMounts", List::Map(&["mountPath"]), Patch::By("mountPath")),
    row("core.v1.ContainerRestartRuleOnExitCodes", "values", List::Set, Patch::Replace),
    row("core.v1.ContainerStatus", "allocatedResourcesStatus", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.ContainerStatus", "volumeMounts", List::Map(&["mountPath"]), Patch::By("mountPath")),
    row("core.v1.EphemeralContainer", "env", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.EphemeralContainer", "ports", List::Map(&["containerPort", "protocol"]), Patch::By("containerPort")),
    row("core.v1.EphemeralContainer", "volumeDevices", List::Map(&["devicePath"]), Patch::By("devicePath")),
    row("core.v1.EphemeralContainer", "volumeMounts", List::Map(&["mountPath"]), Patch::By("mountPath")),
    row("core.v1.NamespaceStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("core.v1.NodeAllocatableResourceClaimStatus", "containers", List::Set, Patch::Replace),
    row("core.v1.NodeSpec", "podCIDRs", List::Set, Patch::Merge),
    row("core.v1.NodeStatus", "addresses", List::Map(&["type"]), Patch::By("type")),
    row("core.v1.NodeStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("core.v1.PersistentVolumeClaimStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("core.v1.PodSpec", "containers", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.PodSpec", "ephemeralContainers", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.PodSpec", "hostAliases", List::Map(&["ip"]), Patch::By("ip")),
    row("core.v1.PodSpec", "imagePullSecrets", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.PodSpec", "initContainers", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.PodSpec", "resourceClaims", List::Map(&["name"]), Patch::RetainBy("name")),
    row("core.v1.PodSpec", "schedulingGates", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.PodSpec", "topologySpreadConstraints", List::Map(&["topologyKey", "whenUnsatisfiable"]), Patch::By("topologyKey")),
    row("core.v1.PodSpec", "volumes", List::Map(&["name"]), Patch::RetainBy("name")),
    row("core.v1.PodStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("core.v1.PodStatus", "hostIPs", List::Atomic, Patch::By("ip")),
    row("core.v1.PodStatus", "podIPs", List::Map(&["ip"]), Patch::By("ip")),
    row("core.v1.PodStatus", "resourceClaimStatuses", List::Map(&["name"]), Patch::RetainBy("name")),
    row("core.v1.ReplicationControllerStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("core.v1.ResourceRequirements", "claims", List::Map(&["name"]), Patch::Replace),
    row("core.v1.ResourceStatus", "resources", List::Map(&["resourceID"]), Patch::Replace),
    row("core.v1.ServiceAccount", "secrets", List::Map(&["name"]), Patch::By("name")),
    row("core.v1.ServiceSpec", "ports", List::Map(&["port", "protocol"]), Patch::By("port")),
    row("core.v1.ServiceStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
    row("discovery.v1.Endpoint", "addresses", List::Set, Patch::Replace),
    row("meta.v1.ObjectMeta", "finalizers", List::Set, Patch::Merge),
    row("meta.v1.ObjectMeta", "ownerReferences", List::Map(&["uid"]), Patch::By("uid")),
    row("policy.v1.PodDisruptionBudgetStatus", "conditions", List::Map(&["type"]), Patch::By("type")),
];

/// Structs and maps that are replaced as a whole; an empty field means the definition itself.
#[rustfmt::skip]
pub(super) const ATOMIC_MAPS: &[(&str, &str)] = &[
    ("admissionregistration.v1.MatchResources", ""),
    ("admissionregistration.v1.NamedRuleWithOperations", ""),
    ("admissionregistration.v1.ParamKind", ""),
    ("admissionregistration.v1.ParamRef", ""),
    ("admissionregistration.v1.Variable", ""),
    ("autoscaling.v1.CrossVersionObjectReference", ""),
    ("core.v1.ConfigMapKeySelector", ""),
    ("core.v1.EndpointAddress", ""),
    ("core.v1.EndpointPort", ""),
    ("core.v1.FileKeySelector", ""),
    ("core.v1.LocalObjectReference", ""),
    ("core.v1.NodeSelector", ""),
    ("core.v1.NodeSelectorTerm", ""),
    ("core.v1.ObjectFieldSelector", ""),
    ("core.v1.ObjectReference", ""),
    ("core.v1.PodSpec", "nodeSelector"),
    ("core.v1.ReplicationControllerSpec", "selector"),
    ("core.v1.ResourceFieldSelector", ""),
    ("core.v1.ScopeSelector", ""),
    ("core.v1.SecretKeySelector", ""),
    ("core.v1.SecretReference", ""),
    ("core.v1.ServiceSpec", "selector"),
    ("core.v1.TopologySelectorTerm", ""),
    ("core.v1.TypedLocalObjectReference", ""),
    ("discovery.v1.EndpointPort", ""),
    ("networking.v1.ServiceBackendPort", ""),
    ("rbac.v1.RoleRef", ""),
    ("rbac.v1.Subject", ""),
    ("meta.v1.LabelSelector", ""),
    ("meta.v1.OwnerReference", ""),
];

/// Structs that Go embeds by value, beside `metadata`, `spec` and `status`: to the server they
/// are always there, if empty, so an update that fills them does not own the struct itself.
#[rustfmt::skip]
pub(super) const ALWAYS_PRESENT: &[(&str, &str)] = &[
    ("admissionregistration.v1.MutatingWebhook", "clientConfig"),
    ("admissionregistration.v1.ValidatingWebhook", "clientConfig"),
    ("apps.v1.DaemonSetSpec", "template"),
    ("apps.v1.DaemonSetSpec", "updateStrategy"),
    ("apps.v1.DeploymentSpec", "strategy"),
    ("apps.v1.DeploymentSpec", "template"),
    ("apps.v1.ReplicaSetSpec", "template"),
    ("apps.v1.StatefulSetSpec", "template"),
    ("apps.v1.StatefulSetSpec", "updateStrategy"),
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", "scaleTargetRef"),
    ("autoscaling.v2.ContainerResourceMetricSource", "target"),
    ("autoscaling.v2.ContainerResourceMetricStatus", "current"),
    ("autoscaling.v2.ExternalMetricSource", "metric"),
    ("autoscaling.v2.ExternalMetricSource", "target"),
    ("autoscaling.v2.ExternalMetricStatus", "current"),
    ("autoscaling.v2.ExternalMetricStatus", "metric"),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "scaleTargetRef"),
    ("autoscaling.v2.ObjectMetricSource", "describedObject"),
    ("autoscaling.v2.ObjectMetricSource", "metric"),
    ("autoscaling.v2.ObjectMetricSource", "target"),
    ("autoscaling.v2.ObjectMetricStatus", "current"),
    ("autoscaling.v2.ObjectMetricStatus", "describedObject"),
    ("autoscaling.v2.ObjectMetricStatus", "metric"),
    ("autoscaling.v2.PodsMetricSource", "metric"),
    ("autoscaling.v2.PodsMetricSource", "target"),
    ("autoscaling.v2.PodsMetricStatus", "current"),
    ("autoscaling.v2.PodsMetricStatus", "metric"),
    ("autoscaling.v2.ResourceMetricSource", "target"),
    ("autoscaling.v2.ResourceMetricStatus", "current"),
    ("batch.v1.CronJobSpec", "jobTemplate"),
    ("batch.v1.JobSpec", "template"),
    ("core.v1.Container", "resources"),
    ("core.v1.ContainerStatus", "lastState"),
    ("core.v1.ContainerStatus", "state"),
    ("core.v1.EphemeralContainer", "resources"),
    ("core.v1.Event", "involvedObject"),
    ("core.v1.Event", "source"),
    ("core.v1.NodeDaemonEndpoints", "kubeletEndpoint"),
    ("core.v1.NodeStatus", "daemonEndpoints"),
    ("core.v1.NodeStatus", "nodeInfo"),
    ("core.v1.PersistentVolumeClaimSpec", "resources"),
    ("core.v1.PodTemplate", "template"),
    ("core.v1.PreferredSchedulingTerm", "preference"),
    ("core.v1.ServiceStatus", "loadBalancer"),
    ("core.v1.WeightedPodAffinityTerm", "podAffinityTerm"),
    ("discovery.v1.Endpoint", "conditions"),
    ("events.v1.Event", "deprecatedSource"),
    ("events.v1.Event", "regarding"),
    ("networking.v1.HTTPIngressPath", "backend"),
    ("networking.v1.IngressServiceBackend", "port"),
    ("networking.v1.IngressStatus", "loadBalancer"),
    ("networking.v1.NetworkPolicySpec", "podSelector"),
    ("rbac.v1.ClusterRoleBinding", "roleRef"),
    ("rbac.v1.RoleBinding", "roleRef"),
    ("apiextensions.v1.CustomResourceDefinitionSpec", "names"),
    ("apiextensions.v1.CustomResourceDefinitionStatus", "acceptedNames"),
];

/// Defaults that the API documents declare (others are set by code in kube-apiserver).
#[rustfmt::skip]
pub(super) const DEFAULTS: &[(&str, &str, &str)] = &[
    ("core.v1.AzureDiskVolumeSource", "cachingMode", "ReadWrite"),
    ("core.v1.AzureDiskVolumeSource", "fsType", "ext4"),
    ("core.v1.AzureDiskVolumeSource", "kind", "Shared"),
    ("core.v1.ContainerPort", "protocol", "TCP"),
    ("core.v1.ISCSIPersistentVolumeSource", "iscsiInterface", "default"),
    ("core.v1.ISCSIVolumeSource", "iscsiInterface", "default"),
    ("core.v1.RBDPersistentVolumeSource", "keyring", "/etc/ceph/keyring"),
    ("core.v1.RBDPersistentVolumeSource", "pool", "rbd"),
    ("core.v1.RBDPersistentVolumeSource", "user", "admin"),
    ("core.v1.RBDVolumeSource", "keyring", "/etc/ceph/keyring"),
    ("core.v1.RBDVolumeSource", "pool", "rbd"),
    ("core.v1.RBDVolumeSource", "user", "admin"),
    ("core.v1.ScaleIOPersistentVolumeSource", "fsType", "xfs"),
    ("core.v1.ScaleIOPersistentVolumeSource", "storageMode", "ThinProvisioned"),
    ("core.v1.ScaleIOVolumeSource", "fsType", "xfs"),
    ("core.v1.ScaleIOVolumeSource", "storageMode", "ThinProvisioned"),
    ("core.v1.ServicePort", "protocol", "TCP"),
];
