use super::*;
use k8s_openapi::ByteString;
use serde_json::json;

use crate::apiserver::{Options, Server};

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
    let found = read(
        &secret(&[
            ("server", "https://api.example.com:6443\n"),
            ("token", "hush\n"),
        ]),
        SourceKind::Secret,
    )
    .unwrap();
    assert_eq!(found.credential.server(), "https://api.example.com:6443");
    assert!(!format!("{found:?}").contains("hush"));
}

#[test]
fn a_bad_secret_is_named_and_its_data_is_not() {
    let error = read(
        &secret(&[("kubeconfig", "users: hush")]),
        SourceKind::Secret,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("secret aws-sub1/s") && !error.contains("hush"),
        "{error}"
    );
    assert!(matches!(
        read(&secret(&[("other", "x")]), SourceKind::Secret),
        Err(FindError::NoKubeconfig(_))
    ));
}

#[test]
fn a_managed_service_account_takes_the_server_of_the_client_config() {
    let with = |config: Value| -> ManagedCluster {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "cluster.open-cluster-management.io/v1", "kind": "ManagedCluster",
            "metadata": {"name": "aws-sub1"},
            "spec": {"hubAcceptsClient": true, "managedClusterClientConfigs": config},
        }))
        .unwrap()
    };
    let account = secret(&[("token", "hush"), ("ca.crt", "own")]);
    let url = "https://api.example.com:6443";
    for (config, authority) in [
        (serde_json::json!([{"url": url}]), "b3du"),
        (
            serde_json::json!([{"url": url, "caBundle": "YnVuZGxl"}]),
            "YnVuZGxl",
        ),
    ] {
        let kubeconfig = account_kubeconfig(&with(config), &account).unwrap();
        let found = take(&account, &kubeconfig, SourceKind::ManagedServiceAccount).unwrap();
        assert_eq!(found.credential.server(), url);
        assert!(found.credential.to_yaml().unwrap().contains(authority));
        assert!(!format!("{found:?}").contains("hush"));
    }
    assert!(account_kubeconfig(&with(serde_json::json!([])), &account).is_none());
}

#[test]
fn installers_name_their_secret_by_reference() {
    let deployment = serde_json::json!({"spec": {"clusterMetadata": {
        "adminKubeconfigSecretRef": {"name": "aws-sub1-0-abcde-admin-kubeconfig"}}}});
    let hosted =
        serde_json::json!({"status": {"kubeconfig": {"name": "aws-sub1-admin-kubeconfig"}}});
    assert_eq!(
        secret_reference(&deployment, &HIVE).as_deref(),
        Some("aws-sub1-0-abcde-admin-kubeconfig")
    );
    assert_eq!(
        secret_reference(&hosted, &HYPERSHIFT).as_deref(),
        Some("aws-sub1-admin-kubeconfig")
    );
    assert_eq!(secret_reference(&serde_json::json!({}), &HIVE), None);
}

const CLUSTER: &str = "aws-sub1";

fn cluster(annotations: &Value) -> ManagedCluster {
    serde_json::from_value(json!({
        "apiVersion": "cluster.open-cluster-management.io/v1", "kind": "ManagedCluster",
        "metadata": {"name": CLUSTER, "annotations": annotations},
        "spec": {
            "hubAcceptsClient": true,
            "managedClusterClientConfigs": [{"url": "https://msa.example.com"}],
        },
    }))
    .unwrap()
}

fn kubeconfig(host: &str) -> String {
    let server = json!({"server": format!("https://{host}.example.com")});
    let bytes = one_context(&server, &json!({"token": "hush"})).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A hub without CRDs, with the namespaces that are read.
async fn hub() -> Client {
    let client = Server::open(Options::in_memory("hub")).unwrap().client();
    for name in [CLUSTER, "argocd", "openshift-gitops", "tenant"] {
        create(
            &client,
            "",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        )
        .await;
    }
    client
}

/// Creates any object by its path.
async fn create(client: &Client, plural: &str, object: Value) {
    let version = object["apiVersion"].as_str().unwrap();
    let kind = object["kind"].as_str().unwrap();
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, kind);
    let resource = match plural {
        "" => ApiResource::from_gvk(&kind),
        plural => ApiResource::from_gvk_with_plural(&kind, plural),
    };
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let object = serde_json::from_value(object).unwrap();
    api.create(&Default::default(), &object).await.unwrap();
}

