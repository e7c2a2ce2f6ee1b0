//! What upstream's schemas say beyond the Rust types: required fields, enums,
//! limits and defaults. Defaults that only mirror Rust's are taken out, since
//! a server would write them into every object.

use serde_json::{Map, Value, json};

/// What is merged into the schema at a path. `[]` after a name means its items.
type Refinement = (&'static str, Value);

const LABEL_KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";

/// Refines the schema of a kind. Gives the paths that lead nowhere: a defect.
pub(super) fn refine(kind: &str, schema: &mut Value) -> Vec<&'static str> {
    let mut lost = Vec::new();
    for (path, change) in refinements(kind) {
        match (find(schema, path), change) {
            (Some(node), Value::Object(change)) => node.extend(change),
            _ => lost.push(path),
        }
    }
    lost
}

fn find<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    let mut node = schema;
    for part in path.split('.') {
        let name = part.trim_end_matches("[]");
        node = node.get_mut("properties")?.get_mut(name)?;
        if name.len() < part.len() {
            node = node.get_mut("items")?;
        }
    }
    node.as_object_mut()
}

fn refinements(kind: &str) -> Vec<Refinement> {
    match kind {
        "Channel" => channel(),
        "Subscription" => subscription(),
        "PlacementRule" => placement_rule(),
        "SubscriptionReport" => vec![
            ("reportType", json!({"enum": ["Application", "Cluster"]})),
            (
                "results[].result",
                json!({"enum": ["deployed", "failed", "propagationFailed"]}),
            ),
        ],
        "ManagedCluster" => managed_cluster(),
        "ManagedClusterSet" => managed_cluster_set(),
        "ManagedClusterSetBinding" => vec![
            ("spec", json!({"required": ["clusterSet"]})),
            ("spec.clusterSet", json!({"minLength": 1})),
        ],
        "Placement" => placement(),
        "PlacementDecision" => vec![
            ("status", json!({"required": ["decisions"]})),
            (
                "status.decisions[]",
                json!({"required": ["clusterName", "reason"]}),
            ),
        ],
        "AddOnPlacementScore" => vec![
            (
                "status.scores",
                json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
            ),
            ("status.scores[]", json!({"required": ["name", "value"]})),
            (
                "status.scores[].value",
                json!({"minimum": -100, "maximum": 100}),
            ),
        ],
        "ClusterClaim" => vec![("spec.value", json!({"minLength": 1, "maxLength": 1024}))],
        _ => Vec::new(),
    }
}

fn channel() -> Vec<Refinement> {
    let types = [
        "Namespace",
        "HelmRepo",
        "ObjectBucket",
        "GitHub",
        "Git",
        "namespace",
        "helmrepo",
        "objectbucket",
        "github",
        "git",
    ];
    vec![
        ("spec", json!({"required": ["pathname", "type"]})),
        ("spec.type", json!({"enum": types})),
    ]
}

fn subscription() -> Vec<Refinement> {
    let values = json!({"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let window = json!({
        "type": "object",
        "properties": {
            "windowtype": {"type": "string", "enum": ["active", "blocked", "Active", "Blocked"]},
            "location": {"type": "string"},
            "daysofweek": {"type": "array", "items": {"type": "string"}},
            "hours": {"type": "array", "items": {
                "type": "object",
                "properties": {"start": {"type": "string"}, "end": {"type": "string"}},
            }},
        },
    });
    vec![
        ("spec", json!({"required": ["channel"]})),
        ("spec.timewindow", window),
        (
            "spec.overrides[]",
            json!({
                "required": ["clusterName", "clusterOverrides"],
                "properties": {"clusterName": {"type": "string"}, "clusterOverrides": values},
            }),
        ),
        (
            "spec.packageOverrides[]",
            json!({
                "required": ["packageName"],
                "properties": {
                    "packageName": {"type": "string"},
                    "packageAlias": {"type": "string"},
                    "packageOverrides": values,
                },
            }),
        ),
        ("spec.placement.clusters[]", json!({"required": ["name"]})),
    ]
}

