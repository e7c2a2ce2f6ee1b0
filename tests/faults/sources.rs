//! The repository is lost, or is not what it was. What the members hold stays
//! until git names something else.

use pilothouse::api::ANNOTATION_HOSTING_SUBSCRIPTION;

use crate::audit::{Identities, audit};
use crate::source::App;
use crate::support::{Edit, objects};
use crate::world::{SOON, World, expect};
use crate::{SHORT, delivered};

/// Waits until every Subscription says that its content failed.
async fn await_failed(world: &World) {
    for app in App::ALL {
        world
            .await_subscription(app, |status| {
                expect(&status["phase"], &serde_json::json!("PropagationFailed"))
            })
            .await;
    }
}

/// What was there is there, as the same objects.
async fn kept(world: &World, before: &Identities) {
    for app in App::ALL {
        for kind in [objects::DEPLOYMENT, objects::SERVICE] {
            let object = world.object(app.cluster(), kind, app.workload()).await;
            let key = format!("{} {} {}", app.cluster(), kind.name(), app.workload());
            assert_eq!(
                Some(object["metadata"]["uid"].as_str().unwrap_or_default()),
                before.get(&key).map(String::as_str),
                "{key}"
            );
            let stamp = &object["metadata"]["annotations"][ANNOTATION_HOSTING_SUBSCRIPTION];
            assert!(stamp.is_string(), "{key}");
        }
    }
}

/// One world, one fault after the other: each is mended before the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_server_gone_rewound_and_emptied() {
    let Some((world, _replicas, before)) = delivered(&SHORT).await else {
        return;
    };
    let first = world.repo.head().unwrap();

    // The server is gone and comes back.
    let (here, away) = (world.repo.path(), world.repo.path().with_extension("away"));
    std::fs::rename(&here, &away).unwrap();
    await_failed(&world).await;
    kept(&world, &before).await;
    std::fs::rename(&away, &here).unwrap();
    let before = audit(&world, &before, SOON).await;

    // A force-push back to an older commit is what git says now.
    world.scale(App::Guestbook, 3, 5);
    let before = audit(&world, &before, SOON).await;
    world.repo.rewind(Some(first)).unwrap();
    let before = audit(&world, &before, SOON).await;

    // The branch is deleted: nothing is known, nothing is pruned.
    world.repo.rewind(None).unwrap();
    await_failed(&world).await;
    kept(&world, &before).await;
    world.repo.rewind(Some(first)).unwrap();
    let before = audit(&world, &before, SOON).await;

    // The paths vanish: that is no empty application.
    let edits: Vec<Edit> = App::ALL
        .iter()
        .flat_map(|app| world.repo.files(app.folder()).unwrap().into_keys())
        .map(Edit::Delete)
        .collect();
    world.repo.commit("Empty it", &edits).unwrap();
    await_failed(&world).await;
    kept(&world, &before).await;
    world.repo.rewind(Some(first)).unwrap();
    audit(&world, &before, SOON).await;
}
