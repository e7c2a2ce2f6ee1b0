//! What a push does.

use crate::source::App;
use crate::support::{Edit, objects};
use crate::world::{World, available, replicas, uid};

/// A pushed change is live on the member it concerns; the other one is left
/// alone, and so are the other objects of the same member.
pub async fn push_reaches_the_right_member_only(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    let before = world
        .object("aws-sub1", objects::DEPLOYMENT, "redis-master")
        .await;
    let service = world
        .object("aws-sub2", objects::SERVICE, "redis-slave")
        .await;

    world.scale(App::RedisSlave, 2, 4);
    world
        .await_object("aws-sub2", objects::DEPLOYMENT, "redis-slave", replicas(4))
        .await;
    world
        .await_object("aws-sub2", objects::DEPLOYMENT, "redis-slave", available)
        .await;

    let after = world
        .object("aws-sub1", objects::DEPLOYMENT, "redis-master")
        .await;
    assert_eq!(
        before["metadata"]["generation"],
        after["metadata"]["generation"]
    );
    assert!(
        !world
            .has("aws-sub1", objects::DEPLOYMENT, "redis-slave")
            .await
    );
    let untouched = world
        .object("aws-sub2", objects::SERVICE, "redis-slave")
        .await;
    assert_eq!(
        service["metadata"]["resourceVersion"], untouched["metadata"]["resourceVersion"],
        "an object that the commit did not change was written"
    );
}

/// A file that is gone from git is gone from the member, nothing else is.
pub async fn deleted_file_is_pruned(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    let deployment = world
        .object("aws-sub2", objects::DEPLOYMENT, "redis-slave")
        .await;
    world
        .await_object("aws-sub2", objects::SERVICE_EXPORT, "redis-slave", |_| {
            Ok(())
        })
        .await;

    let path = App::RedisSlave.manifest("serviceexport.yaml");
    world
        .repo
        .commit("No export", &[Edit::delete(&path)])
        .unwrap();
    world
        .await_gone("aws-sub2", objects::SERVICE_EXPORT, "redis-slave")
        .await;

    let kept = world
        .object("aws-sub2", objects::DEPLOYMENT, "redis-slave")
        .await;
    assert_eq!(uid(&deployment), uid(&kept));
    assert!(
        world
            .has("aws-sub1", objects::SERVICE_EXPORT, "redis-master")
            .await
    );
}

/// A commit with a broken file prunes nothing and says file and line; the
/// next good commit does what both wanted.
pub async fn broken_file_prunes_nothing(mut world: World) {
    world.start_product().await;
    world.apply_all().await;
    world
        .await_object("aws-sub2", objects::SERVICE_EXPORT, "redis-slave", |_| {
            Ok(())
        })
        .await;
    let service = App::RedisSlave.manifest("service.yaml");
    let good = world.repo.read(&service).unwrap();

    let broken = "apiVersion: v1\nkind: Service\nmetadata:\n  name: redis-slave\n  labels: [\n";
    world
        .repo
        .commit(
            "Break the service, drop the export",
            &[
                Edit::write(&service, broken),
                Edit::delete(&App::RedisSlave.manifest("serviceexport.yaml")),
            ],
        )
        .unwrap();
    world
        .await_subscription(App::RedisSlave, |status| {
            let text = status.to_string();
            let told = text.contains(&format!("{service}:5"));
            if told {
                Ok(())
            } else {
                Err("no file and line".to_owned())
            }
        })
        .await;

    // Another application's push goes through meanwhile; by then the broken
    // commit would have done its harm.
    world.scale(App::RedisMaster, 1, 2);
    world
        .await_object("aws-sub1", objects::DEPLOYMENT, "redis-master", replicas(2))
        .await;
    for kind in [
        objects::SERVICE_EXPORT,
        objects::SERVICE,
        objects::DEPLOYMENT,
    ] {
        assert!(
            world.has("aws-sub2", kind, "redis-slave").await,
            "{kind:?} is gone"
        );
    }

    let fixed = Edit::write(&service, &good);
    world.repo.commit("Mend the service", &[fixed]).unwrap();
    world
        .await_gone("aws-sub2", objects::SERVICE_EXPORT, "redis-slave")
        .await;
    world.await_delivered(App::RedisSlave).await;
}
