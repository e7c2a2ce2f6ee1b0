//! Faults, with two replicas of the built program over real control planes.
//! Each test ends with an audit that compares every member with git.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "modules of a test binary"
)]

#[path = "faults/audit.rs"]
mod audit;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/disk.rs"]
mod disk;
#[path = "scenarios/ground.rs"]
mod ground;
#[path = "faults/leader.rs"]
mod leader;
#[path = "scenarios/product.rs"]
mod product;
#[path = "faults/replicas.rs"]
mod replicas;
#[path = "faults/servers.rs"]
mod servers;
#[path = "scenarios/source.rs"]
mod source;
#[path = "faults/sources.rs"]
mod sources;
#[path = "support/support.rs"]
mod support;
#[path = "faults/watches.rs"]
mod watches;
#[path = "scenarios/world.rs"]
mod world;

use audit::{Identities, audit};
use ground::Ground;
use replicas::Replicas;
use source::Source;
use support::controlplane::Binaries;
use support::have;
use world::{SOON, World};

/// Times that make a lost leader show soon.
const SHORT: [&str; 3] = [
    "--leader-elect-lease-duration=4",
    "--leader-elect-renew-deadline=3",
    "--leader-elect-retry-period=0.5",
];

/// A world in which two replicas have delivered everything; `None` where the
/// tier is missing.
async fn delivered(election: &[&str]) -> Option<(World, Replicas, Identities)> {
    have("controlplane", Binaries::find())?;
    let ground = Ground::real().await.unwrap();
    let mut world = World::new(ground, Source::Example).await.unwrap();
    let replicas = Replicas::start(&mut world, election).await;
    world.apply_all().await;
    let before = audit(&world, &Identities::new(), SOON).await;
    Some((world, replicas, before))
}
