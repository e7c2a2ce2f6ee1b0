//! `pilothouse cluster`: members join, are listed, get new tokens and leave.

mod join;
mod leave;
mod list;
mod rotate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;

use super::{HubArgs, connect};

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Register a cluster at the hub: makes a ServiceAccount with what deploy/member
    /// holds there, and stores a token of it that ends and that the hub renews.
    Join(JoinArgs),
    /// List the registered clusters.
    List {
        #[command(flatten)]
        hub: HubArgs,
        /// What is shown: wide adds the credential's kind, server and end
        /// (it needs the right to read the clusters' Secrets).
        #[arg(long, short, value_enum, default_value = "table")]
        output: Output,
    },
    /// Replace a joined cluster's token by a new one now, by the token itself or,
    /// once it has ended, by an administrator's kubeconfig.
    Rotate {
        /// Name of the cluster.
        name: String,
        #[command(flatten)]
        member: MemberArgs,
        #[command(flatten)]
        hub: MemberHubArgs,
    },
    /// Remove a cluster from the hub, and the hub's ServiceAccount from the
    /// cluster; what was delivered there stays.
    Leave {
        /// Name of the cluster.
        name: String,
        #[command(flatten)]
        member: MemberArgs,
        #[command(flatten)]
        hub: MemberHubArgs,
    },
}

/// How a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Name, set, availability, version.
    Table,
    /// The credential too.
    Wide,
}

/// An administrator's access to a cluster that is joined.
#[derive(Debug, Args)]
pub(super) struct MemberArgs {
    /// An administrator's kubeconfig of the cluster [default: the stored token is used]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of that kubeconfig [default: its current context]
    #[arg(long, value_name = "CONTEXT", requires = "kubeconfig")]
    context: Option<String>,
}

/// How to find the hub where `--kubeconfig` is the member's.
#[derive(Debug, Args)]
pub(super) struct MemberHubArgs {
    /// Kubeconfig of the hub [default: KUBECONFIG, else ~/.kube/config, else in-cluster]
    #[arg(long, value_name = "FILE")]
    hub_kubeconfig: Option<PathBuf>,
    /// Context of the hub's kubeconfig [default: its current context]
    #[arg(long, value_name = "CONTEXT")]
    hub_context: Option<String>,
}

impl MemberHubArgs {
    async fn client(self) -> anyhow::Result<kube::Client> {
        connect::hub(&HubArgs {
            hub_kubeconfig: self.hub_kubeconfig,
            hub_context: self.hub_context,
        })
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// Name of the cluster on the hub.
    name: String,
    /// Kubeconfig of the cluster that joins, of an administrator there. It is used
    /// now and not stored.
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
    /// Store the credential of the kubeconfig as it is instead: nothing is made on
    /// the cluster, and nothing is renewed.
    #[arg(long)]
    use_credential: bool,
    /// Life of the token, in hours (12h) or days (30d); the cluster may give less.
    /// The hub renews it at 80 % of its life.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30d",
        value_parser = lifetime,
        conflicts_with = "use_credential"
    )]
    token_lifetime: SignedDuration,
    #[command(flatten)]
    hub: MemberHubArgs,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not of the form key=value")),
    }
}

/// An hour to a year.
fn lifetime(text: &str) -> Result<SignedDuration, String> {
    let (number, hours) = match text.strip_suffix('d') {
        Some(days) => (days, 24),
        None => (text.strip_suffix('h').unwrap_or_default(), 1),
    };
    match number
        .parse::<i64>()
        .map(|number| number.saturating_mul(hours))
    {
        Ok(hours) if (1..=366 * 24).contains(&hours) => Ok(SignedDuration::from_hours(hours)),
        _ => Err(format!(
            "{text:?} is not a time from 1h to 366d, such as 12h or 30d"
        )),
    }
}

/// Runs a cluster command.
///
/// # Errors
/// When the hub cannot be used, or the kubeconfig is not taken.
pub(super) async fn run(command: ClusterCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClusterCommand::Join(args) => join::join_cluster(args).await?,
        ClusterCommand::List { hub, output } => list::list(&hub, output).await?,
        ClusterCommand::Rotate { name, member, hub } => {
            rotate::rotate(&name, &member, &hub.client().await?).await?;
        }
        ClusterCommand::Leave { name, member, hub } => {
            leave::leave_hub(&name, &member, &hub.client().await?).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_given_in_hours_or_days() {
        assert_eq!(lifetime("12h"), Ok(SignedDuration::from_hours(12)));
        assert_eq!(lifetime("30d"), Ok(SignedDuration::from_hours(720)));
        for bad in ["", "d", "0h", "367d", "30", "99999999999999999d", "-1h"] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }
}
