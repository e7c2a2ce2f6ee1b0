//! The pool against the embedded API server, in process.

mod scale;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::client::MemberClient;
use super::{ChangeKind, Desire, MemberConnection, Pool, PoolOptions};
use crate::api::{ANNOTATION_HOSTING_SUBSCRIPTION, ClusterName, NamespacedName};
use crate::apiserver::{Fault, Options, Server};
use crate::core::delivery::{ClusterDelivery, DeliveryPhase, Health, Sync};
use crate::core::desired::{DesiredInput, DesiredSet, Owner, Ownership, desired_set};
use crate::core::fleet::Connection;
use crate::core::inventory::Stamp;
use crate::core::manifest::{EntryKind, PackageFilter, assemble, parse_file, select};

const DEADLINE: Duration = Duration::from_secs(20);

struct Fixture {
    server: Server,
    pool: Pool,
    cluster: ClusterName,
    application: NamespacedName,
}

fn pool() -> Pool {
    Pool::new(PoolOptions {
        probe_interval: Duration::from_millis(200),
        retry_base: Duration::from_millis(50),
        retry_max: Duration::from_millis(500),
        ..PoolOptions::new("hub-1")
    })
}

impl Fixture {
    fn new() -> Self {
        Self::with(pool())
    }

    fn with(pool: Pool) -> Self {
        let server = Server::open(Options::in_memory("m1")).unwrap();
        let fixture = Self {
            pool,
            cluster: ClusterName::from("m1"),
            application: NamespacedName::new("guestbook", "web"),
            server,
        };
        fixture.connect(&fixture.pool);
        fixture
    }

    fn connect(&self, pool: &Pool) {
        let client = MemberClient::from_client(self.server.outside_client());
        pool.connect(
            &self.cluster,
            MemberConnection {
                client,
                fingerprint: "1".into(),
            },
        );
    }

    fn deliver(&self, owner: &Owner, text: &str) -> Arc<DesiredSet> {
        let set = desire(owner, text);
        self.pool.desire(
            &self.cluster,
            &owner.application,
            Desire::Deliver(set.clone()),
        );
        set
    }

    async fn wait(&self, what: &str, check: impl Fn(&ClusterDelivery) -> bool) -> ClusterDelivery {
        wait_in(&self.pool, &self.cluster, &self.application, what, check).await
    }

    async fn applied(&self, set: &DesiredSet) -> ClusterDelivery {
        self.wait("applied", |delivery| {
            delivery.phase == DeliveryPhase::Applied
                && delivery.desired.as_ref() == Some(&set.digest)
        })
        .await
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.server.client(), "guestbook")
    }
}

async fn wait_in(
    pool: &Pool,
    cluster: &ClusterName,
    application: &NamespacedName,
    what: &str,
    check: impl Fn(&ClusterDelivery) -> bool,
) -> ClusterDelivery {
    let mut changes = pool.changes();
    let waiting = async {
        loop {
            let delivery = pool.delivery(cluster, application);
            if let Some(delivery) = delivery.filter(|delivery| check(delivery)) {
                return Arc::unwrap_or_clone(delivery);
            }
            let _ = changes.recv().await;
        }
    };
    match tokio::time::timeout(DEADLINE, waiting).await {
        Ok(delivery) => delivery,
        Err(_) => panic!("never {what}: {:#?}", pool.delivery(cluster, application)),
    }
}

async fn until<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let waiting = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, waiting).await.is_ok(),
        "never {what}"
    );
}

fn owner(name: &str) -> Owner {
    Owner {
        application: NamespacedName::new("guestbook", name),
        labels: BTreeMap::new(),
        ownership: Ownership::Merge,
        admin: false,
        force_namespace: false,
    }
}

fn desire(owner: &Owner, text: &str) -> Arc<DesiredSet> {
    let selection = select("", [("a.yaml", EntryKind::File)], None);
    let rendered = assemble(
        &selection,
        &[("a.yaml".to_owned(), Arc::new(parse_file(text.as_bytes())))],
        &PackageFilter::default(),
    );
    let input = DesiredInput {
        owner,
        rendered: &rendered,
        hub_id: "hub-1",
        revision: "c1",
        stamp: Stamp {
            transitions: 1,
            counter: 1,
        },
    };
    desired_set(input).unwrap()
}

