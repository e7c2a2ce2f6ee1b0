//! Field numbers of the kinds that kubectl sends in protobuf, from the
//! published `generated.proto` files of the Kubernetes API.

use super::Field;
use super::Holds::{
    Bool, BoolSet, BytesMap, Int, IntOrString, IntSet, Message, MessageSet, QuantityMap, Skipped,
    Text, TextMap, Time,
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

const SERVICE_PORT: &[Field] = &[
    (1, "name", Text, false),
    (2, "protocol", Text, false),
    (3, "port", Int, false),
    (4, "targetPort", IntOrString, false),
    (5, "nodePort", Int, false),
    (6, "appProtocol", Text, false),
];
const SERVICE_SPEC: &[Field] = &[
    (1, "ports", Message(SERVICE_PORT), true),
    (2, "selector", TextMap, false),
    (3, "clusterIP", Text, false),
    (4, "type", Text, false),
    (5, "externalIPs", Text, true),
    (7, "sessionAffinity", Text, false),
    (8, "loadBalancerIP", Text, false),
    (9, "loadBalancerSourceRanges", Text, true),
    (10, "externalName", Text, false),
    (11, "externalTrafficPolicy", Text, false),
    (12, "healthCheckNodePort", Int, false),
    (13, "publishNotReadyAddresses", Bool, false),
    (17, "ipFamilyPolicy", Text, false),
    (18, "clusterIPs", Text, true),
    (19, "ipFamilies", Text, true),
    (20, "allocateLoadBalancerNodePorts", BoolSet, false),
    (21, "loadBalancerClass", Text, false),
    (22, "internalTrafficPolicy", Text, false),
];
const SERVICE: &[Field] = &[METADATA, (2, "spec", Message(SERVICE_SPEC), false), STATUS];

const REQUIREMENT: &[Field] = &[
    (1, "key", Text, false),
    (2, "operator", Text, false),
    (3, "values", Text, true),
];
const SELECTOR: &[Field] = &[
    (1, "matchLabels", TextMap, false),
    (2, "matchExpressions", Message(REQUIREMENT), true),
];

const CONTAINER_PORT: &[Field] = &[
    (1, "name", Text, false),
    (2, "hostPort", Int, false),
    (3, "containerPort", Int, false),
    (4, "protocol", Text, false),
    (5, "hostIP", Text, false),
];
const ENV: &[Field] = &[(1, "name", Text, false), (2, "value", Text, false)];
const RESOURCES: &[Field] = &[
    (1, "limits", QuantityMap, false),
    (2, "requests", QuantityMap, false),
];
const CONTAINER: &[Field] = &[
    (1, "name", Text, false),
    (2, "image", Text, false),
    (3, "command", Text, true),
    (4, "args", Text, true),
    (5, "workingDir", Text, false),
    (6, "ports", Message(CONTAINER_PORT), true),
    (7, "env", Message(ENV), true),
    (8, "resources", Message(RESOURCES), false),
    (13, "terminationMessagePath", Text, false),
    (14, "imagePullPolicy", Text, false),
    (16, "stdin", Bool, false),
    (17, "stdinOnce", Bool, false),
    (18, "tty", Bool, false),
    (20, "terminationMessagePolicy", Text, false),
];
const POD_SPEC: &[Field] = &[
    (2, "containers", Message(CONTAINER), true),
    (3, "restartPolicy", Text, false),
    (4, "terminationGracePeriodSeconds", IntSet, false),
    (5, "activeDeadlineSeconds", IntSet, false),
    (6, "dnsPolicy", Text, false),
    (7, "nodeSelector", TextMap, false),
    (8, "serviceAccountName", Text, false),
    (9, "serviceAccount", Text, false),
    (10, "nodeName", Text, false),
    (11, "hostNetwork", Bool, false),
    (12, "hostPID", Bool, false),
    (13, "hostIPC", Bool, false),
    (15, "imagePullSecrets", Message(LOCAL_REFERENCE), true),
    (16, "hostname", Text, false),
    (17, "subdomain", Text, false),
    (19, "schedulerName", Text, false),
    (24, "priorityClassName", Text, false),
];
const POD: &[Field] = &[METADATA, (2, "spec", Message(POD_SPEC), false), STATUS];
const POD_TEMPLATE: &[Field] = &[METADATA, (2, "spec", Message(POD_SPEC), false)];

const ROLLING: &[Field] = &[
    (1, "maxUnavailable", IntOrString, false),
    (2, "maxSurge", IntOrString, false),
];
const STRATEGY: &[Field] = &[
    (1, "type", Text, false),
    (2, "rollingUpdate", MessageSet(ROLLING), false),
];
const DEPLOYMENT_SPEC: &[Field] = &[
    (1, "replicas", IntSet, false),
    (2, "selector", MessageSet(SELECTOR), false),
    (3, "template", Message(POD_TEMPLATE), false),
    (4, "strategy", Message(STRATEGY), false),
    (5, "minReadySeconds", Int, false),
    (6, "revisionHistoryLimit", IntSet, false),
    (7, "paused", Bool, false),
    (9, "progressDeadlineSeconds", IntSet, false),
];
const DEPLOYMENT: &[Field] = &[
    METADATA,
    (2, "spec", Message(DEPLOYMENT_SPEC), false),
    STATUS,
];

const JOB_SPEC: &[Field] = &[
    (1, "parallelism", IntSet, false),
    (2, "completions", IntSet, false),
    (3, "activeDeadlineSeconds", IntSet, false),
    (4, "selector", MessageSet(SELECTOR), false),
    (5, "manualSelector", BoolSet, false),
    (6, "template", Message(POD_TEMPLATE), false),
    (7, "backoffLimit", IntSet, false),
    (8, "ttlSecondsAfterFinished", IntSet, false),
    (9, "completionMode", Text, false),
    (10, "suspend", BoolSet, false),
];
const JOB: &[Field] = &[METADATA, (2, "spec", Message(JOB_SPEC), false), STATUS];

const RULE: &[Field] = &[
    (1, "verbs", Text, true),
    (2, "apiGroups", Text, true),
    (3, "resources", Text, true),
    (4, "resourceNames", Text, true),
    (5, "nonResourceURLs", Text, true),
];
const ROLE: &[Field] = &[METADATA, (2, "rules", Message(RULE), true)];
const AGGREGATION: &[Field] = &[(1, "clusterRoleSelectors", Message(SELECTOR), true)];
const CLUSTER_ROLE: &[Field] = &[
    METADATA,
    (2, "rules", Message(RULE), true),
    (3, "aggregationRule", MessageSet(AGGREGATION), false),
];
const SUBJECT: &[Field] = &[
    (1, "kind", Text, false),
    (2, "apiGroup", Text, false),
    (3, "name", Text, false),
    (4, "namespace", Text, false),
];
const ROLE_REF: &[Field] = &[
    (1, "apiGroup", Text, false),
    (2, "kind", Text, false),
    (3, "name", Text, false),
];
const BINDING: &[Field] = &[
    METADATA,
    (2, "subjects", Message(SUBJECT), true),
    (3, "roleRef", Message(ROLE_REF), false),
];

const BOUND: &[Field] = &[
    (1, "kind", Text, false),
    (2, "apiVersion", Text, false),
    (3, "name", Text, false),
    (4, "uid", Text, false),
];
const TOKEN_SPEC: &[Field] = &[
    (1, "audiences", Text, true),
    (3, "boundObjectRef", MessageSet(BOUND), false),
    (4, "expirationSeconds", IntSet, false),
];
const TOKEN_REQUEST: &[Field] = &[METADATA, (2, "spec", Message(TOKEN_SPEC), false), STATUS];

const RESOURCE_ATTRIBUTES: &[Field] = &[
    (1, "namespace", Text, false),
    (2, "verb", Text, false),
    (3, "group", Text, false),
    (4, "version", Text, false),
    (5, "resource", Text, false),
    (6, "subresource", Text, false),
    (7, "name", Text, false),
];
const PATH_ATTRIBUTES: &[Field] = &[(1, "path", Text, false), (2, "verb", Text, false)];
const SELF_ACCESS_SPEC: &[Field] = &[
    (
        1,
        "resourceAttributes",
        MessageSet(RESOURCE_ATTRIBUTES),
        false,
    ),
    (
        2,
        "nonResourceAttributes",
        MessageSet(PATH_ATTRIBUTES),
        false,
    ),
];
const SELF_ACCESS: &[Field] = &[
    METADATA,
    (2, "spec", Message(SELF_ACCESS_SPEC), false),
    STATUS,
];
const RULES_SPEC: &[Field] = &[(1, "namespace", Text, false)];
const SELF_RULES: &[Field] = &[METADATA, (2, "spec", Message(RULES_SPEC), false), STATUS];
const SELF_REVIEW: &[Field] = &[METADATA, (2, "status", Skipped, false)];

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
    ("v1", "DeleteOptions", DELETE_OPTIONS),
    ("meta.k8s.io/v1", "DeleteOptions", DELETE_OPTIONS),
    ("apps/v1", "Deployment", DEPLOYMENT),
    ("autoscaling/v1", "Scale", SCALE),
    ("batch/v1", "Job", JOB),
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
