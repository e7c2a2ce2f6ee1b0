//! Finalizer and labels that the hub puts on a Subscription.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::api::apps::Subscription;
use crate::api::{
    ANNOTATION_RECONCILE_RATE, FINALIZER, LABEL_APP, LABEL_PART_OF, NamespacedName, STATUS_MANAGER,
};
use crate::hub::context::Shared;
use crate::hub::stores::named;

/// Adds what is missing, in one write, and returns the Subscription as it is
/// then; `None` when it is gone.
///
/// The labels are RHACM's (ocm-apps §2.3): `app` (its name, when absent),
/// `app.kubernetes.io/part-of`, and the Channel's reconcile rate. They flow
/// down to every object, so they must stand before anything is delivered.
///
/// # Errors
/// When the hub's API fails.
pub(super) async fn ensure(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Arc<Subscription>,
) -> Result<Option<Arc<Subscription>>, kube::Error> {
    let labels = missing_labels(context, subscription);
    let finalizers = subscription.finalizers();
    let has_finalizer = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
    if labels.is_empty() && has_finalizer {
        return Ok(Some(Arc::clone(subscription)));
    }
    let mut patch = json!({"metadata": {"labels": labels}});
    if !has_finalizer {
        // The list is replaced whole: only against the version that was read.
        let all: Vec<&str> = finalizers
            .iter()
            .map(String::as_str)
            .chain([FINALIZER])
            .collect();
        patch["metadata"]["finalizers"] = json!(all);
        patch["metadata"]["resourceVersion"] = json!(subscription.metadata.resource_version);
    }
    patch_subscription(context, name, &patch).await
}

/// Takes the finalizer away: nothing of the Subscription is left on a member
/// that can be reached.
///
/// # Errors
/// When the hub's API fails.
pub(super) async fn release(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
) -> Result<(), kube::Error> {
    let rest: Vec<&String> = subscription
        .finalizers()
        .iter()
        .filter(|finalizer| *finalizer != FINALIZER)
        .collect();
    let patch = json!({"metadata": {
        "finalizers": rest,
        "resourceVersion": subscription.metadata.resource_version,
    }});
    patch_subscription(context, name, &patch).await.map(|_| ())
}

async fn patch_subscription(
    context: &Shared,
    name: &NamespacedName,
    patch: &serde_json::Value,
) -> Result<Option<Arc<Subscription>>, kube::Error> {
    let api: Api<Subscription> = Api::namespaced(context.client.clone(), &name.namespace);
    let params = PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    };
    match api.patch(&name.name, &params, &Patch::Merge(patch)).await {
        Ok(patched) => Ok(Some(Arc::new(patched))),
        // Gone, or changed meanwhile: its event brings us back.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

fn missing_labels(context: &Shared, subscription: &Subscription) -> BTreeMap<&'static str, String> {
    let labels = subscription.labels();
    let app = labels
        .get(LABEL_APP)
        .cloned()
        .unwrap_or_else(|| subscription.name_any());
    let mut wanted = BTreeMap::from([(LABEL_APP, app.clone()), (LABEL_PART_OF, app)]);
    let rate = subscription
        .spec
        .channel
        .parse::<NamespacedName>()
        .ok()
        .and_then(|channel| named(&context.stores.channels, &channel))
        .and_then(|channel| {
            channel
                .annotations()
                .get(ANNOTATION_RECONCILE_RATE)
                .cloned()
        });
    if let Some(rate) = rate {
        wanted.insert(ANNOTATION_RECONCILE_RATE, rate);
    }
    wanted.retain(|key, value| labels.get(*key) != Some(value));
    wanted
}
