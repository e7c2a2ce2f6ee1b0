//! Services and Ingresses.

use super::super::Field;
use super::super::Holds::{
    Bool, BoolSet, Inline, Int, IntOrString, Message, MessageSet, Text, TextMap, TextSet,
};
use super::{METADATA, STATUS};

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
pub(in crate::apiserver::protobuf) const SERVICE: &[Field] =
    &[METADATA, (2, "spec", Message(SERVICE_SPEC), false), STATUS];

const TYPED_REFERENCE: &[Field] = &[
    (1, "apiGroup", TextSet, false),
    (2, "kind", Text, false),
    (3, "name", Text, false),
];
const BACKEND_PORT: &[Field] = &[(1, "name", Text, false), (2, "number", Int, false)];
const BACKEND_SERVICE: &[Field] = &[
    (1, "name", Text, false),
    (2, "port", Message(BACKEND_PORT), false),
];
const BACKEND: &[Field] = &[
    (3, "resource", MessageSet(TYPED_REFERENCE), false),
    (4, "service", MessageSet(BACKEND_SERVICE), false),
];
const INGRESS_TLS: &[Field] = &[(1, "hosts", Text, true), (2, "secretName", Text, false)];
const INGRESS_PATH: &[Field] = &[
    (1, "path", Text, false),
    (2, "backend", Message(BACKEND), false),
    (3, "pathType", TextSet, false),
];
const INGRESS_PATHS: &[Field] = &[(1, "paths", Message(INGRESS_PATH), true)];
const INGRESS_RULE: &[Field] = &[
    (1, "host", Text, false),
    (
        2,
        "",
        Inline(&[(1, "http", MessageSet(INGRESS_PATHS), false)]),
        false,
    ),
];
const INGRESS_SPEC: &[Field] = &[
    (1, "defaultBackend", MessageSet(BACKEND), false),
    (2, "tls", Message(INGRESS_TLS), true),
    (3, "rules", Message(INGRESS_RULE), true),
    (4, "ingressClassName", TextSet, false),
];
pub(in crate::apiserver::protobuf) const INGRESS: &[Field] =
    &[METADATA, (2, "spec", Message(INGRESS_SPEC), false), STATUS];