fn placement_rule() -> Vec<Refinement> {
    vec![
        ("spec.clusters[]", json!({"required": ["name"]})),
        ("spec.resourceHint.type", json!({"enum": ["cpu", "memory"]})),
        ("spec.resourceHint.order", json!({"enum": ["asc", "desc"]})),
    ]
}

fn managed_cluster() -> Vec<Refinement> {
    let quantity = json!({"additionalProperties": {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
        "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
    }});
    vec![
        ("spec.hubAcceptsClient", json!({"default": false})),
        ("spec.leaseDurationSeconds", json!({"default": 60})),
        (
            "spec.managedClusterClientConfigs",
            json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["url"]}),
        ),
        (
            "spec.managedClusterClientConfigs[]",
            json!({"required": ["url"]}),
        ),
        (
            "spec.managedClusterClientConfigs[].caBundle",
            json!({"format": "byte"}),
        ),
        ("spec.taints[]", json!({"required": ["effect", "key"]})),
        (
            "spec.taints[].key",
            json!({"pattern": LABEL_KEY, "maxLength": 316}),
        ),
        ("spec.taints[].value", json!({"maxLength": 1024})),
        (
            "spec.taints[].effect",
            json!({"enum": ["NoSelect", "PreferNoSelect", "NoSelectIfNew"]}),
        ),
        ("spec.taints[].timeAdded", json!({"nullable": true})),
        ("status.allocatable", quantity.clone()),
        ("status.capacity", quantity),
        (
            "status.clusterClaims[].name",
            json!({"minLength": 1, "maxLength": 253}),
        ),
        (
            "status.clusterClaims[].value",
            json!({"minLength": 1, "maxLength": 1024}),
        ),
    ]
}

fn managed_cluster_set() -> Vec<Refinement> {
    let default = json!({"selectorType": "ExclusiveClusterSetLabel"});
    vec![
        ("spec", json!({"default": {"clusterSelector": default}})),
        ("spec.clusterSelector", json!({"default": default})),
        (
            "spec.clusterSelector.selectorType",
            json!({
                "default": "ExclusiveClusterSetLabel",
                "enum": ["ExclusiveClusterSetLabel", "LabelSelector"],
            }),
        ),
    ]
}

fn placement() -> Vec<Refinement> {
    let group = "^[a-zA-Z0-9][-A-Za-z0-9_.]{0,61}[a-zA-Z0-9]$";
    let size = "^((100|[1-9][0-9]{0,1})%|[1-9][0-9]*)$";
    let cel = json!({
        "type": "object",
        "properties": {"celExpressions": {"type": "array", "items": {"type": "string"}}},
    });
    vec![
        ("spec.predicates[].requiredClusterSelector.celSelector", cel),
        (
            "spec.prioritizerPolicy.mode",
            json!({"default": "Additive"}),
        ),
        (
            "spec.prioritizerPolicy.configurations[]",
            json!({"required": ["scoreCoordinate"]}),
        ),
        (
            "spec.prioritizerPolicy.configurations[].weight",
            json!({"default": 1, "minimum": -10, "maximum": 10}),
        ),
        (
            "spec.prioritizerPolicy.configurations[].scoreCoordinate.type",
            json!({"default": "BuiltIn", "enum": ["BuiltIn", "AddOn"]}),
        ),
        (
            "spec.prioritizerPolicy.configurations[].scoreCoordinate.addOn",
            json!({"required": ["resourceName", "scoreName"]}),
        ),
        (
            "spec.tolerations[].key",
            json!({"pattern": LABEL_KEY, "maxLength": 316}),
        ),
        ("spec.tolerations[].operator", json!({"default": "Equal"})),
        ("spec.tolerations[].value", json!({"maxLength": 1024})),
        (
            "spec.tolerations[].effect",
            json!({"enum": ["NoSelect", "PreferNoSelect", "NoSelectIfNew"]}),
        ),
        (
            "spec.decisionStrategy.groupStrategy.decisionGroups[]",
            json!({"required": ["groupName"]}),
        ),
        (
            "spec.decisionStrategy.groupStrategy.decisionGroups[].groupName",
            json!({"pattern": group}),
        ),
        (
            "spec.decisionStrategy.groupStrategy.clustersPerDecisionGroup",
            json!({"default": "100%", "pattern": size}),
        ),
    ]
}
