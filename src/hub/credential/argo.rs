//! Argo CD's cluster Secrets.
//!
//! They stand in Argo CD's namespace, not in the cluster's, and anyone may put
//! that label on a Secret: only the namespaces in which Argo CD and OpenShift
//! GitOps run by default are read, so that no tenant's Secret gets a cluster.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// Selects the Secrets (Argo CD, declarative setup).
pub(super) const SELECTOR: &str = "argocd.argoproj.io/secret-type=cluster";
/// Where Argo CD and OpenShift GitOps keep them by default.
pub(super) const NAMESPACES: [&str; 2] = ["argocd", "openshift-gitops"];
/// The ManagedCluster of a Secret that OCM's GitOpsCluster wrote.
const LABEL_CLUSTER: &str = "apps.open-cluster-management.io/cluster-name";

/// Whether it is the Secret of this cluster: by OCM's label, or else by its `name`.
pub(super) fn is_of(secret: &Secret, cluster: &str) -> bool {
    match secret.labels().get(LABEL_CLUSTER) {
        Some(name) => name == cluster,
        None => text(secret, "name").is_some_and(|name| name == cluster),
    }
}

/// Its credential as a kubeconfig; why not otherwise, without its data.
pub(super) fn kubeconfig(secret: &Secret) -> Result<Vec<u8>, &'static str> {
    let server = text(secret, "server").ok_or("it has no server")?;
    // Argo CD takes a Secret without a config too: one without a credential.
    let config = text(secret, "config").unwrap_or("{}");
    let config: Value = serde_json::from_str(config).map_err(|_| "its config is not JSON")?;
    let given = |pointer: &str| {
        let value = config.pointer(pointer).and_then(Value::as_str);
        value.filter(|value| !value.is_empty())
    };
    for (field, why) in [
        (
            "execProviderConfig",
            "it runs a command (execProviderConfig)",
        ),
        ("awsAuthConfig", "it uses AWS (awsAuthConfig)"),
    ] {
        if config.get(field).is_some_and(|value| !value.is_null()) {
            return Err(why);
        }
    }
    if given("/proxyUrl").is_some() {
        return Err("it goes through a proxy (proxyUrl)");
    }
    let mut user = json!({});
    for (pointer, field) in [
        ("/bearerToken", "token"),
        ("/username", "username"),
        ("/password", "password"),
        ("/tlsClientConfig/certData", "client-certificate-data"),
        ("/tlsClientConfig/keyData", "client-key-data"),
    ] {
        if let Some(value) = given(pointer) {
            user[field] = value.into();
        }
    }
    let has = |field: &str| user.get(field).is_some();
    if !(has("token") || has("username") || has("client-certificate-data")) {
        // GitOpsCluster with createBlankClusterSecrets writes such ones.
        return Err("it holds no credential (a blank cluster Secret)");
    }
    let mut cluster = json!({"server": server});
    for (pointer, field) in [
        ("/tlsClientConfig/caData", "certificate-authority-data"),
        ("/tlsClientConfig/serverName", "tls-server-name"),
    ] {
        if let Some(value) = given(pointer) {
            cluster[field] = value.into();
        }
    }
    let insecure = config.pointer("/tlsClientConfig/insecure");
    if insecure.and_then(Value::as_bool) == Some(true) {
        cluster["insecure-skip-tls-verify"] = true.into();
    }
    super::one_context(&cluster, &user).ok_or("it cannot be written as a kubeconfig")
}

fn text<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    let value = secret.data.as_ref()?.get(key)?;
    let value = std::str::from_utf8(&value.0).ok()?.trim();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::credential::MemberCredential;
    use k8s_openapi::ByteString;

    fn secret(config: &Value) -> Secret {
        let data = [
            ("name", "aws-sub1".to_owned()),
            ("server", "https://api.example.com:6443".to_owned()),
            ("config", config.to_string()),
        ];
        Secret {
            data: Some(
                data.into_iter()
                    .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
                    .collect(),
            ),
            ..Secret::default()
        }
    }

    #[test]
    fn tokens_passwords_and_certificates_are_taken() {
        for (config, words) in [
            (
                json!({"bearerToken": "hush", "tlsClientConfig": {"insecure": false, "caData": "b3du"}}),
                ["token: hush", "certificate-authority-data: b3du"],
            ),
            (
                json!({"username": "robot", "password": "hush", "tlsClientConfig": {"serverName": "inner"}}),
                ["username: robot", "tls-server-name: inner"],
            ),
            (
                json!({"tlsClientConfig": {"insecure": true, "certData": "Y2VydA==", "keyData": "a2V5"}}),
                ["client-key-data: a2V5", "insecure-skip-tls-verify: true"],
            ),
        ] {
            let kubeconfig = kubeconfig(&secret(&config)).unwrap();
            let credential = MemberCredential::from_kubeconfig(&kubeconfig, None).unwrap();
            assert_eq!(credential.server(), "https://api.example.com:6443");
            let yaml = credential.to_yaml().unwrap().replace('"', "");
            for word in words {
                assert!(yaml.contains(word), "{word}: {yaml}");
            }
        }
    }

    #[test]
    fn commands_clouds_proxies_and_blanks_are_skipped_with_a_reason() {
        for (config, why) in [
            (
                json!({"execProviderConfig": {"command": "sh"}, "bearerToken": "hush"}),
                "a command",
            ),
            (json!({"awsAuthConfig": {"clusterName": "eks"}}), "AWS"),
            (
                json!({"bearerToken": "hush", "proxyUrl": "http://proxy"}),
                "a proxy",
            ),
            (json!({"tlsClientConfig": {"insecure": true}}), "blank"),
            (json!({"bearerToken": ""}), "blank"),
            (json!("hush"), "blank"),
        ] {
            let error = kubeconfig(&secret(&config)).unwrap_err();
            assert!(error.contains(why) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn ocms_label_goes_before_the_name() {
        let mut secret = secret(&json!({}));
        assert!(is_of(&secret, "aws-sub1") && !is_of(&secret, "aws-sub2"));
        secret
            .labels_mut()
            .insert(LABEL_CLUSTER.to_owned(), "aws-sub2".to_owned());
        assert!(is_of(&secret, "aws-sub2") && !is_of(&secret, "aws-sub1"));
    }
}
