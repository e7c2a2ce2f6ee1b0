//! `pilothouse show`: what subctl shows, for the whole fleet at once, and the
//! services across it. Read once, straight from the members.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use futures::future::join_all;
use jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde::Serialize;

use crate::api::cluster::ManagedCluster;
use crate::api::{ClusterName, LABEL_CLUSTER_SET};
use crate::core::mesh::tables::{self, ClusterReport, Section};
use crate::core::mesh::{MeshInput, MeshObservation, MeshView};
use crate::member::mesh::{Once, read};

/// Arguments of `show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// What to show.
    #[arg(value_enum, default_value = "all")]
    pub what: What,
    /// Only this cluster; may be given several times.
    #[arg(long = "cluster", value_name = "NAME")]
    pub clusters: Vec<String>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

/// What can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Everything that subctl shows.
    All,
    /// Brokers hosted by the clusters.
    Brokers,
    /// Networks of each cluster.
    Networks,
    /// Endpoints that each cluster's gateways know.
    Endpoints,
    /// Connections that each cluster's gateways report.
    Connections,
    /// Gateways of each cluster.
    Gateways,
    /// Versions of Submariner's components.
    Versions,
    /// Exported services: from where each can be used, and why not.
    Services,
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// As subctl prints it.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// What was shown.
#[derive(Debug)]
pub struct Shown {
    /// For standard output.
    pub text: String,
    /// Clusters that could not be read, with the reason: for standard error.
    /// Any makes the exit code 1.
    pub errors: Vec<String>,
}

impl What {
    fn sections(self) -> Vec<Section> {
        match self {
            Self::All => Section::ALL.to_vec(),
            Self::Brokers => vec![Section::Brokers],
            Self::Networks => vec![Section::Networks],
            Self::Endpoints => vec![Section::Endpoints],
            Self::Connections => vec![Section::Connections],
            Self::Gateways => vec![Section::Gateways],
            Self::Versions => vec![Section::Versions],
            Self::Services => Vec::new(),
        }
    }
}

/// Reads `members` (a client, or why there is none) at the same time, and
/// renders what was asked for. `hub` is read for cluster sets and the broker.
///
/// # Errors
/// When a cluster is asked for that is not registered, or the output cannot be
/// written in its format. A cluster that cannot be read is no error here: it
/// is told in [`Shown::errors`] and hides none of the others.
pub async fn show(
    args: &ShowArgs,
    hub: &Client,
    mut members: BTreeMap<ClusterName, Result<Client, String>>,
) -> anyhow::Result<Shown> {
    for name in &args.clusters {
        if !members.contains_key(&ClusterName::from(name.as_str())) {
            let known: Vec<&str> = members.keys().map(ClusterName::as_str).collect();
            anyhow::bail!(
                "no cluster {name:?} is registered at the hub; registered are: {}",
                known.join(", ")
            );
        }
    }
    let asked: BTreeSet<ClusterName> = args
        .clusters
        .iter()
        .map(|name| ClusterName::from(name.as_str()))
        .collect();
    // Services need both ends of every cable, whichever clusters are shown.
    if !asked.is_empty() && args.what != What::Services {
        members.retain(|name, _| asked.contains(name));
    }
    let now = Timestamp::now();
    let found = join_all(members.into_iter().map(|(name, client)| async move {
        let once = match client {
            Ok(client) => read(&client, now).await.map_err(|error| error.to_string()),
            Err(reason) => Err(reason),
        };
        (name, once)
    }))
    .await;
    let errors = found
        .iter()
        .filter_map(|(name, once)| once.as_ref().err().map(|error| format!("{name}: {error}")))
        .collect();
    let text = if args.what == What::Services {
        services(args, hub, found, &asked, now).await?
    } else {
        reports(args, &found)?
    };
    Ok(Shown { text, errors })
}

type Found = Vec<(ClusterName, Result<Once, String>)>;

fn reports(args: &ShowArgs, found: &Found) -> anyhow::Result<String> {
    let sections = args.what.sections();
    let reports: Vec<ClusterReport> = found
        .iter()
        .map(|(name, once)| match once {
            Ok(once) => ClusterReport::of(
                name.as_str(),
                &sections,
                &once.observation,
                &once.components,
            ),
            Err(error) => ClusterReport::failed(name.as_str(), error.clone()),
        })
        .collect();
    match args.output {
        Output::Table => {
            let texts: Vec<String> = reports
                .iter()
                .map(|report| report.render(&sections))
                .collect();
            Ok(texts.join("\n"))
        }
        output => encode(output, &reports),
    }
}

async fn services(
    args: &ShowArgs,
    hub: &Client,
    found: Found,
    asked: &BTreeSet<ClusterName>,
    now: Timestamp,
) -> anyhow::Result<String> {
    let broker = read(hub, now).await.ok().map(|once| once.observation);
    let sets = sets(hub)
        .await
        .context("cannot list the hub's ManagedClusters")?;
    let members: BTreeMap<ClusterName, Arc<MeshObservation>> = found
        .into_iter()
        .filter_map(|(name, once)| Some((name, Arc::new(once.ok()?.observation))))
        .collect();
    let input = MeshInput {
        members: &members,
        hub: broker.as_ref(),
        sets: &sets,
        consumers: &[],
        planned: &[],
        previous: None,
    };
    let mut view = MeshView::build(&input, now);
    if !asked.is_empty() {
        for service in &mut view.services {
            service
                .ladders
                .retain(|ladder| asked.contains(&ladder.consumer));
            service
                .consumers
                .retain(|consumer| asked.contains(&consumer.cluster));
        }
    }
    match args.output {
        Output::Table => {
            let mut text = tables::services(&view).render();
            if view.services.is_empty() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "no service is exported");
            }
            Ok(text)
        }
        output => encode(output, &view.services),
    }
}

/// Clusters by the set that their label names.
async fn sets(hub: &Client) -> Result<BTreeMap<String, BTreeSet<ClusterName>>, kube::Error> {
    let clusters: Api<ManagedCluster> = Api::all(hub.clone());
    let mut sets: BTreeMap<String, BTreeSet<ClusterName>> = BTreeMap::new();
    for cluster in clusters.list(&ListParams::default()).await? {
        if let Some(set) = cluster.labels().get(LABEL_CLUSTER_SET) {
            sets.entry(set.clone())
                .or_default()
                .insert(ClusterName::from(cluster.name_any()));
        }
    }
    Ok(sets)
}

fn encode(output: Output, value: &impl Serialize) -> anyhow::Result<String> {
    match output {
        Output::Yaml => serde_yaml::to_string(value).context("cannot write YAML"),
        Output::Json | Output::Table => {
            let mut text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
            text.push('\n');
            Ok(text)
        }
    }
}
