//! The Application controller: it writes which Subscriptions belong to an
//! Application, as RHACM does, and nothing else. Deleting an Application
//! deletes nothing.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::context::Shared;
use super::queue::Requeue;
use super::stores::{Change, name_of, named};
use crate::api::apps::Application;
use crate::api::{
    ANNOTATION_DEPLOYABLES, ANNOTATION_SUBSCRIPTIONS, NamespacedName, STATUS_MANAGER,
};
use crate::core::placement::selector::Selector;

/// Which Applications a change concerns.
#[must_use]
pub fn concerned(context: &Shared, change: &Change) -> Vec<NamespacedName> {
    let of_namespace = |namespace: Option<&str>| {
        context
            .stores
            .applications
            .state()
            .iter()
            .map(|application| name_of(application.as_ref()))
            .filter(|name| namespace.is_none_or(|namespace| name.namespace == namespace))
            .collect()
    };
    match change {
        Change::Application(name) => vec![name.clone()],
        Change::Subscription(name) => of_namespace(Some(&name.namespace)),
        Change::Everything => of_namespace(None),
        _ => Vec::new(),
    }
}

/// Subscriptions of an Application: those of its namespace that its selector
/// matches; without a selector all. An unreadable selector matches none.
#[must_use]
pub fn subscriptions_of(context: &Shared, application: &Application) -> Vec<NamespacedName> {
    let selector = match application
        .spec
        .selector
        .as_ref()
        .map(Selector::new)
        .transpose()
    {
        Ok(selector) => selector,
        Err(_) => return Vec::new(),
    };
    let namespace = application.namespace();
    let mut names: Vec<NamespacedName> = context
        .stores
        .subscriptions
        .state()
        .iter()
        .filter(|subscription| {
            subscription.namespace() == namespace
                && selector
                    .as_ref()
                    .is_none_or(|selector| selector.matches(subscription.labels()))
        })
        .map(|subscription| name_of(subscription.as_ref()))
        .collect();
    names.sort();
    names
}

/// Writes the annotations where they differ.
///
/// # Errors
/// When the hub's API fails; the key backs off.
pub async fn reconcile(context: &Shared, name: &NamespacedName) -> Result<Requeue, kube::Error> {
    let Some(application) = named(&context.stores.applications, name) else {
        return Ok(Requeue::Await);
    };
    let subscriptions = subscriptions_of(context, &application)
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let annotations = application.annotations();
    let right = annotations.get(ANNOTATION_SUBSCRIPTIONS) == Some(&subscriptions)
        && annotations
            .get(ANNOTATION_DEPLOYABLES)
            .is_some_and(String::is_empty);
    if right || application.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::Await);
    }
    let api: Api<Application> = Api::namespaced(context.client.clone(), &name.namespace);
    let params = PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"metadata": {"annotations": {
        ANNOTATION_SUBSCRIPTIONS: subscriptions, ANNOTATION_DEPLOYABLES: "",
    }}}));
    match api.patch(&name.name, &params, &patch).await {
        Ok(_) => Ok(Requeue::Await),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Requeue::Await),
        Err(error) => Err(error),
    }
}
