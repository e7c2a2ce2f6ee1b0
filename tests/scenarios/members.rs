//! What happens on the members: drift, absence, kinds that come later.

use kube::api::{DeleteParams, Patch, PatchParams};
use pilothouse::api::crds;
use serde_json::json;

use crate::source::App;
use crate::support::objects;
use crate::world::{GUESTBOOK, SOON, World, expect, replicas, serve, uid};

/// What somebody changes or deletes on a member is put right; what they add
/// beside it stays.
pub async fn drift_is_healed(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    let member = world.member("aws-sub1").clone();
    let deployments = objects::DEPLOYMENT.api(&member, GUESTBOOK);
    let change = json!({
        "metadata": {"annotations": {"example.com/note": "by hand"}},
        "spec": {"replicas": 7},
    });
    deployments
        .patch("frontend", &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap();
    let healed = world
        .await_object("aws-sub1", objects::DEPLOYMENT, "frontend", replicas(3))
        .await;
    let note = &healed["metadata"]["annotations"]["example.com/note"];
    assert_eq!(note, "by hand");

    let before = world.object("aws-sub1", objects::SERVICE, "frontend").await;
    objects::SERVICE
        .api(&member, GUESTBOOK)
        .delete("frontend", &DeleteParams::default())
        .await
        .unwrap();
    world
        .await_object("aws-sub1", objects::SERVICE, "frontend", |object| {
            if uid(object) == uid(&before) {
                Err("not deleted yet".to_owned())
            } else {
                Ok(())
            }
        })
        .await;
}

/// A member that is away holds nobody up, loses nothing, and catches up.
pub async fn member_down_and_back(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    let before = world
        .object("aws-sub2", objects::DEPLOYMENT, "redis-slave")
        .await;

    world.stop_member("aws-sub2");
    world.await_available("aws-sub2", false).await;
    world.scale(App::RedisSlave, 2, 3);
    world.scale(App::Guestbook, 3, 5);
    world
        .await_object("aws-sub1", objects::DEPLOYMENT, "frontend", replicas(5))
        .await;

    world.start_member("aws-sub2").await;
    world.await_available("aws-sub2", true).await;
    let after = world
        .await_object("aws-sub2", objects::DEPLOYMENT, "redis-slave", replicas(3))
        .await;
    assert_eq!(uid(&before), uid(&after));
    world.await_delivered(App::RedisSlave).await;
}

/// A kind that a member does not serve fails alone and visibly, and is
/// delivered once it is served.
pub async fn kind_not_served_then_served(mut world: World) {
    let member = world.member("aws-sub1").clone();
    let name = "routes.route.openshift.io";
    objects::CRD
        .api(&member, "")
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    objects::CRD.wait_gone(&member, "", name, SOON).await;

    world.start_product().await;
    world.apply(App::Guestbook).await;
    for kind in [objects::DEPLOYMENT, objects::SERVICE] {
        world
            .await_object("aws-sub1", kind, "frontend", |_| Ok(()))
            .await;
    }
    world
        .await_complaint("aws-sub1", "guestbook", "Route")
        .await;
    world
        .await_report(App::Guestbook, |summary| {
            expect(&summary["failed"], &json!("1"))
        })
        .await;

    let mut routes = crds::simulated().unwrap();
    routes.retain(|definition| definition.metadata.name.as_deref() == Some(name));
    assert_eq!(routes.len(), 1);
    serve(&member, &routes).await.unwrap();
    world
        .await_object("aws-sub1", objects::ROUTE, "guestbook", |_| Ok(()))
        .await;
    world.await_delivered(App::Guestbook).await;
}
