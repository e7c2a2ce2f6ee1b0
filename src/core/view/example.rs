//! A made-up fleet for tests and screenshots: three clusters and one that is
//! silent, a cut cable, an object that fails, a deployment on its way.
//!
//! Not data of any real place. Times are relative to `now`.

mod mesh;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Facts, PlacementId, Schedules};
use crate::api::apps::PlacementRule;
use crate::api::cluster::Placement;
use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::{Activity, Severity};
use crate::core::delivery::{
    ClusterDelivery, DeliveryPhase, Failure, FailureClass, Health, ObjectState, PassCounts, Sync,
};
use crate::core::fleet::{
    ClusterSnapshot, CommitFacts, Connection, FleetSnapshot, HubFacts, RevisionRecord,
    ServiceReference, SourceSnapshot, Stage, StageState, SubscriptionSnapshot,
};
use crate::core::object::ObjectId;
use crate::core::placement::{ClusterFacts, PlacementInputs, placement, placement_rule};

/// `seconds` before `now`.
fn before(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_sub(SignedDuration::from_secs(seconds))
        .unwrap_or(now)
}

/// A typed object from its JSON; the default when it does not fit.
fn object<T: serde::de::DeserializeOwned + Default>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap_or_default())
}

/// The made-up fleet.
#[must_use]
pub fn facts(now: Timestamp) -> Facts {
    let clusters = [
        ("aws-sub1", "v1.33.4", 1_840, 9 * 86_400),
        ("aws-sub2", "v1.33.4", 2_210, 9 * 86_400),
        ("edge-3", "v1.32.8", 38_400, 3 * 3_600),
    ];
    let mut fleet = FleetSnapshot {
        observed_at: Some(now),
        hub: HubFacts {
            id: "5b0c9d4e-0000-4000-8000-000000000001".to_owned(),
            mode: "demo".to_owned(),
            kubernetes_version: "v1.33.4".to_owned(),
            last_pass: Some(before(now, 0)),
            problems: Vec::new(),
        },
        ..FleetSnapshot::default()
    };
    for (name, version, latency_micros, since) in clusters {
        let connection = Connection::Reachable {
            last_probe: before(now, 2),
            latency_micros,
            since: before(now, since),
        };
        fleet
            .clusters
            .insert(cluster_name(name), cluster(name, version, connection, now));
    }
    let lost = Connection::Unreachable {
        since: before(now, 1_260),
        failure: failure(
            FailureClass::Transient,
            "ProbeFailed",
            "GET https://edge-4.example.com:6443/readyz: connection timed out after 3 s",
        ),
        next_probe: Some(before(now, -14)),
    };
    fleet.clusters.insert(
        cluster_name("edge-4"),
        cluster("edge-4", "v1.32.8", lost, now),
    );
    for (id, subscription) in applications(now) {
        fleet.subscriptions.insert(id, subscription);
    }
    fleet.activity = activity(now);
    Facts {
        schedules: Arc::new(schedules(&fleet, now)),
        mesh: Arc::new(mesh::view(now)),
        fleet: Arc::new(fleet),
        generation: 1,
    }
}

fn cluster_name(name: &str) -> ClusterName {
    ClusterName::from(name)
}

