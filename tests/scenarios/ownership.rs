//! Whose objects are whose.

use kube::api::DeleteParams;
use serde_json::json;

use crate::source::App;
use crate::support::objects;
use crate::world::{GUESTBOOK, SOON, World, uid};

/// An object that somebody else made is refused and named, the rest is
/// delivered; once it is out of the way, ours takes its place.
pub async fn foreign_object_is_refused(mut world: World) {
    let member = world.member("aws-sub1").clone();
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GUESTBOOK},
    });
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "frontend", "namespace": GUESTBOOK, "labels": {"owner": "us"}},
        "spec": {"ports": [{"port": 8080}], "selector": {"app": "ours"}},
    });
    objects::apply(&member, &namespace).await.unwrap();
    objects::apply(&member, &foreign).await.unwrap();
    let before = world.object("aws-sub1", objects::SERVICE, "frontend").await;

    world.start_product().await;
    world.apply(App::Guestbook).await;
    world
        .await_object("aws-sub1", objects::DEPLOYMENT, "frontend", |_| Ok(()))
        .await;
    world
        .await_complaint("aws-sub1", "frontend", "exists and owned by others")
        .await;
    let after = world.object("aws-sub1", objects::SERVICE, "frontend").await;
    assert_eq!(before["spec"], after["spec"]);
    assert_eq!(before["metadata"]["labels"], after["metadata"]["labels"]);

    objects::SERVICE
        .api(&member, GUESTBOOK)
        .delete("frontend", &DeleteParams::default())
        .await
        .unwrap();
    world.await_delivered(App::Guestbook).await;
}

/// Two Subscriptions deliver into one namespace of one member: deleting one
/// takes its own objects only.
pub async fn shared_namespace_survives_one_of_two(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    let kept = world
        .object("aws-sub1", objects::DEPLOYMENT, "redis-master")
        .await;

    objects::SUBSCRIPTION
        .api(&world.hub, GUESTBOOK)
        .delete(App::Guestbook.subscription(), &DeleteParams::default())
        .await
        .unwrap();
    for (kind, name) in [
        (objects::DEPLOYMENT, "frontend"),
        (objects::SERVICE, "frontend"),
        (objects::ROUTE, "guestbook"),
    ] {
        world.await_gone("aws-sub1", kind, name).await;
    }
    objects::SUBSCRIPTION
        .wait_gone(&world.hub, GUESTBOOK, App::Guestbook.subscription(), SOON)
        .await;

    let namespace = objects::NAMESPACE
        .find(world.member("aws-sub1"), "", GUESTBOOK)
        .await;
    assert_eq!(namespace.unwrap().unwrap()["status"]["phase"], "Active");
    let still = world
        .object("aws-sub1", objects::DEPLOYMENT, "redis-master")
        .await;
    assert_eq!(uid(&kept), uid(&still));
    world.await_delivered(App::RedisMaster).await;
}
