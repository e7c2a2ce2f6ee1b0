//! `cluster rotate`.

use anyhow::Context;
use kube::{Api, Client};

use super::MemberArgs;
use super::join::{open, scoped};
use crate::api::ClusterName;
use crate::api::cluster::ManagedCluster;
use crate::hub::credential::renewal::{RenewalError, renew};
use crate::hub::credential::{Found, SourceKind, find};
use crate::hub::registration::replace;
use crate::member::credential::{AdminAccess, MemberCredential, TOKEN_LIFETIME};

pub(super) async fn rotate(name: &str, member: &MemberArgs, hub: &Client) -> anyhow::Result<()> {
    let cluster = ClusterName::from(name);
    let object = registered(hub, name).await?;
    let found = find(hub, &object).await?;
    let credential = match &member.kubeconfig {
        None => renew(hub, &cluster, &found)
            .await
            .map_err(advise(name, &found))?,
        Some(path) => {
            let admin = open(path, member.context.as_deref()).await?;
            by_admin(hub, &cluster, &found, &admin).await?
        }
    };
    match credential.validity() {
        Some(validity) => println!(
            "cluster {name} has a new token, which ends at {}",
            validity.expires
        ),
        None => println!("cluster {name} has a new token"),
    }
    println!(
        "the old one counts until it ends; to revoke it now, delete the ServiceAccount pilothouse-agent/pilothouse on the cluster and run this again with --kubeconfig"
    );
    Ok(())
}

/// What the hub has under this name.
pub(super) async fn registered(hub: &Client, name: &str) -> anyhow::Result<ManagedCluster> {
    Api::<ManagedCluster>::all(hub.clone())
        .get_opt(name)
        .await
        .with_context(|| format!("cannot read the ManagedCluster {name} on the hub"))?
        .with_context(|| format!("the hub has no cluster {name}; see pilothouse cluster list"))
}

fn advise<'a>(name: &'a str, found: &'a Found) -> impl FnOnce(RenewalError) -> anyhow::Error + 'a {
    move |error| {
        let over = found.credential.validity();
        let over = over.is_some_and(|validity| validity.is_over(jiff::Timestamp::now()));
        let lost = error.is_unauthorized();
        let error = anyhow::Error::from(error);
        if over || lost {
            return error.context(format!(
                "the stored token of {name} has ended or was revoked: run pilothouse cluster rotate {name} --kubeconfig ADMIN with an administrator's kubeconfig of the cluster"
            ));
        }
        error
    }
}

async fn by_admin(
    hub: &Client,
    cluster: &ClusterName,
    found: &Found,
    admin: &AdminAccess,
) -> anyhow::Result<MemberCredential> {
    if found.kind != SourceKind::Joined {
        return Err(RenewalError::NotOurs {
            cluster: cluster.to_string(),
            kind: found.kind,
            secret: found.source.clone(),
        }
        .into());
    }
    // A kubeconfig of another cluster would put that one behind the name, and
    // what is delivered with it.
    anyhow::ensure!(
        admin.server() == found.credential.server(),
        "the kubeconfig is for {}, but {cluster} joined as {}; if it is the same cluster, or is to take its place, run pilothouse cluster join",
        admin.server(),
        found.credential.server()
    );
    let lifetime = found.credential.validity();
    let lifetime = lifetime.map_or(TOKEN_LIFETIME, |validity| validity.lifetime());
    let credential = scoped(admin, hub, cluster, lifetime).await?;
    replace(hub, cluster, &credential, found.version.as_deref()).await?;
    Ok(credential)
}
