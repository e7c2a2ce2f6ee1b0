//! Clients for the members, made with the user's own right to read their
//! credentials on the hub.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use futures::future::join_all;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::show::{ShowArgs, show as render};
use super::{HubArgs, connect, put};
use crate::api::ClusterName;
use crate::api::cluster::ManagedCluster;
use crate::hub::{chain, credential};
use crate::member::client::MemberClient;

/// Runs `pilothouse show`.
///
/// # Errors
/// When the hub cannot be used.
pub(super) async fn show(hub: &HubArgs, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let hub = connect::hub(hub).await?;
    let members = members(&hub).await?;
    let shown = render(args, &hub, members).await?;
    put(&shown.text)?;
    for error in &shown.errors {
        eprintln!("error: {error}");
    }
    Ok(if shown.errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A client for each registered cluster, or the reason why there is none.
async fn members(hub: &Client) -> anyhow::Result<BTreeMap<ClusterName, Result<Client, String>>> {
    let clusters = Api::<ManagedCluster>::all(hub.clone())
        .list(&ListParams::default())
        .await
        .context("cannot list managed clusters on the hub")?;
    let found = join_all(clusters.items.iter().map(|cluster| async {
        let name = ClusterName::from(cluster.name_any());
        (name, member(hub, cluster).await)
    }))
    .await;
    Ok(found.into_iter().collect())
}

async fn member(hub: &Client, cluster: &ManagedCluster) -> Result<Client, String> {
    let found = credential::find(hub, cluster)
        .await
        .map_err(|error| chain(&error))?;
    MemberClient::connect(&found.credential)
        .await
        .map(|client| client.calls)
        .map_err(|error| chain(&error))
}
