//! The command line: parse, call one function of the layer below, exit code.

mod cluster;
mod connect;
mod dashboard;
mod members;
mod run;
pub mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::hub::lease::LeaseTimes;
use crate::hub::selection::Selection;
use crate::telemetry::{self, LogFormat};

/// Hub-side GitOps placement controller that knows the cables.
#[derive(Debug, Parser)]
#[command(name = "pilothouse", version, about, max_term_width = 100)]
struct Cli {
    /// How log lines are written.
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring up a hub, two members with Submariner and a git repository on this machine.
    Demo(DemoArgs),
    /// Run the controllers and the dashboard against a hub.
    Run(Box<RunArgs>),
    /// Register, list and remove member clusters.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Show cables, gateways, networks and services as subctl does, for the whole fleet.
    Show {
        #[command(flatten)]
        hub: HubArgs,
        #[command(flatten)]
        what: show::ShowArgs,
    },
    /// Print the CustomResourceDefinitions that a hub needs.
    Crds,
}

/// How to find the hub: as kubectl does.
#[derive(Debug, Clone, Default, Args)]
pub struct HubArgs {
    /// Kubeconfig of the hub [default: KUBECONFIG, else ~/.kube/config, else in-cluster]
    #[arg(
        long = "hub-kubeconfig",
        visible_alias = "kubeconfig",
        value_name = "FILE"
    )]
    pub hub_kubeconfig: Option<PathBuf>,
    /// Context of that kubeconfig [default: its current context]
    #[arg(long = "hub-context", value_name = "CONTEXT")]
    pub hub_context: Option<String>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    hub: HubArgs,
    /// Serve the hub's Kubernetes API from this process instead of using a cluster.
    #[arg(long, requires = "data_dir")]
    embedded: bool,
    /// Where the embedded hub keeps its objects, certificates and kubeconfig.
    #[arg(long, value_name = "DIR", requires = "embedded")]
    data_dir: Option<PathBuf>,
    /// Address of the embedded hub's Kubernetes API [default: 127.0.0.1 and a port kept in the data directory]
    #[arg(long, value_name = "ADDR", requires = "embedded")]
    api_listen: Option<SocketAddr>,
    /// Address of the dashboard and the webhook.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    dashboard: dashboard::DashboardArgs,
    /// Address of /metrics, /livez and /readyz [default: none; 127.0.0.1:8081 is usual]
    #[arg(long, value_name = "ADDR")]
    operators_listen: Option<SocketAddr>,
    /// Where mirrors of git repositories are kept [default: a folder in the data or cache directory]
    #[arg(long, value_name = "DIR")]
    git_cache: Option<PathBuf>,
    /// How often a repository is asked for new commits.
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    poll_interval: Duration,
    /// How often a member that answers is probed.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    probe_interval: Duration,
    /// Controllers that run: * for all, NAME, -NAME for all but that one.
    /// There are application, cluster, clusterset, placement, subscription
    #[arg(
        long,
        value_name = "LIST",
        default_value = "*",
        allow_hyphen_values = true
    )]
    controllers: Selection,
    /// Go on with objects whose status another controller wrote (RHACM or OCM,
    /// gone by now); without it they are left alone.
    #[arg(long)]
    take_over: bool,
    /// Namespace of the Lease that decides which process leads.
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "pilothouse",
        conflicts_with = "embedded"
    )]
    lease_namespace: String,
    #[command(flatten)]
    election: ElectionArgs,
    /// Address at which other replicas reach this one, to hand pushes on
    /// [default: that of --listen, unless it is a wildcard]
    #[arg(long, value_name = "ADDR")]
    advertise_address: Option<SocketAddr>,
    /// Let Channels name file:// repositories on this machine.
    #[arg(long)]
    allow_local_git: bool,
    /// Git configuration whose url.<base>.insteadOf is honoured [default: git's own]
    #[arg(long, value_name = "FILE")]
    git_config: Option<PathBuf>,
}

/// Times of the leader election, named as kube-controller-manager names them.
#[derive(Debug, Clone, Copy, Args)]
struct ElectionArgs {
    /// How long a lease that is not renewed keeps others from leading.
    #[arg(long, alias = "lease-duration", value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    leader_elect_lease_duration: Duration,
    /// A leader that could not renew for this long ends.
    #[arg(long, alias = "lease-renew-deadline", value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    leader_elect_renew_deadline: Duration,
    /// Time between two attempts to take or renew the lease.
    #[arg(long, alias = "lease-retry-period", value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    leader_elect_retry_period: Duration,
}

impl ElectionArgs {
    fn times(self) -> LeaseTimes {
        LeaseTimes {
            duration: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry_period: self.leader_elect_retry_period,
        }
    }
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(subcommand)]
    command: Option<DemoCommand>,
    /// Where the demo keeps its clusters, kubeconfigs and repository.
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".pilothouse/demo",
        global = true
    )]
    dir: PathBuf,
    /// Address of the dashboard and the webhook.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Show everything to everyone who reaches --listen, also from other machines.
    #[arg(long)]
    dashboard_open: bool,
    /// Do not apply the three applications.
    #[arg(long)]
    empty: bool,
}

#[derive(Debug, Subcommand)]
enum DemoCommand {
    /// Break something in the running demo, or mend it.
    #[command(subcommand)]
    Fault(crate::demo::Fault),
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.trim_end_matches('s').parse::<f64>() {
        Ok(value) if value.is_finite() && (0.1..=86_400.0).contains(&value) => {
            Ok(Duration::from_secs_f64(value))
        }
        _ => Err(format!(
            "{text:?} is not a number of seconds between 0.1 and 86400"
        )),
    }
}

/// Runs the command line and returns the exit code of the process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = match cli.command {
        Command::Run(_) => "info",
        _ => "warn",
    };
    telemetry::init(cli.log_format, filter);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let code = match runtime.block_on(dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    };
    // A fetch that hangs in a blocking thread may not hold the process back.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo(args).await,
        Command::Run(args) => run::run(*args).await,
        Command::Cluster(command) => cluster::run(command).await,
        Command::Show { hub, what } => members::show(&hub, &what).await,
        Command::Crds => {
            put(&crate::api::crds::to_yaml(&crate::api::crds::all()?)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(DemoCommand::Fault(fault)) => {
            put(&format!(
                "{}\n",
                crate::demo::fault(&args.dir, fault).await?
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            dashboard::open(args.listen, args.dashboard_open)
                .map_err(|_| anyhow::anyhow!("the demo asks nobody who it is, and {} can be reached from other machines; add --dashboard-open if that is meant", args.listen))?;
            crate::demo::run(crate::demo::DemoOptions {
                dir: args.dir,
                listen: args.listen,
                empty: args.empty,
            })
            .await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Writes to standard output. A reader that went away (`| head`) is no error.
fn put(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints the whole chain once and returns failure.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_interval_takes_seconds_with_and_without_a_unit() {
        assert_eq!(seconds("15"), Ok(Duration::from_secs(15)));
        assert_eq!(seconds("0.5s"), Ok(Duration::from_millis(500)));
        assert!(seconds("0").is_err());
        assert!(seconds("soon").is_err());
    }
}
