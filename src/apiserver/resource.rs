//! What is served: one [`Resource`] per group, version and plural. The
//! built-in ones are rows of a table; CustomResourceDefinitions add theirs.

use std::sync::Arc;

use super::columns::CustomColumn;
use super::schema::Schema;
use super::store::{Collection, Key};

/// Where the scale subresource of a kind finds its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scale {
    /// JSON pointers.
    pub(super) spec_replicas: String,
    pub(super) status_replicas: String,
    pub(super) selector: Option<String>,
}

/// How the served form relates to the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The same bytes.
    Stored,
    /// Another version of a CRD: only `apiVersion` differs (conversion
    /// strategy None).
    Version,
    /// `events.k8s.io/v1` over the store of core Events.
    EventsV1,
    /// `autoscaling/v1` over the store of `autoscaling/v2`.
    AutoscalerV1,
}

/// One served resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) namespaced: bool,
    pub(super) status: bool,
    pub(super) scale: Option<Scale>,
    /// Whether `metadata.generation` counts changes of the spec.
    pub(super) generation: bool,
    pub(super) custom: Option<Custom>,
    pub(super) collection: Collection,
    pub(super) form: Form,
    /// `apiVersion` of the stored form.
    pub(super) stored_api_version: String,
    /// Fields that field selectors may use besides metadata.name and
    /// metadata.namespace, dotted.
    pub(super) selectable: Vec<String>,
}

/// What only CRD-defined resources have.
#[derive(Debug)]
pub(super) struct Custom {
    pub(super) schema: Arc<Schema>,
    /// Uid and generation of the definition.
    pub(super) definition: String,
    pub(super) columns: Vec<CustomColumn>,
    /// Warning header text of a deprecated version.
    pub(super) deprecation: Option<String>,
}

impl Resource {
    /// `v1` or `GROUP/VERSION`.
    pub(super) fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// `PLURAL` or `PLURAL.GROUP`: how messages name the resource.
    pub(super) fn qualified(&self) -> String {
        qualify(&self.plural, &self.group)
    }

    /// `KIND` or `KIND.GROUP`.
    pub(super) fn qualified_kind(&self) -> String {
        qualify(&self.kind, &self.group)
    }

    /// The structural schema, when the kind has one.
    pub(super) fn schema(&self) -> Option<Arc<Schema>> {
        match &self.custom {
            Some(custom) => Some(Arc::clone(&custom.schema)),
            // Objects are checked in the form in which they are stored.
            None => match self.stored_api_version.split_once('/') {
                Some((group, version)) => Schema::builtin(group, version, &self.kind),
                None => Schema::builtin("", &self.stored_api_version, &self.kind),
            },
        }
    }

    /// The schema that tells clients of the kind.
    pub(super) fn published_schema(&self) -> Option<Arc<Schema>> {
        match &self.custom {
            Some(custom) => Some(Arc::clone(&custom.schema)),
            None => Schema::builtin(&self.group, &self.version, &self.kind),
        }
    }

    pub(super) fn key(&self, namespace: &str, name: &str) -> Key {
        Key {
            collection: Arc::clone(&self.collection),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// True for `group`/`plural` of the built-in kinds.
    pub(super) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }
}

/// `v1` or `GROUP/VERSION`.
pub(super) fn api_version(group: &str, version: &str) -> String {
    match group {
        "" => version.to_owned(),
        _ => format!("{group}/{version}"),
    }
}

fn qualify(what: &str, group: &str) -> String {
    match group {
        "" => what.to_owned(),
        _ => format!("{what}.{group}"),
    }
}

/// Collection of a group and plural.
pub(super) fn collection(group: &str, plural: &str) -> Collection {
    format!("{group}/{plural}").into()
}

// Flags of a row.
const NS: u8 = 1; // namespaced
const STATUS: u8 = 2; // has /status
const SCALE: u8 = 4; // has /scale at the usual places
const GEN: u8 = 8; // metadata.generation counts
const ALL: u8 = 16; // in category "all"
const API_EXT: u8 = 32; // in category "api-extensions"

/// group, version, kind, plural, short names, flags, selectable fields
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    u8,
    &'static [&'static str],
);

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const REGARDING_FIELDS: &[&str] = &[
    "reason",
    "regarding.apiVersion",
    "regarding.fieldPath",
    "regarding.kind",
    "regarding.name",
    "regarding.namespace",
    "regarding.resourceVersion",
    "regarding.uid",
    "reportingController",
    "type",
];

const POD_FIELDS: &[&str] = &[
    "spec.hostNetwork",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
];

