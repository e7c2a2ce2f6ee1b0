//! `pilothouse run`: the controllers and the dashboard against a hub.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{RunArgs, connect};
use crate::app::{self, StartOptions};
use crate::git::{FetcherOptions, GitConfig};
use crate::hub::context::HubOptions;
use crate::hub::definitions;
use crate::hub::lease::Elector;

/// Runs until Ctrl-C or SIGTERM, or until leadership is lost.
///
/// # Errors
/// When the hub, git, or a listener cannot be used.
pub(super) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let shutdown = CancellationToken::new();
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; choose another with --listen",
            args.listen
        )
    })?;
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
        )),
    };
    let transitions = match &elector {
        Some(elector) => tokio::select! {
            transitions = elector.acquire() => transitions?,
            () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
        },
        None => 0,
    };
    let options = StartOptions {
        hub: HubOptions {
            mode: mode.into(),
            poll_interval: args.poll_interval,
            probe_interval: args.probe_interval,
        },
        git: git_options(&args)?,
        transitions: u64::try_from(transitions).unwrap_or_default(),
    };
    let lease = lead(elector, client.clone(), options, listener, shutdown.clone()).await;
    shutdown.cancel();
    if let Some(hub) = embedded {
        hub.ended().await;
    }
    lease?;
    Ok(ExitCode::SUCCESS)
}

/// Works as the leader until shutdown or until the lease is lost.
async fn lead(
    elector: Option<Elector>,
    client: Client,
    options: StartOptions,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let running = app::start(client, options, shutdown.clone()).await?;
    eprintln!("dashboard on http://{}", listener.local_addr()?);
    let held = async {
        match &elector {
            Some(elector) => elector.hold(&shutdown).await,
            None => {
                shutdown.cancelled().await;
                Ok(())
            }
        }
    };
    let served = app::serve_web(&running, listener, shutdown.clone());
    let outcome = tokio::select! {
        held = held => held.context("this process no longer leads and ends"),
        served = served => served.context("the dashboard's listener failed"),
    };
    shutdown.cancel();
    running.ended().await;
    outcome
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

/// Unique to this process on this machine.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "pilothouse".into());
    format!("{host}-{}", std::process::id())
}
