//! Who sees what of the dashboard, as a real API server's own reviews and RBAC
//! say, asked with the rights that `deploy/` gives the product and no others.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use pilothouse::app;
use pilothouse::core::view::{FleetView, example};
use pilothouse::web::access::{Access, Asked};
use pilothouse::web::{WebOptions, WebState, router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::SOON;
use crate::support::controlplane::Binaries;
use crate::support::{ControlPlane, ControlPlaneOptions, await_condition, have};

const APPS: &str = "apps.open-cluster-management.io";
const CLUSTERS: &str = "cluster.open-cluster-management.io";

#[tokio::test]
async fn an_account_sees_its_namespace_of_the_dashboard_only() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let options = ControlPlaneOptions {
        workloads: false,
        ..ControlPlaneOptions::default()
    };
    let plane = ControlPlane::start("hub", options).await.unwrap();
    let admin = plane.client().await.unwrap();
    let product = product(&plane, &admin).await;
    let tenant = tenant(&admin).await;
    let viewer = viewer(&admin).await;
    let nobody = account(&admin, "nobody").await;
    let site = site(&product);
    for (path, for_tenant, for_viewer, for_nobody) in [
        ("/", 200, 200, 403),
        ("/applications", 200, 403, 403),
        ("/applications/guestbook/guestbook-app", 200, 403, 403),
        ("/applications/metrics/node-exporter", 403, 403, 403),
        ("/clusters", 403, 200, 403),
        ("/clusters/aws-sub2", 403, 200, 403),
        ("/clusters/edge-3", 403, 403, 403),
    ] {
        for (who, token, status) in [
            ("tenant", &tenant, for_tenant),
            ("viewer", &viewer, for_viewer),
            ("nobody", &nobody, for_nobody),
        ] {
            for path in [path.to_owned(), format!("/api/v1{path}")] {
                let (found, text) = get(&site, &path, token).await;
                assert_eq!(found, status, "{path} {who}: {text}");
                let hidden = match who {
                    "tenant" => vec!["node-exporter", "edge-3"],
                    "viewer" => vec!["node-exporter", "guestbook-app", "edge-3"],
                    _ => Vec::new(),
                };
                for name in hidden.into_iter().filter(|_| found == StatusCode::OK) {
                    assert!(!text.contains(name), "{path} {who} shows {name}: {text}");
                }
                assert!(!text.contains(token.as_str()), "{path} repeats the token");
            }
        }
    }
    for (token, why) in [
        (other_audience(&admin, "viewer").await, "another audience"),
        (format!("{viewer}x"), "a signature that does not fit"),
    ] {
        let (status, _) = get(&site, "/api/v1/clusters", &token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{why}");
    }
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin);
    let gone = accounts.delete("viewer", &DeleteParams::default()).await;
    gone.unwrap();
    // The API server believes a token for some seconds itself; ours is a new
    // cache every time.
    await_condition("its account is gone", SOON, || async {
        match get(&self::site(&product), "/api/v1/clusters", &viewer).await {
            (StatusCode::UNAUTHORIZED, _) => Ok(()),
            (status, _) => Err(status.to_string()),
        }
    })
    .await;
    plane.stop().await.unwrap();
}

/// The made-up fleet behind the authoriser of the product.
fn site(product: &Client) -> axum::Router {
    let facts = example::facts(Timestamp::now());
    let (_, view) = watch::channel(Arc::new(FleetView::build(facts)));
    let access = Access::Asked(Asked {
        authoriser: app::authoriser(product.clone()),
        proxy: None,
    });
    router(WebState::new(
        view,
        None,
        CancellationToken::new(),
        WebOptions::default(),
        access,
    ))
}

async fn get(site: &axum::Router, path: &str, token: &str) -> (StatusCode, String) {
    let request = Request::get(path)
        .header(header::HOST, "127.0.0.1:8080")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let request = request.body(Body::empty()).unwrap();
    let response = site.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 8 << 20).await;
    let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
    (status, text)
}

/// A client with the rights to ask that `deploy/base/rbac.yaml` gives.
async fn product(plane: &ControlPlane, admin: &Client) -> Client {
    let rules = asking();
    assert_eq!(rules.len(), 2, "one rule for tokens, one for rights");
    let role = json!({"metadata": {"name": "asking"}, "rules": rules});
    create(&Api::<ClusterRole>::all(admin.clone()), role).await;
    let token = account(admin, "product").await;
    bind_everywhere(admin, "product", "asking").await;
    let kubeconfig = Kubeconfig::from_yaml(&plane.kubeconfig()).unwrap();
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
    config.auth_info = serde_json::from_value(json!({"token": token})).unwrap();
    Client::try_from(config).unwrap()
}

fn asking() -> Vec<Value> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/rbac.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let reviews = [json!(["tokenreviews"]), json!(["subjectaccessreviews"])];
    text.split("\n---")
        .map(|document| serde_yaml::from_str::<Value>(document).unwrap())
        .filter(|document| document["kind"] == "ClusterRole")
        .flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default())
        .filter(|rule| reviews.contains(&rule["resources"]))
        .collect()
}

/// May list Subscriptions in the namespace `guestbook`.
async fn tenant(admin: &Client) -> String {
    let token = account(admin, "tenant").await;
    let namespace = json!({"metadata": {"name": "guestbook"}});
    create(&Api::<Namespace>::all(admin.clone()), namespace).await;
    let role = json!({
        "metadata": {"name": "tenant"},
        "rules": [{"apiGroups": [APPS], "resources": ["subscriptions"], "verbs": ["list"]}],
    });
    let roles: Api<Role> = Api::namespaced(admin.clone(), "guestbook");
    create(&roles, role).await;
    let binding = json!({
        "metadata": {"name": "tenant"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": "default"}],
    });
    let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), "guestbook");
    create(&bindings, binding).await;
    token
}

/// May get one ManagedCluster.
async fn viewer(admin: &Client) -> String {
    let role = json!({
        "metadata": {"name": "viewer"},
        "rules": [{
            "apiGroups": [CLUSTERS], "resources": ["managedclusters"],
            "resourceNames": ["aws-sub2"], "verbs": ["get"],
        }],
    });
    create(&Api::<ClusterRole>::all(admin.clone()), role).await;
    let token = account(admin, "viewer").await;
    bind_everywhere(admin, "viewer", "viewer").await;
    token
}

async fn bind_everywhere(admin: &Client, account: &str, role: &str) {
    let binding = json!({
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "default"}],
    });
    create(&Api::<ClusterRoleBinding>::all(admin.clone()), binding).await;
}

/// Makes a ServiceAccount in `default`; returns a token of it.
async fn account(admin: &Client, name: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin.clone());
    create(&accounts, json!({"metadata": {"name": name}})).await;
    token(admin, name, TokenRequestSpec::default()).await
}

async fn other_audience(admin: &Client, name: &str) -> String {
    let spec = TokenRequestSpec {
        audiences: vec!["https://elsewhere.example.com".to_owned()],
        ..TokenRequestSpec::default()
    };
    token(admin, name, spec).await
}

async fn token(admin: &Client, name: &str, spec: TokenRequestSpec) -> String {
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin.clone());
    let request = TokenRequest {
        spec,
        ..TokenRequest::default()
    };
    let made = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await;
    made.unwrap().status.unwrap().token
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: kube::Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}
