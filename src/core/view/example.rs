//! A made-up fleet for tests and screenshots: three clusters and one that is
//! silent, a cut cable, an object that fails, a deployment on its way.
//!
//! Not data of any real place. Times are relative to `now`.

mod applications;
mod mesh;
mod placements;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Facts;
use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::{Activity, Severity};
use crate::core::delivery::{Failure, FailureClass};
use crate::core::fleet::{ClusterSnapshot, Connection, FleetSnapshot, HubFacts};
use applications::{commit, delivery, subscription, well};

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
    for (id, subscription) in applications::applications(now) {
        fleet.subscriptions.insert(id, subscription);
    }
    fleet.activity = activity(now);
    Facts {
        schedules: Arc::new(placements::schedules(&fleet, now)),
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
        credential_kind: Some("cluster join".into()),
        credential_ends: now
            .checked_add(jiff::SignedDuration::from_hours(20 * 24))
            .ok(),
        server: Some(format!("https://{name}.example.com:6443")),
        connection,
        orphans: if name == "aws-sub2" {
            vec![NamespacedName::new("retired", "old-guestbook")]
        } else {
            Vec::new()
        },
    }
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