fn config(name: &str, value: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{v: '{value}'}}\n"
    )
}

fn value(config_map: &ConfigMap) -> Option<&str> {
    config_map.data.as_ref()?.get("v").map(String::as_str)
}

#[tokio::test]
async fn delivers_into_a_namespace_of_its_own_making_and_records_it() {
    let fixture = Fixture::new();
    let set = fixture.deliver(&owner("web"), &(config("a", "1") + &config("b", "1")));
    let delivery = fixture.applied(&set).await;
    assert_eq!(delivery.revision.as_deref(), Some("c1"));
    assert!(
        delivery
            .objects
            .iter()
            .all(|object| object.sync == Sync::Synced && object.health == Health::Healthy)
    );
    assert_eq!(
        value(&fixture.config_maps().get("a").await.unwrap()),
        Some("1")
    );
    let namespace = Api::<Namespace>::all(fixture.server.client())
        .get("guestbook")
        .await
        .unwrap();
    assert_eq!(
        namespace.metadata.annotations.unwrap()[ANNOTATION_HOSTING_SUBSCRIPTION],
        "guestbook/web"
    );
    let parent = fixture.config_maps().get("pilothouse-web").await.unwrap();
    assert!(parent.data.unwrap()["objects.json"].contains("ConfigMap/guestbook/a"));
    assert_eq!(
        fixture.pool.inventories(&fixture.cluster),
        Some([fixture.application.clone()].into())
    );
}

#[tokio::test]
async fn a_change_sends_that_object_only_and_a_dropped_file_is_pruned() {
    let fixture = Fixture::new();
    let first = fixture.deliver(
        &owner("web"),
        &(config("a", "1") + &config("b", "1") + &config("c", "1")),
    );
    fixture.applied(&first).await;
    let second = fixture.deliver(&owner("web"), &(config("a", "2") + &config("b", "1")));
    let delivery = fixture.applied(&second).await;
    assert_eq!(
        (
            delivery.last_pass.sent,
            delivery.last_pass.unchanged,
            delivery.last_pass.pruned
        ),
        (1, 1, 1)
    );
    assert_eq!(
        value(&fixture.config_maps().get("a").await.unwrap()),
        Some("2")
    );
    assert!(fixture.config_maps().get_opt("c").await.unwrap().is_none());
}

#[tokio::test]
async fn a_restart_with_everything_in_place_writes_nothing() {
    let fixture = Fixture::new();
    let set = fixture.deliver(&owner("web"), &(config("a", "1") + &config("b", "1")));
    fixture.applied(&set).await;
    let versions = || async {
        let list = fixture
            .config_maps()
            .list(&kube::api::ListParams::default())
            .await
            .unwrap();
        list.metadata.resource_version.unwrap_or_default()
    };
    let before = versions().await;
    let restarted = pool();
    fixture.connect(&restarted);
    restarted.desire(
        &fixture.cluster,
        &fixture.application,
        Desire::Deliver(set.clone()),
    );
    let delivery = wait_in(
        &restarted,
        &fixture.cluster,
        &fixture.application,
        "observed",
        |delivery| {
            delivery.phase == DeliveryPhase::Applied
                && delivery
                    .objects
                    .iter()
                    .all(|object| object.health == Health::Healthy)
        },
    )
    .await;
    assert_eq!(delivery.last_pass.sent, 0);
    assert_eq!(versions().await, before);
}

