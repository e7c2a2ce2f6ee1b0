//! Clusters written in a Subscription itself (ocm-apps §2.1).

use std::collections::BTreeMap;

use super::facts::ClusterFacts;
use super::rule::{Filter, choose};
use super::schedule::{HoldReason, Outcome, Schedule};
use crate::api::ClusterName;
use crate::api::apps::SubscriptionPlacement;

/// Chooses the clusters of `placement.clusters`, or else of
/// `placement.clusterSelector`. Upstream does not look again when a cluster is
/// relabelled; the caller should, on every change of a ManagedCluster.
///
/// `current` are the clusters it went to before; they are kept when the
/// selector cannot be read, or when neither field is there.
#[must_use]
pub fn inline(
    placement: &SubscriptionPlacement,
    clusters: &[ClusterFacts],
    current: &[ClusterName],
) -> Schedule {
    let hold = |message: String| {
        let hold = HoldReason::Misconfigured { message };
        let outcome = Outcome::Held {
            hold: hold.clone(),
            plugin: "",
        };
        Schedule::held(outcome, hold, clusters, current)
    };
    let named = placement.clusters.as_deref().unwrap_or_default();
    if named.is_empty() && placement.cluster_selector.is_none() {
        return hold("it names neither placementRef nor clusters nor clusterSelector".to_owned());
    }
    let filter = match Filter::new(named, placement.cluster_selector.as_ref()) {
        Ok(filter) => filter,
        Err(message) => return hold(message),
    };
    let mut reasons = BTreeMap::new();
    let mut fitting = Vec::new();
    for cluster in clusters {
        match filter.judge(cluster) {
            Some(reason) => {
                reasons.insert(cluster.name.clone(), reason);
            }
            None => fitting.push(cluster),
        }
    }
    choose(&mut reasons, &fitting, None, "", &filter.because, current);
    let outcome = match fitting.len() {
        0 => Outcome::NoMatch,
        chosen => Outcome::Satisfied { chosen },
    };
    Schedule::evaluated(outcome, reasons)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_beat_the_selector_and_neither_is_a_hold() {
        let mut clusters = vec![ClusterFacts::named("a"), ClusterFacts::named("b")];
        clusters[1].labels.insert("env".into(), "prod".into());
        let env = json!({"matchLabels": {"env": "prod"}});
        for (placement, expected, held) in [
            (json!({"clusters": [{"name": "a"}]}), vec!["a"], false),
            (
                json!({"clusters": [{"name": "a"}], "clusterSelector": env}),
                vec!["a"],
                false,
            ),
            (json!({"clusterSelector": env}), vec!["b"], false),
            (json!({"clusterSelector": {}}), vec!["a", "b"], false),
            (json!({"clusters": [{"name": "x"}]}), vec![], false),
            (json!({}), vec!["b"], true),
            (
                json!({"clusterSelector": {"matchLabels": {"a": " "}}}),
                vec!["b"],
                true,
            ),
        ] {
            let read = serde_json::from_value(placement.clone()).unwrap();
            let schedule = inline(&read, &clusters, &["b".into()]);
            let chosen: Vec<_> = schedule
                .decisions
                .iter()
                .map(|d| d.cluster.as_str().to_owned())
                .collect();
            assert_eq!(
                (chosen, schedule.hold.is_some()),
                (expected.iter().map(ToString::to_string).collect(), held),
                "{placement}"
            );
        }
    }
}
