//! The shipped roles grant what the product uses, and nothing else. The whole
//! story runs as their ServiceAccounts on real API servers; then the servers'
//! audit logs are compared with the rules, both ways.

use std::time::Duration;

use pilothouse::app::{self, Running, StartOptions};
use pilothouse::git::{FetcherOptions, GitConfig};
use pilothouse::hub::context::HubOptions;
use pilothouse::hub::lease::{Elector, LeaseTimes};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::audit::Target;
use crate::render::rendered;
use crate::replica::{Replica, SOON};
use crate::rules::{Unseen, complaints};
use crate::scenario::{MEMBER, RIGHTS, Stage, WISHES, apply_folder, kubectl};
use crate::support::controlplane::Binaries;
use crate::support::{await_condition, have, objects};

/// Rights that no request shows.
const UNSEEN: &[Unseen] = &[
    Unseen {
        role: "pilothouse",
        group: "apps.open-cluster-management.io",
        resources: &["subscriptions/finalizers", "placementrules/finalizers"],
        verbs: &["update"],
        why: "asked by OwnerReferencesPermissionEnforcement within the write of an owned object; without it that write is refused here",
        sometimes: false,
    },
    Unseen {
        role: "pilothouse",
        group: "cluster.open-cluster-management.io",
        resources: &["placements/finalizers"],
        verbs: &["update"],
        why: "the same, for a PlacementDecision",
        sometimes: false,
    },
    Unseen {
        role: "pilothouse",
        group: "events.k8s.io",
        resources: &["events"],
        verbs: &["patch"],
        why: "the same Event on the same object once more within minutes",
        sometimes: true,
    },
    Unseen {
        role: "pilothouse",
        group: "",
        resources: &["secrets"],
        verbs: &["patch"],
        why: "the hub stores a renewed token, which is due at 80 % of its life, ten minutes at least",
        sometimes: false,
    },
    Unseen {
        role: "pilothouse-token",
        group: "",
        resources: &["serviceaccounts/token"],
        verbs: &["create"],
        why: "the hub renews a token at 80 % of its life, which is ten minutes at least",
        sometimes: false,
    },
    Unseen {
        role: "pilothouse-agent",
        group: "rbac.authorization.k8s.io",
        resources: &["roles", "clusterroles"],
        verbs: &["escalate", "bind"],
        why: "asked within the write of a role or binding that grants more than the account has; without it the application of this story fails",
        sometimes: false,
    },
];

fn guestbook(file: &str) -> String {
    format!("guestbook-app/guestbook/{file}")
}

async fn await_frontends(stage: &Stage, replicas: u64) {
    objects::DEPLOYMENT
        .wait(
            &stage.member_admin,
            "guestbook",
            "frontend",
            SOON,
            |object| match object["spec"]["replicas"].as_u64() {
                Some(found) if found == replicas => Ok(()),
                found => Err(format!("{found:?} replicas\n{}", stage.member.logs())),
            },
        )
        .await;
}

/// The first life: everything begins.
async fn begin(stage: &Stage, replica: &Replica) {
    replica.await_ready().await;
    objects::MANAGED_CLUSTER
        .wait(&stage.hub_admin, "", MEMBER, SOON, |object| {
            match object["status"]["conditions"].to_string() {
                all if all.contains("ManagedClusterJoined") => Ok(()),
                all => Err(format!("{all}\n{}", replica.tail())),
            }
        })
        .await;
    stage.commit_rights();
    apply_folder(&stage.hub, "examples/guestbook/guestbook-app/acm-resources");
    kubectl(&stage.hub, &["apply", "-f", "-"], WISHES);
    await_frontends(stage, 3).await;
    let member = &stage.member_admin;
    for kind in [objects::CLUSTER_ROLE_BINDING, objects::ROLE_BINDING] {
        kind.wait(member, "platform", "delivered", SOON, |_| Ok(()))
            .await;
    }
    // A failure is told in the cluster's namespace until it is none.
    let (hub, failure) = (&stage.hub_admin, "platform.rights");
    objects::SUBSCRIPTION_STATUS
        .wait(hub, MEMBER, failure, SOON, |_| Ok(()))
        .await;
    stage.retract_nonsense();
    objects::SUBSCRIPTION_STATUS
        .wait_gone(hub, MEMBER, failure, SOON)
        .await;
    objects::SUBSCRIPTION
        .wait(
            hub,
            "platform",
            "private",
            SOON,
            |object| match object["status"].to_string() {
                status if status.contains("127.0.0.1:1") => Ok(()),
                status => Err(status),
            },
        )
        .await;
    objects::NAMESPACE
        .wait(hub, "", "nobody-knows", SOON, |_| Ok(()))
        .await;
    // Hive and HyperShift are asked about it, which this hub does not serve.
    objects::MANAGED_CLUSTER
        .wait(
            hub,
            "",
            "nobody-knows",
            SOON,
            |object| match object["status"]["conditions"].to_string() {
                all if all.contains("no credential in namespace") => Ok(()),
                all => Err(all),
            },
        )
        .await;
}

