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