fn failure(class: FailureClass, reason: &str, message: &str) -> Failure {
    Failure {
        class,
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

fn cluster(name: &str, version: &str, connection: Connection, now: Timestamp) -> ClusterSnapshot {
    let lost = matches!(connection, Connection::Unreachable { .. });
    let (status, reason, message) = if lost {
        (
            "Unknown",
            "ManagedClusterLeaseUpdateStopped",
            "the hub cannot reach the cluster",
        )
    } else {
        (
            "True",
            "ManagedClusterAvailable",
            "the API server answers /readyz",
        )
    };
    let taints = if lost {
        json!([{"key": "cluster.open-cluster-management.io/unreachable", "effect": "NoSelect", "timeAdded": before(now, 1_260).to_string()}])
    } else {
        json!([])
    };
    let since = before(now, 9 * 86_400).to_string();
    ClusterSnapshot {
        object: object(json!({
            "apiVersion": "cluster.open-cluster-management.io/v1",
            "kind": "ManagedCluster",
            "metadata": {"name": name, "labels": {
                "name": name,
                "cluster.open-cluster-management.io/clusterset": "submariner",
                "cloud": if name.starts_with("aws") { "Amazon" } else { "Other" },
                "tier": if name.starts_with("aws") { "core" } else { "edge" },
            }},
            "spec": {"hubAcceptsClient": true, "taints": taints},
            "status": {
                "version": {"kubernetes": version},
                "capacity": {"cpu": "12", "memory": "48Gi"},
                "allocatable": {"cpu": "11500m", "memory": "45Gi"},
                "clusterClaims": [{"name": "id.k8s.io", "value": name}, {"name": "platform.open-cluster-management.io", "value": "AWS"}],
                "conditions": [
                    {"type": "HubAcceptedManagedCluster", "status": "True", "reason": "HubClusterAdminAccepted", "message": "accepted by the hub cluster's admin", "lastTransitionTime": since},
                    {"type": "ManagedClusterJoined", "status": "True", "reason": "ManagedClusterJoined", "message": "the hub holds its credential", "lastTransitionTime": since},
                    {"type": "ManagedClusterConditionAvailable", "status": status, "reason": reason, "message": message, "lastTransitionTime": since},
                ],
            },
        })),
        credential: Some(format!("secret {name}/pilothouse-credential")),
        server: Some(format!("https://{name}.example.com:6443")),
        connection,
        orphans: if name == "aws-sub2" {
            vec![NamespacedName::new("retired", "old-guestbook")]
        } else {
            Vec::new()
        },
    }
}

fn commit(now: Timestamp, id: &str, summary: &str, author: &str, age: i64) -> CommitFacts {
    CommitFacts {
        id: id.repeat(6).chars().take(40).collect(),
        summary: summary.to_owned(),
        author: author.to_owned(),
        time: before(now, age),
    }
}

/// What an object of the example is like.
struct Copy<'a> {
    kind: &'a str,
    group: &'a str,
    name: &'a str,
    sync: Sync,
    health: Health,
    message: &'a str,
    failure: Option<Failure>,
}

fn well<'a>(group: &'a str, kind: &'a str, name: &'a str) -> Copy<'a> {
    Copy {
        kind,
        group,
        name,
        sync: Sync::Synced,
        health: Health::Healthy,
        message: "",
        failure: None,
    }
}

