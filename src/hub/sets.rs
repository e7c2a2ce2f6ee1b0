//! ManagedClusterSets and their bindings: the built-in sets, and conditions.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::coexistence::left_to;
use super::context::Shared;
use super::placement::cluster_facts;
use super::queue::Requeue;
use super::stores::Change;
use crate::api::STATUS_MANAGER;
use crate::api::cluster::{
    ManagedClusterSelector, ManagedClusterSet, ManagedClusterSetBinding, ManagedClusterSetSpec,
};
use crate::core::placement::sets::{binding_status, set_status};

/// Keeps users of OCM's switch: a set with this annotation is left as it is.
const ANNOTATION_AUTOUPDATE: &str = "cluster.open-cluster-management.io/autoupdate";

/// Whether a change concerns the sets. They are few: one pass does all.
#[must_use]
pub fn concerned(change: &Change) -> bool {
    matches!(
        change,
        Change::Cluster(_) | Change::ClusterSet(_) | Change::Binding(_) | Change::Everything
    )
}

/// Makes the built-in sets and writes the conditions that changed.
///
/// # Errors
/// When the hub's API fails; the pass backs off.
pub async fn reconcile(context: &Shared) -> Result<Requeue, kube::Error> {
    let sets: Api<ManagedClusterSet> = Api::all(context.client.clone());
    for set in built_in() {
        ensure(context, &sets, &set).await?;
    }
    let now = Timestamp::now();
    let facts = cluster_facts(context);
    let known = context.stores.sets.state();
    let params = PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    };
    for set in &known {
        let status = set_status(set, &facts, now);
        let differs = set.status.as_ref() != Some(&status);
        if differs
            && left_to(context, "managedclustersets", set.as_ref())
                .await
                .is_none()
        {
            let patch = Patch::Merge(json!({"status": status}));
            ignore_missing(sets.patch_status(&set.name_any(), &params, &patch).await)?;
        }
    }
    for binding in context.stores.bindings.state() {
        let status = binding_status(&binding, &known, now);
        let differs = binding.status.as_ref() != Some(&status);
        if differs
            && left_to(context, "managedclustersetbindings", binding.as_ref())
                .await
                .is_none()
        {
            let api: Api<ManagedClusterSetBinding> = Api::namespaced(
                context.client.clone(),
                &binding.namespace().unwrap_or_default(),
            );
            let patch = Patch::Merge(json!({"status": status}));
            ignore_missing(api.patch_status(&binding.name_any(), &params, &patch).await)?;
        }
    }
    Ok(Requeue::Await)
}

fn ignore_missing<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// `default` holds clusters that name no set, `global` all.
fn built_in() -> [ManagedClusterSet; 2] {
    let set = |name: &str, selector: ManagedClusterSelector| {
        ManagedClusterSet::new(
            name,
            ManagedClusterSetSpec {
                cluster_selector: Some(selector),
                managed_namespaces: None,
            },
        )
    };
    [
        set(
            "default",
            ManagedClusterSelector {
                selector_type: Some("ExclusiveClusterSetLabel".into()),
                label_selector: None,
            },
        ),
        set(
            "global",
            ManagedClusterSelector {
                selector_type: Some("LabelSelector".into()),
                label_selector: Some(
                    k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector::default(),
                ),
            },
        ),
    ]
}

/// Creates a built-in set, or rolls its selector back, as OCM's hub does.
async fn ensure(
    context: &Shared,
    api: &Api<ManagedClusterSet>,
    wanted: &ManagedClusterSet,
) -> Result<(), kube::Error> {
    let name = wanted.name_any();
    let Some(found) = context.stores.sets.find(|set| set.name_any() == name) else {
        let params = PostParams {
            field_manager: Some(STATUS_MANAGER.into()),
            ..PostParams::default()
        };
        return match api.create(&params, wanted).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error),
        };
    };
    let frozen = found
        .annotations()
        .get(ANNOTATION_AUTOUPDATE)
        .is_some_and(|value| value == "false");
    if frozen || same_selector(&found, wanted) {
        return Ok(());
    }
    let params = PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"spec": {"clusterSelector": wanted.spec.cluster_selector}}));
    ignore_missing(api.patch(&name, &params, &patch).await)
}

fn same_selector(a: &ManagedClusterSet, b: &ManagedClusterSet) -> bool {
    let kind = |set: &ManagedClusterSet| {
        set.spec
            .cluster_selector
            .as_ref()
            .and_then(|selector| selector.selector_type.clone())
            .unwrap_or_else(|| "ExclusiveClusterSetLabel".into())
    };
    let labels = |set: &ManagedClusterSet| {
        set.spec
            .cluster_selector
            .as_ref()
            .and_then(|selector| selector.label_selector.clone())
            .unwrap_or_default()
    };
    kind(a) == kind(b) && labels(a) == labels(b)
}