async fn create_secret(client: &Client, namespace: &str, name: &str, labels: Value, data: Value) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": data.get("type"),
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "stringData": data["data"],
    });
    create(client, "", secret).await;
}

async fn foreign_kind(client: &Client, foreign: &Foreign) {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    create(client, "", json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", foreign.plural, foreign.group)},
        "spec": {
            "group": foreign.group, "scope": "Namespaced",
            "names": {"kind": foreign.kind, "plural": foreign.plural, "singular": foreign.kind.to_lowercase()},
            "versions": [{"name": foreign.version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    }))
    .await;
}

/// From the last source to the first: each that comes wins over those before.
#[tokio::test]
async fn sources_are_read_in_order() {
    let hub = hub().await;
    let plain = cluster(&json!({}));
    let argo = json!({"argocd.argoproj.io/secret-type": "cluster"});
    let config = json!({"bearerToken": "hush", "tlsClientConfig": {"insecure": false}}).to_string();
    let data =
        json!({"data": {"name": CLUSTER, "server": "https://argo.example.com", "config": config}});
    create_secret(&hub, "openshift-gitops", "cluster-one", argo, data).await;
    expect(&hub, &plain, SourceKind::ArgoCd, "argo").await;

    foreign_kind(&hub, &HYPERSHIFT).await;
    create(
        &hub,
        HYPERSHIFT.plural,
        json!({
            "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
            "metadata": {"namespace": CLUSTER, "name": CLUSTER},
            "status": {"kubeconfig": {"name": "hosted-admin-kubeconfig"}},
        }),
    )
    .await;
    let data = json!({"data": {"kubeconfig": kubeconfig("hypershift")}});
    create_secret(&hub, CLUSTER, "hosted-admin-kubeconfig", json!({}), data).await;
    expect(&hub, &plain, SourceKind::HyperShift, "hypershift").await;

    let labels = json!({"cluster.x-k8s.io/cluster-name": CLUSTER});
    let data = json!({"type": "cluster.x-k8s.io/secret", "data": {"value": kubeconfig("capi")}});
    create_secret(&hub, CLUSTER, "aws-sub1-kubeconfig", labels, data).await;
    expect(&hub, &plain, SourceKind::ClusterApi, "capi").await;

    foreign_kind(&hub, &HIVE).await;
    create(&hub, HIVE.plural, json!({
        "apiVersion": "hive.openshift.io/v1", "kind": "ClusterDeployment",
        "metadata": {"namespace": CLUSTER, "name": CLUSTER},
        "spec": {"clusterMetadata": {"adminKubeconfigSecretRef": {"name": "aws-sub1-0-abcde-admin-kubeconfig"}}},
    }))
    .await;
    let labels = json!({"hive.openshift.io/secret-type": "kubeconfig"});
    let data =
        json!({"data": {"kubeconfig": kubeconfig("hive"), "raw-kubeconfig": kubeconfig("raw")}});
    create_secret(
        &hub,
        CLUSTER,
        "aws-sub1-0-abcde-admin-kubeconfig",
        labels,
        data,
    )
    .await;
    expect(&hub, &plain, SourceKind::Hive, "hive").await;

    let data = json!({"data": {"token": "hush", "ca.crt": "own"}});
    create_secret(
        &hub,
        CLUSTER,
        "pilothouse",
        json!({LABEL_MANAGED_ACCOUNT: "true"}),
        data,
    )
    .await;
    expect(&hub, &plain, SourceKind::ManagedServiceAccount, "msa").await;

    let data = json!({
        "type": "auto-import/kubetoken",
        "data": {"server": "https://import.example.com", "token": "hush"},
    });
    create_secret(&hub, CLUSTER, AUTO_IMPORT_SECRET, json!({}), data).await;
    expect(&hub, &plain, SourceKind::AutoImport, "import").await;

    let data = json!({"data": {"value": kubeconfig("labelled")}});
    create_secret(
        &hub,
        CLUSTER,
        "mine",
        json!({LABEL_CREDENTIAL: "true"}),
        data,
    )
    .await;
    expect(&hub, &plain, SourceKind::Secret, "labelled").await;

    let data = json!({"data": {"kubeconfig": kubeconfig("named")}});
    create_secret(&hub, CLUSTER, "named", json!({}), data).await;
    let annotated = cluster(&json!({ANNOTATION_CREDENTIAL: "named"}));
    expect(&hub, &annotated, SourceKind::Secret, "named").await;
}

async fn expect(hub: &Client, cluster: &ManagedCluster, kind: SourceKind, host: &str) {
    let found = find(hub, cluster).await.unwrap();
    let server = format!("https://{host}.example.com");
    assert_eq!(
        (found.kind, found.credential.server()),
        (kind, server.as_str())
    );
}

#[tokio::test]
async fn what_is_not_used_is_told_with_every_source_looked_at() {
    let hub = hub().await;
    let data = json!({"type": "auto-import/rosa", "data": {"api_token": "hush"}});
    create_secret(&hub, CLUSTER, AUTO_IMPORT_SECRET, json!({}), data).await;
    let argo = json!({"argocd.argoproj.io/secret-type": "cluster"});
    for (namespace, config) in [("argocd", "{}"), ("tenant", r#"{"bearerToken":"hush"}"#)] {
        let data =
            json!({"data": {"name": CLUSTER, "server": "https://x.example.com", "config": config}});
        create_secret(&hub, namespace, "cluster-one", argo.clone(), data).await;
    }
    let elsewhere = cluster(&json!({ANNOTATION_CLUSTER_API: "other/prod"}));
    let error = find(&hub, &elsewhere).await.unwrap_err().to_string();
    for words in [
        "auto-import/rosa",
        "cluster.x-k8s.io/cluster=other/prod",
        "argocd/cluster-one is not used: it holds no credential",
        "ManagedServiceAccount",
        "Hive, Cluster API and HyperShift",
        "Argo CD",
        "pilothouse cluster join",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(
        !error.contains("hush") && !error.contains("tenant"),
        "{error}"
    );
}

#[tokio::test]
async fn cluster_api_maps_a_cluster_of_the_same_namespace() {
    let hub = hub().await;
    let data = json!({"data": {"value": kubeconfig("capi")}});
    create_secret(&hub, CLUSTER, "workload-kubeconfig", json!({}), data).await;
    let mapped = cluster(&json!({ANNOTATION_CLUSTER_API: "aws-sub1/workload"}));
    expect(&hub, &mapped, SourceKind::ClusterApi, "capi").await;
}

/// A hub that answers the kinds of other installers with a status.
fn refusing(code: u16) -> Client {
    let service = tower::service_fn(
        move |request: http::Request<kube::client::Body>| async move {
            let path = request.uri().path().to_owned();
            let (code, body) = if path.contains("openshift.io") {
                (
                    code,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "", "message": "no"}),
                )
            } else if path.ends_with("/aws-sub1-kubeconfig") {
                let data = ByteString(kubeconfig("capi").into_bytes());
                (
                    200,
                    json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "aws-sub1-kubeconfig", "namespace": CLUSTER}, "data": {"value": data}}),
                )
            } else if path.ends_with("/secrets") {
                (
                    200,
                    json!({"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []}),
                )
            } else {
                (
                    404,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": "no"}),
                )
            };
            let answer = http::Response::builder().status(code);
            Ok::<_, std::convert::Infallible>(
                answer
                    .body(kube::client::Body::from(body.to_string().into_bytes()))
                    .unwrap(),
            )
        },
    );
    Client::new(service, "default")
}

#[tokio::test]
async fn foreign_kinds_may_be_missing_or_forbidden_but_not_fail() {
    for code in [403, 404] {
        expect(
            &refusing(code),
            &cluster(&json!({})),
            SourceKind::ClusterApi,
            "capi",
        )
        .await;
    }
    let failed = find(&refusing(500), &cluster(&json!({})))
        .await
        .unwrap_err();
    assert!(matches!(failed, FindError::Api { .. }), "{failed:?}");
}

#[tokio::test]
async fn a_named_secret_that_is_missing_is_named() {
    let named = cluster(&json!({ANNOTATION_CREDENTIAL: "elsewhere/gone"}));
    let error = find(&hub().await, &named).await.unwrap_err();
    assert!(matches!(error, FindError::NamedMissing(name) if name == "aws-sub1/gone"));
}