fn delivery(
    now: Timestamp,
    cluster: &str,
    application: &NamespacedName,
    revision: &str,
    copies: &[Copy<'_>],
) -> ClusterDelivery {
    let failed = copies.iter().filter(|copy| copy.failure.is_some()).count();
    ClusterDelivery {
        cluster: cluster_name(cluster),
        application: application.clone(),
        revision: Some(revision.to_owned()),
        desired: None,
        phase: if failed > 0 {
            DeliveryPhase::Failed
        } else {
            DeliveryPhase::Applied
        },
        objects: copies
            .iter()
            .map(|copy| ObjectState {
                id: ObjectId {
                    group: copy.group.to_owned(),
                    kind: copy.kind.to_owned(),
                    namespace: Some("guestbook".to_owned()),
                    name: copy.name.to_owned(),
                },
                api_version: if copy.group.is_empty() {
                    "v1".to_owned()
                } else {
                    format!("{}/v1", copy.group)
                },
                sync: copy.sync,
                health: copy.health,
                health_message: copy.message.to_owned(),
                failure: copy.failure.clone(),
                since: before(now, 41),
            })
            .collect(),
        pruning: Vec::new(),
        failure: None,
        applied_at: Some(before(now, 38)),
        last_pass: PassCounts {
            sent: 1,
            unchanged: copies.len().saturating_sub(1 + failed),
            pruned: 0,
            failed,
        },
    }
}

fn stage(name: &'static str, state: StageState, detail: &str, at: Option<Timestamp>) -> Stage {
    Stage {
        name,
        state,
        detail: detail.to_owned(),
        at,
    }
}

fn reference(service: &str, variable: &str) -> ServiceReference {
    ServiceReference {
        service: NamespacedName::new("guestbook", service),
        cluster: None,
        from: format!("Deployment frontend, env {variable}"),
    }
}

fn applications(now: Timestamp) -> BTreeMap<NamespacedName, SubscriptionSnapshot> {
    let head = commit(
        now,
        "4f1c2ab",
        "frontend: 3 replicas",
        "alice@example.com",
        42,
    );
    let guestbook = NamespacedName::new("guestbook", "guestbook-app");
    let mut deliveries = BTreeMap::new();
    let aws = [
        well("apps", "Deployment", "frontend"),
        well("", "Service", "frontend"),
        well("route.openshift.io", "Route", "guestbook"),
    ];
    deliveries.insert(
        cluster_name("aws-sub1"),
        delivery(now, "aws-sub1", &guestbook, &head.id, &aws),
    );
    let edge = [
        Copy {
            health: Health::Progressing,
            message: "2 of 3 replicas available",
            ..well("apps", "Deployment", "frontend")
        },
        well("", "Service", "frontend"),
        Copy {
            sync: Sync::OutOfSync,
            health: Health::Missing,
            failure: Some(failure(
                FailureClass::Waiting,
                "KindNotServed",
                "no kind \"Route\" in \"route.openshift.io/v1\" on this cluster (guestbook-app/guestbook/route.yaml:1)\napplied everything else; tried again when the kind appears (a watch is open)",
            )),
            ..well("route.openshift.io", "Route", "guestbook")
        },
    ];
    deliveries.insert(
        cluster_name("edge-3"),
        delivery(now, "edge-3", &guestbook, &head.id, &edge),
    );
    let mut applications = BTreeMap::new();
    let mut front = subscription(
        now,
        &head,
        "guestbook-app/guestbook",
        "PlacementRule guestbook-pr",
        &["aws-sub1", "edge-3"],
        deliveries,
    );
    front.references = vec![
        reference("redis-master", "REDIS_MASTER_SERVICE_HOST"),
        reference("redis-slave", "REDIS_SLAVE_SERVICE_HOST"),
    ];
    front.stages = vec![
        stage(
            "Fetched",
            StageState::Done,
            "by webhook",
            Some(before(now, 38)),
        ),
        stage(
            "Rendered",
            StageState::Done,
            "3 objects, 0 skipped",
            Some(before(now, 38)),
        ),
        stage(
            "Placed",
            StageState::Done,
            "aws-sub1, edge-3",
            Some(before(now, 38)),
        ),
        stage(
            "Applied",
            StageState::Failed,
            "1 of 2 clusters",
            Some(before(now, 38)),
        ),
        stage(
            "Healthy",
            StageState::Now,
            "1 of 2, waiting for frontend",
            None,
        ),
        stage("Discoverable", StageState::Todo, "waits for health", None),
    ];
    front.history = history(now, &head);
    applications.insert(guestbook, front);
    for (name, on) in [("redis-master", "aws-sub1"), ("redis-slave", "aws-sub2")] {
        let id = NamespacedName::new("guestbook", format!("{name}-app"));
        let copies = [
            well("apps", "Deployment", name),
            well("", "Service", name),
            well("multicluster.x-k8s.io", "ServiceExport", name),
        ];
        let deliveries =
            BTreeMap::from([(cluster_name(on), delivery(now, on, &id, &head.id, &copies))]);
        let mut redis = subscription(
            now,
            &head,
            &format!("guestbook-app/{name}"),
            &format!("PlacementRule {name}-pr"),
            &[on],
            deliveries,
        );
        redis.exports = vec![NamespacedName::new("guestbook", name)];
        redis.history = vec![revision(now, &head, (1, 1), Some(212), None)];
        applications.insert(id, redis);
    }
    let broken = NamespacedName::new("metrics", "node-exporter");
    let mut metrics = subscription(
        now,
        &head,
        "metrics",
        "Placement everywhere",
        &["aws-sub1", "aws-sub2", "edge-3"],
        BTreeMap::new(),
    );
    metrics.failure = Some(failure(
        FailureClass::Invalid,
        "InvalidYaml",
        "metrics/daemonset.yaml:17:5: did not find expected '-' indicator\nnothing was pruned; the clusters keep commit 9be01d7",
    ));
    metrics.stages = vec![
        stage(
            "Fetched",
            StageState::Done,
            "by poll",
            Some(before(now, 38)),
        ),
        stage(
            "Rendered",
            StageState::Failed,
            "`metrics/daemonset.yaml:17`",
            Some(before(now, 37)),
        ),
        stage(
            "Placed",
            StageState::Done,
            "3 clusters",
            Some(before(now, 38)),
        ),
        stage(
            "Applied",
            StageState::Todo,
            "waits for a commit that renders",
            None,
        ),
    ];
    applications.insert(broken, metrics);
    applications
}

fn subscription(
    now: Timestamp,
    head: &CommitFacts,
    path: &str,
    placement: &str,
    placed: &[&str],
    deliveries: BTreeMap<ClusterName, ClusterDelivery>,
) -> SubscriptionSnapshot {
    SubscriptionSnapshot {
        object: Arc::default(),
        source: SourceSnapshot {
            channel: "guestbook/guestbook-app-latest".to_owned(),
            url: Some("https://git.example.com/acm-demo-app.git".to_owned()),
            reference: Some("main".to_owned()),
            path: Some(path.to_owned()),
            commit: Some(head.clone()),
            checked_at: Some(before(now, 4)),
            failure: None,
        },
        stages: [
            "Fetched",
            "Rendered",
            "Placed",
            "Applied",
            "Healthy",
            "Discoverable",
        ]
        .into_iter()
        .map(|name| stage(name, StageState::Done, "", Some(before(now, 37))))
        .collect(),
        failure: None,
        placement: Some(placement.to_owned()),
        placed: placed.iter().map(|name| cluster_name(name)).collect(),
        deliveries,
        references: Vec::new(),
        exports: Vec::new(),
        history: Vec::new(),
        paused: false,
    }
}

fn revision(
    now: Timestamp,
    commit: &CommitFacts,
    (applied, placed): (usize, usize),
    live_after_ms: Option<u64>,
    failure: Option<Failure>,
) -> RevisionRecord {
    RevisionRecord {
        seen_at: commit
            .time
            .checked_add(SignedDuration::from_secs(4))
            .unwrap_or(now),
        commit: commit.clone(),
        digest: None,
        applied,
        placed,
        live_after_ms,
        failure,
    }
}

fn history(now: Timestamp, head: &CommitFacts) -> Vec<RevisionRecord> {
    let pinned = commit(
        now,
        "9be01d7",
        "guestbook: pin image digest",
        "bob@example.com",
        7_600,
    );
    let route = commit(
        now,
        "77aa0c1",
        "route: edge TLS",
        "alice@example.com",
        90_000,
    );
    let halted = failure(
        FailureClass::Invalid,
        "InvalidYaml",
        "guestbook-app/guestbook/route.yaml:9: mapping values are not allowed here",
    );
    vec![
        revision(now, head, (1, 2), None, None),
        revision(now, &pinned, (2, 2), Some(240), None),
        revision(now, &route, (1, 2), None, Some(halted)),
    ]
}

fn activity(now: Timestamp) -> Vec<Activity> {
    let entry = |age: i64,
                 severity,
                 reason: &str,
                 message: &str,
                 application: Option<&str>,
                 cluster: Option<&str>| Activity {
        at: before(now, age),
        severity,
        reason: reason.to_owned(),
        message: message.to_owned(),
        application: application.map(|name| NamespacedName::new("guestbook", name)),
        cluster: cluster.map(cluster_name),
    };
    vec![
        entry(
            10_800,
            Severity::Good,
            "ClusterJoined",
            "edge-3 joined the set submariner",
            None,
            Some("edge-3"),
        ),
        entry(
            1_260,
            Severity::Bad,
            "ClusterUnreachable",
            "edge-4 cannot be reached: connection timed out after 3 s",
            None,
            Some("edge-4"),
        ),
        entry(
            125,
            Severity::Bad,
            "CableDown",
            "cable edge-3 → aws-sub2 went from connected to error: failed to ping the remote endpoint IP 10.128.2.1",
            None,
            Some("edge-3"),
        ),
        entry(
            42,
            Severity::Info,
            "Pushed",
            "push to `main`: `9be01d7` → `4f1c2ab` “frontend: 3 replicas”",
            None,
            None,
        ),
        entry(
            38,
            Severity::Good,
            "Applied",
            "redis-slave-app `4f1c2ab` applied on aws-sub2: 0 objects changed, 3 unchanged",
            Some("redis-slave-app"),
            Some("aws-sub2"),
        ),
        entry(
            38,
            Severity::Good,
            "Applied",
            "guestbook-app `4f1c2ab` applied on aws-sub1: 1 object changed, 2 unchanged",
            Some("guestbook-app"),
            Some("aws-sub1"),
        ),
        entry(
            37,
            Severity::Warning,
            "ObjectFailed",
            "guestbook-app: Route guestbook is not served on edge-3",
            Some("guestbook-app"),
            Some("edge-3"),
        ),
    ]
}

/// The verdicts of the placement code itself on the made-up clusters.
fn schedules(fleet: &FleetSnapshot, now: Timestamp) -> Schedules {
    let clusters: Vec<ClusterFacts> = fleet
        .clusters
        .values()
        .map(|snapshot| ClusterFacts::from(snapshot.object.as_ref()))
        .collect();
    let rule = |name: &str, values: &[&str], current: &[&str]| {
        let rule: Arc<PlacementRule> = object(json!({
            "apiVersion": "apps.open-cluster-management.io/v1",
            "kind": "PlacementRule",
            "metadata": {"namespace": "guestbook", "name": name},
            "spec": {
                "clusterConditions": [{"type": "ManagedClusterConditionAvailable", "status": "True"}],
                "clusterSelector": {"matchExpressions": [{"key": "name", "operator": "In", "values": values}]},
            },
        }));
        let current: Vec<ClusterName> = current.iter().map(|name| cluster_name(name)).collect();
        let id: PlacementId = (
            "PlacementRule".to_owned(),
            NamespacedName::new("guestbook", name),
        );
        (id, Arc::new(placement_rule(&rule, &clusters, &current)))
    };
    let strategy: Arc<Placement> = object(json!({
        "apiVersion": "cluster.open-cluster-management.io/v1beta1",
        "kind": "Placement",
        "metadata": {"namespace": "metrics", "name": "everywhere"},
        "spec": {"prioritizerPolicy": {"mode": "Additive"}, "spreadPolicy": {"spreadConstraints": []}},
    }));
    let current: Vec<ClusterName> = ["aws-sub1", "aws-sub2", "edge-3"].map(cluster_name).into();
    let inputs = PlacementInputs {
        sets: &[],
        bindings: &[],
        clusters: &clusters,
        current: &current,
        now,
    };
    let everywhere: PlacementId = (
        "Placement".to_owned(),
        NamespacedName::new("metrics", "everywhere"),
    );
    Schedules::from([
        rule(
            "guestbook-pr",
            &["aws-sub1", "edge-3", "edge-4"],
            &["aws-sub1"],
        ),
        rule("redis-master-pr", &["aws-sub1"], &["aws-sub1"]),
        rule("redis-slave-pr", &["aws-sub2"], &["aws-sub2"]),
        (everywhere, Arc::new(placement(&strategy, &inputs))),
    ])
}

/// A large fleet for the tests of size and time: `clusters` reachable
/// clusters, `applications` applications, each on a twentieth of the clusters.
#[must_use]
pub fn large(now: Timestamp, clusters: usize, applications: usize) -> Facts {
    let mut fleet = FleetSnapshot {
        observed_at: Some(now),
        ..FleetSnapshot::default()
    };
    for index in 0..clusters {
        let name = format!("cluster-{index:04}");
        let connection = Connection::Reachable {
            last_probe: now,
            latency_micros: 1_000,
            since: before(now, 3_600),
        };
        fleet.clusters.insert(
            cluster_name(&name),
            cluster(&name, "v1.33.4", connection, now),
        );
    }
    let names: Vec<ClusterName> = fleet.clusters.keys().cloned().collect();
    let head = commit(now, "4f1c2ab", "a change", "alice@example.com", 42);
    for index in 0..applications {
        let id = NamespacedName::new(
            format!("team-{:02}", index % 20),
            format!("application-{index:03}"),
        );
        let placed = names.iter().skip(index % 20).step_by(20);
        let copies = [
            well("apps", "Deployment", "web"),
            well("", "Service", "web"),
        ];
        let deliveries = placed.clone().map(|name| {
            (
                name.clone(),
                delivery(now, name.as_str(), &id, &head.id, &copies),
            )
        });
        let placed_names: Vec<&str> = placed.clone().map(ClusterName::as_str).collect();
        let subscription = subscription(
            now,
            &head,
            "web",
            "Placement all",
            &placed_names,
            deliveries.collect(),
        );
        fleet.subscriptions.insert(id, subscription);
    }
    Facts {
        fleet: Arc::new(fleet),
        generation: 1,
        ..Facts::default()
    }
}
