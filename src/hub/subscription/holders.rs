//! Which clusters hold something of a Subscription.

use std::collections::BTreeSet;

use kube::Api;

use crate::api::apps::SubscriptionReport;
use crate::api::{ClusterName, NamespacedName};
use crate::core::fleet::Connection;
use crate::core::subscription::Placement;
use crate::hub::context::Shared;
use crate::hub::report::FIRST_DECISION;

/// Clusters that this process asked for something, or whose inventories name
/// the Subscription.
pub(super) fn known(
    context: &Shared,
    name: &NamespacedName,
    asked: BTreeSet<ClusterName>,
) -> BTreeSet<ClusterName> {
    let mut holders = asked;
    for cluster in context.pool.clusters() {
        if context.pool.holds(&cluster, name) == Some(true) {
            holders.insert(cluster);
        }
    }
    holders
}

/// Adds, for a Subscription that is being deleted, the clusters that may hold
/// something of it as far as anyone can say: those that have not been asked
/// yet, and of those that do not answer the ones that it is placed on or that
/// an earlier process reported. A deletion that passed them over would leave
/// their objects behind without anybody's knowledge.
///
/// # Errors
/// When the report cannot be read.
pub(super) async fn suspected(
    context: &Shared,
    name: &NamespacedName,
    placement: &Placement,
    registered: &BTreeSet<ClusterName>,
    holders: &mut BTreeSet<ClusterName>,
) -> Result<(), kube::Error> {
    let unknown: Vec<&ClusterName> = registered
        .iter()
        .filter(|cluster| !holders.contains(*cluster))
        .filter(|cluster| context.pool.holds(cluster, name).is_none())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let mut named = reported(context, name).await?;
    match placement {
        Placement::Decided(clusters) | Placement::Pending { clusters, .. } => {
            named.extend(clusters.iter().cloned());
        }
        Placement::Failed(_) => {}
    }
    let suspects: Vec<ClusterName> = unknown
        .into_iter()
        .filter(|cluster| unasked(context, cluster) || named.contains(*cluster))
        .cloned()
        .collect();
    holders.extend(suspects);
    Ok(())
}

/// Whether a cluster has not been asked yet by a hub that has just started.
fn unasked(context: &Shared, cluster: &ClusterName) -> bool {
    match context.pool.connection(cluster) {
        Some(Connection::Connecting | Connection::Reachable { .. }) => true,
        Some(_) => false,
        None => context.age() < FIRST_DECISION && !context.credentials().contains_key(cluster),
    }
}

/// Clusters in the report of this process or an earlier one.
async fn reported(
    context: &Shared,
    name: &NamespacedName,
) -> Result<BTreeSet<ClusterName>, kube::Error> {
    let known = context
        .subscriptions()
        .get(name)
        .and_then(|record| record.reported.clone());
    let fields = match known {
        Some(fields) => Some(fields),
        None => {
            let api: Api<SubscriptionReport> =
                Api::namespaced(context.client.clone(), &name.namespace);
            api.get_opt(&name.name).await?.map(|found| found.spec)
        }
    };
    Ok(fields
        .and_then(|fields| fields.results)
        .into_iter()
        .flatten()
        .map(|result| ClusterName::from(result.source))
        .collect())
}
