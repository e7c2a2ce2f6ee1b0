//! Columns of the built-in kinds, as kube-apiserver's printers have them.

use super::Cell::{Age, At, Count, Created, Flag, From, Tally, Word};
use super::Column;
#[allow(clippy::wildcard_imports)]
use super::cells::*;

const DEFAULT: &[Column] = &[("Age", false, Age)];
const CREATED: &[Column] = &[("Created At", false, Created)];
#[rustfmt::skip]
const BINDING: &[Column] = &[
    ("Role", false, From(role_ref)), ("Age", false, Age), ("Users", true, From(bound_users)),
    ("Groups", true, From(bound_groups)), ("ServiceAccounts", true, From(bound_accounts)),
];
#[rustfmt::skip]
const EVENT: &[Column] = &[
    ("Last Seen", false, From(last_seen)), ("Type", false, At("/type")),
    ("Reason", false, At("/reason")), ("Object", false, From(event_object)),
    ("Subobject", true, At("/involvedObject/fieldPath")), ("Source", true, From(event_source)),
    ("Message", false, At("/message")), ("First Seen", true, From(first_seen)),
    ("Count", true, At("/count")), ("Name", true, At("/metadata/name")),
];

/// Group, plural, columns after the name.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &[Column])] = &[
    ("", "namespaces", &[("Status", false, At("/status/phase")), ("Age", false, Age)]),
    ("", "configmaps", &[("Data", false, Tally(data_count)), ("Age", false, Age)]),
    ("", "secrets", &[
        ("Type", false, At("/type")), ("Data", false, Tally(data_count)), ("Age", false, Age),
    ]),
    ("", "limitranges", CREATED),
    ("", "resourcequotas", &[
        ("Request", false, From(quota_requests)), ("Limit", false, From(quota_limits)), ("Age", false, Age),
    ]),
    ("", "services", &[
        ("Type", false, At("/spec/type")), ("Cluster-IP", false, At("/spec/clusterIP")),
        ("External-IP", false, From(external_ip)), ("Port(s)", false, From(service_ports)),
        ("Age", false, Age), ("Selector", true, From(selector)),
    ]),
    ("", "endpoints", &[("Endpoints", false, From(endpoints)), ("Age", false, Age)]),
    ("", "events", EVENT),
    ("events.k8s.io", "events", EVENT),
    ("", "nodes", &[
        ("Status", false, From(node_status)), ("Roles", false, From(node_roles)),
        ("Age", false, Age), ("Version", false, At("/status/nodeInfo/kubeletVersion")),
        ("Internal-IP", true, From(node_internal)), ("External-IP", true, From(node_external)),
        ("OS-Image", true, At("/status/nodeInfo/osImage")),
        ("Kernel-Version", true, At("/status/nodeInfo/kernelVersion")),
        ("Container-Runtime", true, At("/status/nodeInfo/containerRuntimeVersion")),
    ]),
    ("", "pods", &[
        ("Ready", false, From(pod_ready)), ("Status", false, From(pod_status)),
        ("Restarts", false, From(pod_restarts)), ("Age", false, Age),
        ("IP", true, At("/status/podIP")), ("Node", true, At("/spec/nodeName")),
        ("Nominated Node", true, At("/status/nominatedNodeName")), ("Readiness Gates", true, At("/none")),
    ]),
    ("", "replicationcontrollers", &[
        ("Desired", false, Count("/spec/replicas")), ("Current", false, Count("/status/replicas")),
        ("Ready", false, Count("/status/readyReplicas")), ("Age", false, Age),
        ("Containers", true, From(containers)), ("Images", true, From(images)),
        ("Selector", true, From(selector)),
    ]),
    ("", "persistentvolumeclaims", &[
        ("Status", false, At("/status/phase")), ("Volume", false, At("/spec/volumeName")),
        ("Capacity", false, At("/status/capacity/storage")), ("Access Modes", false, From(access_modes)),
        ("StorageClass", false, At("/spec/storageClassName")),
        ("VolumeAttributesClass", false, From(attributes_class)), ("Age", false, Age),
        ("VolumeMode", true, At("/spec/volumeMode")),
    ]),
    ("", "persistentvolumes", &[
        ("Capacity", false, At("/spec/capacity/storage")), ("Access Modes", false, From(access_modes)),
        ("Reclaim Policy", false, At("/spec/persistentVolumeReclaimPolicy")),
        ("Status", false, At("/status/phase")), ("Claim", false, From(volume_claim)),
        ("StorageClass", false, At("/spec/storageClassName")),
        ("VolumeAttributesClass", false, From(attributes_class)), ("Reason", false, From(volume_reason)),
        ("Age", false, Age), ("VolumeMode", true, At("/spec/volumeMode")),
    ]),
    ("apps", "deployments", &[
        ("Ready", false, From(deployment_ready)), ("Up-to-date", false, Tally(updated)),
        ("Available", false, Tally(available)), ("Age", false, Age),
        ("Containers", true, From(containers)), ("Images", true, From(images)),
        ("Selector", true, From(match_labels)),
    ]),
    ("apps", "replicasets", &[
        ("Desired", false, Count("/spec/replicas")), ("Current", false, Count("/status/replicas")),
        ("Ready", false, Count("/status/readyReplicas")), ("Age", false, Age),
        ("Containers", true, From(containers)), ("Images", true, From(images)),
        ("Selector", true, From(match_labels)),
    ]),
    ("apps", "statefulsets", &[
        ("Ready", false, From(deployment_ready)), ("Age", false, Age),
        ("Containers", true, From(containers)), ("Images", true, From(images)),
    ]),
    ("apps", "daemonsets", &[
        ("Desired", false, Count("/status/desiredNumberScheduled")),
        ("Current", false, Count("/status/currentNumberScheduled")),
        ("Ready", false, Count("/status/numberReady")),
        ("Up-to-date", false, Count("/status/updatedNumberScheduled")),
        ("Available", false, Count("/status/numberAvailable")),
        ("Node Selector", false, From(node_selector)), ("Age", false, Age),
        ("Containers", true, From(containers)), ("Images", true, From(images)),
        ("Selector", true, From(match_labels)),
    ]),
    ("batch", "jobs", &[
        ("Status", false, From(job_status)), ("Completions", false, From(job_completions)),
        ("Duration", false, From(job_duration)), ("Age", false, Age),
        ("Containers", true, From(containers)), ("Images", true, From(images)),
        ("Selector", true, From(match_labels)),
    ]),
    ("batch", "cronjobs", &[
        ("Schedule", false, At("/spec/schedule")), ("Timezone", false, At("/spec/timeZone")),
        ("Suspend", false, Word("/spec/suspend")), ("Active", false, Count("/status/activeCount")),
        ("Last Schedule", false, From(last_schedule)), ("Age", false, Age),
        ("Containers", true, From(cron_containers)), ("Images", true, From(cron_images)),
        ("Selector", true, From(cron_selector)),
    ]),
    ("networking.k8s.io", "ingresses", &[
        ("Class", false, At("/spec/ingressClassName")), ("Hosts", false, From(ingress_hosts)),
        ("Address", false, From(ingress_address)), ("Ports", false, From(ingress_ports)), ("Age", false, Age),
    ]),
    ("networking.k8s.io", "ingressclasses", &[
        ("Controller", false, At("/spec/controller")), ("Parameters", false, From(parameters)), ("Age", false, Age),
    ]),
    ("apps", "controllerrevisions", &[
        ("Controller", false, From(controller)), ("Revision", false, Tally(revision)), ("Age", false, Age),
    ]),
    ("networking.k8s.io", "networkpolicies", &[
        ("Pod-Selector", false, From(pod_selector)), ("Age", false, Age),
    ]),
    ("policy", "poddisruptionbudgets", &[
        ("Min Available", false, From(least_available)),
        ("Max Unavailable", false, From(most_unavailable)),
        ("Allowed Disruptions", false, Count("/status/disruptionsAllowed")), ("Age", false, Age),
    ]),
    ("autoscaling", "horizontalpodautoscalers", &[
        ("Reference", false, From(hpa_reference)), ("Targets", false, From(hpa_targets)),
        ("MinPods", false, At("/spec/minReplicas")), ("MaxPods", false, Tally(hpa_most)),
        ("Replicas", false, Tally(hpa_now)), ("Age", false, Age),
    ]),
    ("rbac.authorization.k8s.io", "roles", CREATED),
    ("rbac.authorization.k8s.io", "clusterroles", CREATED),
    ("apiextensions.k8s.io", "customresourcedefinitions", CREATED),
    ("rbac.authorization.k8s.io", "rolebindings", BINDING),
    ("rbac.authorization.k8s.io", "clusterrolebindings", BINDING),
    ("storage.k8s.io", "storageclasses", &[
        ("Provisioner", false, At("/provisioner")), ("ReclaimPolicy", false, At("/reclaimPolicy")),
        ("VolumeBindingMode", false, At("/volumeBindingMode")),
        ("AllowVolumeExpansion", false, From(expansion)), ("Age", false, Age),
    ]),
    ("scheduling.k8s.io", "priorityclasses", &[
        ("Value", false, Count("/value")), ("Global-Default", false, Flag("/globalDefault")),
        ("Age", false, Age), ("PreemptionPolicy", false, At("/preemptionPolicy")),
    ]),
    ("coordination.k8s.io", "leases", &[
        ("Holder", false, At("/spec/holderIdentity")), ("Age", false, Age),
    ]),
    ("discovery.k8s.io", "endpointslices", &[
        ("AddressType", false, At("/addressType")), ("Ports", false, From(slice_ports)),
        ("Endpoints", false, From(slice_endpoints)), ("Age", false, Age),
    ]),
];

/// Columns after the name.
pub(super) fn columns(group: &str, plural: &str) -> &'static [Column] {
    let row = TABLE.iter().find(|(g, p, _)| *g == group && *p == plural);
    row.map_or(DEFAULT, |(_, _, columns)| columns)
}

/// Events have no name column in front.
pub(super) fn hides_name(plural: &str) -> bool {
    plural == "events"
}
