//! The credential of a member: a kubeconfig, taken apart and checked.
//!
//! A kubeconfig comes from a Secret that a tenant may have written, so it is
//! untrusted: whatever would run a command or read a file on the hub is
//! refused (Hive had a remote code execution by `exec`).

mod admin;
pub mod agent;
mod validity;

use std::fmt;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

pub use admin::{AdminAccess, AdminError};
pub use validity::{Account, TOKEN_LIFETIME, Validity};

use crate::core::object::Digest;

/// Largest kubeconfig that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Why a kubeconfig is not taken. The text never holds its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It is not a kubeconfig.
    #[error(
        "the kubeconfig cannot be read as YAML of kind Config; write a new one with kubectl config view --flatten --minify"
    )]
    NotKubeconfig,
    /// It is too large.
    #[error(
        "the kubeconfig has {0} bytes, more than {MAX_BYTES}; write a smaller one with kubectl config view --flatten --minify"
    )]
    TooLarge(usize),
    /// The context does not exist.
    #[error(
        "the kubeconfig has no context {0:?}; name one that it has, or set its current-context"
    )]
    NoContext(String),
    /// It refers to something outside of itself.
    #[error(
        "the kubeconfig uses {0}, which is refused because it would run or read something on the hub; put the data inline with kubectl config view --flatten, or use a token"
    )]
    Refused(&'static str),
    /// The server is missing or not an URL.
    #[error("the kubeconfig names no usable server; it must be an http or https URL")]
    NoServer,
    /// A certificate or key does not parse.
    #[error("the kubeconfig's certificates or keys cannot be read; check the base64 data")]
    BadData,
}

/// A checked kubeconfig with one context. Its Debug form shows only the server.
#[derive(Clone)]
pub struct MemberCredential {
    kubeconfig: Box<Kubeconfig>,
    server: String,
    fingerprint: Digest,
}

impl PartialEq for MemberCredential {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for MemberCredential {}

impl fmt::Debug for MemberCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberCredential({}, <redacted>)", self.server)
    }
}

impl MemberCredential {
    /// Takes one context of a kubeconfig (its current one by default).
    ///
    /// # Errors
    /// When it is not a kubeconfig, lacks the context or server, or refers to
    /// commands or files.
    pub fn from_kubeconfig(bytes: &[u8], context: Option<&str>) -> Result<Self, CredentialError> {
        if bytes.len() > MAX_BYTES {
            return Err(CredentialError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| CredentialError::NotKubeconfig)?;
        let mut kubeconfig =
            Kubeconfig::from_yaml(text).map_err(|_| CredentialError::NotKubeconfig)?;
        let wanted = context
            .map(str::to_owned)
            .or_else(|| kubeconfig.current_context.clone())
            .or_else(|| match kubeconfig.contexts.as_slice() {
                [only] => Some(only.name.clone()),
                _ => None,
            })
            .unwrap_or_default();
        kubeconfig.contexts.retain(|named| named.name == wanted);
        let Some(context) = kubeconfig
            .contexts
            .first()
            .and_then(|named| named.context.clone())
        else {
            return Err(CredentialError::NoContext(wanted));
        };
        kubeconfig
            .clusters
            .retain(|named| named.name == context.cluster);
        kubeconfig
            .auth_infos
            .retain(|named| Some(&named.name) == context.user.as_ref());
        let fingerprint =
            Digest::combine(&[Digest::of_bytes(bytes), Digest::of_bytes(wanted.as_bytes())]);
        kubeconfig.current_context = Some(wanted);
        refuse_references(&kubeconfig)?;
        let server = server(&kubeconfig).ok_or(CredentialError::NoServer)?;
        Ok(Self {
            kubeconfig: Box::new(kubeconfig),
            server,
            fingerprint,
        })
    }

    /// The server's URL without user info.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The kubeconfig reduced to the one context, as YAML. Secret.
    ///
    /// # Errors
    /// Only on a defect of this build.
    pub fn to_yaml(&self) -> Result<String, CredentialError> {
        serde_yaml::to_string(&self.kubeconfig).map_err(|_| CredentialError::NotKubeconfig)
    }

    /// The one user of the kubeconfig, as JSON. Secret.
    fn user(&self) -> serde_json::Value {
        let info = self.kubeconfig.auth_infos.first();
        let info = info.and_then(|named| named.auth_info.as_ref());
        serde_json::to_value(info).unwrap_or_default()
    }

    /// From when until when it counts: a token's `exp`, else the client
    /// certificate's `notAfter`. `None` when neither says (an opaque token).
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        let user = self.user();
        // A token goes before a certificate: it is the one that is checked.
        match user.get("token").and_then(serde_json::Value::as_str) {
            Some(token) => validity::of_token(token),
            None => validity::of_certificate(user.get("client-certificate-data")?.as_str()?),
        }
    }

    /// The member's ServiceAccount whose token it holds, as the token says.
    #[must_use]
    pub fn account(&self) -> Option<Account> {
        validity::account_of_token(self.user().get("token")?.as_str()?)
    }

