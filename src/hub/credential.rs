//! Finding the credential of a cluster on the hub.
//!
//! Sources in order: the Secret that the annotation names, a Secret labelled as
//! credential, RHACM's import Secret, a ManagedServiceAccount's token with the
//! cluster's client config, the Secret that Hive's ClusterDeployment refers
//! to, Cluster API's `<name>-kubeconfig`, the one that HyperShift's
//! HostedCluster refers to, and Argo CD's cluster Secret. All of them but the
//! last in the namespace named like the cluster: a Secret elsewhere is not
//! read, so nobody can point a cluster at the Secret of someone else.

mod argo;
pub mod renewal;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::registration::{ANNOTATION_RENEWED, CREDENTIAL_SECRET};
use crate::api::cluster::ManagedCluster;
use crate::api::{ANNOTATION_CREDENTIAL, AUTO_IMPORT_SECRET, LABEL_CREDENTIAL};
use crate::core::object::Digest;
use crate::member::credential::{CredentialError, MemberCredential};

/// Keys that hold a kubeconfig, in order.
const KUBECONFIG_KEYS: [&str; 2] = ["kubeconfig", "value"];

/// Type of RHACM's import Secret for ROSA.
const ROSA: &str = "auto-import/rosa";
/// Which Cluster of Cluster API a ManagedCluster is (OCM's importer).
const ANNOTATION_CLUSTER_API: &str = "cluster.x-k8s.io/cluster";

/// Label of the Secret of a ManagedServiceAccount (managed-serviceaccount).
const LABEL_MANAGED_ACCOUNT: &str =
    "authentication.open-cluster-management.io/is-managed-serviceaccount";

/// Who keeps a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// `cluster join`: a token of the account made for the hub, which the hub renews.
    Joined,
    /// A Secret that the annotation names, or with our label.
    Secret,
    /// RHACM's `auto-import-secret`.
    AutoImport,
    /// A ManagedServiceAccount.
    ManagedServiceAccount,
    /// Hive's ClusterDeployment.
    Hive,
    /// Cluster API.
    ClusterApi,
    /// HyperShift's HostedCluster.
    HyperShift,
    /// Argo CD's cluster Secret.
    ArgoCd,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joined => "cluster join",
            Self::Secret => "labelled Secret",
            Self::AutoImport => "auto-import-secret",
            Self::ManagedServiceAccount => "ManagedServiceAccount",
            Self::Hive => "Hive",
            Self::ClusterApi => "Cluster API",
            Self::HyperShift => "HyperShift",
            Self::ArgoCd => "Argo CD",
        })
    }
}

/// A credential that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Who keeps it.
    pub kind: SourceKind,
    /// `secret ns/name`.
    pub source: String,
    /// The credential.
    pub credential: MemberCredential,
    /// Digest of the Secret's data: changes when the credential does.
    pub fingerprint: String,
    /// Whether the Secret has our label, so that its changes are seen at once.
    /// Others are read again from time to time.
    pub watched: bool,
    /// `resourceVersion` of the Secret.
    pub version: Option<String>,
}

