//! API servers and their stores are lost and come back.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Patch, PatchParams};

use crate::audit::audit;
use crate::source::App;
use crate::support::slow::SlowLine;
use crate::support::{await_condition, objects};
use crate::world::{GUESTBOOK, SOON, World, expect, replicas as asked};
use crate::{Replicas, SHORT, delivered};

/// The hub answers again: waits until a replica leads and what was pushed
/// meanwhile is live.
async fn audit_after_the_hub(world: &World, replicas: &mut Replicas, before: &crate::Identities) {
    replicas.revive();
    audit(world, before, Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_api_server_restarted() {
    let Some((mut world, mut replicas, before)) = delivered(&SHORT).await else {
        return;
    };
    world.fleet().hub.kill_apiserver().unwrap();
    world.scale(App::RedisSlave, 2, 3);
    // Without a hub nobody may lead: the leader ends within its deadline.
    let leader = world_leader(&mut replicas).await;
    assert!(leader.is_some_and(|code| code != 0), "{leader:?}");
    world.fleet().hub.start_apiserver().await.unwrap();
    audit_after_the_hub(&world, &mut replicas, &before).await;
}

/// Waits until one replica has ended; its exit code.
async fn world_leader(replicas: &mut Replicas) -> Option<i32> {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(code) = replicas.ended() {
            return code;
        }
        assert!(
            Instant::now() < deadline,
            "both run still\n{}",
            replicas.logs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_of_the_hub_restarted() {
    let Some((mut world, mut replicas, before)) = delivered(&[]).await else {
        return;
    };
    world.fleet().hub.restart_etcd().unwrap();
    world.scale(App::RedisSlave, 2, 3);
    audit_after_the_hub(&world, &mut replicas, &before).await;
}

/// A member that does not answer, in whichever way, holds nobody up and loses
/// nothing, over several commits.
async fn other_members_go_on(world: &World) {
    for (from, to) in [(3, 4), (4, 5), (5, 6)] {
        for (app, base) in [(App::Guestbook, 0), (App::RedisSlave, 1)] {
            let (from, to) = (from - base, to - base);
            world.push(
                app,
                "deployment.yaml",
                &format!("replicas: {from}"),
                &format!("replicas: {to}"),
            );
        }
        let since = Instant::now();
        world
            .await_object("aws-sub1", objects::DEPLOYMENT, "frontend", asked(to))
            .await;
        println!(
            "live on the member that answers after {:?}",
            since.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_killed_over_three_commits() {
    let Some((mut world, _replicas, before)) = delivered(&SHORT).await else {
        return;
    };
    world.stop_member("aws-sub2");
    world.await_available("aws-sub2", false).await;
    other_members_go_on(&world).await;
    world.start_member("aws-sub2").await;
    audit(&world, &before, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_black_holed_over_three_commits() {
    let Some((mut world, _replicas, before)) = delivered(&SHORT).await else {
        return;
    };
    world.fleet().members["aws-sub2"]
        .freeze_apiserver()
        .unwrap();
    other_members_go_on(&world).await;
    world.await_available("aws-sub2", false).await;
    world.fleet().members["aws-sub2"].thaw_apiserver().unwrap();
    world.await_available("aws-sub2", true).await;
    audit(&world, &before, SOON).await;
}

/// The port of an URL.
pub fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

/// Has the product reach aws-sub2 over a line, and waits until a push has gone
/// that way. The line, and the server's port.
pub async fn line_to_member(world: &mut World) -> (SlowLine, u16) {
    let plane = &world.fleet().members["aws-sub2"];
    let (url, kubeconfig) = (plane.url(), plane.kubeconfig());
    let line = SlowLine::to(port_of(&url)).await.unwrap();
    let over = kubeconfig.replace(&url, &format!("https://127.0.0.1:{}", line.port()));
    let secret = serde_json::json!({"data": {"kubeconfig": STANDARD.encode(over)}});
    objects::SECRET
        .api(&world.hub, "aws-sub2")
        .patch(
            "credential",
            &PatchParams::default(),
            &Patch::Merge(&secret),
        )
        .await
        .unwrap();
    await_condition("the member to be reached over the line", SOON, || async {
        match line.connections() {
            0..3 => Err(format!("{} connections", line.connections())),
            _ => Ok(()),
        }
    })
    .await;
    world.push(App::RedisSlave, "service.yaml", "port: 6379", "port: 6380");
    world
        .await_object("aws-sub2", objects::SERVICE, "redis-slave", |service| {
            expect(
                &service["spec"]["ports"][0]["port"],
                &serde_json::json!(6380),
            )
        })
        .await;
    (line, port_of(&url))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_slow_over_three_commits() {
    let Some((mut world, _replicas, before)) = delivered(&SHORT).await else {
        return;
    };
    let (line, _) = line_to_member(&mut world).await;
    let before = audit(&world, &before, SOON).await;
    line.delay(Duration::from_secs(5));
    other_members_go_on(&world).await;
    line.delay(Duration::ZERO);
    audit(&world, &before, SOON).await;
}

/// The applications' namespace goes from the hub: the Subscriptions are
/// deleted with their finalizers, so the members are cleaned, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_namespace_deleted() {
    let Some((world, _replicas, before)) = delivered(&SHORT).await else {
        return;
    };
    objects::NAMESPACE
        .api(&world.hub, "")
        .delete(GUESTBOOK, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    objects::NAMESPACE
        .wait_gone(&world.hub, "", GUESTBOOK, SOON)
        .await;
    crate::audit::audit_of(&world, &[], &before, SOON).await;
}
