//! A hub on which another controller is, or was, at work.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::source::App;
use crate::support::objects::{self, Kind};
use crate::world::{GUESTBOOK, SOON, World, expect};

/// What another controller decided and works on is left alone, and said; what
/// is ours is delivered by its decisions. Told to take over, the product goes
/// on with all of it.
pub async fn two_controllers_never_write_one_object(mut world: World) {
    world.create_namespace().await;
    for app in [App::RedisSlave, App::Guestbook] {
        world.apply(app).await;
    }
    decide_elsewhere(&world, App::RedisSlave, "aws-sub1").await;
    let status = json!({"phase": "Propagated", "message": "Active"});
    let operator = "multicluster-operators-subscription";
    write_status(
        &world,
        objects::SUBSCRIPTION,
        App::Guestbook.subscription(),
        operator,
        status.clone(),
    )
    .await;

    world.start_product().await;
    let workload = App::RedisSlave.workload();
    world
        .await_object("aws-sub1", objects::DEPLOYMENT, workload, |_| Ok(()))
        .await;
    for (kind, name) in [
        ("PlacementRule", App::RedisSlave.placement_rule()),
        ("Subscription", App::Guestbook.subscription()),
    ] {
        await_event(&world, kind, name).await;
    }
    assert!(!world.has("aws-sub2", objects::DEPLOYMENT, workload).await);
    assert!(!world.has("aws-sub1", objects::DEPLOYMENT, "frontend").await);
    let subscription = objects::SUBSCRIPTION
        .find(&world.hub, GUESTBOOK, App::Guestbook.subscription())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(subscription["status"], status);
    assert_eq!(subscription["metadata"]["finalizers"], Value::Null);

    world.take_over = true;
    world.restart_product().await;
    world.await_delivered(App::Guestbook).await;
    world.await_delivered(App::RedisSlave).await;
    world
        .await_gone("aws-sub1", objects::DEPLOYMENT, workload)
        .await;

    // It was not gone after all: who writes after us keeps the object.
    world.product().await_quiet().await;
    let status = json!({"phase": "Propagated", "message": "not gone"});
    write_status(
        &world,
        objects::SUBSCRIPTION,
        App::Guestbook.subscription(),
        operator,
        status,
    )
    .await;
    world.scale(App::Guestbook, 3, 4);
    world.scale(App::RedisSlave, 2, 3);
    world
        .await_object("aws-sub2", objects::DEPLOYMENT, workload, |object| {
            expect(&object["spec"]["replicas"], &json!(3))
        })
        .await;
    let frontend = world
        .object("aws-sub1", objects::DEPLOYMENT, "frontend")
        .await;
    assert_eq!(frontend["spec"]["replicas"], 3);
}

/// What a placement controller of RHACM leaves.
async fn decide_elsewhere(world: &World, app: App, cluster: &str) {
    let manager = "multicluster-operators-placementrule";
    let decisions = json!([{"clusterName": cluster, "clusterNamespace": cluster, "reason": ""}]);
    let name = format!("{}-decision-1", app.placement_rule());
    let decision = json!({
        "apiVersion": "cluster.open-cluster-management.io/v1beta1", "kind": "PlacementDecision",
        "metadata": {
            "name": name,
            "labels": {"cluster.open-cluster-management.io/placementrule": app.placement_rule()},
        },
    });
    let params = PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    };
    objects::PLACEMENT_DECISION
        .api(&world.hub, GUESTBOOK)
        .create(&params, &serde_json::from_value(decision).unwrap())
        .await
        .unwrap();
    let status = json!({"decisions": decisions});
    write_status(world, objects::PLACEMENT_DECISION, &name, manager, status).await;
    let status = json!({"decisions": [{"clusterName": cluster, "clusterNamespace": cluster}]});
    write_status(
        world,
        objects::PLACEMENT_RULE,
        app.placement_rule(),
        manager,
        status,
    )
    .await;
}

async fn write_status(world: &World, kind: Kind, name: &str, manager: &str, status: Value) {
    let params = PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"status": status}));
    let api = kind.api(&world.hub, GUESTBOOK);
    api.patch_status(name, &params, &patch).await.unwrap();
}

async fn await_event(world: &World, kind: &str, name: &str) {
    let what = format!("an Event that {kind} {name} is left to another controller");
    crate::support::await_condition(&what, SOON, || async {
        let events = objects::EVENT.list(&world.hub, GUESTBOOK).await?;
        let told = events.iter().any(|event| {
            event["reason"] == "LeftToOther"
                && event["regarding"]["kind"] == kind
                && event["regarding"]["name"] == name
                && event["note"]
                    .as_str()
                    .is_some_and(|note| note.contains("--take-over"))
        });
        if told {
            Ok(())
        } else {
            Err(json!(events).to_string())
        }
    })
    .await;
}
