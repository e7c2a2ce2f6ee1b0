//! `cluster join`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use super::JoinArgs;
use crate::api::{ClusterName, is_dns_label};
use crate::hub::registration::{Registration, join};
use crate::member::client::MemberClient;
use crate::member::credential::{AdminAccess, MemberCredential, agent};

/// A role that was just made counts a moment later on a real API server.
const ROLE_COUNTS: Duration = Duration::from_secs(10);
/// Between two looks for that.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn join_cluster(args: JoinArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        is_dns_label(&args.name),
        "{:?} is not a cluster name: use lower-case letters, digits and dashes, at most 63",
        args.name
    );
    let cluster = ClusterName::from(args.name.as_str());
    let hub = args.hub.client().await?;
    let context = args.context.as_deref();
    let credential = if args.use_credential {
        given(&args.kubeconfig, context)?
    } else {
        let admin = open(&args.kubeconfig, context).await?;
        scoped(&admin, &hub, &cluster, args.token_lifetime).await?
    };
    // Told now rather than by a condition later: does the cluster answer at all?
    let member = MemberClient::connect(&credential).await?;
    let version = member.calls.apiserver_version().await.with_context(|| {
        format!(
            "the cluster at {} does not answer with this credential; nothing was registered",
            credential.server()
        )
    })?;
    let labels: BTreeMap<String, String> = args.labels.into_iter().collect();
    join(
        &hub,
        &Registration {
            cluster: &cluster,
            credential: &credential,
            renewed: !args.use_credential,
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
    if let Some(validity) = credential.validity() {
        let renewed = if args.use_credential {
            "the hub does not renew it"
        } else {
            "the hub renews it before"
        };
        println!("its credential ends at {}; {renewed}", validity.expires);
    }
    Ok(())
}

fn given(path: &Path, context: Option<&str>) -> anyhow::Result<MemberCredential> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    MemberCredential::from_kubeconfig(&bytes, context)
        .with_context(|| format!("cannot use {}", path.display()))
}

/// An administrator's access, with what should be known about it said.
pub(super) async fn open(path: &Path, context: Option<&str>) -> anyhow::Result<AdminAccess> {
    let admin = AdminAccess::open(path, context).await?;
    if admin.is_insecure() {
        eprintln!(
            "warning: {} does not check the certificate of its server, and neither will the hub",
            path.display()
        );
    }
    Ok(admin)
}

/// Makes the hub's account on the cluster and a token of it.
pub(super) async fn scoped(
    admin: &AdminAccess,
    hub: &Client,
    cluster: &ClusterName,
    lifetime: SignedDuration,
) -> anyhow::Result<MemberCredential> {
    let hub_id = hub_id(hub).await?;
    let client = admin.client();
    agent::install(&client, &hub_id, cluster.as_str()).await?;
    let account = agent::account();
    let issued = agent::token(&client, &account, lifetime).await?;
    let credential = admin.with_token(&issued.token)?;
    let scoped = MemberClient::connect(&credential).await?;
    let begun = std::time::Instant::now();
    loop {
        match agent::may_renew(&scoped.calls, &account).await {
            Ok(true) => return Ok(credential),
            Ok(false) if begun.elapsed() > ROLE_COUNTS => anyhow::bail!(
                "the account {}/{} on the cluster may not renew its token; see its Role pilothouse-token; nothing was registered",
                account.namespace,
                account.name
            ),
            Err(error) if begun.elapsed() > ROLE_COUNTS || !error.is_unauthorized() => {
                return Err(error)
                    .context("the new token is not taken by the cluster; nothing was registered");
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Identity of the hub: what the controllers use too.
pub(super) async fn hub_id(hub: &Client) -> anyhow::Result<String> {
    let system = Api::<Namespace>::all(hub.clone())
        .get("kube-system")
        .await
        .context("cannot read the namespace kube-system of the hub, whose uid names it")?;
    system
        .metadata
        .uid
        .context("the hub's kube-system has no uid")
}
