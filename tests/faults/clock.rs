//! The clock of the leader's machine is set.

use std::time::Duration;

use jiff::Timestamp;

use crate::audit::{Identities, audit};
use crate::replicas::Clock;
use crate::source::{App, Source};
use crate::support::controlplane::Binaries;
use crate::support::{await_condition, have};
use crate::world::{SOON, World};
use crate::{Ground, Replicas, SHORT};

/// When the holder of the Lease says that it renewed it.
async fn renewed(replicas: &Replicas) -> Timestamp {
    let lease = replicas.lease().await;
    let at = lease["spec"]["renewTime"].as_str();
    at.and_then(|at| at.parse().ok())
        .unwrap_or_else(|| panic!("no renewTime: {lease}"))
}

async fn await_renewal(replicas: &Replicas, what: &str, so: impl Fn(Timestamp) -> bool) {
    await_condition(what, SOON, || async {
        let at = renewed(replicas).await;
        if so(at) { Ok(()) } else { Err(at.to_string()) }
    })
    .await;
}

/// An hour back: the leader goes on leading and delivering, no standby takes
/// the old `renewTime` for an expired one, and who follows is neither held up
/// by times that seem to come nor taken for an earlier leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_of_the_leader_set_back_an_hour() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let ground = Ground::real().await.unwrap();
    let mut world = World::new(ground, Source::Example).await.unwrap();
    let mut replicas = Replicas::start_by_clock(&mut world, &SHORT, Clock::build()).await;
    world.apply_all().await;
    let before = audit(&world, &Identities::new(), SOON).await;
    let leader = replicas.leading().await;
    let term = replicas.lease().await["spec"]["leaseTransitions"].clone();

    replicas.set_clock(leader, -3600);
    let half_an_hour_ago = Timestamp::now() - Duration::from_secs(1800);
    await_renewal(&replicas, "the set clock on the Lease", |at| {
        at < half_an_hour_ago
    })
    .await;
    world.scale(App::Guestbook, 3, 4);
    let before = audit(&world, &before, SOON).await;
    let since = renewed(&replicas).await;
    await_renewal(&replicas, "twice the lease's duration", |at| {
        at.duration_since(since).as_secs() >= 8
    })
    .await;
    let lease = replicas.lease().await;
    assert_eq!(
        lease["spec"]["leaseTransitions"],
        term,
        "{}",
        replicas.logs()
    );
    assert_eq!(replicas.leading().await, leader);

    replicas.signal(leader, "KILL");
    replicas.await_takeover(leader).await;
    assert_eq!(replicas.await_end(leader).await, None);
    world.scale(App::RedisSlave, 2, 3);
    let before = audit(&world, &before, SOON).await;
    // It comes back, its clock still an hour behind, and leads again.
    replicas.revive();
    let second = replicas.leading().await;
    replicas.signal(second, "KILL");
    replicas.await_takeover(second).await;
    world.scale(App::RedisMaster, 1, 2);
    audit(&world, &before, SOON).await;
}
