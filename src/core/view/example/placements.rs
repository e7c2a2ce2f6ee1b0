//! Placements of the made-up fleet, judged by the placement code itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::{cluster_name, object};
use crate::api::apps::PlacementRule;
use crate::api::cluster::Placement;
use crate::api::{ClusterName, NamespacedName};
use crate::core::fleet::FleetSnapshot;
use crate::core::placement::{
    ClusterFacts, PlacementInputs, ScoreSources, placement, placement_rule,
};
use crate::core::view::{PlacementId, Schedules};

/// The verdicts of the placement code itself on the made-up clusters.
pub(super) fn schedules(fleet: &FleetSnapshot, now: Timestamp) -> Schedules {
    let clusters: Vec<ClusterFacts> = fleet
        .clusters
        .values()
        .map(|snapshot| ClusterFacts::from(snapshot.object.as_ref()))
        .collect();
    let rule = |name: &str, values: &[&str], current: &[&str]| {
        let rule: Arc<PlacementRule> = object(json!({
            "apiVersion": "apps.open-cluster-management.io/v1",
            "kind": "PlacementRule",
            "metadata": {"namespace": "guestbook", "name": name},
            "spec": {
                "clusterConditions": [{"type": "ManagedClusterConditionAvailable", "status": "True"}],
                "clusterSelector": {"matchExpressions": [{"key": "name", "operator": "In", "values": values}]},
            },
        }));
        let current: Vec<ClusterName> = current.iter().map(|name| cluster_name(name)).collect();
        let id: PlacementId = (
            "PlacementRule".to_owned(),
            NamespacedName::new("guestbook", name),
        );
        (id, Arc::new(placement_rule(&rule, &clusters, &current)))
    };
    let strategy: Arc<Placement> = object(json!({
        "apiVersion": "cluster.open-cluster-management.io/v1beta1",
        "kind": "Placement",
        "metadata": {"namespace": "metrics", "name": "everywhere"},
        "spec": {"spreadPolicy": {"spreadConstraints": [{"topologyKey": "region", "topologyKeyType": "Label"}]}},
    }));
    let current: Vec<ClusterName> = ["aws-sub1", "aws-sub2", "edge-3"].map(cluster_name).into();
    let inputs = PlacementInputs {
        sets: &[],
        bindings: &[],
        clusters: &clusters,
        current: &current,
        now,
    };
    let sources = ScoreSources {
        elsewhere: &BTreeMap::new(),
        addon: &[],
    };
    let everywhere: PlacementId = (
        "Placement".to_owned(),
        NamespacedName::new("metrics", "everywhere"),
    );
    Schedules::from([
        rule(
            "guestbook-pr",
            &["aws-sub1", "edge-3", "edge-4"],
            &["aws-sub1"],
        ),
        rule("redis-master-pr", &["aws-sub1"], &["aws-sub1"]),
        rule("redis-slave-pr", &["aws-sub2"], &["aws-sub2"]),
        (
            everywhere,
            Arc::new(placement(&strategy, &inputs, &sources)),
        ),
    ])
}
