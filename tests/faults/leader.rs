//! The leader is lost.

use std::time::Duration;

use crate::audit::audit;
use crate::source::App;
use crate::support::{Edit, await_condition, objects};
use crate::world::{GUESTBOOK, SOON, World, replicas as asked};
use crate::{SHORT, delivered};

/// Objects of a commit that takes a while to deliver.
const MANY: usize = 400;

/// Pushes a commit of many new objects, a change and a deletion.
fn push_much(world: &World) {
    let mut edits: Vec<Edit> = (0..MANY)
        .map(|number| {
            let name = format!("part-{number:03}");
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: guestbook\ndata:\n  number: \"{number}\"\n"
            );
            Edit::Write(App::RedisSlave.manifest(&format!("{name}.yaml")), text)
        })
        .collect();
    edits.push(Edit::Delete(App::RedisSlave.manifest("serviceexport.yaml")));
    world.repo.commit("Much", &edits).unwrap();
}

/// Waits until some of the commit is on the member; how much.
async fn await_part(world: &World) -> usize {
    let member = world.member(App::RedisSlave.cluster());
    await_condition("the first of many objects", SOON, || async {
        let found = objects::CONFIG_MAP.list(member, GUESTBOOK).await?;
        let parts = found.iter().filter(|object| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            name.starts_with("part-")
        });
        match parts.count() {
            0 => Err("none".to_owned()),
            count => Ok(count),
        }
    })
    .await
}

/// With the default times: the standby leads within 20 s and ends the
/// delivery that the leader began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_killed_in_the_middle_of_a_delivery() {
    let Some((world, mut replicas, before)) = delivered(&[]).await else {
        return;
    };
    let leader = replicas.leading().await;
    push_much(&world);
    let part = await_part(&world).await;
    replicas.signal(leader, "KILL");
    let took = replicas.await_takeover(leader).await;
    println!("killed with at least {part} of {MANY} delivered; takeover after {took:?}");
    assert_eq!(replicas.await_end(leader).await, None);
    let after = audit(&world, &before, SOON).await;
    replicas.revive();
    // The new leader goes on working.
    world.scale(App::Guestbook, 3, 4);
    audit(&world, &after, SOON).await;
}

/// A leader that was stopped past its lease and goes on sends nothing, and
/// ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_stopped_past_its_lease_and_resumed() {
    let Some((world, mut replicas, before)) = delivered(&SHORT).await else {
        return;
    };
    let leader = replicas.leading().await;
    push_much(&world);
    let part = await_part(&world).await;
    replicas.signal(leader, "STOP");
    let took = replicas.await_takeover(leader).await;
    println!("stopped with at least {part} of {MANY} delivered; takeover after {took:?}");
    world.scale(App::RedisSlave, 2, 3);
    world.scale(App::Guestbook, 3, 5);
    let after = audit(&world, &before, SOON).await;
    replicas.signal(leader, "CONT");
    let code = replicas.await_end(leader).await;
    assert!(code.is_some_and(|code| code != 0), "it ended with {code:?}");
    // Nothing of the old commit came after.
    let after = audit(&world, &after, Duration::from_secs(1)).await;
    let transitions = replicas.lease().await["spec"]["leaseTransitions"].clone();
    replicas.revive();
    world.scale(App::RedisMaster, 1, 2);
    audit(&world, &after, SOON).await;
    assert_eq!(
        replicas.lease().await["spec"]["leaseTransitions"],
        transitions,
        "the replica that came back waits"
    );
}

/// Somebody deletes the Lease: what members remember of earlier terms does not
/// lock the next leader out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_deleted() {
    let Some((world, mut replicas, before)) = delivered(&SHORT).await else {
        return;
    };
    for _ in 0..3 {
        let leader = replicas.leading().await;
        replicas.signal(leader, "KILL");
        replicas.await_takeover(leader).await;
        assert_eq!(replicas.await_end(leader).await, None);
        replicas.revive();
    }
    world.scale(App::Guestbook, 3, 4);
    let before = audit(&world, &before, SOON).await;
    replicas.delete_lease().await;
    replicas.await_leader(None, SOON).await;
    world.scale(App::Guestbook, 4, 5);
    world.scale(App::RedisSlave, 2, 3);
    replicas.revive();
    audit(&world, &before, SOON).await;
}

/// A push that reaches the standby is fetched by the leader at once: here the
/// next poll is an hour away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_announced_to_the_standby() {
    let flags = ["--poll-interval=3600"];
    let Some((world, replicas, before)) = delivered(&flags).await else {
        return;
    };
    let standby = 1 - replicas.leading().await;
    world.scale(App::Guestbook, 3, 4);
    let announced = std::time::Instant::now();
    let (status, text) = replicas.announce(standby).await;
    assert_eq!(status, 202, "{text}");
    audit(&world, &before, SOON).await;
    println!(
        "live {:?} after the standby was told: {text}",
        announced.elapsed()
    );
}

/// A leader that ends in order gives the lease back: no gap of a lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_ended_in_order_hands_over_at_once() {
    let Some((world, mut replicas, before)) = delivered(&[]).await else {
        return;
    };
    let leader = replicas.leading().await;
    replicas.signal(leader, "TERM");
    let took = replicas.await_takeover(leader).await;
    assert!(
        took < Duration::from_secs(12),
        "{took:?}\n{}",
        replicas.logs()
    );
    assert_eq!(replicas.await_end(leader).await, Some(0));
    world.scale(App::Guestbook, 3, 4);
    let deployment = world
        .await_object("aws-sub1", objects::DEPLOYMENT, "frontend", asked(4))
        .await;
    assert!(deployment["metadata"]["uid"].is_string());
    audit(&world, &before, SOON).await;
}
