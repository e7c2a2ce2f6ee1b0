//! The SubscriptionReport of an application: one result a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::core::ObjectMeta;
use kube::{Api, Resource};

use super::unless_gone;
use crate::api::apps::{
    ReportResource, ReportResult, ReportSummary, Subscription, SubscriptionReport,
    SubscriptionReportFields,
};
use crate::api::{ANNOTATION_HOSTING_SUBSCRIPTION, ClusterName, NamespacedName, STATUS_MANAGER};
use crate::core::delivery::{ClusterDelivery, DeliveryPhase};
use crate::hub::context::Shared;

/// Words of upstream's results.
const DEPLOYED: &str = "deployed";
const FAILED: &str = "failed";
const PROPAGATION_FAILED: &str = "propagationFailed";

/// Writes the report when a result changed. While a cluster is still being
/// written to, its last word stands: a commit is one write, not two. A first
/// report is not written either before the clusters are done, while one is
/// `patient`. False when it still has to be.
///
/// # Errors
/// When the hub's API fails.
pub(super) async fn write(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    deliveries: &BTreeMap<ClusterName, Arc<ClusterDelivery>>,
    patient: bool,
) -> Result<bool, kube::Error> {
    let (known, placed) = context
        .subscriptions()
        .get(name)
        .map(|record| (record.reported.clone(), record.placed.clone()))
        .unwrap_or_default();
    let api: Api<SubscriptionReport> = Api::namespaced(context.client.clone(), &name.namespace);
    let before = match known {
        Some(known) => Some(known),
        // After a restart: the word of the process before.
        None => api.get_opt(&name.name).await?.map(|found| found.spec),
    };
    let fields = fields(deliveries, before.as_ref());
    let busy = deliveries
        .values()
        .any(|delivery| under_way(delivery) && !away(delivery))
        || placed
            .iter()
            .any(|cluster| !deliveries.contains_key(cluster) && awaited(context, cluster));
    match before {
        Some(before) if busy || before == fields => {
            remember(context, name, before);
            return Ok(true);
        }
        None if busy && patient => return Ok(false),
        _ => {}
    }
    put(context, name, subscription, fields).await?;
    Ok(true)
}

