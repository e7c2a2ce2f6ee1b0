//! `cluster leave`.

use kube::Client;

use super::MemberArgs;
use super::join::{hub_id, open};
use super::rotate::registered;
use crate::api::ClusterName;
use crate::hub::chain;
use crate::hub::credential::{SourceKind, find};
use crate::hub::registration::leave;
use crate::member::client::MemberClient;
use crate::member::credential::agent::{NAMESPACE, Removal, remove};

/// Takes a cluster off the hub first, so that nothing is delivered to it any
/// more, then takes the hub's account off the cluster.
pub(super) async fn leave_hub(name: &str, member: &MemberArgs, hub: &Client) -> anyhow::Result<()> {
    // Opened before anything is removed: a wrong path changes nothing.
    let (client, problem) = match &member.kubeconfig {
        Some(path) => {
            let admin = open(path, member.context.as_deref()).await?;
            (Some(admin.client()), None)
        }
        None => match stored(name, hub).await {
            Ok(client) => (client, None),
            Err(problem) => (None, Some(problem)),
        },
    };
    let hub_id = hub_id(hub).await?;
    leave(hub, &ClusterName::from(name)).await?;
    println!("cluster {name} left the hub; what was delivered to it stays there");
    let outcome = match client {
        Some(client) => remove(&client, &hub_id)
            .await
            .map_err(|error| chain(&error)),
        None => match problem {
            Some(problem) => Err(problem),
            // Joined by a given credential: nothing was made there.
            None => return Ok(()),
        },
    };
    match outcome {
        Ok(Removal::Removed) => println!("the hub's ServiceAccount and rights on it were removed"),
        Ok(Removal::Absent) => {}
        Ok(Removal::Kept(why)) => println!("the namespace {NAMESPACE} on it stays: {why}"),
        Err(why) => println!(
            "on the cluster stay the namespace {NAMESPACE}, and the ClusterRole and ClusterRoleBinding {NAMESPACE}: {why}; remove them there with kubectl delete"
        ),
    }
    Ok(())
}

/// A client by the stored token; `None` when the cluster was not joined by
/// one, so that there is nothing to remove.
async fn stored(name: &str, hub: &Client) -> Result<Option<Client>, String> {
    let Ok(cluster) = registered(hub, name).await else {
        return Ok(None);
    };
    let found = find(hub, &cluster).await.map_err(|error| chain(&error))?;
    if found.kind != SourceKind::Joined {
        return Ok(None);
    }
    let client = MemberClient::connect(&found.credential)
        .await
        .map_err(|error| chain(&error))?;
    Ok(Some(client.calls))
}
