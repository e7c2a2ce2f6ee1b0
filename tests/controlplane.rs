//! The harness proves itself: what it starts is a real control plane.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does")]

#[path = "support/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::{Api, ListParams, PostParams};
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