/// Why there is no credential. The text never holds Secret data.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// None of the sources exists.
    #[error(
        "no credential in namespace {namespace}: looked for a Secret that the annotation {ANNOTATION_CREDENTIAL} names, one labelled {LABEL_CREDENTIAL}=true, {AUTO_IMPORT_SECRET}, a ManagedServiceAccount with a client config, the kubeconfig Secrets of Hive, Cluster API and HyperShift, and Argo CD's cluster Secret{skipped}; create the labelled Secret with a kubeconfig, or run pilothouse cluster join"
    )]
    Missing {
        /// The namespace.
        namespace: String,
        /// What was found and not taken, and why.
        skipped: Skipped,
    },
    /// The named Secret does not exist.
    #[error("secret {0}, which the annotation {ANNOTATION_CREDENTIAL} names, does not exist")]
    NamedMissing(String),
    /// A Secret without a kubeconfig.
    #[error("secret {0} has neither of the keys kubeconfig and value, nor server and token")]
    NoKubeconfig(String),
    /// The kubeconfig is not taken.
    #[error("secret {secret}: {source}")]
    Refused {
        /// `ns/name`.
        secret: String,
        /// Why.
        source: CredentialError,
    },
    /// The hub's API failed.
    #[error("cannot read the secrets of namespace {namespace}")]
    Api {
        /// Namespace.
        namespace: String,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Sources that exist and cannot be used, with the reason, without their data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped(Vec<String>);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

/// Finds the credential of a cluster.
///
/// # Errors
/// When there is none or it is not taken; the text names the Secret and the
/// next step.
pub async fn find(client: &Client, cluster: &ManagedCluster) -> Result<Found, FindError> {
    let namespace = cluster.name_any();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let failed = |source| FindError::Api {
        namespace: namespace.clone(),
        source: Box::new(source),
    };
    if let Some(name) = cluster.annotations().get(ANNOTATION_CREDENTIAL) {
        let name = name
            .rsplit_once('/')
            .map_or(name.as_str(), |(_, name)| name);
        return match secrets.get_opt(name).await.map_err(failed)? {
            Some(secret) => read(&secret, SourceKind::Secret),
            None => Err(FindError::NamedMissing(format!("{namespace}/{name}"))),
        };
    }
    let labelled = ListParams::default().labels(&format!("{LABEL_CREDENTIAL}=true"));
    let mut found = secrets.list(&labelled).await.map_err(failed)?.items;
    found.sort_by_key(ResourceExt::name_any);
    if let Some(secret) = found.first() {
        return read(secret, SourceKind::Secret);
    }
    let mut skipped = Skipped::default();
    if let Some(secret) = secrets.get_opt(AUTO_IMPORT_SECRET).await.map_err(failed)? {
        if secret.type_.as_deref() != Some(ROSA) {
            return read(&secret, SourceKind::AutoImport);
        }
        skipped.0.push(format!(
            "{AUTO_IMPORT_SECRET} is of type {ROSA}, which is a credential of OpenShift Cluster Manager and not of the cluster"
        ));
    }
    let accounts = ListParams::default().labels(&format!("{LABEL_MANAGED_ACCOUNT}=true"));
    let mut accounts = secrets.list(&accounts).await.map_err(failed)?.items;
    accounts.sort_by_key(ResourceExt::name_any);
    let account = accounts
        .iter()
        .find_map(|secret| Some((secret, account_kubeconfig(cluster, secret)?)));
    if let Some((secret, kubeconfig)) = account {
        return take(secret, &kubeconfig, SourceKind::ManagedServiceAccount);
    }
    let names = foreign_names(client, cluster, &mut skipped).await;
    for (kind, name) in names.map_err(failed)? {
        if let Some(secret) = secrets.get_opt(&name).await.map_err(failed)? {
            return read(&secret, kind);
        }
    }
    if let Some(found) = of_argo(client, &namespace, &mut skipped).await? {
        return Ok(found);
    }
    Err(FindError::Missing { namespace, skipped })
}

/// The first of Argo CD's Secrets for the cluster that can be used.
async fn of_argo(
    client: &Client,
    cluster: &str,
    skipped: &mut Skipped,
) -> Result<Option<Found>, FindError> {
    let params = ListParams::default().labels(argo::SELECTOR);
    for namespace in argo::NAMESPACES {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let mut secrets = match secrets.list(&params).await {
            Ok(secrets) => secrets.items,
            Err(kube::Error::Api(status)) if status.code == 403 => continue,
            Err(source) => {
                return Err(FindError::Api {
                    namespace: namespace.to_owned(),
                    source: Box::new(source),
                });
            }
        };
        secrets.sort_by_key(ResourceExt::name_any);
        for secret in secrets.iter().filter(|secret| argo::is_of(secret, cluster)) {
            match argo::kubeconfig(secret) {
                Ok(kubeconfig) => return take(secret, &kubeconfig, SourceKind::ArgoCd).map(Some),
                Err(why) => skipped.0.push(format!(
                    "Argo CD's secret {namespace}/{} is not used: {why}",
                    secret.name_any()
                )),
            }
        }
    }
    Ok(None)
}

/// Names of the Secrets in which other installers keep the kubeconfig, in
/// order. Their kinds need not exist on this hub nor be readable (404, 403);
/// any other fault is one: a member is not cut off because the hub faltered.
async fn foreign_names(
    client: &Client,
    cluster: &ManagedCluster,
    skipped: &mut Skipped,
) -> Result<Vec<(SourceKind, String)>, kube::Error> {
    let name = &cluster.name_any();
    let hive = reference(client, name, &HIVE).await?;
    let hypershift = reference(client, name, &HYPERSHIFT).await?;
    let cluster_api = cluster_api(cluster, skipped);
    Ok([
        (SourceKind::Hive, hive),
        (SourceKind::ClusterApi, cluster_api),
        (SourceKind::HyperShift, hypershift),
    ]
    .into_iter()
    .filter_map(|(kind, name)| Some((kind, name?)))
    .collect())
}

/// Cluster API's Secret; the Cluster is named like the ManagedCluster unless
/// OCM's annotation `<namespace>/<name>` says otherwise.
fn cluster_api(cluster: &ManagedCluster, skipped: &mut Skipped) -> Option<String> {
    let name = cluster.name_any();
    let Some(mapped) = cluster.annotations().get(ANNOTATION_CLUSTER_API) else {
        return Some(format!("{name}-kubeconfig"));
    };
    match mapped.split_once('/') {
        Some((namespace, cluster)) if namespace == name && !cluster.is_empty() => {
            Some(format!("{cluster}-kubeconfig"))
        }
        _ => {
            skipped.0.push(format!(
                "the annotation {ANNOTATION_CLUSTER_API}={mapped} is not followed, as it does not name a Cluster of this namespace"
            ));
            None
        }
    }
}

/// Where a kind of another installer names its kubeconfig Secret.
struct Foreign {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    pointer: &'static str,
}

/// Hive's names carry the provision's, so that only the reference tells them.
const HIVE: Foreign = Foreign {
    group: "hive.openshift.io",
    version: "v1",
    kind: "ClusterDeployment",
    plural: "clusterdeployments",
    pointer: "/spec/clusterMetadata/adminKubeconfigSecretRef/name",
};
/// HyperShift writes the reference into the status.
const HYPERSHIFT: Foreign = Foreign {
    group: "hypershift.openshift.io",
    version: "v1beta1",
    kind: "HostedCluster",
    plural: "hostedclusters",
    pointer: "/status/kubeconfig/name",
};

async fn reference(
    client: &Client,
    name: &str,
    foreign: &Foreign,
) -> Result<Option<String>, kube::Error> {
    let kind = GroupVersionKind::gvk(foreign.group, foreign.version, foreign.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, foreign.plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), name, &resource);
    match api.get_opt(name).await {
        Ok(object) => Ok(object.and_then(|object| secret_reference(&object.data, foreign))),
        // A group that nobody serves is answered by bare text, which kube does
        // not take for NotFound.
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn secret_reference(object: &Value, foreign: &Foreign) -> Option<String> {
    object
        .pointer(foreign.pointer)
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// The kubeconfig of a ManagedServiceAccount: its Secret has a token and a CA
/// but no server, which the ManagedCluster's first client config gives; a
/// `caBundle` there goes before the Secret's `ca.crt`.
fn account_kubeconfig(cluster: &ManagedCluster, secret: &Secret) -> Option<Vec<u8>> {
    let configs = cluster.spec.managed_cluster_client_configs.as_ref();
    let config = configs?.first()?;
    let data = secret.data.as_ref()?;
    let authority = config
        .ca_bundle
        .clone()
        .filter(|bundle| !bundle.is_empty())
        .or_else(|| Some(STANDARD.encode(&data.get("ca.crt")?.0)));
    let (server, token) = (config.url.as_bytes(), &data.get("token")?.0);
    token_kubeconfig(server, token, authority.as_deref())
}

fn read(secret: &Secret, kind: SourceKind) -> Result<Found, FindError> {
    let name = format!(
        "{}/{}",
        secret.namespace().unwrap_or_default(),
        secret.name_any()
    );
    let data = secret.data.clone().unwrap_or_default();
    let text = |key: &str| data.get(key).map(|bytes| bytes.0.clone());
    let kubeconfig = KUBECONFIG_KEYS
        .iter()
        .find_map(|key| text(key))
        .or_else(|| token_kubeconfig(&text("server")?, &text("token")?, None))
        .ok_or_else(|| FindError::NoKubeconfig(name.clone()))?;
    take(secret, &kubeconfig, kind)
}

fn take(secret: &Secret, kubeconfig: &[u8], kind: SourceKind) -> Result<Found, FindError> {
    let name = format!(
        "{}/{}",
        secret.namespace().unwrap_or_default(),
        secret.name_any()
    );
    let credential = MemberCredential::from_kubeconfig(kubeconfig, None).map_err(|source| {
        FindError::Refused {
            secret: name.clone(),
            source,
        }
    })?;
    Ok(Found {
        kind: if kind == SourceKind::Secret && is_renewed(secret, &credential) {
            SourceKind::Joined
        } else {
            kind
        },
        version: secret.resource_version(),
        source: format!("secret {name}"),
        watched: secret
            .labels()
            .get(LABEL_CREDENTIAL)
            .is_some_and(|value| value == "true"),
        fingerprint: Digest::of_bytes(kubeconfig).to_string(),
        credential,
    })
}

/// Whether it is the Secret that `cluster join` writes, with a token that the
/// hub is to renew. Only that name: the hub may write no other Secret.
fn is_renewed(secret: &Secret, credential: &MemberCredential) -> bool {
    secret.name_any() == CREDENTIAL_SECRET
        && secret
            .annotations()
            .get(ANNOTATION_RENEWED)
            .is_some_and(|value| value == "true")
        && credential.account().is_some()
}

/// RHACM's import Secret may hold a server and a token instead of a
/// kubeconfig; without an authority (base64) the server is trusted as its
/// certificate's public roots say.
fn token_kubeconfig(server: &[u8], token: &[u8], authority: Option<&str>) -> Option<Vec<u8>> {
    let server = std::str::from_utf8(server).ok()?.trim();
    let token = std::str::from_utf8(token).ok()?.trim();
    let mut cluster = serde_json::json!({"server": server});
    if let Some(authority) = authority {
        cluster["certificate-authority-data"] = authority.into();
    }
    one_context(&cluster, &serde_json::json!({"token": token}))
}

/// A kubeconfig of one cluster and one user.
fn one_context(cluster: &Value, user: &Value) -> Option<Vec<u8>> {
    serde_json::to_vec(&serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "import",
        "contexts": [{"name": "import", "context": {"cluster": "import", "user": "import"}}],
        "clusters": [{"name": "import", "cluster": cluster}],
        "users": [{"name": "import", "user": user}],
    }))
    .ok()
}

#[cfg(test)]
mod tests;
