//! The product end to end, each scenario on our embedded API servers and on
//! real control planes. The real server is the judge: where the two differ,
//! the embedded one is wrong until proven otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "modules of a test binary"
)]

#[path = "scenarios/adoption.rs"]
mod adoption;
#[path = "scenarios/coexistence.rs"]
mod coexistence;
#[path = "scenarios/content.rs"]
mod content;
#[path = "scenarios/deletion.rs"]
mod deletion;
#[path = "scenarios/ground.rs"]
mod ground;
#[path = "scenarios/joining.rs"]
mod joining;
#[path = "scenarios/members.rs"]
mod members;
#[path = "scenarios/ownership.rs"]
mod ownership;
#[path = "scenarios/product.rs"]
mod product;
#[path = "scenarios/removal.rs"]
mod removal;
#[path = "scenarios/restart.rs"]
mod restart;
#[path = "scenarios/source.rs"]
mod source;
#[path = "support/support.rs"]
mod support;
#[path = "scenarios/walkthrough.rs"]
mod walkthrough;
#[path = "scenarios/world.rs"]
mod world;

use std::future::Future;

use ground::Ground;
use source::App::{Guestbook, RedisMaster, RedisSlave};
use source::Source::{self, Article, Example};
use support::controlplane::Binaries;
use support::have;
use world::World;

/// What the members and the hub are.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Embedded,
    Real,
}

/// Plays a scenario, or says loudly what it lacks.
async fn play<F>(kind: Kind, source: Source, scenario: impl FnOnce(World) -> F)
where
    F: Future<Output = ()>,
{
    if let Some(world) = world_on(kind, source).await {
        scenario(world).await;
    }
}

async fn world_on(kind: Kind, source: Source) -> Option<World> {
    have("demo-app", source.folder())?;
    let ground = match kind {
        Kind::Embedded => Ground::embedded().await,
        Kind::Real => {
            have("controlplane", Binaries::find())?;
            Ground::real().await
        }
    };
    Some(World::new(ground.unwrap(), source).await.unwrap())
}

macro_rules! scenarios {
    ($($name:ident: $source:ident, $scenario:expr;)*) => {
        mod embedded {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    play(Kind::Embedded, $source, $scenario).await;
                }
            )*
        }
        mod real {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    play(Kind::Real, $source, $scenario).await;
                }
            )*
        }
    };
}

scenarios! {
    article_guestbook_master_slave: Article, |w| walkthrough::in_order(w, [Guestbook, RedisMaster, RedisSlave]);
    article_guestbook_slave_master: Article, |w| walkthrough::in_order(w, [Guestbook, RedisSlave, RedisMaster]);
    article_master_guestbook_slave: Article, |w| walkthrough::in_order(w, [RedisMaster, Guestbook, RedisSlave]);
    article_master_slave_guestbook: Article, |w| walkthrough::in_order(w, [RedisMaster, RedisSlave, Guestbook]);
    article_slave_guestbook_master: Article, |w| walkthrough::in_order(w, [RedisSlave, Guestbook, RedisMaster]);
    article_slave_master_guestbook: Article, |w| walkthrough::in_order(w, [RedisSlave, RedisMaster, Guestbook]);
    example_guestbook_master_slave: Example, |w| walkthrough::in_order(w, [Guestbook, RedisMaster, RedisSlave]);
    example_master_slave_guestbook: Example, |w| walkthrough::in_order(w, [RedisMaster, RedisSlave, Guestbook]);
    push_reaches_the_right_member_only: Example, content::push_reaches_the_right_member_only;
    deleted_file_is_pruned: Example, content::deleted_file_is_pruned;
    broken_file_prunes_nothing: Example, content::broken_file_prunes_nothing;
    drift_is_healed: Example, members::drift_is_healed;
    member_down_and_back: Example, members::member_down_and_back;
    kind_not_served_then_served: Example, members::kind_not_served_then_served;
    joined_by_the_command_and_left: Example, joining::joined_by_the_command_and_left;
    foreign_object_is_refused: Example, ownership::foreign_object_is_refused;
    shared_namespace_survives_one_of_two: Example, ownership::shared_namespace_survives_one_of_two;
    hub_namespace_deleted: Example, deletion::hub_namespace_deleted;
    channel_deleted: Example, deletion::channel_deleted;
    objects_of_rhacm_go_on: Example, adoption::objects_of_rhacm_go_on;
    agent_of_rhacm_is_left_alone: Example, adoption::agent_of_rhacm_is_left_alone;
    two_controllers_never_write_one_object: Example, coexistence::two_controllers_never_write_one_object;
    silent_member_is_cleared_by_the_next_process: Example, removal::silent_member_is_cleared_by_the_next_process;
    deletion_without_a_hub_is_caught_up_with: Example, removal::deletion_without_a_hub_is_caught_up_with;
    application_back_before_its_member: Example, removal::application_back_before_its_member;
    restart_writes_nothing: Example, restart::restart_writes_nothing;
    restart_with_a_failure_writes_nothing: Example, restart::restart_with_a_failure_writes_nothing;
}

/// The ground itself, without the product: joined members, served kinds, the
/// example's manifests accepted by real servers as they stand.
async fn the_world_stands(kind: Kind) {
    let Some(world) = world_on(kind, Example).await else {
        return;
    };
    for app in source::App::ALL {
        world.apply(app).await;
    }
    let folder = Example.folder().ok().unwrap();
    for app in source::App::ALL {
        let member = world.member(app.cluster());
        let namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world::GUESTBOOK},
        });
        support::objects::apply(member, &namespace).await.unwrap();
        let manifests = folder.join(app.manifest("deployment.yaml"));
        for file in std::fs::read_dir(manifests.parent().unwrap()).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let manifest: serde_json::Value = serde_yaml::from_str(&text).unwrap();
            support::objects::apply(member, &manifest).await.unwrap();
        }
        world
            .await_object(
                app.cluster(),
                support::objects::DEPLOYMENT,
                app.workload(),
                world::available,
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_world_stands() {
    the_world_stands(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_world_stands() {
    the_world_stands(Kind::Real).await;
}
