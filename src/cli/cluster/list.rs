//! `cluster list`.

use anyhow::Context;
use comfy_table::{Table, presets};
use futures::future::join_all;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::Output;
use crate::api::LABEL_CLUSTER_SET;
use crate::api::cluster::ManagedCluster;
use crate::cli::{HubArgs, connect};
use crate::core::cluster::available;
use crate::hub::{chain, credential};

pub(super) async fn list(hub: &HubArgs, output: Output) -> anyhow::Result<()> {
    let client = connect::hub(hub).await?;
    let clusters = Api::<ManagedCluster>::all(client.clone())
        .list(&ListParams::default())
        .await
        .context("cannot list managed clusters on the hub")?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec!["NAME", "SET", "AVAILABLE", "VERSION", "CREDENTIAL"];
    let wide = match output {
        Output::Table => Vec::new(),
        Output::Wide => {
            header.extend(["KEPT BY", "SECRET", "SERVER", "ENDS"]);
            join_all(
                clusters
                    .items
                    .iter()
                    .map(|cluster| columns(&client, cluster)),
            )
            .await
        }
    };
    table.set_header(header);
    for (index, cluster) in clusters.items.iter().enumerate() {
        let mut cells = row(cluster);
        cells.extend(wide.get(index).cloned().unwrap_or_default());
        table.add_row(cells);
    }
    println!("{table}");
    Ok(())
}

fn row(cluster: &ManagedCluster) -> Vec<String> {
    let condition = available(cluster);
    let version = cluster
        .status
        .as_ref()
        .and_then(|status| status.version.as_ref())
        .and_then(|version| version.kubernetes.clone());
    let note = match condition {
        Some(condition) if condition.status == "True" => "ok".to_owned(),
        Some(condition) => condition.message.clone(),
        None => "not probed yet".to_owned(),
    };
    vec![
        cluster.name_any(),
        cluster
            .labels()
            .get(LABEL_CLUSTER_SET)
            .cloned()
            .unwrap_or_default(),
        condition.map_or_else(
            || "Unknown".to_owned(),
            |condition| condition.status.clone(),
        ),
        version.unwrap_or_else(|| "-".to_owned()),
        note,
    ]
}

/// Who keeps the credential, where, for which server and until when. Never
/// what it is.
async fn columns(hub: &Client, cluster: &ManagedCluster) -> Vec<String> {
    match credential::find(hub, cluster).await {
        Ok(found) => {
            let secret = found.source.trim_start_matches("secret ").to_owned();
            let ends = found.credential.validity();
            vec![
                found.kind.to_string(),
                secret,
                found.credential.server().to_owned(),
                ends.map_or_else(|| "-".to_owned(), |validity| validity.expires.to_string()),
            ]
        }
        Err(error) => vec![
            "-".to_owned(),
            chain(&error),
            "-".to_owned(),
            "-".to_owned(),
        ],
    }
}
