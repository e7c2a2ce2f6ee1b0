//! Field numbers of the kinds that kubectl sends in protobuf, from the
//! published `generated.proto` files of the Kubernetes API.

mod access;
mod network;
mod workloads;

use super::Field;
use super::Holds::{
    BoolSet, BytesMap, Int, IntSet, Message, MessageSet, QuantityMap, Skipped, Text, TextMap, Time,
};
use access::{BINDING, CLUSTER_ROLE, ROLE, SELF_ACCESS, SELF_REVIEW, SELF_RULES, TOKEN_REQUEST};
use network::{INGRESS, SERVICE};
use workloads::{
    AUTOSCALER, CRON_JOB, DEPLOYMENT, DISRUPTION_BUDGET, JOB, OLDER_AUTOSCALER, POD, PRIORITY_CLASS,
};

pub(super) const TIME: &[Field] = &[(1, "seconds", Int, false), (2, "nanos", Int, false)];
pub(super) const QUANTITY: &[Field] = &[(1, "string", Text, false)];
pub(super) const INT_OR_STRING: &[Field] = &[
    (1, "type", Int, false),
    (2, "number", Int, false),
    (3, "text", Text, false),
];

const OWNER: &[Field] = &[
    (1, "kind", Text, false),
    (3, "name", Text, false),
    (4, "uid", Text, false),
    (5, "apiVersion", Text, false),
    (6, "controller", BoolSet, false),
    (7, "blockOwnerDeletion", BoolSet, false),
];

const META: &[Field] = &[
    (1, "name", Text, false),
    (2, "generateName", Text, false),
    (3, "namespace", Text, false),
    (4, "selfLink", Text, false),
    (5, "uid", Text, false),
    (6, "resourceVersion", Text, false),
    (7, "generation", Int, false),
    (8, "creationTimestamp", Time, false),
    (9, "deletionTimestamp", Time, false),
    (10, "deletionGracePeriodSeconds", IntSet, false),
    (11, "labels", TextMap, false),
    (12, "annotations", TextMap, false),
    (13, "ownerReferences", Message(OWNER), true),
    (14, "finalizers", Text, true),
    (17, "managedFields", Skipped, true),
];

const METADATA: Field = (1, "metadata", Message(META), false);
const STATUS: Field = (3, "status", Skipped, false);

const NAMESPACE: &[Field] = &[
    METADATA,
    (2, "spec", Message(&[(1, "finalizers", Text, true)]), false),
    STATUS,
];
const CONFIG_MAP: &[Field] = &[
    METADATA,
    (2, "data", TextMap, false),
    (3, "binaryData", BytesMap, false),
    (4, "immutable", BoolSet, false),
];
const SECRET: &[Field] = &[
    METADATA,
    (2, "data", BytesMap, false),
    (3, "type", Text, false),
    (4, "stringData", TextMap, false),
    (5, "immutable", BoolSet, false),
];

const LOCAL_REFERENCE: &[Field] = &[(1, "name", Text, false)];
const OBJECT_REFERENCE: &[Field] = &[
    (1, "kind", Text, false),
    (2, "namespace", Text, false),
    (3, "name", Text, false),
    (4, "uid", Text, false),
    (5, "apiVersion", Text, false),
    (6, "resourceVersion", Text, false),
    (7, "fieldPath", Text, false),
];
const SERVICE_ACCOUNT: &[Field] = &[
    METADATA,
    (2, "secrets", Message(OBJECT_REFERENCE), true),
    (3, "imagePullSecrets", Message(LOCAL_REFERENCE), true),
    (4, "automountServiceAccountToken", BoolSet, false),
];

const REQUIREMENT: &[Field] = &[
    (1, "key", Text, false),
    (2, "operator", Text, false),
    (3, "values", Text, true),
];
const SELECTOR: &[Field] = &[
    (1, "matchLabels", TextMap, false),
    (2, "matchExpressions", Message(REQUIREMENT), true),
];

const QUOTA_SCOPE: &[Field] = &[
    (1, "scopeName", Text, false),
    (2, "operator", Text, false),
    (3, "values", Text, true),
];
const QUOTA_SCOPES: &[Field] = &[(1, "matchExpressions", Message(QUOTA_SCOPE), true)];
const QUOTA_SPEC: &[Field] = &[
    (1, "hard", QuantityMap, false),
    (2, "scopes", Text, true),
    (3, "scopeSelector", MessageSet(QUOTA_SCOPES), false),
];
const RESOURCE_QUOTA: &[Field] = &[METADATA, (2, "spec", Message(QUOTA_SPEC), false), STATUS];

const SCALE_SPEC: &[Field] = &[(1, "replicas", Int, false)];
const SCALE: &[Field] = &[METADATA, (2, "spec", Message(SCALE_SPEC), false), STATUS];

const PRECONDITIONS: &[Field] = &[(1, "uid", Text, false), (2, "resourceVersion", Text, false)];
const DELETE_OPTIONS: &[Field] = &[
    (1, "gracePeriodSeconds", IntSet, false),
    (2, "preconditions", MessageSet(PRECONDITIONS), false),
    (3, "orphanDependents", BoolSet, false),
    (4, "propagationPolicy", Text, false),
    (5, "dryRun", Text, true),
];

/// apiVersion, kind, fields.
pub(super) const KINDS: &[(&str, &str, &[Field])] = &[
    ("v1", "Namespace", NAMESPACE),
    ("v1", "ConfigMap", CONFIG_MAP),
    ("v1", "Secret", SECRET),
    ("v1", "ServiceAccount", SERVICE_ACCOUNT),
    ("v1", "Service", SERVICE),
    ("v1", "Pod", POD),
    ("v1", "ResourceQuota", RESOURCE_QUOTA),
    ("v1", "DeleteOptions", DELETE_OPTIONS),
    ("meta.k8s.io/v1", "DeleteOptions", DELETE_OPTIONS),
    ("apps/v1", "Deployment", DEPLOYMENT),
    ("autoscaling/v1", "Scale", SCALE),
    (
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        OLDER_AUTOSCALER,
    ),
    ("autoscaling/v2", "HorizontalPodAutoscaler", AUTOSCALER),
    ("batch/v1", "CronJob", CRON_JOB),
    ("batch/v1", "Job", JOB),
    ("networking.k8s.io/v1", "Ingress", INGRESS),
    ("policy/v1", "PodDisruptionBudget", DISRUPTION_BUDGET),
    ("scheduling.k8s.io/v1", "PriorityClass", PRIORITY_CLASS),
    ("rbac.authorization.k8s.io/v1", "Role", ROLE),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", CLUSTER_ROLE),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", BINDING),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        BINDING,
    ),
    ("authentication.k8s.io/v1", "TokenRequest", TOKEN_REQUEST),
    ("authentication.k8s.io/v1", "SelfSubjectReview", SELF_REVIEW),
    (
        "authorization.k8s.io/v1",
        "SelfSubjectAccessReview",
        SELF_ACCESS,
    ),
    (
        "authorization.k8s.io/v1",
        "SelfSubjectRulesReview",
        SELF_RULES,
    ),
];
