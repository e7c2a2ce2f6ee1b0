use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::*;
use crate::api::cluster::ManagedCluster;

/// The demo's world without the product.
struct Around {
    dir: tempfile::TempDir,
    place: Place,
    world: World,
    tasks: Tasks,
}

async fn around(dir: tempfile::TempDir, empty: bool) -> Around {
    let mut place = Place::open(dir.path()).unwrap();
    let tasks = Tasks::default();
    let world = World::open(&mut place, &tasks.serving, &tasks.stop_serving)
        .await
        .unwrap();
    world.define().await.unwrap();
    world.play(&tasks.acting, &tasks.stop_acting);
    world.people(&mut place, empty).await.unwrap();
    Around {
        dir,
        place,
        world,
        tasks,
    }
}

async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "not in time: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn gateways(client: &kube::Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("submariner.io", "v1", "Gateway");
    Api::all_with(client.clone(), &ApiResource::from_gvk(&kind))
}

/// What the one gateway of a cluster says of its cables.
async fn cable_states(client: &kube::Client) -> Vec<String> {
    let found = gateways(client).list(&ListParams::default()).await.unwrap();
    let connections = found.items.iter().flat_map(|gateway| {
        let connections = gateway.data["status"]["connections"].as_array();
        connections.cloned().unwrap_or_default()
    });
    connections
        .map(|c: Value| c["status"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_world_is_that_of_the_article() {
    let demo = around(tempfile::tempdir().unwrap(), false).await;
    let hub = demo.world.hub.server.client();
    let clusters: Api<ManagedCluster> = Api::all(hub.clone());
    let names: Vec<String> = clusters
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|cluster| cluster.metadata.name)
        .collect();
    assert_eq!(names, MEMBERS);
    for member in &demo.world.members {
        let client = member.server.client();
        until("a connected cable", async || {
            (cable_states(&client).await == ["connected"]).then_some(())
        })
        .await;
    }
    let one = demo.world.members[0].server.client();
    let deployments: Api<Deployment> = Api::namespaced(one.clone(), "default");
    until("the hand-made nginx", async || {
        let nginx = deployments.get_opt("nginx").await.unwrap()?;
        nginx.status?.available_replicas.filter(|n| *n > 0)
    })
    .await;
    let pods: Api<Pod> = Api::namespaced(one, "default");
    assert!(
        !pods
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    demo.tasks.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_user_deleted_stays_deleted() {
    let first = around(tempfile::tempdir().unwrap(), false).await;
    let kind = GroupVersionKind::gvk("app.k8s.io", "v1beta1", "Application");
    let resource = ApiResource::from_gvk(&kind);
    let hub = first.world.hub.server.client();
    let api: Api<DynamicObject> = Api::namespaced_with(hub, "guestbook", &resource);
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        3
    );
    api.delete("guestbook", &Default::default()).await.unwrap();
    first.tasks.end().await;
    let Around {
        dir, place, world, ..
    } = first;
    drop((place, world, api));
    // The last clients let go of the stores in tasks of their own.
    for name in ["hub", MEMBERS[0], MEMBERS[1]] {
        let options = crate::apiserver::Options::durable(name, dir.path().join(name));
        until("a closed store", async || {
            crate::apiserver::Server::open(options.clone()).ok()
        })
        .await;
    }

    let second = around(dir, false).await;
    let hub = second.world.hub.server.client();
    let api: Api<DynamicObject> = Api::namespaced_with(hub, "guestbook", &resource);
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        2
    );
    second.tasks.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_reach_the_world_and_are_mended() {
    let demo = around(tempfile::tempdir().unwrap(), true).await;
    let dir = demo.dir.path();
    let one = demo.world.members[0].server.client();
    let (a, b) = ("aws-sub1".to_owned(), "aws-sub2".to_owned());
    let cut = Fault::CutCable {
        a: a.clone(),
        b: b.clone(),
        one_way: false,
    };
    let words = fault(dir, cut).await.unwrap();
    assert!(words.contains("restore-cable"), "{words}");
    until("a cut cable", async || {
        (cable_states(&one).await == ["error"]).then_some(())
    })
    .await;
    fault(dir, Fault::RestoreCable { a, b }).await.unwrap();
    until("a mended cable", async || {
        (cable_states(&one).await == ["connected"]).then_some(())
    })
    .await;

    let stopped =
        || demo.world.members[1].server.faults().get() != crate::apiserver::Fault::Running;
    let name = || "aws-sub2".to_owned();
    fault(dir, Fault::StopCluster { name: name() })
        .await
        .unwrap();
    assert!(stopped());
    fault(dir, Fault::StartCluster { name: name() })
        .await
        .unwrap();
    assert!(!stopped());

    let unknown = fault(
        dir,
        Fault::StopCluster {
            name: "hub".to_owned(),
        },
    )
    .await;
    assert!(matches!(unknown, Err(DemoError::UnknownCluster { .. })));
    demo.tasks.end().await;
}

#[tokio::test]
async fn a_fault_needs_a_running_demo() {
    let dir = tempfile::tempdir().unwrap();
    let refused = fault(dir.path(), Fault::Overlap { restore: false }).await;
    assert!(matches!(refused, Err(DemoError::NotRunning { .. })));
}
