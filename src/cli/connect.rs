//! Finding the hub, as kubectl does.

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::HubArgs;

/// Connects to the hub named by the arguments: a kubeconfig file, else the
/// in-cluster ServiceAccount, else the user's default kubeconfig.
///
/// # Errors
/// When no configuration is found, or it cannot be used.
pub(super) async fn hub(args: &HubArgs) -> anyhow::Result<Client> {
    let options = KubeConfigOptions {
        context: args.hub_context.clone(),
        ..KubeConfigOptions::default()
    };
    let config = match &args.hub_kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the hub's kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .with_context(|| format!("cannot use the hub's kubeconfig {}", path.display()))?
        }
        None => match Config::from_kubeconfig(&options).await {
            Ok(config) => config,
            Err(_) => Config::incluster().context(
                "no hub found: set KUBECONFIG, pass --hub-kubeconfig, or run in a cluster",
            )?,
        },
    };
    Client::try_from(config).context("cannot make a client for the hub")
}