const RBAC: &str = "rbac.authorization.k8s.io";
const WORKLOAD: u8 = NS | STATUS | SCALE | GEN | ALL;

/// The built-in kinds that our clients use, in discovery order.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("", "v1", "ConfigMap", "configmaps", &["cm"], NS, &[]),
    ("", "v1", "Endpoints", "endpoints", &["ep"], NS, &[]),
    ("", "v1", "Event", "events", &["ev"], NS, EVENT_FIELDS),
    ("", "v1", "LimitRange", "limitranges", &["limits"], NS, &[]),
    ("", "v1", "Namespace", "namespaces", &["ns"], STATUS, &["status.phase"]),
    ("", "v1", "Node", "nodes", &["no"], STATUS, &["spec.unschedulable"]),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], NS | STATUS, &[]),
    ("", "v1", "PersistentVolume", "persistentvolumes", &["pv"], STATUS, &[]),
    ("", "v1", "Pod", "pods", &["po"], NS | STATUS | ALL, POD_FIELDS),
    ("", "v1", "ReplicationController", "replicationcontrollers", &["rc"], WORKLOAD, &["status.replicas"]),
    ("", "v1", "ResourceQuota", "resourcequotas", &["quota"], NS | STATUS, &[]),
    ("", "v1", "Secret", "secrets", &[], NS, &["type"]),
    ("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], NS, &[]),
    ("", "v1", "Service", "services", &["svc"], NS | STATUS | ALL, &["spec.clusterIP", "spec.type"]),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", &[], NS, &[]),
    ("apps", "v1", "DaemonSet", "daemonsets", &["ds"], NS | STATUS | GEN | ALL, &[]),
    ("apps", "v1", "Deployment", "deployments", &["deploy"], WORKLOAD, &[]),
    ("apps", "v1", "ReplicaSet", "replicasets", &["rs"], WORKLOAD, &[]),
    ("apps", "v1", "StatefulSet", "statefulsets", &["sts"], WORKLOAD, &[]),
    ("events.k8s.io", "v1", "Event", "events", &["ev"], NS, REGARDING_FIELDS),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], NS | STATUS | ALL, &[]),
    ("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], NS | STATUS | ALL, &[]),
    ("batch", "v1", "CronJob", "cronjobs", &["cj"], NS | STATUS | GEN | ALL, &[]),
    ("batch", "v1", "Job", "jobs", &[], NS | STATUS | GEN | ALL, &["status.successful"]),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", &["ing"], NS | STATUS | GEN, &[]),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", &[], GEN, &[]),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", &["netpol"], NS | GEN, &[]),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], NS | STATUS | GEN, &[]),
    (RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", &[], 0, &[]),
    (RBAC, "v1", "ClusterRole", "clusterroles", &[], 0, &[]),
    (RBAC, "v1", "RoleBinding", "rolebindings", &[], NS, &[]),
    (RBAC, "v1", "Role", "roles", &[], NS, &[]),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"], 0, &[]),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", &["crd", "crds"], STATUS | GEN | API_EXT, &[]),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", &["pc"], GEN, &[]),
    ("coordination.k8s.io", "v1", "Lease", "leases", &[], NS, &[]),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", &[], NS | GEN, &[]),
];

/// Whether the group is Kubernetes' own.
pub(super) fn is_builtin_group(group: &str) -> bool {
    ROWS.iter().any(|(known, ..)| *known == group)
}

/// The built-in resources, in discovery order.
pub(super) fn builtin() -> Vec<Resource> {
    ROWS.iter().map(from_row).collect()
}

fn from_row(row: &Row) -> Resource {
    let &(group, version, kind, plural, short_names, flags, selectable) = row;
    let has = |flag: u8| flags & flag != 0;
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let (stored_group, stored_version, form) = match (group, version) {
        ("events.k8s.io", _) => ("", "v1", Form::EventsV1),
        ("autoscaling", "v1") => (group, "v2", Form::AutoscalerV1),
        _ => (group, version, Form::Stored),
    };
    let mut categories = Vec::new();
    if has(ALL) {
        categories.push("all".to_owned());
    }
    if has(API_EXT) {
        categories.push("api-extensions".to_owned());
    }
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: owned(short_names),
        categories,
        namespaced: has(NS),
        status: has(STATUS),
        scale: has(SCALE).then(|| Scale {
            spec_replicas: "/spec/replicas".to_owned(),
            status_replicas: "/status/replicas".to_owned(),
            selector: None,
        }),
        generation: has(GEN),
        custom: None,
        collection: collection(stored_group, plural),
        form,
        stored_api_version: api_version(stored_group, stored_version),
        selectable: owned(selectable),
    }
}
