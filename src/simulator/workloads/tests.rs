use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::kind::Kind;
use super::{Profile, play};
use crate::apiserver::{Options, Server};

fn profile() -> Profile {
    Profile {
        cluster: "one".to_owned(),
        node: "node-1".to_owned(),
        node_ip: "10.0.0.4".to_owned(),
        pod_cidr: "10.132.0.0/14".to_owned(),
        apps_domain: "apps.one.example.com".to_owned(),
        start_time: Duration::from_millis(50),
        pods: true,
    }
}

struct World {
    client: Client,
    _player: AbortOnDropHandle<()>,
    server: Server,
}

fn world() -> World {
    let server = Server::open(Options::in_memory("one")).unwrap();
    let client = server.client();
    let playing = play(server.client(), profile(), CancellationToken::new());
    World {
        client,
        _player: AbortOnDropHandle::new(tokio::spawn(playing)),
        server,
    }
}

fn api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), "default", &kind.resource())
}

async fn create(client: &Client, kind: Kind, manifest: Value) {
    let object = serde_json::from_value(manifest).unwrap();
    let api = api(client, kind);
    api.create(&PostParams::default(), &object).await.unwrap();
}

fn workload(kind: Kind, name: &str, spec: Value) -> Value {
    let mut manifest = json!({
        "apiVersion": kind.api_version(), "kind": kind.name(),
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{
                "name": "c", "image": "registry.example.com/c:1",
                "ports": [{"name": "web", "containerPort": 8080}],
            }]},
        }},
    });
    if kind == Kind::Job {
        manifest["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    } else {
        manifest["spec"]["selector"] = json!({"matchLabels": {"app": name}});
    }
    for (key, value) in spec.as_object().unwrap() {
        manifest["spec"][key] = value.clone();
    }
    manifest
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": "web"}]},
    })
}

async fn until(
    client: &Client,
    kind: Kind,
    what: &str,
    holds: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let found = api(client, kind).list(&Default::default()).await.unwrap();
        let found: Vec<Value> = found
            .items
            .iter()
            .map(|item| serde_json::to_value(item).unwrap())
            .collect();
        if holds(&found) {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "not in time: {what}; last seen {found:#?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn all(objects: &[Value], count: usize, pointer: &str, value: &Value) -> bool {
    objects.len() == count && objects.iter().all(|o| o.pointer(pointer) == Some(value))
}

#[tokio::test]
async fn every_kind_of_workload_becomes_available() {
    let world = world();
    for (kind, spec, pointer, value) in [
        (
            Kind::Deployment,
            json!({"replicas": 3}),
            "/status/availableReplicas",
            json!(3),
        ),
        (
            Kind::StatefulSet,
            json!({"replicas": 2, "serviceName": "x"}),
            "/status/readyReplicas",
            json!(2),
        ),
        (
            Kind::DaemonSet,
            json!({}),
            "/status/numberAvailable",
            json!(1),
        ),
        (Kind::Job, json!({}), "/status/succeeded", json!(1)),
    ] {
        create(&world.client, kind, workload(kind, "it", spec)).await;
        until(&world.client, kind, kind.name(), |o| {
            all(o, 1, pointer, &value)
        })
        .await;
    }
    let pods = until(&world.client, Kind::Pod, "all pods", |o| {
        o.iter()
            .filter(|p| p["status"]["phase"] != "Pending")
            .count()
            == 7
    });
    let pods = pods.await;
    let running = pods.iter().filter(|p| p["status"]["phase"] == "Running");
    assert_eq!(running.count(), 6, "the job's pod has ended");
}

#[tokio::test]
async fn a_service_gets_its_ready_pods() {
    let world = world();
    create(&world.client, Kind::Service, service("web")).await;
    let spec = json!({"replicas": 2});
    create(
        &world.client,
        Kind::Deployment,
        workload(Kind::Deployment, "web", spec),
    )
    .await;
    let slices = until(
        &world.client,
        Kind::Slice,
        "two ready endpoints",
        |slices| {
            slices.len() == 1
                && slices[0]["endpoints"].as_array().is_some_and(|endpoints| {
                    endpoints.len() == 2
                        && endpoints.iter().all(|e| e["conditions"]["ready"] == true)
                })
        },
    );
    let slices = slices.await;
    assert_eq!(
        slices[0]["ports"][0]["port"], 8080,
        "the named port is resolved"
    );
    let pods = until(&world.client, Kind::Pod, "two running pods", |pods| {
        all(pods, 2, "/status/phase", &json!("Running"))
    });
    let mut of_pods: Vec<Value> = pods
        .await
        .iter()
        .map(|p| p["status"]["podIP"].clone())
        .collect();
    let endpoints = slices[0]["endpoints"].as_array().unwrap();
    let mut of_slice: Vec<Value> = endpoints
        .iter()
        .map(|e| e["addresses"][0].clone())
        .collect();
    of_pods.sort_by_key(ToString::to_string);
    of_slice.sort_by_key(ToString::to_string);
    assert_eq!(of_pods, of_slice);
    assert!(of_pods[0].as_str().unwrap().starts_with("10.132."));
}

#[tokio::test]
async fn a_new_template_replaces_the_pods() {
    let world = world();
    let spec = json!({"replicas": 2});
    create(
        &world.client,
        Kind::Deployment,
        workload(Kind::Deployment, "web", spec),
    )
    .await;
    let running = |pods: &[Value]| all(pods, 2, "/status/phase", &json!("Running"));
    until(&world.client, Kind::Pod, "first pods", running).await;
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "c", "image": "registry.example.com/c:2"}
    ]}}}});
    api(&world.client, Kind::Deployment)
        .patch("web", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let image = json!("registry.example.com/c:2");
    until(
        &world.client,
        Kind::Pod,
        "pods of the new revision only",
        |pods| running(pods) && all(pods, 2, "/spec/containers/0/image", &image),
    )
    .await;
    until(
        &world.client,
        Kind::Deployment,
        "generation 2 observed",
        |found| all(found, 1, "/status/observedGeneration", &json!(2)),
    )
    .await;
}

