//! Watches that cannot go on where they were: the server answers 410 Gone,
//! and what happened meanwhile is in no event.

use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::audit::{Identities, audit, audit_of};
use crate::servers::{line_to_member, port_of};
use crate::source::{App, Source};
use crate::support::controlplane::Binaries;
use crate::support::slow::SlowLine;
use crate::support::{await_condition, have, objects};
use crate::world::{GUESTBOOK, SOON, World};
use crate::{Ground, Replicas, delivered};

/// The version at which watches of a kind stand now.
async fn version(client: &Client, kind: objects::Kind) -> String {
    let api = kind.api(client, GUESTBOOK);
    let all = api.list(&ListParams::default()).await.unwrap();
    all.metadata.resource_version.unwrap()
}

/// Proof of the fault: a watch from there is answered 410.
async fn assert_gone(client: &Client, kind: objects::Kind, version: &str) {
    let api = kind.api(client, GUESTBOOK);
    let params = WatchParams::default();
    await_condition("a watch to be answered 410", SOON, || async {
        let opened = api.watch(&params, version).await;
        let mut events = match opened {
            Ok(events) => events.boxed(),
            Err(kube::Error::Api(status)) if status.code == 410 => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        match events.next().await {
            Some(Ok(WatchEvent::Error(status))) if status.code == 410 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// A member that was away for as long as its server remembers, over three
/// commits: drift of which no event tells is found and healed, and what is
/// pushed is what git says last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_watches_closed_with_410() {
    let Some((mut world, _replicas, _)) = delivered(&[]).await else {
        return;
    };
    let (line, server) = line_to_member(&mut world).await;
    let before = audit(&world, &Identities::new(), SOON).await;
    let port = line.port();
    drop(line);
    world.await_available("aws-sub2", false).await;
    let member = world.member("aws-sub2").clone();
    let seen = version(&member, objects::DEPLOYMENT).await;
    let drift = json!({"spec": {"replicas": 9}});
    objects::DEPLOYMENT
        .api(&member, GUESTBOOK)
        .patch(
            "redis-slave",
            &PatchParams::default(),
            &Patch::Merge(&drift),
        )
        .await
        .unwrap();
    objects::SERVICE
        .api(&member, GUESTBOOK)
        .delete("redis-slave", &DeleteParams::default())
        .await
        .unwrap();
    for (from, to) in [(2, 3), (3, 4), (4, 5)] {
        world.scale(App::RedisSlave, from, to);
    }
    // A server that starts again has no history of the time before.
    world.stop_member("aws-sub2");
    world.start_member("aws-sub2").await;
    assert_gone(world.member("aws-sub2"), objects::DEPLOYMENT, &seen).await;

    let _line = SlowLine::between(port, server).await.unwrap();
    let kept: Identities = before
        .into_iter()
        .filter(|(key, _)| key != "aws-sub2 Service redis-slave")
        .collect();
    audit(&world, &kept, SOON).await;
}

/// The leader keeps its lease over a hub that is away for a moment, and learns
/// what happened there although its watches cannot go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_watches_closed_with_410() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let ground = Ground::real().await.unwrap();
    let mut world = World::new(ground, Source::Example).await.unwrap();
    let (url, kubeconfig) = (world.fleet().hub.url(), world.fleet().hub.kubeconfig());
    let line = SlowLine::to(port_of(&url)).await.unwrap();
    let port = line.port();
    let over = tempfile::NamedTempFile::new().unwrap();
    let address = format!("https://127.0.0.1:{port}");
    std::fs::write(over.path(), kubeconfig.replace(&url, &address)).unwrap();
    let patient = [
        "--leader-elect-lease-duration=120",
        "--leader-elect-renew-deadline=90",
        "--leader-elect-retry-period=1",
    ];
    let mut replicas = Replicas::start_by(&mut world, over.path(), &patient).await;
    world.apply_all().await;
    let before = audit(&world, &Identities::new(), SOON).await;
    let leader = replicas.leading().await;

    drop(line);
    let seen = version(&world.hub, objects::SUBSCRIPTION).await;
    objects::SUBSCRIPTION
        .api(&world.hub, GUESTBOOK)
        .delete(App::RedisMaster.subscription(), &DeleteParams::default())
        .await
        .unwrap();
    world.scale(App::Guestbook, 3, 4);
    let hub = &mut world.fleet().hub;
    hub.kill_apiserver().unwrap();
    hub.start_apiserver().await.unwrap();
    assert_gone(&world.hub, objects::SUBSCRIPTION, &seen).await;

    let _line = SlowLine::between(port, port_of(&url)).await.unwrap();
    let left = [App::Guestbook, App::RedisSlave];
    audit_of(&world, &left, &before, Duration::from_secs(90)).await;
    assert_eq!(replicas.leading().await, leader, "{}", replicas.logs());
    assert_eq!(replicas.ended(), None, "{}", replicas.logs());
}
