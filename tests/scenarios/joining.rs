//! Members that join and leave by the command line, as an operator does it.

use std::path::{Path, PathBuf};
use std::process::Output;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::DeleteParams;
use pilothouse::api::ClusterName;
use pilothouse::api::cluster::ManagedCluster;
use pilothouse::hub::credential::renewal::{Standing, attend};
use pilothouse::hub::credential::{Found, SourceKind, find};
use pilothouse::hub::registration::CREDENTIAL_SECRET;
use pilothouse::member::credential::MemberCredential;
use pilothouse::member::credential::agent;
use tempfile::TempDir;

use crate::source::App;
use crate::support::await_condition;
use crate::support::objects;
use crate::world::{SOON, World, replicas};

const MEMBER: &str = "aws-sub1";

/// Kubeconfigs of administrators, as files.
struct Files {
    folder: TempDir,
}

impl Files {
    fn of(world: &World) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in [
            ("hub", world.ground.hub_kubeconfig()),
            ("member", world.ground.kubeconfig(MEMBER).unwrap()),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `pilothouse cluster VERB aws-sub1 …`, by the member's admin or without.
    async fn cluster(&self, verb: &str, admin: Option<&Path>, more: &[&str]) -> Output {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command.args(["cluster", verb, MEMBER]).args(more);
        command.arg("--hub-kubeconfig").arg(self.path("hub"));
        if let Some(admin) = admin {
            command.arg("--kubeconfig").arg(admin);
        }
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = tokio::time::timeout(SOON, output).await.unwrap();
        let output = output.unwrap().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{verb}: {errors}");
        output
    }
}

async fn found(world: &World) -> Found {
    let clusters: Api<ManagedCluster> = Api::all(world.hub.clone());
    let cluster = clusters.get(MEMBER).await.unwrap();
    find(&world.hub, &cluster).await.unwrap()
}

/// The account's token is stored and nothing of the administrator's.
fn assert_scoped(found: &Found, admin: &str) {
    assert_eq!(found.kind, SourceKind::Joined);
    assert_eq!(found.credential.account(), Some(agent::account()));
    let stored = found.credential.to_yaml().unwrap();
    let admin = MemberCredential::from_kubeconfig(admin.as_bytes(), None).unwrap();
    assert_eq!(found.credential.server(), admin.server());
    let admin: serde_json::Value = serde_yaml::from_str(&admin.to_yaml().unwrap()).unwrap();
    for secret in ["token", "client-certificate-data", "client-key-data"] {
        let given = admin.pointer(&format!("/users/0/user/{secret}"));
        if let Some(given) = given.and_then(serde_json::Value::as_str) {
            assert!(!stored.contains(given), "the admin's {secret} is stored");
        }
    }
}

/// The command makes an account and stores its token only; the product
/// delivers with it, before and after it was renewed; leaving takes the
/// account away and leaves what was delivered.
pub async fn joined_by_the_command_and_left(mut world: World) {
    let files = Files::of(&world);
    let admin = world.ground.kubeconfig(MEMBER).unwrap();
    let secrets: Api<Secret> = Api::namespaced(world.hub.clone(), MEMBER);
    let by_hand = DeleteParams::default();
    secrets.delete("credential", &by_hand).await.unwrap();
    let member = files.path("member");
    files
        .cluster("join", Some(&member), &["--token-lifetime", "2h"])
        .await;
    let first = found(&world).await;
    assert_scoped(&first, &admin);
    world.start_product().await;
    world.apply_all().await;

    files.cluster("rotate", None, &[]).await;
    let second = found(&world).await;
    assert_scoped(&second, &admin);
    assert_ne!(second.fingerprint, first.fingerprint);
    world.scale(App::Guestbook, 3, 4);
    world
        .await_object(MEMBER, objects::DEPLOYMENT, "frontend", replicas(4))
        .await;

    // Two hours are not waited for: the controller's function, with its clock put on.
    let cluster = ClusterName::from(MEMBER);
    let late = Timestamp::now() + SignedDuration::from_mins(110);
    let standing = attend(&world.hub, &cluster, &second, true, None, late).await;
    assert!(
        matches!(standing, Some(Standing::Valid { .. })),
        "{standing:?}"
    );
    let third = found(&world).await;
    assert_scoped(&third, &admin);
    assert_ne!(third.fingerprint, second.fingerprint);
    world.scale(App::Guestbook, 4, 5);
    world
        .await_object(MEMBER, objects::DEPLOYMENT, "frontend", replicas(5))
        .await;

    // An administrator renews what no longer can renew itself.
    files.cluster("rotate", Some(&member), &[]).await;
    assert_ne!(found(&world).await.fingerprint, third.fingerprint);

    files.cluster("leave", None, &[]).await;
    assert!(secrets.get_opt(CREDENTIAL_SECRET).await.unwrap().is_none());
    await_removed(&world).await;
    assert!(world.has(MEMBER, objects::DEPLOYMENT, "frontend").await);
}

async fn await_removed(world: &World) {
    let member = world.member(MEMBER);
    let namespaces: Api<Namespace> = Api::all(member.clone());
    let roles: Api<ClusterRole> = Api::all(member.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(member.clone());
    await_condition("the account and its rights are gone", SOON, || async {
        let text = |error: kube::Error| error.to_string();
        let left = [
            namespaces
                .get_opt(agent::NAMESPACE)
                .await
                .map_err(text)?
                .is_some(),
            roles
                .get_opt(agent::NAMESPACE)
                .await
                .map_err(text)?
                .is_some(),
            bindings
                .get_opt(agent::NAMESPACE)
                .await
                .map_err(text)?
                .is_some(),
        ];
        if left.contains(&true) {
            Err(format!("namespace, role, binding: {left:?}"))
        } else {
            Ok(())
        }
    })
    .await;
}
