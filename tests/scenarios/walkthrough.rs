//! The article's walk-through: three applications applied in some order, each
//! delivered to its cluster and to no other.

use serde_json::json;

use crate::source::App;
use crate::support::objects;
use crate::world::{GUESTBOOK, SOON, World, expect};

/// Applies the applications in the given order.
pub async fn in_order(mut world: World, order: [App; 3]) {
    world.start_product().await;
    if order[0] == App::RedisMaster {
        world.create_namespace().await;
    }
    let mut applied = Vec::new();
    for app in order {
        world.apply(app).await;
        applied.push(app);
        for app in &applied {
            if applied.contains(&world.source.channel_of(*app)) {
                world.await_delivered(*app).await;
            } else {
                missing_channel_is_told(&world, *app).await;
            }
        }
    }
    everything_is_where_it_belongs(&world).await;
    stamps_are_as_rhacm_puts_them(&world).await;
}

/// The Subscription says which Channel it waits for; nothing is delivered.
async fn missing_channel_is_told(world: &World, app: App) {
    let channel = world.source.channel_of(app).channel();
    world
        .await_subscription(app, |status| {
            expect(&status["phase"], &json!("PropagationFailed"))?;
            let told = status["reason"].to_string() + &status["message"].to_string();
            if told.contains(channel) {
                Ok(())
            } else {
                Err(format!("{channel} is not named"))
            }
        })
        .await;
    assert!(
        !world
            .has(app.cluster(), objects::DEPLOYMENT, app.workload())
            .await
    );
}

async fn everything_is_where_it_belongs(world: &World) {
    for app in App::ALL {
        let cluster = app.cluster();
        let other = if cluster == "aws-sub1" {
            "aws-sub2"
        } else {
            "aws-sub1"
        };
        let extra = match app {
            App::Guestbook => (objects::ROUTE, "guestbook"),
            _ => (objects::SERVICE_EXPORT, app.workload()),
        };
        world
            .await_object(cluster, extra.0, extra.1, |_| Ok(()))
            .await;
        for (kind, name) in [
            (objects::DEPLOYMENT, app.workload()),
            (objects::SERVICE, app.workload()),
            extra,
        ] {
            assert!(
                !world.has(other, kind, name).await,
                "{name} is on {other} too"
            );
        }
        objects::PLACEMENT_RULE
            .wait(&world.hub, GUESTBOOK, app.placement_rule(), SOON, |rule| {
                let wanted = json!([{"clusterName": cluster, "clusterNamespace": cluster}]);
                expect(&rule["status"]["decisions"], &wanted)
            })
            .await;
    }
}

/// ocm-apps §2.8: labels of the Subscription where the key is absent, part-of
/// always, selectors and pod templates never.
async fn stamps_are_as_rhacm_puts_them(world: &World) {
    let deployment = world
        .object("aws-sub1", objects::DEPLOYMENT, "frontend")
        .await;
    let service = world.object("aws-sub1", objects::SERVICE, "frontend").await;
    let part_of = "app.kubernetes.io/part-of";
    for object in [&deployment, &service] {
        assert_eq!(object["metadata"]["labels"][part_of], "guestbook-app");
    }
    assert_eq!(deployment["metadata"]["labels"]["app"], "guestbook-app");
    assert_eq!(service["metadata"]["labels"]["app"], "guestbook");
    let selector = json!({"app": "guestbook", "tier": "frontend"});
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], selector);
    assert_eq!(
        deployment["spec"]["template"]["metadata"]["labels"],
        selector
    );
}
