//! `pilothouse cluster`: members join, are listed and leave.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::{HubArgs, connect};
use crate::api::cluster::ManagedCluster;
use crate::api::{CONDITION_AVAILABLE, ClusterName, LABEL_CLUSTER_SET, is_dns_label};
use crate::hub::registration::{Registration, join, leave};
use crate::member::client::MemberClient;
use crate::member::credential::MemberCredential;

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Register a cluster at the hub, with the credential of a kubeconfig.
    Join(JoinArgs),
    /// List the registered clusters.
    List {
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Remove a cluster from the hub; what was delivered there stays.
    Leave {
        /// Name of the cluster.
        name: String,
        #[command(flatten)]
        hub: HubArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// Name of the cluster on the hub.
    name: String,
    /// Kubeconfig of the cluster that joins.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Context of that kubeconfig [default: its current context]
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Cluster set that it joins [default: default]
    #[arg(long, value_name = "SET")]
    set: Option<String>,
    /// Label of the cluster; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Kubeconfig of the hub [default: KUBECONFIG, else ~/.kube/config, else in-cluster]
    #[arg(long, value_name = "FILE")]
    hub_kubeconfig: Option<PathBuf>,
    /// Context of the hub's kubeconfig [default: its current context]
    #[arg(long, value_name = "CONTEXT")]
    hub_context: Option<String>,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not of the form key=value")),
    }
}

/// Runs a cluster command.
///
/// # Errors
/// When the hub cannot be used, or the kubeconfig is not taken.
pub(super) async fn run(command: ClusterCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClusterCommand::Join(args) => join_cluster(args).await?,
        ClusterCommand::List { hub } => list(&hub).await?,
        ClusterCommand::Leave { name, hub } => {
            let client = connect::hub(&hub).await?;
            leave(&client, &ClusterName::from(name.as_str())).await?;
            println!("cluster {name} left the hub; what was delivered to it stays there");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn join_cluster(args: JoinArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        is_dns_label(&args.name),
        "{:?} is not a cluster name: use lower-case letters, digits and dashes, at most 63",
        args.name
    );
    let bytes = std::fs::read(&args.kubeconfig)
        .with_context(|| format!("cannot read {}", args.kubeconfig.display()))?;
    let credential = MemberCredential::from_kubeconfig(&bytes, args.context.as_deref())
        .with_context(|| format!("cannot use {}", args.kubeconfig.display()))?;
    // Told now rather than by a condition later: does the cluster answer at all?
    let member = MemberClient::connect(&credential).await?;
    let version = member.calls.apiserver_version().await.with_context(|| {
        format!(
            "the cluster at {} does not answer with this credential; nothing was registered",
            credential.server()
        )
    })?;
    let hub = connect::hub(&HubArgs {
        hub_kubeconfig: args.hub_kubeconfig,
        hub_context: args.hub_context,
    })
    .await?;
    let cluster = ClusterName::from(args.name.as_str());
    let labels: BTreeMap<String, String> = args.labels.into_iter().collect();
    join(
        &hub,
        &Registration {
            cluster: &cluster,
            credential: &credential,
            set: args.set.as_deref(),
            labels: &labels,
        },
    )
    .await?;
    println!(
        "cluster {cluster} joined: {}, Kubernetes {}, set {}",
        credential.server(),
        version.git_version,
        args.set.as_deref().unwrap_or("default")
    );
    Ok(())
}

async fn list(hub: &HubArgs) -> anyhow::Result<()> {
    let client = connect::hub(hub).await?;
    let clusters = Api::<ManagedCluster>::all(client)
        .list(&ListParams::default())
        .await
        .context("cannot list managed clusters on the hub")?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "SET", "AVAILABLE", "VERSION", "CREDENTIAL"]);
    for cluster in &clusters.items {
        let condition = cluster
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref())
            .and_then(|conditions| {
                conditions
                    .iter()
                    .find(|condition| condition.type_ == CONDITION_AVAILABLE)
            });
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
        table.add_row([
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
        ]);
    }
    println!("{table}");
    Ok(())
}
