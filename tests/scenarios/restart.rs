//! A restart: the new process finds everything as the old one left it, and
//! leaves it so.

use std::collections::BTreeMap;

use kube::api::DeleteParams;
use pilothouse::api::NamespacedName;
use pilothouse::core::delivery::{DeliveryPhase, PassCounts};
use serde_json::Value;

use crate::source::App;
use crate::support::{await_condition, objects};
use crate::world::{GUESTBOOK, SOON, World, available, replicas};

/// Everything is in place: nothing is written, on the hub or on a member.
pub async fn restart_writes_nothing(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    // The branch moves on for one application: the others stay at the commit
    // that changed them last, whatever the new process finds at the tip.
    world.scale(App::RedisSlave, 2, 4);
    world
        .await_object("aws-sub2", objects::DEPLOYMENT, "redis-slave", replicas(4))
        .await;
    world
        .await_object("aws-sub2", objects::DEPLOYMENT, "redis-slave", available)
        .await;
    unchanged_by_a_restart(&mut world, DeliveryPhase::Applied).await;
}

/// Something failed and fails still: what was said of it stands, once.
pub async fn restart_with_a_failure_writes_nothing(mut world: World) {
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
    world
        .await_complaint("aws-sub1", "guestbook", "Route")
        .await;
    world.apply(App::RedisMaster).await;
    world.apply(App::RedisSlave).await;
    world.await_delivered(App::RedisMaster).await;
    world.await_delivered(App::RedisSlave).await;
    unchanged_by_a_restart(&mut world, DeliveryPhase::Failed).await;
}

async fn unchanged_by_a_restart(world: &mut World, guestbook: DeliveryPhase) {
    world.product().await_quiet().await;
    let before = versions(world).await;
    world.restart_product().await;
    for app in App::ALL {
        let phase = match app {
            App::Guestbook => guestbook,
            App::RedisMaster | App::RedisSlave => DeliveryPhase::Applied,
        };
        await_settled(world, app, phase).await;
    }
    world.product().await_quiet().await;
    assert_eq!(world.product().writes(), Vec::<String>::new());
    let mut changed = versions(world).await;
    changed.retain(|key, version| before.get(key) != Some(version));
    if guestbook == DeliveryPhase::Failed {
        // What fails is tried again, and its inventory says so beforehand.
        let inventory = "\"pilothouse-guestbook-app\"";
        changed.retain(|key, _| !key.starts_with("aws-sub1") || !key.ends_with(inventory));
    }
    assert_eq!(changed, BTreeMap::new());
}

/// Waits until the product has looked at an application and found nothing to do.
async fn await_settled(world: &World, app: App, phase: DeliveryPhase) {
    let pool = &world.product().context().pool;
    let name = NamespacedName::new(GUESTBOOK, app.subscription());
    let what = format!("{name} to be looked at again");
    await_condition(&what, SOON, || async {
        let delivery = pool.delivery(&app.cluster().into(), &name);
        match &delivery {
            Some(found) if found.desired.is_some() && found.phase == phase => {
                if phase == DeliveryPhase::Applied {
                    assert_eq!(found.last_pass, PassCounts::default(), "{name}");
                }
                Ok(())
            }
            found => Err(format!("{found:?}")),
        }
    })
    .await;
}

/// Resource versions of what the product writes, by place and name.
async fn versions(world: &World) -> BTreeMap<String, Value> {
    let hub = [
        objects::NAMESPACE,
        objects::SECRET,
        objects::CHANNEL,
        objects::SUBSCRIPTION,
        objects::SUBSCRIPTION_REPORT,
        objects::SUBSCRIPTION_STATUS,
        objects::PLACEMENT_RULE,
        objects::APPLICATION,
        objects::MANAGED_CLUSTER,
    ];
    let member = [
        objects::NAMESPACE,
        objects::CONFIG_MAP,
        objects::SERVICE,
        objects::DEPLOYMENT,
        objects::SERVICE_EXPORT,
    ];
    let places = std::iter::once(("hub", &world.hub, &hub[..])).chain(
        world
            .members
            .iter()
            .map(|(name, client)| (name.as_str(), client, &member[..])),
    );
    let mut versions = BTreeMap::new();
    for (place, client, kinds) in places {
        for (kind, namespace) in kinds
            .iter()
            .flat_map(|kind| [GUESTBOOK, "aws-sub1", "aws-sub2"].map(|space| (kind, space)))
        {
            for object in kind.list(client, namespace).await.unwrap() {
                let key = format!("{place} {kind:?} {}", object["metadata"]["name"]);
                versions.insert(key, object["metadata"]["resourceVersion"].clone());
            }
        }
    }
    versions
}