/// What administrators do to objects of ours is put right.
async fn meddle(stage: &Stage) {
    let hub = &stage.hub_admin;
    let patch =
        r#"{"spec":{"clusterSelector":{"selectorType":"LabelSelector","labelSelector":{}}}}"#;
    let set = [
        "patch",
        "managedclusterset",
        "default",
        "--type=merge",
        "-p",
        patch,
    ];
    kubectl(&stage.hub, &set, "");
    objects::MANAGED_CLUSTER_SET
        .wait(
            hub,
            "",
            "default",
            SOON,
            |set| match set["spec"]["clusterSelector"]["selectorType"].as_str() {
                Some("ExclusiveClusterSetLabel") => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    let decisions = objects::PLACEMENT_DECISION.list(hub, "platform").await;
    let decision = decisions.unwrap().remove(0);
    let name = decision["metadata"]["name"].as_str().unwrap();
    let label = "cluster.open-cluster-management.io/decision-group-index";
    let before = decision["metadata"]["labels"][label].clone();
    let wrong = format!("{label}=77");
    let relabel = [
        "label",
        "placementdecision",
        name,
        "-n",
        "platform",
        "--overwrite",
        &wrong,
    ];
    kubectl(&stage.hub, &relabel, "");
    objects::PLACEMENT_DECISION
        .wait(hub, "platform", name, SOON, |object| {
            if object["metadata"]["labels"][label] == before {
                Ok(())
            } else {
                Err(object["metadata"].to_string())
            }
        })
        .await;
    let surplus = "apiVersion: cluster.open-cluster-management.io/v1beta1
kind: PlacementDecision
metadata:
  name: surplus
  namespace: platform
  labels: {cluster.open-cluster-management.io/placement: first}
";
    kubectl(&stage.hub, &["create", "-f", "-"], surplus);
    objects::PLACEMENT_DECISION
        .wait_gone(hub, "platform", "surplus", SOON)
        .await;
}

/// Somebody reads the dashboard with a token.
async fn look(stage: &Stage, replica: &Replica) {
    for reader in [
        "create serviceaccount reader",
        "create clusterrole reader --verb=get,list --resource=managedclusters.cluster.open-cluster-management.io",
        "create clusterrolebinding reader --clusterrole=reader --serviceaccount=default:reader",
    ] {
        let words: Vec<&str> = reader.split(' ').collect();
        kubectl(&stage.hub, &words, "");
    }
    let token = kubectl(&stage.hub, &["create", "token", "reader"], "");
    await_condition("the dashboard", SOON, || async {
        match replica.page("/api/v1/clusters", token.trim()).await? {
            (200, _) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// The second replica leads after the first; a commit, a prune, a deletion.
async fn go_on(stage: &Stage, replica: &Replica) {
    let (from, to) = ("replicas: 3", "replicas: 4");
    let file = guestbook("deployment.yaml");
    stage.repo.replace(&file, from, to).unwrap();
    await_frontends(stage, 4).await;
    let route = crate::support::Edit::Delete(guestbook("route.yaml"));
    stage.repo.commit("No route", &[route]).unwrap();
    let member = &stage.member_admin;
    objects::ROUTE
        .wait_gone(member, "guestbook", "frontend", SOON)
        .await;
    let delete = ["delete", "subscription", "guestbook-app", "-n", "guestbook"];
    kubectl(&stage.hub, &delete, "");
    objects::DEPLOYMENT
        .wait_gone(member, "guestbook", "frontend", SOON)
        .await;
    assert!(replica.metrics().await.contains("pilothouse_leader 1"));
}

/// The product in this process: what takes minutes with the times that the
/// program has.
async fn impatient(stage: &Stage) -> (Running, DropGuard) {
    let folder = stage.folder.path();
    let client = stage.hub_account().await;
    let shutdown = CancellationToken::new();
    // A leader of a later term: the member refuses an earlier one's writes.
    let (identity, times) = ("library".to_owned(), LeaseTimes::default());
    let elector = Elector::new(client.clone(), "pilothouse", identity, None, times).unwrap();
    let leadership = elector.acquire().await.unwrap();
    let (held, until) = (leadership.clone(), shutdown.clone());
    tokio::spawn(async move { elector.hold(&held, &until).await });
    let git = GitConfig::none().with_file(&folder.join("gitconfig"));
    let options = StartOptions {
        hub: HubOptions {
            mode: "test".to_owned(),
            poll_interval: Duration::from_secs(1),
            probe_interval: Duration::from_secs(1),
            release_after: Duration::from_secs(2),
            ..HubOptions::default()
        },
        git: FetcherOptions {
            allow_local: true,
            git_config: git.unwrap(),
            ..FetcherOptions::new(folder.join("library-cache"))
        },
        leadership,
    };
    let running = app::start(client, options, shutdown.clone());
    (running.await.unwrap(), shutdown.drop_guard())
}

/// A Subscription goes while its cluster is away: the removal is owed.
async fn owe(stage: &mut Stage) {
    let (running, shutdown) = impatient(stage).await;
    stage
        .repo
        .replace(
            &format!("{RIGHTS}/clusterrole.yaml"),
            "[impersonate]",
            "[impersonate, get]",
        )
        .unwrap();
    let role = [
        "get",
        "clusterrole",
        "delivered",
        "-o",
        "jsonpath={.rules[0].verbs}",
    ];
    await_condition("the commit", SOON, || async {
        match kubectl(&stage.member, &role, "") {
            verbs if verbs.contains("get") => Ok(()),
            verbs => Err(verbs),
        }
    })
    .await;
    stage.member.kill_apiserver().unwrap();
    objects::MANAGED_CLUSTER
        .wait(&stage.hub_admin, "", MEMBER, SOON, |object| {
            match object["spec"]["taints"].to_string() {
                taints if taints.contains("unreachable") => Ok(()),
                taints => Err(format!("{taints} {}", object["status"])),
            }
        })
        .await;
    let delete = [
        "delete",
        "subscription",
        "rights",
        "-n",
        "platform",
        "--wait=false",
    ];
    kubectl(&stage.hub, &delete, "");
    objects::SUBSCRIPTION
        .wait_gone(&stage.hub_admin, "platform", "rights", SOON)
        .await;
    stage.member.start_apiserver().await.unwrap();
    stage.member_admin = stage.member.client().await.unwrap();
    objects::CLUSTER_ROLE_BINDING
        .wait_gone(&stage.member_admin, "", "delivered", SOON)
        .await;
    drop(shutdown);
    running.ended().await;
}

fn roles(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects.iter().filter(|object| {
        let kind = object["kind"].as_str().unwrap();
        kind == "Role" || kind == "ClusterRole"
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_grant_what_is_used_and_nothing_else() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let mut stage = Stage::build().await;
    stage.install().await;
    stage.write_hub_kubeconfig();
    stage.join().await;
    let folder = stage.folder.path().to_owned();
    let first = Replica::start(&folder, "first");
    begin(&stage, &first).await;
    meddle(&stage).await;
    look(&stage, &first).await;
    let second = Replica::start(&folder, "second");
    second.await_ready().await;
    first.end().await;
    go_on(&stage, &second).await;
    second.end().await;
    owe(&mut stage).await;

    let mut wrong = Vec::new();
    for (log, account, folder) in [
        (&stage.hub_log, "pilothouse:pilothouse", "deploy"),
        (
            &stage.member_log,
            "pilothouse-agent:pilothouse",
            "deploy/member",
        ),
    ] {
        let uses = log.uses(account);
        assert!(uses.granted.len() > 20, "{uses:?}");
        // The roles do not change: what was granted once and refused once was
        // refused by a server that had just started and not read them yet. Then
        // the probe tries an older path too, which needs no right of its own.
        let granted: Vec<String> = uses
            .granted
            .iter()
            .map(|used| format!("{used:?}"))
            .collect();
        let fallback = format!("{:?}", Target::Path("/healthz".to_owned()));
        let refused = uses
            .refused
            .iter()
            .filter(|(what, _)| !granted.contains(what) && !what.contains(&fallback));
        wrong.extend(refused.map(|(what, words)| format!("{folder}: refused {what}: {words}")));
        let objects = rendered(folder).unwrap();
        wrong.extend(roles(&objects).flat_map(|role| complaints(role, &uses, UNSEEN)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