#[tokio::test]
async fn a_deleted_pod_comes_back() {
    let world = world();
    let spec = json!({"replicas": 1});
    create(
        &world.client,
        Kind::Deployment,
        workload(Kind::Deployment, "web", spec),
    )
    .await;
    let running = |pods: &[Value]| all(pods, 1, "/status/phase", &json!("Running"));
    let pods = until(&world.client, Kind::Pod, "a pod", running).await;
    let (name, uid) = (
        pods[0]["metadata"]["name"].as_str().unwrap(),
        pods[0]["metadata"]["uid"].clone(),
    );
    api(&world.client, Kind::Pod)
        .delete(name, &Default::default())
        .await
        .unwrap();
    until(&world.client, Kind::Pod, "another pod", |pods| {
        running(pods) && pods[0]["metadata"]["uid"] != uid
    })
    .await;
}

/// The store's revision: it moves with every write that changes something.
async fn revision(client: &Client) -> String {
    let list = api(client, Kind::Claim)
        .list(&Default::default())
        .await
        .unwrap();
    list.metadata.resource_version.unwrap()
}

#[tokio::test]
async fn a_simulator_that_starts_anew_writes_nothing() {
    let first = world();
    create(&first.client, Kind::Service, service("web")).await;
    let spec = json!({"replicas": 2});
    create(
        &first.client,
        Kind::Deployment,
        workload(Kind::Deployment, "web", spec),
    )
    .await;
    until(&first.client, Kind::Slice, "ready endpoints", |slices| {
        slices.len() == 1
            && slices[0].pointer("/endpoints/1/conditions/ready") == Some(&json!(true))
    })
    .await;
    let World { server, .. } = first;
    let client = server.client();
    let before = revision(&client).await;
    let playing = play(server.client(), profile(), CancellationToken::new());
    let _player = AbortOnDropHandle::new(tokio::spawn(playing));
    // A claim shows that the second one is at work.
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    create(&client, Kind::Claim, claim).await;
    until(&client, Kind::Claim, "a bound claim", |claims| {
        all(claims, 1, "/status/phase", &json!("Bound"))
    })
    .await;
    let after = revision(&client).await;
    let writes = after.parse::<u64>().unwrap() - before.parse::<u64>().unwrap();
    assert_eq!(writes, 2, "the claim and its status, nothing else");
}
