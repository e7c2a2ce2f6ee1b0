//! Deletions while a member does not answer.

use kube::api::DeleteParams;
use pilothouse::api::ANNOTATION_REMOVALS;
use serde_json::{Value, json};

use crate::source::App;
use crate::support::objects;
use crate::world::{GUESTBOOK, SOON, World, expect, uid};

/// The Subscription is let go, and what it left is removed once the member is
/// back: by a process that knows of it from the hub alone.
pub async fn silent_member_is_cleared_by_the_next_process(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    world.stop_member("aws-sub2");
    world.await_available("aws-sub2", false).await;
    delete(&world, App::RedisSlave).await;
    await_owed(&world, &owed()).await;
    await_let_go(&world, App::RedisSlave).await;

    world.restart_product().await;
    world.start_member("aws-sub2").await;
    for kind in [objects::DEPLOYMENT, objects::SERVICE] {
        let workload = App::RedisSlave.workload();
        world.await_gone("aws-sub2", kind, workload).await;
    }
    await_owed(&world, &Value::Null).await;
}

/// A deletion that began while no hub was running, of something on a member
/// that does not answer, is neither forgotten nor held up for ever.
pub async fn deletion_without_a_hub_is_caught_up_with(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    world.end_product().await;
    world.stop_member("aws-sub2");
    delete(&world, App::RedisSlave).await;

    world.start_product().await;
    await_owed(&world, &owed()).await;
    await_let_go(&world, App::RedisSlave).await;
    world.start_member("aws-sub2").await;
    let workload = App::RedisSlave.workload();
    world
        .await_gone("aws-sub2", objects::DEPLOYMENT, workload)
        .await;
    await_owed(&world, &Value::Null).await;
}

/// A Subscription of the same name takes over what the deleted one left: its
/// objects are not made anew.
pub async fn application_back_before_its_member(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    let workload = App::RedisSlave.workload();
    let before = world
        .object("aws-sub2", objects::DEPLOYMENT, workload)
        .await;
    world.stop_member("aws-sub2");
    world.await_available("aws-sub2", false).await;
    delete(&world, App::RedisSlave).await;
    await_let_go(&world, App::RedisSlave).await;
    world.apply(App::RedisSlave).await;
    await_owed(&world, &Value::Null).await;

    world.start_member("aws-sub2").await;
    world.await_available("aws-sub2", true).await;
    world.await_delivered(App::RedisSlave).await;
    let after = world
        .object("aws-sub2", objects::DEPLOYMENT, workload)
        .await;
    assert_eq!(uid(&before), uid(&after));
}

async fn delete(world: &World, app: App) {
    objects::SUBSCRIPTION
        .api(&world.hub, GUESTBOOK)
        .delete(app.subscription(), &DeleteParams::default())
        .await
        .unwrap();
}

async fn await_let_go(world: &World, app: App) {
    objects::SUBSCRIPTION
        .wait_gone(&world.hub, GUESTBOOK, app.subscription(), SOON)
        .await;
}

async fn await_owed(world: &World, names: &Value) {
    objects::MANAGED_CLUSTER
        .wait(&world.hub, "", "aws-sub2", SOON, |object| {
            expect(
                &object["metadata"]["annotations"][ANNOTATION_REMOVALS],
                names,
            )
        })
        .await;
}

fn owed() -> Value {
    json!(format!("{GUESTBOOK}/{}", App::RedisSlave.subscription()))
}
