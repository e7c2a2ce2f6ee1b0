//! Removals that members owe, on their ManagedClusters (`core::removal`).

use std::collections::BTreeSet;

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::context::Shared;
use super::stores::named;
use crate::api::cluster::ManagedCluster;
use crate::api::{ANNOTATION_REMOVALS, ClusterName, NamespacedName, STATUS_MANAGER};
use crate::core::activity::Severity;
use crate::core::removal::{Next, next, owed, written};
use crate::member::Desire;

/// Whether a cluster owes the removal of an application.
pub(super) fn owes(context: &Shared, cluster: &ClusterName, application: &NamespacedName) -> bool {
    let object = context.stores.cluster(cluster);
    object.is_some_and(|object| owed(object.annotations()).contains(application))
}

/// Clusters that owe the removal of an application.
pub(super) fn debtors(context: &Shared, application: &NamespacedName) -> Vec<ClusterName> {
    context
        .stores
        .clusters
        .state()
        .iter()
        .filter(|object| owed(object.annotations()).contains(application))
        .map(|object| ClusterName::from(object.name_any()))
        .collect()
}

/// Names an application for removal, before its Subscription is let go.
///
/// # Errors
/// When the hub's API fails, a write in between included: the Subscription
/// stays until it is written down.
pub(super) async fn note(
    context: &Shared,
    cluster: &ClusterName,
    application: &NamespacedName,
) -> Result<(), kube::Error> {
    let Some(object) = context.stores.cluster(cluster) else {
        // It left the hub meanwhile, and keeps what it has.
        return Ok(());
    };
    let mut all = owed(object.annotations());
    if all.insert(application.clone()) {
        write(context, &object, &all).await?;
    }
    context.note(
        Severity::Warning,
        "RemovalDeferred",
        format!(
            "{application} is deleted, but {cluster} does not answer: what it left there is removed when it does"
        ),
        Some(application),
        Some(cluster),
    );
    Ok(())
}

/// Has removed what a cluster owes, and forgets what it owes no more.
///
/// # Errors
/// When the hub's API fails.
pub(super) async fn settle(
    context: &Shared,
    cluster: &ClusterName,
    object: &ManagedCluster,
) -> Result<(), kube::Error> {
    let before = owed(object.annotations());
    let mut left = before.clone();
    for application in &before {
        // One that is being deleted is what the removal is owed for.
        let live = named(&context.stores.subscriptions, application)
            .is_some_and(|subscription| subscription.metadata.deletion_timestamp.is_none());
        match next(live, context.pool.holds(cluster, application)) {
            Next::TakenOver => {
                left.remove(application);
            }
            Next::Done => {
                left.remove(application);
                context.note(
                    Severity::Good,
                    "RemovalDone",
                    format!("nothing of {application} is left on {cluster}"),
                    Some(application),
                    Some(cluster),
                );
            }
            Next::Remove => context.pool.desire(cluster, application, Desire::Remove),
        }
    }
    if left == before {
        return Ok(());
    }
    write(context, object, &left).await
}

/// Only against the version that was read: two Subscriptions may be let go
/// at once.
async fn write(
    context: &Shared,
    object: &ManagedCluster,
    applications: &BTreeSet<NamespacedName>,
) -> Result<(), kube::Error> {
    let api: Api<ManagedCluster> = Api::all(context.client.clone());
    let params = PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    };
    let patch = json!({"metadata": {
        "annotations": {ANNOTATION_REMOVALS: written(applications)},
        "resourceVersion": object.metadata.resource_version,
    }});
    api.patch(&object.name_any(), &params, &Patch::Merge(patch))
        .await
        .map(|_| ())
}
