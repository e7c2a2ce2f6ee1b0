//! Finding the credential of a cluster on the hub.
//!
//! Sources in order (ocm-placement §6.9, as far as built): the Secret that the
//! annotation names, a Secret labelled as credential, RHACM's import Secret.
//! All of them in the namespace named like the cluster: a Secret elsewhere is
//! never read, so nobody can point a cluster at the Secret of someone else.

use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::api::cluster::ManagedCluster;
use crate::api::{ANNOTATION_CREDENTIAL, AUTO_IMPORT_SECRET, LABEL_CREDENTIAL};
use crate::core::object::Digest;
use crate::member::credential::{CredentialError, MemberCredential};

/// Keys that hold a kubeconfig, in order.
const KUBECONFIG_KEYS: [&str; 2] = ["kubeconfig", "value"];

/// A credential that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// `secret ns/name`.
    pub source: String,
    /// The credential.
    pub credential: MemberCredential,
    /// Digest of the Secret's data: changes when the credential does.
    pub fingerprint: String,
}

/// Why there is no credential. The text never holds Secret data.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// None of the sources exists.
    #[error(
        "no credential in namespace {0}: create a Secret with a kubeconfig and the label {LABEL_CREDENTIAL}=true, or run pilothouse cluster join"
    )]
    Missing(String),
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
            Some(secret) => read(&secret),
            None => Err(FindError::NamedMissing(format!("{namespace}/{name}"))),
        };
    }
    let labelled = ListParams::default().labels(&format!("{LABEL_CREDENTIAL}=true"));
    let mut found = secrets.list(&labelled).await.map_err(failed)?.items;
    found.sort_by_key(ResourceExt::name_any);
    if let Some(secret) = found.first() {
        return read(secret);
    }
    match secrets.get_opt(AUTO_IMPORT_SECRET).await.map_err(failed)? {
        Some(secret) => read(&secret),
        None => Err(FindError::Missing(namespace)),
    }
}

fn read(secret: &Secret) -> Result<Found, FindError> {
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
        .or_else(|| token_kubeconfig(&text("server")?, &text("token")?))
        .ok_or_else(|| FindError::NoKubeconfig(name.clone()))?;
    let credential = MemberCredential::from_kubeconfig(&kubeconfig, None).map_err(|source| {
        FindError::Refused {
            secret: name.clone(),
            source,
        }
    })?;
    Ok(Found {
        source: format!("secret {name}"),
        fingerprint: Digest::of_bytes(&kubeconfig).to_string(),
        credential,
    })
}

/// RHACM's import Secret may hold a server and a token instead of a
/// kubeconfig; the server is then trusted as its certificate's public roots say.
fn token_kubeconfig(server: &[u8], token: &[u8]) -> Option<Vec<u8>> {
    let server = std::str::from_utf8(server).ok()?.trim();
    let token = std::str::from_utf8(token).ok()?.trim();
    serde_json::to_vec(&serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "import",
        "contexts": [{"name": "import", "context": {"cluster": "import", "user": "import"}}],
        "clusters": [{"name": "import", "cluster": {"server": server}}],
        "users": [{"name": "import", "user": {"token": token}}],
    }))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    fn secret(data: &[(&str, &str)]) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some("s".into());
        secret.metadata.namespace = Some("aws-sub1".into());
        secret.data = Some(
            data.iter()
                .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
                .collect(),
        );
        secret
    }

    #[test]
    fn a_server_and_a_token_make_a_credential() {
        let found = read(&secret(&[
            ("server", "https://api.example.com:6443\n"),
            ("token", "hush\n"),
        ]))
        .unwrap();
        assert_eq!(found.credential.server(), "https://api.example.com:6443");
        assert!(!format!("{found:?}").contains("hush"));
    }

    #[test]
    fn a_bad_secret_is_named_and_its_data_is_not() {
        let error = read(&secret(&[("kubeconfig", "users: hush")]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("secret aws-sub1/s") && !error.contains("hush"),
            "{error}"
        );
        assert!(matches!(
            read(&secret(&[("other", "x")])),
            Err(FindError::NoKubeconfig(_))
        ));
    }
}