async fn put(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
    fields: SubscriptionReportFields,
) -> Result<(), kube::Error> {
    let api: Api<SubscriptionReport> = Api::namespaced(context.client.clone(), &name.namespace);
    let mut report = SubscriptionReport::new(&name.name, fields.clone());
    report.metadata = ObjectMeta {
        name: Some(name.name.clone()),
        namespace: Some(name.namespace.clone()),
        labels: Some(BTreeMap::from([(
            ANNOTATION_HOSTING_SUBSCRIPTION.to_owned(),
            label_value(name),
        )])),
        owner_references: subscription
            .controller_owner_ref(&())
            .map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    let params = PatchParams::apply(STATUS_MANAGER).force();
    unless_gone(api.patch(&name.name, &params, &Patch::Apply(&report)).await)?;
    remember(context, name, fields);
    Ok(())
}

fn remember(context: &Shared, name: &NamespacedName, fields: SubscriptionReportFields) {
    context
        .subscriptions()
        .entry(name.clone())
        .or_default()
        .reported = Some(fields);
}

/// `ns.name`, cut to what a label may hold.
pub(super) fn label_value(name: &NamespacedName) -> String {
    let mut value = format!("{}.{}", name.namespace, name.name);
    value.truncate(63);
    value.trim_end_matches(['.', '-', '_']).to_owned()
}

/// Whether a cluster does not answer: it holds nobody up, and its last word
/// stands.
fn away(delivery: &ClusterDelivery) -> bool {
    delivery.phase == DeliveryPhase::Pending && delivery.failure.is_some()
}

fn fields(
    deliveries: &BTreeMap<ClusterName, Arc<ClusterDelivery>>,
    before: Option<&SubscriptionReportFields>,
) -> SubscriptionReportFields {
    let words: BTreeMap<&str, &str> = before
        .and_then(|before| before.results.as_ref())
        .into_iter()
        .flatten()
        .map(|result| (result.source.as_str(), result.result.as_str()))
        .collect();
    let result = |delivery: &ClusterDelivery| match result(delivery) {
        None if away(delivery) => words
            .get(delivery.cluster.as_str())
            .map(|word| (*word).to_owned()),
        word => word.map(str::to_owned),
    };
    let shown: Vec<&ClusterDelivery> = deliveries
        .values()
        .map(Arc::as_ref)
        .filter(|delivery| delivery.phase != DeliveryPhase::Removed)
        .collect();
    let count = |word: &str| {
        shown
            .iter()
            .filter(|delivery| result(delivery).as_deref() == Some(word))
            .count()
            .to_string()
    };
    let in_progress = shown
        .iter()
        .filter(|delivery| result(delivery).is_none())
        .count();
    let results = shown
        .iter()
        .filter_map(|delivery| {
            Some(ReportResult {
                source: delivery.cluster.to_string(),
                result: result(delivery)?,
                timestamp: crate::api::apps::ReportTime::default(),
            })
        })
        .collect();
    let mut resources: Vec<ReportResource> = shown
        .iter()
        .flat_map(|delivery| &delivery.objects)
        .map(|object| ReportResource {
            api_version: object.api_version.clone(),
            kind: object.id.kind.clone(),
            namespace: object.id.namespace.clone().unwrap_or_default(),
            name: object.id.name.clone(),
        })
        .collect();
    resources.sort();
    resources.dedup();
    SubscriptionReportFields {
        report_type: "Application".into(),
        summary: Some(ReportSummary {
            deployed: count(DEPLOYED),
            in_progress: in_progress.to_string(),
            failed: count(FAILED),
            propagation_failed: count(PROPAGATION_FAILED),
            clusters: shown.len().to_string(),
        }),
        results: Some(results),
        resources: Some(resources),
    }
}

/// Whether a delivery has still to come to an end. One without a wish for
/// content only shows what its inventory names: an earlier process knew more.
fn under_way(delivery: &ClusterDelivery) -> bool {
    match delivery.phase {
        DeliveryPhase::Pending | DeliveryPhase::Applying => true,
        DeliveryPhase::Applied => delivery.desired.is_none(),
        DeliveryPhase::Failed | DeliveryPhase::Removing | DeliveryPhase::Removed => false,
    }
}

/// Whether a cluster that has shown nothing yet is going to.
fn awaited(context: &Shared, cluster: &ClusterName) -> bool {
    context.age() < super::FIRST_DECISION || context.pool.connection(cluster).is_some()
}

/// Result of one cluster; `None` while it is under way.
fn result(delivery: &ClusterDelivery) -> Option<&'static str> {
    match delivery.phase {
        DeliveryPhase::Applied | DeliveryPhase::Removed => Some(DEPLOYED),
        DeliveryPhase::Failed if delivery.failure.is_some() && delivery.objects.is_empty() => {
            Some(PROPAGATION_FAILED)
        }
        DeliveryPhase::Failed => Some(FAILED),
        DeliveryPhase::Pending | DeliveryPhase::Applying | DeliveryPhase::Removing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::delivery::{Failure, FailureClass, PassCounts};

    fn delivery(cluster: &str, phase: DeliveryPhase) -> (ClusterName, Arc<ClusterDelivery>) {
        let cluster = ClusterName::from(cluster);
        (
            cluster.clone(),
            Arc::new(ClusterDelivery {
                cluster,
                application: NamespacedName::new("guestbook", "guestbook-app"),
                revision: None,
                recorded: None,
                desired: None,
                phase,
                objects: Vec::new(),
                pruning: Vec::new(),
                failure: None,
                applied_at: None,
                last_pass: PassCounts::default(),
            }),
        )
    }

    #[test]
    fn counts_are_strings_and_a_removed_cluster_is_not_counted() {
        let deliveries = BTreeMap::from([
            delivery("a", DeliveryPhase::Applied),
            delivery("b", DeliveryPhase::Failed),
            delivery("c", DeliveryPhase::Applying),
            delivery("d", DeliveryPhase::Removed),
        ]);
        let summary = fields(&deliveries, None).summary.unwrap();
        assert_eq!(
            (
                summary.deployed.as_str(),
                summary.failed.as_str(),
                summary.in_progress.as_str(),
                summary.clusters.as_str()
            ),
            ("1", "1", "1", "3")
        );
    }

    #[test]
    fn the_last_word_of_a_cluster_that_does_not_answer_stands() {
        let mut deliveries = BTreeMap::from([
            delivery("a", DeliveryPhase::Applied),
            delivery("b", DeliveryPhase::Failed),
        ]);
        let before = fields(&deliveries, None);
        let gone = Arc::make_mut(deliveries.get_mut(&ClusterName::from("b")).unwrap());
        gone.phase = DeliveryPhase::Pending;
        gone.failure = Some(Failure {
            class: FailureClass::Transient,
            reason: "Unreachable".into(),
            message: "connection refused".into(),
        });
        assert!(away(gone));
        assert_eq!(fields(&deliveries, Some(&before)), before);
        let summary = fields(&deliveries, None).summary.unwrap();
        assert_eq!(summary.in_progress, "1", "nothing was said of it before");
    }

    #[test]
    fn a_long_name_makes_a_valid_label() {
        let value = label_value(&NamespacedName::new("n".repeat(62), "app"));
        assert!(value.len() <= 63 && value.ends_with('n'), "{value}");
    }
}
