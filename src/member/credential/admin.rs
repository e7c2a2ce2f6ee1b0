//! An administrator's access to a cluster that joins: used once, never stored.
//!
//! The kubeconfig is the file of whoever runs the command, trusted as kubectl
//! trusts it: its `exec` plugins (EKS, GKE) run and its files are read, here
//! and not on the hub.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use super::super::client::{ConnectError, MemberClient};
use super::{CredentialError, MemberCredential};

/// Why an administrator's kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It cannot be read, or a file or command that it names fails.
    #[error("cannot use the kubeconfig {path}; check it with kubectl --kubeconfig {path} version")]
    Kubeconfig {
        /// Path of the file.
        path: String,
        /// What failed.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// It uses a proxy, which the hub would not.
    #[error(
        "the kubeconfig reaches {0} through a proxy, which the hub does not use; give a kubeconfig whose server the hub reaches directly"
    )]
    Proxy(String),
    /// No client can be made from it.
    #[error("cannot connect with the kubeconfig")]
    Connect(#[source] ConnectError),
    /// What would be stored on the hub is not taken there.
    #[error("the kubeconfig's cluster cannot be used by the hub")]
    Cluster(#[source] CredentialError),
}

/// An administrator's client of one cluster, and how to reach it.
pub struct AdminAccess {
    client: MemberClient,
    config: Config,
}

impl AdminAccess {
    /// Opens one context (the current one by default) of a kubeconfig file.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub async fn open(path: &Path, context: Option<&str>) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Kubeconfig {
            path: path.display().to_string(),
            source: Box::new(source),
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(failed)?;
        Self::of_config(config)
    }

    fn of_config(mut config: Config) -> Result<Self, AdminError> {
        config.default_retry = false;
        if config.proxy_url.is_some() {
            return Err(AdminError::Proxy(config.cluster_url.to_string()));
        }
        Ok(Self {
            client: MemberClient::of_config(&config).map_err(AdminError::Connect)?,
            config,
        })
    }

    /// Calls with the administrator's rights.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.calls.clone()
    }

    /// The server's URL without user info.
    #[must_use]
    pub fn server(&self) -> String {
        let url = &self.config.cluster_url;
        let host = url.authority().map_or("", |authority| authority.as_str());
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let scheme = url.scheme_str().unwrap_or("https");
        format!("{scheme}://{host}{}", url.path().trim_end_matches('/'))
    }

    /// Whether the certificate of the server is not checked.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.config.accept_invalid_certs
    }

    /// A credential of this cluster with a token: its server and authority,
    /// and nothing of the administrator.
    ///
    /// # Errors
    /// When the server is not one that the hub takes.
    pub fn with_token(&self, token: &str) -> Result<MemberCredential, AdminError> {
        let server = self.config.cluster_url.to_string();
        let mut cluster = json!({"server": server.trim_end_matches('/')});
        if let Some(certificates) = &self.config.root_cert {
            let pem: String = certificates.iter().map(|der| pem(der)).collect();
            cluster["certificate-authority-data"] = STANDARD.encode(pem).into();
        }
        if self.config.accept_invalid_certs {
            cluster["insecure-skip-tls-verify"] = true.into();
        }
        if let Some(name) = &self.config.tls_server_name {
            cluster["tls-server-name"] = name.as_str().into();
        }
        let name = super::agent::ACCOUNT;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
        });
        MemberCredential::from_kubeconfig(kubeconfig.to_string().as_bytes(), None)
            .map_err(AdminError::Cluster)
    }
}

fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        // Base64 is ASCII.
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
