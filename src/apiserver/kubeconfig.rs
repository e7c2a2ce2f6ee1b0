//! The administrator's kubeconfig.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::pki::Pki;

/// YAML with everything inline. Strings are quoted as JSON, which YAML is a
/// superset of.
pub(super) fn admin(pki: &Pki, cluster: &str, server_url: &str) -> String {
    let ca = STANDARD.encode(&pki.ca_certificate);
    let certificate = STANDARD.encode(&pki.admin.certificate);
    let key = STANDARD.encode(&pki.admin.key);
    let name = json!(cluster);
    let user = json!(format!("{cluster}-admin"));
    let server = json!(server_url);
    let token = json!(pki.admin_token);
    format!(
        "apiVersion: v1
kind: Config
current-context: {name}
clusters:
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {user}
    namespace: default
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
    token: {token}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_rs_reads_it() {
        let pki = Pki::open(None, "my \"cluster\"", &[]).unwrap();
        let text = admin(&pki, "my \"cluster\"", "https://127.0.0.1:6443");
        let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("my \"cluster\""));
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
    }
}