#[tokio::test]
async fn drift_and_deletion_by_others_are_put_right() {
    let fixture = Fixture::new();
    let set = fixture.deliver(&owner("web"), &config("a", "1"));
    fixture.applied(&set).await;
    let patch = json!({"data": {"v": "edited"}});
    fixture
        .config_maps()
        .patch("a", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    until("healed", || async {
        value(&fixture.config_maps().get("a").await.unwrap()) == Some("1")
    })
    .await;
    fixture
        .config_maps()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    until("made again", || async {
        fixture.config_maps().get_opt("a").await.unwrap().is_some()
    })
    .await;
}

#[tokio::test]
async fn fields_that_others_add_are_left_alone() {
    let fixture = Fixture::new();
    let set = fixture.deliver(&owner("web"), &config("a", "1"));
    fixture.applied(&set).await;
    let patch = json!({"data": {"extra": "theirs"}});
    fixture
        .config_maps()
        .patch("a", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    let second = fixture.deliver(&owner("web"), &config("a", "2"));
    fixture.applied(&second).await;
    let live = fixture.config_maps().get("a").await.unwrap();
    assert_eq!(
        live.data.unwrap().get("extra").map(String::as_str),
        Some("theirs")
    );
}

#[tokio::test]
async fn a_foreign_object_is_refused_by_name_and_the_rest_is_delivered() {
    let fixture = Fixture::new();
    let namespaces = Api::<Namespace>::all(fixture.server.client());
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": "guestbook"}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let foreign: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "a"}, "data": {"v": "theirs"}}))
            .unwrap();
    fixture
        .config_maps()
        .create(&PostParams::default(), &foreign)
        .await
        .unwrap();
    fixture.deliver(&owner("web"), &(config("a", "1") + &config("b", "1")));
    let delivery = fixture
        .wait("failed", |delivery| {
            delivery.phase == DeliveryPhase::Failed && delivery.last_pass.sent == 1
        })
        .await;
    let refused = delivery
        .objects
        .iter()
        .find(|object| object.id.name == "a")
        .unwrap();
    assert!(
        refused
            .failure
            .as_ref()
            .unwrap()
            .message
            .contains("Obj guestbook/a exists and owned by others")
    );
    assert_eq!(
        value(&fixture.config_maps().get("a").await.unwrap()),
        Some("theirs")
    );
    assert!(fixture.config_maps().get_opt("b").await.unwrap().is_some());
    // Not ours: removing the application leaves it.
    fixture
        .pool
        .desire(&fixture.cluster, &fixture.application, Desire::Remove);
    fixture
        .wait("removed", |delivery| {
            delivery.phase == DeliveryPhase::Removed
        })
        .await;
    assert!(fixture.config_maps().get_opt("a").await.unwrap().is_some());
    assert!(fixture.config_maps().get_opt("b").await.unwrap().is_none());
}

#[tokio::test]
async fn an_administrator_merges_into_foreign_objects_without_owning_them() {
    let fixture = Fixture::new();
    let foreign: ConfigMap = serde_json::from_value(
        json!({"metadata": {"name": "a", "namespace": "default"}, "data": {"w": "theirs"}}),
    )
    .unwrap();
    let config_maps = Api::<ConfigMap>::namespaced(fixture.server.client(), "default");
    config_maps
        .create(&PostParams::default(), &foreign)
        .await
        .unwrap();
    let admin = Owner {
        admin: true,
        ..owner("web")
    };
    let set = fixture.deliver(&admin, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {v: '1'}\n");
    fixture.applied(&set).await;
    let live = config_maps.get("a").await.unwrap();
    assert_eq!(
        (value(&live), live.metadata.annotations.as_ref()),
        (Some("1"), None)
    );
    fixture
        .pool
        .desire(&fixture.cluster, &fixture.application, Desire::Remove);
    fixture
        .wait("removed", |delivery| {
            delivery.phase == DeliveryPhase::Removed
        })
        .await;
    assert!(config_maps.get_opt("a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_kind_that_is_not_served_fails_alone_and_heals_once_it_is() {
    // With such a back-off only the watch of definitions can be quick.
    let fixture = Fixture::with(Pool::new(PoolOptions {
        retry_base: Duration::from_secs(60),
        ..PoolOptions::new("hub-1")
    }));
    let route =
        "---\napiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: r}\nspec: {}\n";
    let set = fixture.deliver(&owner("web"), &(config("a", "1") + route));
    let delivery = fixture
        .wait("failed", |delivery| {
            delivery.phase == DeliveryPhase::Failed && delivery.last_pass.failed == 1
        })
        .await;
    let refused = delivery
        .objects
        .iter()
        .find(|object| object.id.kind == "Route")
        .unwrap();
    assert_eq!(refused.failure.as_ref().unwrap().reason, "NotServed");
    assert!(fixture.config_maps().get_opt("a").await.unwrap().is_some());
    let definition: Value = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "routes.route.openshift.io"},
        "spec": {"group": "route.openshift.io", "scope": "Namespaced",
            "names": {"kind": "Route", "plural": "routes", "singular": "route", "listKind": "RouteList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    let definition: DynamicObject = serde_json::from_value(definition).unwrap();
    let resource = kube::api::ApiResource::erase::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>(&());
    Api::<DynamicObject>::all_with(fixture.server.client(), &resource)
        .create(&PostParams::default(), &definition)
        .await
        .unwrap();
    fixture.applied(&set).await;
}

#[tokio::test]
async fn two_applications_in_one_namespace_do_not_touch_each_other() {
    let fixture = Fixture::new();
    let (web, api) = (owner("web"), owner("api"));
    let first = fixture.deliver(&web, &config("a", "1"));
    fixture.applied(&first).await;
    fixture.deliver(&api, &config("b", "1"));
    wait_in(
        &fixture.pool,
        &fixture.cluster,
        &api.application,
        "applied",
        |delivery| delivery.phase == DeliveryPhase::Applied,
    )
    .await;
    fixture
        .pool
        .desire(&fixture.cluster, &api.application, Desire::Remove);
    wait_in(
        &fixture.pool,
        &fixture.cluster,
        &api.application,
        "removed",
        |delivery| delivery.phase == DeliveryPhase::Removed,
    )
    .await;
    assert!(fixture.config_maps().get_opt("a").await.unwrap().is_some());
    assert!(fixture.config_maps().get_opt("b").await.unwrap().is_none());
    assert_eq!(
        fixture.pool.inventories(&fixture.cluster),
        Some([fixture.application.clone()].into())
    );
}

#[tokio::test]
async fn removal_waits_for_finalizers_and_spares_what_is_marked() {
    let fixture = Fixture::new();
    let set = fixture.deliver(
        &owner("web"),
        &(config("a", "1") + &config("b", "1") + &config("c", "1")),
    );
    fixture.applied(&set).await;
    let (finalizer, marked) = (
        json!({"metadata": {"finalizers": ["example.com/wait"]}}),
        json!({"metadata": {"annotations": {"apps.open-cluster-management.io/do-not-delete": "true"}}}),
    );
    let config_maps = fixture.config_maps();
    config_maps
        .patch("a", &PatchParams::default(), &Patch::Merge(finalizer))
        .await
        .unwrap();
    config_maps
        .patch("b", &PatchParams::default(), &Patch::Merge(marked))
        .await
        .unwrap();
    fixture
        .pool
        .desire(&fixture.cluster, &fixture.application, Desire::Remove);
    fixture
        .wait("waiting for a", |delivery| {
            delivery.phase == DeliveryPhase::Removing && delivery.pruning.len() == 1
        })
        .await;
    assert!(
        config_maps
            .get_opt("pilothouse-web")
            .await
            .unwrap()
            .is_some()
    );
    config_maps
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": {"finalizers": null}})),
        )
        .await
        .unwrap();
    fixture
        .wait("removed", |delivery| {
            delivery.phase == DeliveryPhase::Removed
        })
        .await;
    assert!(
        config_maps
            .get_opt("pilothouse-web")
            .await
            .unwrap()
            .is_none()
    );
    assert!(config_maps.get_opt("b").await.unwrap().is_some());
    assert!(
        Api::<Namespace>::all(fixture.server.client())
            .get_opt("guestbook")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_member_that_went_down_is_unknown_and_caught_up_with_when_it_is_back() {
    let fixture = Fixture::new();
    let set = fixture.deliver(&owner("web"), &config("a", "1"));
    fixture.applied(&set).await;
    fixture.server.faults().set(Fault::Refuse);
    fixture
        .wait("unknown", |delivery| {
            delivery.failure.is_some()
                && delivery
                    .objects
                    .iter()
                    .all(|object| object.health == Health::Unknown)
        })
        .await;
    assert!(matches!(
        fixture.pool.connection(&fixture.cluster),
        Some(Connection::Unreachable { .. })
    ));
    let second = fixture.deliver(&owner("web"), &config("a", "2"));
    fixture.server.faults().set(Fault::Running);
    fixture.applied(&second).await;
    assert_eq!(
        value(&fixture.config_maps().get("a").await.unwrap()),
        Some("2")
    );
}

#[tokio::test]
async fn hold_neither_heals_nor_deletes() {
    let fixture = Fixture::new();
    let set = fixture.deliver(&owner("web"), &config("a", "1"));
    fixture.applied(&set).await;
    fixture
        .pool
        .desire(&fixture.cluster, &fixture.application, Desire::Hold);
    let patch = json!({"data": {"v": "edited"}});
    fixture
        .config_maps()
        .patch("a", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    fixture
        .wait("seen", |delivery| {
            delivery
                .objects
                .iter()
                .any(|object| object.sync == Sync::OutOfSync)
        })
        .await;
    assert_eq!(
        value(&fixture.config_maps().get("a").await.unwrap()),
        Some("edited")
    );
}

#[tokio::test]
async fn health_comes_from_the_objects_own_status() {
    let fixture = Fixture::new();
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: 1, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}\n";
    fixture.deliver(&owner("web"), text);
    fixture
        .wait("progressing", |delivery| {
            delivery.health() == Health::Progressing && delivery.phase == DeliveryPhase::Applied
        })
        .await;
    let status = json!({"status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}});
    let deployments = Api::<k8s_openapi::api::apps::v1::Deployment>::namespaced(
        fixture.server.client(),
        "guestbook",
    );
    deployments
        .patch_status("d", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    fixture
        .wait("healthy", |delivery| delivery.health() == Health::Healthy)
        .await;
}

#[tokio::test]
async fn a_process_that_does_not_lead_writes_nothing() {
    let server = Server::open(Options::in_memory("m1")).unwrap();
    let pool = Pool::new(PoolOptions {
        may_write: Arc::new(|| false),
        ..PoolOptions::new("hub-1")
    });
    let (cluster, web) = (ClusterName::from("m1"), owner("web"));
    pool.connect(
        &cluster,
        MemberConnection {
            client: MemberClient::from_client(server.client()),
            fingerprint: "1".into(),
        },
    );
    pool.desire(
        &cluster,
        &web.application,
        Desire::Deliver(desire(&web, &config("a", "1"))),
    );
    let delivery = wait_in(&pool, &cluster, &web.application, "stopped", |delivery| {
        delivery.failure.is_some()
    })
    .await;
    assert_eq!(delivery.failure.unwrap().reason, "NotLeading");
    assert!(
        Api::<Namespace>::all(server.client())
            .get_opt("guestbook")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_probe_reports_reachability_and_facts() {
    let fixture = Fixture::new();
    let mut changes = fixture.pool.changes();
    until("facts", || async {
        fixture.pool.facts(&fixture.cluster).is_some()
    })
    .await;
    assert!(matches!(
        fixture.pool.connection(&fixture.cluster),
        Some(Connection::Reachable { .. })
    ));
    let facts = fixture.pool.facts(&fixture.cluster).unwrap();
    assert!(facts.kubernetes_version.starts_with('v'), "{facts:?}");
    assert!(!facts.cluster_id.is_empty());
    let change = changes.recv().await.unwrap();
    assert!(matches!(
        change.kind,
        ChangeKind::Connection | ChangeKind::Inventories | ChangeKind::Facts
    ));
}
