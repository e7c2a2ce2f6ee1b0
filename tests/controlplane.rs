//! The harness proves itself: what it starts is a real control plane. And what
//! only a real API server's own reviews can prove.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does")]

#[path = "controlplane/dashboard.rs"]
mod dashboard;
#[path = "support/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Secret, Service};
use kube::api::{Api, ListParams, PostParams};
use pilothouse::api::cluster::ManagedCluster;
use pilothouse::api::crds;
use pilothouse::member::credential::MemberCredential;
use support::controlplane::Binaries;
use support::{ControlPlane, ControlPlaneOptions, Fleet, await_condition, have};

const SOON: Duration = Duration::from_secs(60);

fn web() -> Deployment {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.k8s.io/pause:3.10"}]},
            },
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn fleet_rolls_out_and_gives_addresses() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let fleet = Fleet::guestbook().await.unwrap();
    let member = fleet.members["aws-sub1"].client().await.unwrap();
    let deployments: Api<Deployment> = Api::default_namespaced(member.clone());
    deployments
        .create(&PostParams::default(), &web())
        .await
        .unwrap();
    await_condition("three replicas available", SOON, || async {
        let web = deployments.get("web").await.map_err(|e| e.to_string())?;
        match web.status.as_ref().and_then(|s| s.available_replicas) {
            Some(3) => Ok(()),
            _ => Err(format!("{:?}", web.status)),
        }
    })
    .await;
    let kubernetes = Api::<Service>::default_namespaced(member)
        .get("kubernetes")
        .await
        .unwrap();
    let address = kubernetes.spec.and_then(|spec| spec.cluster_ip);
    assert_eq!(address.as_deref(), Some("172.31.0.1"));
    let hub = fleet.hub.client().await.unwrap();
    let nodes = Api::<Node>::all(hub).list(&ListParams::default()).await;
    assert!(nodes.unwrap().items.is_empty(), "a hub runs no workloads");
}

#[tokio::test]
async fn member_goes_down_and_comes_back_with_its_objects() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let options = ControlPlaneOptions {
        workloads: false,
        ..ControlPlaneOptions::default()
    };
    let mut plane = ControlPlane::start("member", options).await.unwrap();
    let objects = || async { Api::<Deployment>::default_namespaced(plane.client().await.unwrap()) };
    objects()
        .await
        .create(&PostParams::default(), &web())
        .await
        .unwrap();
    let ids: BTreeMap<_, _> = plane.pids().into_iter().collect();
    plane.kill_apiserver().unwrap();
    let down = Api::<Deployment>::default_namespaced(plane.client().await.unwrap());
    assert!(down.get("web").await.is_err());
    plane.start_apiserver().await.unwrap();
    let again: BTreeMap<_, _> = plane.pids().into_iter().collect();
    assert_ne!(ids["kube-apiserver"], again["kube-apiserver"]);
    assert_eq!(ids["etcd"], again["etcd"]);
    let back = Api::<Deployment>::default_namespaced(plane.client().await.unwrap());
    back.get("web").await.unwrap();
    plane.stop().await.unwrap();
}

/// Runs the program against a control plane that is hub and member in one.
fn cluster(plane: &ControlPlane, arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pilothouse"))
        .arg("cluster")
        .args(arguments)
        .arg("--hub-kubeconfig")
        .arg(plane.kubeconfig_path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{error}");
    text
}

/// The kubeconfig that the hub has of a cluster.
async fn stored(hub: &kube::Client, cluster: &str) -> Vec<u8> {
    let secrets = Api::<Secret>::namespaced(hub.clone(), cluster);
    let secret = secrets.get("pilothouse-credential").await.unwrap();
    secret.data.unwrap()["kubeconfig"].0.clone()
}

/// RBAC is on here: the account may renew its token, and the administrator's
/// certificate does not reach the hub.
#[tokio::test]
async fn a_cluster_joins_by_a_token_that_ends_rotates_it_and_leaves() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let options = ControlPlaneOptions {
        workloads: false,
        ..ControlPlaneOptions::default()
    };
    let plane = ControlPlane::start("both", options).await.unwrap();
    let hub = plane.client().await.unwrap();
    for definition in crds::all().unwrap() {
        let api = Api::all(hub.clone());
        api.create(&PostParams::default(), &definition)
            .await
            .unwrap();
    }
    let clusters = Api::<ManagedCluster>::all(hub.clone());
    await_condition("ManagedClusters served", SOON, || async {
        let answer = clusters.list(&ListParams::default()).await;
        answer.map(drop).map_err(|error| error.to_string())
    })
    .await;

    let path = plane.kubeconfig_path();
    let admin = path.to_str().unwrap();
    let said = cluster(&plane, &["join", "one", "--kubeconfig", admin]);
    assert!(said.contains("the hub renews it before"), "{said}");
    let first = stored(&hub, "one").await;
    assert!(!String::from_utf8_lossy(&first).contains("client-"));
    let credential = MemberCredential::from_kubeconfig(&first, None).unwrap();
    let account = credential.account().unwrap();
    assert_eq!(
        (account.namespace.as_str(), account.name.as_str()),
        ("pilothouse-agent", "pilothouse")
    );
    let days = credential.validity().unwrap().lifetime().as_hours() / 24;
    assert_eq!(days, 30);

    // By the token itself: no administrator.
    cluster(&plane, &["rotate", "one"]);
    let second = stored(&hub, "one").await;
    assert_ne!(first, second);
    let listed = cluster(&plane, &["list", "-o", "wide"]);
    let ends = MemberCredential::from_kubeconfig(&second, None).unwrap();
    let ends = ends.validity().unwrap().expires.to_string();
    for word in ["cluster join", credential.server(), &ends] {
        assert!(listed.contains(word), "{word}: {listed}");
    }

    let said = cluster(&plane, &["leave", "one"]);
    assert!(said.contains("ServiceAccount and rights"), "{said}");
    assert!(clusters.get_opt("one").await.unwrap().is_none());
    let namespaces = Api::<Namespace>::all(hub.clone());
    let agent = namespaces.get_opt("pilothouse-agent").await.unwrap();
    assert!(agent.is_none_or(|agent| agent.metadata.deletion_timestamp.is_some()));
    plane.stop().await.unwrap();
}
