//! First objects: definitions, the cluster set, the three applications.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::{DemoError, repository};
use crate::core::manifest::parse_file;
use crate::core::object::split_api_version;

/// Field manager of what the demo writes in the user's place.
const MANAGER: &str = "pilothouse-demo";
/// The embedded servers answer in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The cluster set of the article.
pub(super) const CLUSTER_SET: &str = "submariner";

/// Serves the definitions on a cluster.
///
/// # Errors
/// When the API server refuses one.
pub(super) async fn definitions(
    client: &Client,
    definitions: &[CustomResourceDefinition],
) -> Result<(), DemoError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions {
        let name = definition.name_any();
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(definition);
        within(&format!("define {name}"), api.patch(&name, &params, &patch)).await?;
    }
    Ok(())
}

/// The set that the members join. It is theirs alone, as in the article.
///
/// # Errors
/// When the hub refuses it.
pub(super) async fn cluster_set(hub: &Client) -> Result<(), DemoError> {
    apply(
        hub,
        &json!({
            "apiVersion": "cluster.open-cluster-management.io/v1beta2",
            "kind": "ManagedClusterSet",
            "metadata": {"name": CLUSTER_SET},
            "spec": {"clusterSelector": {"selectorType": "ExclusiveClusterSetLabel"}},
        }),
    )
    .await
}

/// Applies the example's `acm-resources`, as a user would by `kubectl apply
/// -k`, the namespace before the rest.
///
/// # Errors
/// When the hub refuses an object.
pub(super) async fn applications(hub: &Client) -> Result<(), DemoError> {
    let mut objects = Vec::new();
    for (path, text) in repository::FILES {
        if !path.contains("/acm-resources/") || path.ends_with("kustomization.yaml") {
            continue;
        }
        let file = parse_file(text.as_bytes());
        objects.extend(
            file.documents
                .iter()
                .map(|document| document.content.value()),
        );
    }
    objects.sort_by_key(|object| object["kind"] != "Namespace");
    for object in objects {
        apply(hub, &object).await?;
    }
    Ok(())
}

/// Server-side apply of one object.
///
/// # Errors
/// When the API server refuses it.
pub(super) async fn apply(client: &Client, object: &Value) -> Result<(), DemoError> {
    let text = |pointer| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (group, version) = split_api_version(text("/apiVersion"));
    let kind = GroupVersionKind::gvk(group, version, text("/kind"));
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let name = text("/metadata/name");
    let params = PatchParams::apply(MANAGER).force();
    let what = format!("apply {} {name}", text("/kind"));
    within(&what, api.patch(name, &params, &Patch::Apply(object))).await
}

async fn within<T>(
    what: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<(), DemoError> {
    let failed = || format!("cannot {what} in the demo");
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(DemoError::part(failed(), error)),
        Err(late) => Err(DemoError::part(failed(), late)),
    }
}
