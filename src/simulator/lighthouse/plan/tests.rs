//! Exports and what comes of them.

use super::*;
use crate::core::mesh::read::SOURCE_CLUSTER;

fn seen(created: i64, service: Value, ready: bool) -> Seen {
    let name = NamespacedName::new("guestbook", "redis-master");
    let mut seen = Seen {
        complete: true,
        namespaces: BTreeSet::from(["guestbook".to_owned()]),
        ..Seen::default()
    };
    seen.services.insert(name.clone(), Service::read(&service));
    seen.exports.insert(
        name,
        Export {
            created: Timestamp::from_second(created).ok(),
            backends: vec![json!({"addresses": ["10.1.1.1"], "conditions": {"ready": ready}})],
            ..Export::default()
        },
    );
    seen
}

fn cluster_ip(ip: &str, port: u16) -> Value {
    json!({"spec": {"clusterIP": ip, "ports": [{"port": port, "protocol": "TCP", "targetPort": port}]}})
}

fn planned(members: Vec<(&str, Seen)>, broker: Option<&Seen>) -> Plan {
    let members = members
        .into_iter()
        .map(|(name, seen)| (name.to_owned(), Arc::new(seen)))
        .collect();
    plan(&members, broker, Timestamp::from_second(9_000).unwrap())
}

fn reasons(plan: &Plan, cluster: &str) -> Vec<String> {
    plan.members[cluster]
        .conditions
        .values()
        .flatten()
        .map(|condition| {
            format!(
                "{}={} {}",
                condition["type"], condition["status"], condition["reason"]
            )
            .replace('"', "")
        })
        .collect()
}

#[test]
fn an_export_reaches_every_member_that_has_the_namespace() {
    let bare = Seen {
        complete: true,
        ..Seen::default()
    };
    let there = Seen {
        namespaces: BTreeSet::from(["guestbook".to_owned()]),
        ..bare.clone()
    };
    let plan = planned(
        vec![
            ("a", seen(1, cluster_ip("172.31.88.12", 6379), true)),
            ("b", there),
            ("c", bare),
        ],
        None,
    );
    assert_eq!(
        reasons(&plan, "a"),
        [
            "Valid=True Valid",
            "Ready=True Exported",
            "Conflict=False NoConflicts"
        ]
    );
    assert_eq!(plan.members["b"].objects.len(), 2);
    assert!(plan.members["c"].objects.is_empty());
    let copy = plan.members["b"]
        .objects
        .values()
        .find(|object| object["kind"] == "EndpointSlice")
        .unwrap();
    assert_eq!(
        copy["endpoints"],
        json!([{"addresses": ["172.31.88.12"], "conditions": {"ready": true}}])
    );
}

#[test]
fn ready_waits_for_the_broker() {
    let broker = Seen::default();
    let plan = planned(
        vec![("a", seen(1, cluster_ip("1.1.1.1", 1), true))],
        Some(&broker),
    );
    assert!(reasons(&plan, "a").contains(&"Ready=False Pending".to_owned()));
    let arrived = Seen {
        objects: plan.broker.objects.clone(),
        ..Seen::default()
    };
    let plan = planned(
        vec![("a", seen(1, cluster_ip("1.1.1.1", 1), true))],
        Some(&arrived),
    );
    assert!(reasons(&plan, "a").contains(&"Ready=True Exported".to_owned()));
}

#[test]
fn conflicting_ports_are_said_on_both_and_united() {
    let plan = planned(
        vec![
            ("a", seen(2, cluster_ip("1.1.1.1", 6379), true)),
            ("b", seen(1, cluster_ip("2.2.2.2", 6380), true)),
        ],
        None,
    );
    for cluster in ["a", "b"] {
        assert!(reasons(&plan, cluster).contains(&"Conflict=True PortConflict".to_owned()));
    }
    let import = &plan.broker.objects[&(
        "ServiceImport",
        BROKER_NAMESPACE.to_owned(),
        "redis-master-guestbook".to_owned(),
    )];
    assert_eq!(
        import["spec"]["ports"][0]["port"], 6380,
        "the older export comes first"
    );
    assert_eq!(import["status"]["clusters"].as_array().unwrap().len(), 2);
}

#[test]
fn a_newcomer_of_another_type_is_not_published() {
    let headless = json!({"spec": {"clusterIP": "None", "ports": [{"port": 6379}]}});
    let plan = planned(
        vec![
            ("a", seen(1, cluster_ip("1.1.1.1", 6379), true)),
            ("b", seen(2, headless, true)),
        ],
        None,
    );
    assert_eq!(
        reasons(&plan, "b"),
        [
            "Valid=True Valid",
            "Ready=False Failed",
            "Conflict=True TypeConflict"
        ]
    );
    assert!(
        !plan
            .broker
            .objects
            .values()
            .any(|object| object["metadata"]["labels"][SOURCE_CLUSTER] == "b")
    );
}

#[test]
fn no_service_and_the_wrong_type_are_invalid() {
    let mut without = seen(1, cluster_ip("1.1.1.1", 1), true);
    without.services.clear();
    let balanced = json!({"spec": {"type": "LoadBalancer", "clusterIP": "1.1.1.1"}});
    let plan = planned(vec![("a", without), ("b", seen(1, balanced, true))], None);
    assert!(reasons(&plan, "a").contains(&"Valid=False NoService".to_owned()));
    assert!(reasons(&plan, "b").contains(&"Valid=False InvalidServiceType".to_owned()));
    assert!(plan.broker.objects.is_empty());
}

#[test]
fn kept_conditions_are_left_alone_and_the_rest_is_served() {
    let mut kept = seen(1, cluster_ip("1.1.1.1", 1), true);
    kept.exports
        .values_mut()
        .for_each(|export| export.keep_conditions = true);
    let plan = planned(vec![("a", kept)], None);
    assert!(plan.members["a"].conditions.is_empty());
    assert_eq!(plan.broker.objects.len(), 2);
}

#[test]
fn without_a_ready_backend_the_endpoint_is_not_ready() {
    let plan = planned(vec![("a", seen(1, cluster_ip("1.1.1.1", 1), false))], None);
    let slice = plan
        .broker
        .objects
        .values()
        .find(|object| object["kind"] == "EndpointSlice")
        .unwrap();
    assert_eq!(slice["endpoints"][0]["conditions"]["ready"], false);
}
