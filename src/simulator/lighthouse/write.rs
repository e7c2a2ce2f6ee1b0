//! Brings one cluster to what is wanted there.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::simulator::lighthouse::observe::Seen;
use crate::simulator::lighthouse::plan::Wanted;
use crate::simulator::submariner::{api_of, apply, remove};

/// Wait after a write that failed.
const RETRY: Duration = Duration::from_millis(500);
/// Every status write ends within this.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes what differs whenever the wish or the cluster changes.
pub(super) async fn keep(
    client: Client,
    mut seen: watch::Receiver<Arc<Seen>>,
    mut wanted: watch::Receiver<Option<Arc<Wanted>>>,
    shutdown: CancellationToken,
) {
    let mut retry = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = wanted.changed() => if changed.is_err() { return },
            changed = seen.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if retry => {}
        }
        let now = seen.borrow_and_update().clone();
        let wish = wanted.borrow_and_update().clone();
        let Some(wish) = wish.filter(|wish| wish.ready) else {
            continue;
        };
        let written = tokio::select! {
            () = shutdown.cancelled() => return,
            written = bring(&client, &now, &wish) => written,
        };
        retry = written.is_err();
        if let Err(error) = written {
            tracing::debug!(%error, "simulated Lighthouse could not write");
        }
    }
}

async fn bring(client: &Client, seen: &Seen, wanted: &Wanted) -> Result<(), Error> {
    let mut failed = None;
    for (key, object) in &wanted.objects {
        if seen
            .objects
            .get(key)
            .is_some_and(|current| holds(current, object))
        {
            continue;
        }
        failed = apply(client, object).await.err().or(failed);
    }
    for (key, object) in &seen.objects {
        if !wanted.objects.contains_key(key) {
            failed = remove(client, object).await.err().or(failed);
        }
    }
    for (name, conditions) in &wanted.conditions {
        let current = seen
            .exports
            .get(name)
            .map(|export| export.conditions.as_slice());
        if current.is_none_or(|current| current != conditions.as_slice()) {
            let object = json!({
                "apiVersion": "multicluster.x-k8s.io/v1alpha1",
                "kind": "ServiceExport",
                "metadata": {"name": name.name, "namespace": name.namespace},
            });
            failed = status(client, &object, conditions).await.err().or(failed);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn status(client: &Client, export: &Value, conditions: &[Value]) -> Result<(), Error> {
    let name = export["metadata"]["name"].as_str().unwrap_or_default();
    let patch = json!({"status": {"conditions": conditions}});
    let call = async {
        api_of(client, export)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
    };
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        // Un-exported meanwhile.
        Ok(Err(Error::Api(status))) if status.code == 404 => Ok(()),
        Ok(result) => result.map(drop),
        Err(_) => Err(Error::Service("no answer in 5 s".into())),
    }
}

/// Whether `current` has everything that `wanted` says. What the API server
/// or others added is no difference.
fn holds(current: &Value, wanted: &Value) -> bool {
    match (current, wanted) {
        (Value::Object(current), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            current
                .get(key)
                .is_some_and(|current| holds(current, value))
        }),
        (Value::Array(current), Value::Array(wanted)) => {
            current.len() == wanted.len()
                && current
                    .iter()
                    .zip(wanted)
                    .all(|(current, wanted)| holds(current, wanted))
        }
        (current, wanted) => current == wanted,
    }
}
