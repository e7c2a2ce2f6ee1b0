//! Applications of the made-up fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{before, cluster_name, failure};
use crate::api::{ClusterName, NamespacedName};
use crate::core::delivery::{
    ClusterDelivery, DeliveryPhase, Failure, FailureClass, Health, ObjectState, PassCounts, Sync,
};
use crate::core::fleet::{
    CommitFacts, RevisionRecord, ServiceReference, SourceSnapshot, Stage, StageState,
    SubscriptionSnapshot,
};
use crate::core::object::ObjectId;

pub(super) fn commit(
    now: Timestamp,
    id: &str,
    summary: &str,
    author: &str,
    age: i64,
) -> CommitFacts {
    CommitFacts {
        id: id.repeat(6).chars().take(40).collect(),
        summary: summary.to_owned(),
        author: author.to_owned(),
        time: before(now, age),
    }
}

/// What an object of the example is like.
pub(super) struct Copy<'a> {
    kind: &'a str,
    group: &'a str,
    name: &'a str,
    sync: Sync,
    health: Health,
    message: &'a str,
    failure: Option<Failure>,
}

pub(super) fn well<'a>(group: &'a str, kind: &'a str, name: &'a str) -> Copy<'a> {
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

pub(super) fn delivery(
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
        recorded: Some(revision.to_owned()),
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

/// The applications of the made-up fleet.
pub(super) fn applications(now: Timestamp) -> BTreeMap<NamespacedName, SubscriptionSnapshot> {
    let head = commit(
        now,
        "4f1c2ab",
        "frontend: 3 replicas",
        "alice@example.com",
        42,
    );
    BTreeMap::from([
        guestbook(now, &head),
        redis(now, &head, "redis-master", "aws-sub1"),
        redis(now, &head, "redis-slave", "aws-sub2"),
        metrics(now, &head),
    ])
}

type Entry = (NamespacedName, SubscriptionSnapshot);

fn guestbook(now: Timestamp, head: &CommitFacts) -> Entry {
    let id = NamespacedName::new("guestbook", "guestbook-app");
    let aws = [
        well("apps", "Deployment", "frontend"),
        well("", "Service", "frontend"),
        well("route.openshift.io", "Route", "guestbook"),
    ];
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
    let deliveries = BTreeMap::from([
        (
            cluster_name("aws-sub1"),
            delivery(now, "aws-sub1", &id, &head.id, &aws),
        ),
        (
            cluster_name("edge-3"),
            delivery(now, "edge-3", &id, &head.id, &edge),
        ),
    ]);
    let placement = "PlacementRule guestbook-pr";
    let mut front = subscription(
        now,
        head,
        "guestbook-app/guestbook",
        placement,
        &["aws-sub1", "edge-3"],
        deliveries,
    );
    front.references = vec![
        reference("redis-master", "REDIS_MASTER_SERVICE_HOST"),
        reference("redis-slave", "REDIS_SLAVE_SERVICE_HOST"),
    ];
    let seen = Some(before(now, 38));
    front.stages = vec![
        stage("Fetched", StageState::Done, "by webhook", seen),
        stage("Rendered", StageState::Done, "3 objects, 0 skipped", seen),
        stage("Placed", StageState::Done, "aws-sub1, edge-3", seen),
        stage("Applied", StageState::Failed, "1 of 2 clusters", seen),
        stage(
            "Healthy",
            StageState::Now,
            "1 of 2, waiting for frontend",
            None,
        ),
        stage("Discoverable", StageState::Todo, "waits for health", None),
    ];
    front.history = history(now, head);
    (id, front)
}

fn redis(now: Timestamp, head: &CommitFacts, name: &str, on: &str) -> Entry {
    let id = NamespacedName::new("guestbook", format!("{name}-app"));
    let copies = [
        well("apps", "Deployment", name),
        well("", "Service", name),
        well("multicluster.x-k8s.io", "ServiceExport", name),
    ];
    let deliveries =
        BTreeMap::from([(cluster_name(on), delivery(now, on, &id, &head.id, &copies))]);
    let (path, placement) = (
        format!("guestbook-app/{name}"),
        format!("PlacementRule {name}-pr"),
    );
    let mut redis = subscription(now, head, &path, &placement, &[on], deliveries);
    redis.exports = vec![NamespacedName::new("guestbook", name)];
    redis.history = vec![revision(now, head, (1, 1), Some(212), None)];
    (id, redis)
}

fn metrics(now: Timestamp, head: &CommitFacts) -> Entry {
    let everywhere = ["aws-sub1", "aws-sub2", "edge-3"];
    let mut metrics = subscription(
        now,
        head,
        "metrics",
        "Placement everywhere",
        &everywhere,
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
    (NamespacedName::new("metrics", "node-exporter"), metrics)
}

pub(super) fn subscription(
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
        deliveries: deliveries
            .into_iter()
            .map(|(cluster, delivery)| (cluster, Arc::new(delivery)))
            .collect(),
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