    /// The same cluster with a token in the place of its user.
    ///
    /// # Errors
    /// Only on a defect of this build.
    pub fn with_token(&self, token: &str) -> Result<Self, CredentialError> {
        let mut kubeconfig =
            serde_json::to_value(&self.kubeconfig).map_err(|_| CredentialError::NotKubeconfig)?;
        let context = kubeconfig.pointer("/contexts/0/context/user").cloned();
        let name = context.filter(serde_json::Value::is_string);
        let name = name.unwrap_or_else(|| "pilothouse".into());
        if let Some(context) = kubeconfig.pointer_mut("/contexts/0/context") {
            context["user"] = name.clone();
        }
        kubeconfig["users"] = serde_json::json!([{"name": name, "user": {"token": token}}]);
        Self::from_kubeconfig(kubeconfig.to_string().as_bytes(), None)
    }

    /// The client configuration, without kube's own retries and timeouts.
    ///
    /// # Errors
    /// When certificates or keys do not parse.
    pub async fn config(&self) -> Result<Config, CredentialError> {
        let mut config = Config::from_custom_kubeconfig(
            (*self.kubeconfig).clone(),
            &KubeConfigOptions::default(),
        )
        .await
        .map_err(|_| CredentialError::BadData)?;
        config.default_retry = false;
        Ok(config)
    }
}

fn server(kubeconfig: &Kubeconfig) -> Option<String> {
    let server = kubeconfig
        .clusters
        .first()?
        .cluster
        .as_ref()?
        .server
        .clone()?;
    let uri: http::Uri = server.parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let authority = uri.authority()?.as_str();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    Some(format!(
        "{scheme}://{host}{}",
        uri.path().trim_end_matches('/')
    ))
}

fn refuse_references(kubeconfig: &Kubeconfig) -> Result<(), CredentialError> {
    for cluster in kubeconfig
        .clusters
        .iter()
        .filter_map(|named| named.cluster.as_ref())
    {
        if cluster.certificate_authority.is_some() {
            return Err(CredentialError::Refused("certificate-authority (a file)"));
        }
        if cluster.proxy_url.is_some() {
            return Err(CredentialError::Refused("proxy-url"));
        }
    }
    for user in kubeconfig
        .auth_infos
        .iter()
        .filter_map(|named| named.auth_info.as_ref())
    {
        let refused = [
            (user.exec.is_some(), "exec"),
            (user.auth_provider.is_some(), "auth-provider"),
            (user.token_file.is_some(), "tokenFile"),
            (
                user.client_certificate.is_some(),
                "client-certificate (a file)",
            ),
            (user.client_key.is_some(), "client-key (a file)"),
        ];
        if let Some((_, what)) = refused.into_iter().find(|(present, _)| *present) {
            return Err(CredentialError::Refused(what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
             contexts:\n- name: one\n  context: {{cluster: c, user: u}}\n- name: two\n  context: {{cluster: d, user: v}}\n\
             clusters:\n- name: c\n  cluster: {{{cluster}}}\n- name: d\n  cluster: {{server: 'https://d.example.com'}}\n\
             users:\n- name: u\n  user: {{{user}}}\n- name: v\n  user: {{token: other-token}}\n"
        )
    }

    #[test]
    fn takes_one_context_and_leaves_the_rest_behind() {
        let text = kubeconfig(
            "server: 'https://user:pw@api.example.com:6443/prefix/'",
            "token: hush",
        );
        let credential = MemberCredential::from_kubeconfig(text.as_bytes(), None).unwrap();
        assert_eq!(credential.server(), "https://api.example.com:6443/prefix");
        let yaml = credential.to_yaml().unwrap();
        assert!(
            yaml.contains("hush") && !yaml.contains("other-token"),
            "{yaml}"
        );
        let second = MemberCredential::from_kubeconfig(text.as_bytes(), Some("two")).unwrap();
        assert_eq!(second.server(), "https://d.example.com");
    }

    #[test]
    fn never_shows_the_token() {
        let text = kubeconfig("server: 'https://api.example.com'", "token: hush");
        let credential = MemberCredential::from_kubeconfig(text.as_bytes(), None).unwrap();
        assert!(!format!("{credential:?}").contains("hush"));
    }

    #[test]
    fn refuses_whatever_reaches_out_of_the_file() {
        let server = "server: 'https://api.example.com'";
        for (cluster, user, what) in [
            (
                server,
                "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}",
                "exec",
            ),
            (
                server,
                "auth-provider: {name: gcp, config: {}}",
                "auth-provider",
            ),
            (server, "tokenFile: /etc/token", "tokenFile"),
            (
                server,
                "client-certificate: /etc/crt",
                "client-certificate (a file)",
            ),
            (server, "client-key: /etc/key", "client-key (a file)"),
            (
                "server: 'https://a.example.com', certificate-authority: /etc/ca",
                "token: x",
                "certificate-authority (a file)",
            ),
        ] {
            let refused =
                MemberCredential::from_kubeconfig(kubeconfig(cluster, user).as_bytes(), None);
            assert_eq!(refused, Err(CredentialError::Refused(what)));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let good = kubeconfig("server: 'https://api.example.com'", "token: x");
        assert_eq!(
            MemberCredential::from_kubeconfig(good.as_bytes(), Some("three")),
            Err(CredentialError::NoContext("three".into()))
        );
        assert_eq!(
            MemberCredential::from_kubeconfig(
                kubeconfig("server: 'ftp://x'", "token: x").as_bytes(),
                None
            ),
            Err(CredentialError::NoServer)
        );
        assert!(MemberCredential::from_kubeconfig(b"[[[", None).is_err());
        assert!(MemberCredential::from_kubeconfig(&vec![b'a'; MAX_BYTES + 1], None).is_err());
    }
}
