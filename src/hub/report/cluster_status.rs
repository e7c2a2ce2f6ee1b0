//! SubscriptionStatus objects in the cluster's namespace on the hub: the
//! objects that are not well, with the error of each in full. RHACM could show
//! the errors of one cluster only; here every failing cluster has its own.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::ObjectMeta;

use super::{unless_gone, whole_second};
use crate::api::apps::{
    OverallStatus, PackageStatus, SubscriptionClusterStatus, SubscriptionStatus,
    SubscriptionStatusSpec,
};
use crate::api::{
    ANNOTATION_HOSTING_SUBSCRIPTION, ClusterName, LABEL_REPORT_CLUSTER, NamespacedName,
    STATUS_MANAGER,
};
use crate::core::delivery::ClusterDelivery;
use crate::hub::context::Shared;

/// Objects that are listed; the rest is counted in the message.
const MAX_PACKAGES: usize = 100;

/// Writes or deletes the object of each cluster whose failures changed.
///
/// # Errors
/// When the hub's API fails.
pub(super) async fn write(
    context: &Shared,
    name: &NamespacedName,
    deliveries: &BTreeMap<ClusterName, ClusterDelivery>,
) -> Result<(), kube::Error> {
    let known = context
        .subscriptions()
        .get(name)
        .map(|record| record.packages.clone())
        .unwrap_or_default();
    for (cluster, delivery) in deliveries {
        let packages = failing(delivery);
        let key = format!("{packages:?}");
        let before = known.get(cluster);
        if before == Some(&key) || (before.is_none() && packages.is_empty()) {
            continue;
        }
        let api: Api<SubscriptionStatus> =
            Api::namespaced(context.client.clone(), cluster.as_str());
        let object = object_name(name);
        if packages.is_empty() {
            unless_gone(api.delete(&object, &DeleteParams::default()).await)?;
        } else {
            let status = status(name, cluster, &object, packages);
            let params = PatchParams::apply(STATUS_MANAGER).force();
            unless_gone(api.patch(&object, &params, &Patch::Apply(&status)).await)?;
        }
        let mut records = context.subscriptions();
        records
            .entry(name.clone())
            .or_default()
            .packages
            .insert(cluster.clone(), key);
    }
    Ok(())
}

/// `ns.name`: one namespace a cluster holds those of all applications.
fn object_name(name: &NamespacedName) -> String {
    format!("{}.{}", name.namespace, name.name)
}

fn failing(delivery: &ClusterDelivery) -> Vec<PackageStatus> {
    delivery
        .objects
        .iter()
        .filter_map(|object| {
            let failure = object.failure.as_ref()?;
            Some(PackageStatus {
                name: object.id.name.clone(),
                namespace: object.id.namespace.clone().unwrap_or_default(),
                api_version: object.api_version.clone(),
                kind: object.id.kind.clone(),
                phase: "Failed".into(),
                message: failure.message.clone(),
                last_update_time: Some(Time(whole_second(object.since))),
            })
        })
        .take(MAX_PACKAGES)
        .collect()
}

fn status(
    name: &NamespacedName,
    cluster: &ClusterName,
    object: &str,
    packages: Vec<PackageStatus>,
) -> SubscriptionStatus {
    let message = packages
        .iter()
        .map(|package| package.message.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let mut status = SubscriptionStatus::new(
        object,
        SubscriptionStatusSpec {
            statuses: Some(SubscriptionClusterStatus {
                subscription: Some(OverallStatus {
                    phase: "Failed".into(),
                    message: super::shorten(&message, super::MAX_MESSAGE),
                    last_update_time: packages
                        .iter()
                        .filter_map(|package| package.last_update_time.clone())
                        .max(),
                }),
                packages: Some(packages),
            }),
        },
    );
    status.metadata = ObjectMeta {
        name: Some(object.to_owned()),
        namespace: Some(cluster.to_string()),
        labels: Some(BTreeMap::from([
            (LABEL_REPORT_CLUSTER.to_owned(), cluster.to_string()),
            (
                ANNOTATION_HOSTING_SUBSCRIPTION.to_owned(),
                super::summary::label_value(name),
            ),
        ])),
        ..ObjectMeta::default()
    };
    status
}
