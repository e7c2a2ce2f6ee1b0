//! `pilothouse run`: the controllers and the dashboard against a hub.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{RunArgs, connect};
use crate::app::operators::Operators;
use crate::app::{self, StartOptions};
use crate::git::{FetcherOptions, GitConfig};
use crate::hub::context::HubOptions;
use crate::hub::definitions;
use crate::hub::leadership::Leadership;
use crate::hub::lease::Elector;
use crate::web::access::Access;

/// How long answers of the standby may take once this process leads.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How long a process that ends waits for what is under way.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Runs until Ctrl-C or SIGTERM, or until leadership is lost.
///
/// # Errors
/// When the hub, git, or a listener cannot be used.
pub(super) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let shutdown = CancellationToken::new();
    let dashboard = args.dashboard.choice(args.listen)?;
    // The standby's answers and the dashboard take turns on one socket.
    let socket = std::net::TcpListener::bind(args.listen).with_context(|| {
        format!(
            "cannot listen on {}; choose another with --listen",
            args.listen
        )
    })?;
    socket.set_nonblocking(true)?;
    let operators = Operators::new(jiff::Timestamp::now());
    if let Some(address) = args.operators_listen {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; choose another with --operators-listen")
        })?;
        tokio::spawn(operators.clone().serve(listener, shutdown.clone()));
    }
    let signal = shutdown.clone();
    tokio::spawn(async move {
        app::terminated().await;
        signal.cancel();
    });
    let (client, embedded) = match &args.data_dir {
        Some(dir) if args.embedded => {
            let hub = app::embedded_hub(dir, args.api_listen, shutdown.clone()).await?;
            eprintln!(
                "hub API on {}, kubeconfig {}",
                hub.url,
                hub.kubeconfig.display()
            );
            let client = hub.client.clone();
            definitions::install(&client)
                .await
                .context("cannot install the CRDs in the embedded hub")?;
            (client, Some(hub))
        }
        _ => (connect::hub(&args.hub).await?, None),
    };
    let mode = if embedded.is_some() {
        "embedded"
    } else {
        "kubernetes"
    };
    let elector = match &embedded {
        // One process owns the data directory: there is nobody to elect.
        Some(_) => None,
        None => Some(Elector::new(
            client.clone(),
            &args.lease_namespace,
            identity(),
            advertised(&args, socket.local_addr()?),
            args.election.times(),
        )?),
    };
    operators.connected(client.clone(), elector.as_ref().map(Elector::leader));
    let git = git_options(&args)?;
    let leadership = match &elector {
        Some(elector) => match stand_by(elector, &socket, &shutdown).await? {
            Some(leadership) => leadership,
            None => return Ok(ExitCode::SUCCESS),
        },
        None => Leadership::default(),
    };
    let options = StartOptions {
        hub: HubOptions {
            mode: mode.into(),
            poll_interval: args.poll_interval,
            probe_interval: args.probe_interval,
            controllers: args.controllers.clone(),
            take_over: args.take_over,
            ..HubOptions::default()
        },
        git,
        leadership,
    };
    operators.acquired();
    let listener = TcpListener::from_std(socket)?;
    let led = lead(
        elector,
        client.clone(),
        options,
        (listener, operators, dashboard.access(&client)),
        shutdown.clone(),
    )
    .await;
    shutdown.cancel();
    if let Some(hub) = embedded {
        hub.ended().await?;
    }
    led?;
    Ok(ExitCode::SUCCESS)
}

/// Waits until this process leads, and says meanwhile who does. `None` on
/// shutdown.
async fn stand_by(
    elector: &Elector,
    socket: &std::net::TcpListener,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Leadership>> {
    let leading = shutdown.child_token();
    let standby = tokio::spawn(app::standby::serve(
        TcpListener::from_std(socket.try_clone()?)?,
        elector.leader(),
        leading.clone(),
    ));
    tracing::info!(address = %socket.local_addr()?, "waits for leadership");
    let leadership = tokio::select! {
        leadership = elector.acquire() => Some(leadership?),
        () = shutdown.cancelled() => None,
    };
    leading.cancel();
    // An answer that hangs ends with its task.
    let stop = standby.abort_handle();
    if tokio::time::timeout(LAST_ANSWERS, standby).await.is_err() {
        stop.abort();
    }
    Ok(leadership)
}

/// Works as the leader until shutdown or until the lease is lost. The lease is
/// renewed from the first moment, also while the hub's kinds are listed.
async fn lead(
    elector: Option<Elector>,
    client: Client,
    options: StartOptions,
    (listener, operators, access): (TcpListener, Operators, Access),
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let leadership = options.leadership.clone();
    let mut running = None;
    let outcome = {
        let held = async {
            match &elector {
                Some(elector) => elector.hold(&leadership, &shutdown).await,
                None => {
                    shutdown.cancelled().await;
                    Ok(())
                }
            }
        };
        let work = async {
            let started = app::start(client, options, shutdown.clone()).await?;
            eprintln!("dashboard on http://{}", listener.local_addr()?);
            let started = running.insert(started);
            operators.leads(started);
            let served = app::serve_web(started, listener, access, shutdown.clone());
            served.await.context("the dashboard's listener failed")
        };
        tokio::select! {
            held = held => held.context("this process no longer leads and ends"),
            worked = work => worked,
        }
    };
    shutdown.cancel();
    leadership.end();
    if let Some(running) = running {
        // What is under way is bounded by its own deadlines, but a process
        // that does not lead any more waits for nobody.
        let _ = tokio::time::timeout(LAST_CALLS, running.ended()).await;
    }
    if let (Ok(()), Some(elector)) = (&outcome, &elector) {
        elector.release().await;
    }
    outcome
}

/// Where other processes reach this one; `None` when that is not known.
fn advertised(args: &RunArgs, listening: SocketAddr) -> Option<String> {
    let address = match args.advertise_address {
        Some(address) => address,
        None if listening.ip().is_unspecified() => return None,
        None => listening,
    };
    Some(format!("http://{address}"))
}

fn git_options(args: &RunArgs) -> anyhow::Result<FetcherOptions> {
    let cache = match (&args.git_cache, &args.data_dir) {
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => dir.join("git-cache"),
        (None, None) => default_cache(),
    };
    let git_config = match &args.git_config {
        Some(file) => GitConfig::none()
            .with_file(file)
            .with_context(|| format!("cannot use {}", file.display()))?,
        None => GitConfig::from_environment().context("cannot use git's own configuration")?,
    };
    Ok(FetcherOptions {
        allow_local: args.allow_local_git,
        git_config,
        ..FetcherOptions::new(cache)
    })
}

fn default_cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("pilothouse")
        .join("git")
}

/// Unique to this process, also among machines that do not tell their names.
fn identity() -> String {
    use std::hash::{BuildHasher, RandomState};
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "pilothouse".into());
    let process = std::process::id();
    let random = RandomState::new().hash_one(process);
    format!("{host}_{process}_{random:016x}")
}
