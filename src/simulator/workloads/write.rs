//! The few writes, each only where something is to change.

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::fields::{contains, text};
use super::kind::Kind;
use super::state::Key;

/// As the real one calls itself.
const MANAGER: &str = "kube-controller-manager";

fn api(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    let resource = kind.resource();
    if namespace.is_empty() {
        return Api::all_with(client.clone(), &resource);
    }
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// Merges `wanted` into the status, unless it is there. `None`: nothing was
/// written, because it was there or the object is gone.
pub(super) async fn status(
    client: &Client,
    kind: Kind,
    object: &Value,
    wanted: &Value,
) -> Result<Option<Value>, kube::Error> {
    let current = object.get("status").unwrap_or(&Value::Null);
    if contains(current, wanted) {
        return Ok(None);
    }
    let patch = json!({"status": wanted});
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let answer = api(client, kind, text(object, "/metadata/namespace"))
        .patch_status(
            text(object, "/metadata/name"),
            &params,
            &Patch::Merge(&patch),
        )
        .await;
    known(answer)
}

/// Creates an object. `None`: somebody else did, or its namespace is gone.
pub(super) async fn create(
    client: &Client,
    kind: Kind,
    manifest: &Value,
) -> Result<Option<Value>, kube::Error> {
    let object: DynamicObject =
        serde_json::from_value(manifest.clone()).map_err(kube::Error::SerdeError)?;
    let params = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    let answer = api(client, kind, text(manifest, "/metadata/namespace"))
        .create(&params, &object)
        .await;
    match answer {
        // The namespace is being deleted.
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        answer => known(answer),
    }
}

/// Merges the manifest over an object that exists.
pub(super) async fn replace(
    client: &Client,
    kind: Kind,
    manifest: &Value,
) -> Result<Option<Value>, kube::Error> {
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let answer = api(client, kind, text(manifest, "/metadata/namespace"))
        .patch(
            text(manifest, "/metadata/name"),
            &params,
            &Patch::Merge(manifest),
        )
        .await;
    known(answer)
}

/// Makes a cluster-scoped object with a status be there.
pub(super) async fn ensure(
    client: &Client,
    kind: Kind,
    manifest: &Value,
) -> Result<(), kube::Error> {
    let name = text(manifest, "/metadata/name");
    let api = api(client, kind, "");
    let current = match api.get_opt(name).await? {
        Some(found) => found,
        None => {
            let object: DynamicObject =
                serde_json::from_value(manifest.clone()).map_err(kube::Error::SerdeError)?;
            api.create(&PostParams::default(), &object).await?
        }
    };
    let current = serde_json::to_value(&current).map_err(kube::Error::SerdeError)?;
    if let Some(wanted) = manifest.get("status") {
        status(client, kind, &current, wanted).await?;
    }
    Ok(())
}

/// Deletes a pod at once, as a kubelet does at the end.
pub(super) async fn delete_pod(client: &Client, key: &Key) -> Result<(), kube::Error> {
    let params = DeleteParams::default().grace_period(0);
    match api(client, Kind::Pod, &key.namespace)
        .delete(&key.name, &params)
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// Gone, or there already: a watch tells the rest.
fn known(answer: Result<DynamicObject, kube::Error>) -> Result<Option<Value>, kube::Error> {
    match answer {
        Ok(object) => serde_json::to_value(&object)
            .map(Some)
            .map_err(kube::Error::SerdeError),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}
