//! The deletion traps of the article's repository.

use kube::api::DeleteParams;
use serde_json::json;

use crate::source::App;
use crate::support::objects;
use crate::world::{GUESTBOOK, SOON, World, expect, replicas, uid};

/// `kubectl delete -k` of one application takes the hub namespace with it, so
/// all three go: finalizers end without Channels or git, the members' objects
/// are deleted, and the hub namespace is gone.
pub async fn hub_namespace_deleted(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    objects::NAMESPACE
        .api(&world.hub, "")
        .delete(GUESTBOOK, &DeleteParams::default())
        .await
        .unwrap();
    objects::NAMESPACE
        .wait_gone(&world.hub, "", GUESTBOOK, SOON)
        .await;
    for app in App::ALL {
        for kind in [objects::DEPLOYMENT, objects::SERVICE] {
            world.await_gone(app.cluster(), kind, app.workload()).await;
        }
    }
    // The members' namespaces are not ours to delete.
    for cluster in ["aws-sub1", "aws-sub2"] {
        let namespace = objects::NAMESPACE
            .find(world.member(cluster), "", GUESTBOOK)
            .await;
        assert!(namespace.unwrap().is_some(), "{cluster} lost its namespace");
    }
}

/// A Channel that is gone is a visible reason and no reason to delete; once it
/// is back, pushes arrive again.
pub async fn channel_deleted(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    let before = world
        .object("aws-sub2", objects::DEPLOYMENT, "redis-slave")
        .await;
    let channel = world.source.channel_of(App::RedisSlave).channel();
    objects::CHANNEL
        .api(&world.hub, GUESTBOOK)
        .delete(channel, &DeleteParams::default())
        .await
        .unwrap();
    world
        .await_subscription(App::RedisSlave, |status| {
            expect(&status["phase"], &json!("PropagationFailed"))?;
            let told = status["reason"].to_string() + &status["message"].to_string();
            if told.contains(channel) {
                Ok(())
            } else {
                Err("not named".to_owned())
            }
        })
        .await;

    // Another application's push goes through meanwhile; by then the loss
    // would have done its harm.
    world.scale(App::Guestbook, 3, 2);
    world
        .await_object("aws-sub1", objects::DEPLOYMENT, "frontend", replicas(2))
        .await;
    let kept = world
        .object("aws-sub2", objects::DEPLOYMENT, "redis-slave")
        .await;
    assert_eq!(uid(&before), uid(&kept));

    world.scale(App::RedisSlave, 2, 1);
    world.apply(App::RedisSlave).await;
    world
        .await_object("aws-sub2", objects::DEPLOYMENT, "redis-slave", replicas(1))
        .await;
    world.await_delivered(App::RedisSlave).await;
}
