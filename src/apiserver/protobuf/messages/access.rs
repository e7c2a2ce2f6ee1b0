//! Roles, bindings, tokens and questions about rights.

use super::super::Field;
use super::super::Holds::{IntSet, Message, MessageSet, Skipped, Text};
use super::{METADATA, SELECTOR, STATUS};

const RULE: &[Field] = &[
    (1, "verbs", Text, true),
    (2, "apiGroups", Text, true),
    (3, "resources", Text, true),
    (4, "resourceNames", Text, true),
    (5, "nonResourceURLs", Text, true),
];
pub(in crate::apiserver::protobuf) const ROLE: &[Field] =
    &[METADATA, (2, "rules", Message(RULE), true)];
const AGGREGATION: &[Field] = &[(1, "clusterRoleSelectors", Message(SELECTOR), true)];
pub(in crate::apiserver::protobuf) const CLUSTER_ROLE: &[Field] = &[
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
pub(in crate::apiserver::protobuf) const BINDING: &[Field] = &[
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
pub(in crate::apiserver::protobuf) const TOKEN_REQUEST: &[Field] =
    &[METADATA, (2, "spec", Message(TOKEN_SPEC), false), STATUS];

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
pub(in crate::apiserver::protobuf) const SELF_ACCESS: &[Field] = &[
    METADATA,
    (2, "spec", Message(SELF_ACCESS_SPEC), false),
    STATUS,
];
const RULES_SPEC: &[Field] = &[(1, "namespace", Text, false)];
pub(in crate::apiserver::protobuf) const SELF_RULES: &[Field] =
    &[METADATA, (2, "spec", Message(RULES_SPEC), false), STATUS];
pub(in crate::apiserver::protobuf) const SELF_REVIEW: &[Field] =
    &[METADATA, (2, "status", Skipped, false)];
