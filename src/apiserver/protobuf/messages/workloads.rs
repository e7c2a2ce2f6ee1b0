//! Pods, what makes them, and what governs how many of them there are.

use super::super::Field;
use super::super::Holds::{
    Bool, BoolSet, Int, IntOrString, IntSet, Message, MessageSet, Quantity, QuantityMap, Text,
    TextMap, TextSet,
};
use super::{LOCAL_REFERENCE, METADATA, SELECTOR, STATUS};

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
pub(in crate::apiserver::protobuf) const POD: &[Field] =
    &[METADATA, (2, "spec", Message(POD_SPEC), false), STATUS];
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
pub(in crate::apiserver::protobuf) const DEPLOYMENT: &[Field] = &[
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
pub(in crate::apiserver::protobuf) const JOB: &[Field] =
    &[METADATA, (2, "spec", Message(JOB_SPEC), false), STATUS];

const JOB_TEMPLATE: &[Field] = &[METADATA, (2, "spec", Message(JOB_SPEC), false)];
const CRON_JOB_SPEC: &[Field] = &[
    (1, "schedule", Text, false),
    (2, "startingDeadlineSeconds", IntSet, false),
    (3, "concurrencyPolicy", Text, false),
    (4, "suspend", BoolSet, false),
    (5, "jobTemplate", Message(JOB_TEMPLATE), false),
    (6, "successfulJobsHistoryLimit", IntSet, false),
    (7, "failedJobsHistoryLimit", IntSet, false),
    (8, "timeZone", TextSet, false),
];
pub(in crate::apiserver::protobuf) const CRON_JOB: &[Field] =
    &[METADATA, (2, "spec", Message(CRON_JOB_SPEC), false), STATUS];

const SCALE_TARGET: &[Field] = &[
    (1, "kind", Text, false),
    (2, "name", Text, false),
    (3, "apiVersion", Text, false),
];
const METRIC_TARGET: &[Field] = &[
    (1, "type", Text, false),
    (2, "value", Quantity, false),
    (3, "averageValue", Quantity, false),
    (4, "averageUtilization", IntSet, false),
];
const RESOURCE_METRIC: &[Field] = &[
    (1, "name", Text, false),
    (2, "target", Message(METRIC_TARGET), false),
];
const METRIC: &[Field] = &[
    (1, "type", Text, false),
    (4, "resource", MessageSet(RESOURCE_METRIC), false),
];
const AUTOSCALER_SPEC: &[Field] = &[
    (1, "scaleTargetRef", Message(SCALE_TARGET), false),
    (2, "minReplicas", IntSet, false),
    (3, "maxReplicas", Int, false),
    (4, "metrics", Message(METRIC), true),
];
const OLDER_AUTOSCALER_SPEC: &[Field] = &[
    (1, "scaleTargetRef", Message(SCALE_TARGET), false),
    (2, "minReplicas", IntSet, false),
    (3, "maxReplicas", Int, false),
    (4, "targetCPUUtilizationPercentage", IntSet, false),
];
/// That of `autoscaling/v1`, which kubectl 1.32 sends.
pub(in crate::apiserver::protobuf) const OLDER_AUTOSCALER: &[Field] = &[
    METADATA,
    (2, "spec", Message(OLDER_AUTOSCALER_SPEC), false),
    STATUS,
];
/// That of `autoscaling/v2`.
pub(in crate::apiserver::protobuf) const AUTOSCALER: &[Field] = &[
    METADATA,
    (2, "spec", Message(AUTOSCALER_SPEC), false),
    STATUS,
];

const BUDGET_SPEC: &[Field] = &[
    (1, "minAvailable", IntOrString, false),
    (2, "selector", MessageSet(SELECTOR), false),
    (3, "maxUnavailable", IntOrString, false),
    (4, "unhealthyPodEvictionPolicy", TextSet, false),
];
pub(in crate::apiserver::protobuf) const DISRUPTION_BUDGET: &[Field] =
    &[METADATA, (2, "spec", Message(BUDGET_SPEC), false), STATUS];

pub(in crate::apiserver::protobuf) const PRIORITY_CLASS: &[Field] = &[
    METADATA,
    (2, "value", Int, false),
    (3, "globalDefault", Bool, false),
    (4, "description", Text, false),
    (5, "preemptionPolicy", TextSet, false),
];
