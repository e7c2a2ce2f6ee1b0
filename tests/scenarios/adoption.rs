//! A hub that takes over from RHACM.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use pilothouse::api::{ANNOTATION_HOSTING_SUBSCRIPTION, crds};
use serde_json::{Value, json};

use crate::source::App;
use crate::support::objects::{self, Kind};
use crate::world::{GUESTBOOK, World, expect, serve, uid};

/// Field manager of RHACM's agent: the name of its program.
const AGENT: &str = "multicluster-operators-subscription";

/// What the agent deployed goes on as it is: the same objects, without what
/// has left git since, with what people and autoscalers set. What is not in
/// git at all stays where it is: no inventory names it.
pub async fn objects_of_rhacm_go_on(mut world: World) {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GUESTBOOK},
    });
    objects::apply(world.member("aws-sub1"), &namespace)
        .await
        .unwrap();
    let mut deployment = manifest(&world, "deployment.yaml");
    deployment["metadata"]["labels"]["from-an-older-commit"] = json!("yes");
    deployment["spec"]["minReadySeconds"] = json!(3);
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "GONE", "value": "from git"}]);
    let deployment = deploy(&world, objects::DEPLOYMENT, deployment).await;
    let service = manifest(&world, "service.yaml");
    let service = deploy(&world, objects::SERVICE, service).await;
    let leftover = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "leftover"}, "data": {"a": "b"},
    });
    let leftover = deploy(&world, objects::CONFIG_MAP, leftover).await;
    let note = json!({"metadata": {"annotations": {"example.com/note": "by hand"}}});
    let by_hand = PatchParams {
        field_manager: Some("kubectl-annotate".to_owned()),
        ..PatchParams::default()
    };
    objects::DEPLOYMENT
        .api(world.member("aws-sub1"), GUESTBOOK)
        .patch("frontend", &by_hand, &Patch::Merge(&note))
        .await
        .unwrap();

    world.start_product().await;
    world.apply(App::Guestbook).await;
    world.await_delivered(App::Guestbook).await;
    let after = world
        .await_object("aws-sub1", objects::DEPLOYMENT, "frontend", |object| {
            expect(
                &object["metadata"]["labels"]["from-an-older-commit"],
                &Value::Null,
            )
        })
        .await;
    assert_eq!(uid(&after), uid(&deployment));
    assert_eq!(after["spec"]["minReadySeconds"], Value::Null);
    let container = &after["spec"]["template"]["spec"]["containers"][0];
    let environment = container["env"].as_array().into_iter().flatten();
    assert_eq!(
        environment
            .filter(|variable| variable["name"] == "GONE")
            .count(),
        0,
        "{container}"
    );
    let annotations = &after["metadata"]["annotations"];
    assert_eq!(annotations["example.com/note"], "by hand");
    let managers: Vec<&Value> = after["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| &entry["manager"])
        .collect();
    assert!(!managers.contains(&&json!(AGENT)), "{managers:?}");

    // A field that the agent wrote too, and that a later commit drops.
    world.push(
        App::Guestbook,
        "deployment.yaml",
        "            cpu: 100m\n",
        "",
    );
    let memory = json!({"memory": "100Mi"});
    let after = world
        .await_object("aws-sub1", objects::DEPLOYMENT, "frontend", |object| {
            let container = &object["spec"]["template"]["spec"]["containers"][0];
            expect(&container["resources"]["requests"], &memory)
        })
        .await;
    assert_eq!(uid(&after), uid(&deployment));

    let after = world.object("aws-sub1", objects::SERVICE, "frontend").await;
    assert_eq!(uid(&after), uid(&service));
    assert_eq!(after["spec"]["clusterIP"], service["spec"]["clusterIP"]);
    let after = world
        .object("aws-sub1", objects::CONFIG_MAP, "leftover")
        .await;
    assert_eq!(uid(&after), uid(&leftover));
}

/// While the agent still has its copy of the Subscription on the member, what
/// it delivered is left to it, and the complaint says what to do. Without the
/// copy we go on with the same object.
pub async fn agent_of_rhacm_is_left_alone(mut world: World) {
    let member = world.member("aws-sub1").clone();
    serve(&member, &crds::all().unwrap()).await.unwrap();
    let copy = json!({
        "apiVersion": "apps.open-cluster-management.io/v1", "kind": "Subscription",
        "metadata": {"name": App::Guestbook.subscription(), "namespace": GUESTBOOK},
        "spec": {"channel": "guestbook/guestbook-app-latest", "placement": {"local": true}},
    });
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GUESTBOOK},
    });
    objects::apply(&member, &namespace).await.unwrap();
    objects::apply(&member, &copy).await.unwrap();
    let service = manifest(&world, "service.yaml");
    let before = deploy(&world, objects::SERVICE, service).await;

    world.start_product().await;
    world.apply(App::Guestbook).await;
    world
        .await_complaint("aws-sub1", "frontend", "RHACM's agent")
        .await;
    let left = world.object("aws-sub1", objects::SERVICE, "frontend").await;
    assert_eq!(
        before["metadata"]["resourceVersion"],
        left["metadata"]["resourceVersion"]
    );

    objects::SUBSCRIPTION
        .api(&member, GUESTBOOK)
        .delete(App::Guestbook.subscription(), &DeleteParams::default())
        .await
        .unwrap();
    world.await_delivered(App::Guestbook).await;
    let after = world.object("aws-sub1", objects::SERVICE, "frontend").await;
    assert_eq!(uid(&before), uid(&after));
}

/// A file of the application, as git has it.
fn manifest(world: &World, file: &str) -> Value {
    let text = world.repo.read(&App::Guestbook.manifest(file)).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// Creates it as the agent does.
async fn deploy(world: &World, kind: Kind, mut manifest: Value) -> Value {
    let hosting = format!("{GUESTBOOK}/{}", App::Guestbook.subscription());
    manifest["metadata"]["annotations"][ANNOTATION_HOSTING_SUBSCRIPTION] = json!(hosting);
    if let Some(metadata) = manifest["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    let object: DynamicObject = serde_json::from_value(manifest).unwrap();
    let params = PostParams {
        field_manager: Some(AGENT.to_owned()),
        ..PostParams::default()
    };
    let api = kind.api(world.member("aws-sub1"), GUESTBOOK);
    let made = api.create(&params, &object).await.unwrap();
    serde_json::to_value(made).unwrap()
}
