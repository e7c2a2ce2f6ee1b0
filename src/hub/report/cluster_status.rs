//! SubscriptionStatus objects in the cluster's namespace on the hub: the
//! objects that are not well, with the error of each in full. RHACM could show
//! the errors of one cluster only; here every failing cluster has its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::ObjectMeta;
use kube::{Api, ResourceExt};

use super::{unless_gone, whole_second};
use crate::api::apps::{
    OverallStatus, PackageStatus, SubscriptionClusterStatus, SubscriptionStatus,
    SubscriptionStatusSpec,
};
use crate::api::{
    ANNOTATION_HOSTING_SUBSCRIPTION, ClusterName, LABEL_REPORT_CLUSTER, NamespacedName,
    STATUS_MANAGER,
};
use crate::core::delivery::{ClusterDelivery, DeliveryPhase};
use crate::hub::context::Shared;

/// Objects that are listed; the rest is counted in the message.
const MAX_PACKAGES: usize = 100;

/// Writes or deletes the object of each cluster whose failures changed, and
/// returns the clusters concerned. A start reads what an earlier process wrote.
///
/// # Errors
/// When the hub's API fails.
pub(super) async fn write(
    context: &Shared,
    name: &NamespacedName,
    deliveries: &BTreeMap<ClusterName, Arc<ClusterDelivery>>,
) -> Result<BTreeSet<ClusterName>, kube::Error> {
    let known = context
        .subscriptions()
        .get(name)
        .and_then(|record| record.packages.clone());
    let known = match known {
        Some(known) => known,
        None => read(context, name).await?,
    };
    let mut written = BTreeSet::new();
    for (cluster, delivery) in deliveries {
        let packages = failing(delivery);
        let key = key(&packages);
        let before = known.get(cluster);
        let under_way = matches!(
            delivery.phase,
            DeliveryPhase::Pending | DeliveryPhase::Applying
        );
        // Nothing is wrong any more only once that was looked at.
        if before == Some(&key) || (packages.is_empty() && (before.is_none() || under_way)) {
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
            .get_or_insert_default()
            .insert(cluster.clone(), key);
        written.insert(cluster.clone());
    }
    Ok(written)
}

/// What an earlier process wrote.
async fn read(
    context: &Shared,
    name: &NamespacedName,
) -> Result<BTreeMap<ClusterName, String>, kube::Error> {
    let label = super::summary::label_value(name);
    let selector = format!("{ANNOTATION_HOSTING_SUBSCRIPTION}={label}");
    let api: Api<SubscriptionStatus> = Api::all(context.client.clone());
    let found = api.list(&ListParams::default().labels(&selector)).await?;
    let packages: BTreeMap<ClusterName, String> = found
        .items
        .into_iter()
        // The label is cut where names are long; the object's name is not.
        .filter(|object| object.name_any() == object_name(name))
        .map(|object| {
            let cluster = ClusterName::from(object.namespace().unwrap_or_default());
            let packages = object.spec.statuses.and_then(|statuses| statuses.packages);
            (cluster, key(&packages.unwrap_or_default()))
        })
        .collect();
    context
        .subscriptions()
        .entry(name.clone())
        .or_default()
        .packages = Some(packages.clone());
    Ok(packages)
}

/// What is compared: everything but times, which differ in each process.
fn key(packages: &[PackageStatus]) -> String {
    packages
        .iter()
        .map(|package| {
            format!(
                "{}/{}/{}/{}: {}\n",
                package.api_version, package.kind, package.namespace, package.name, package.message
            )
        })
        .collect()
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
