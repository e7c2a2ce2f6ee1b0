//! What Lighthouse makes of the exports: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::NamespacedName;
use crate::core::mesh::read::{
    IS_HEADLESS, MANAGED_BY, SERVICE_NAME, SOURCE_CLUSTER, SOURCE_NAMESPACE,
};
use crate::core::object::Digest;
use crate::simulator::lighthouse::MADE_BY;
use crate::simulator::lighthouse::observe::{Export, Seen, Service};
use crate::simulator::submariner::{BROKER_NAMESPACE, OPERATOR_NAMESPACE};

/// Key of an object: kind, namespace, name.
pub(super) type Key = (&'static str, String, String);

/// What is wanted on one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    /// Whether the cluster was read, so that deleting is safe.
    pub(super) ready: bool,
    /// Conditions per export.
    pub(super) conditions: BTreeMap<NamespacedName, Vec<Value>>,
    /// Imports and slices.
    pub(super) objects: BTreeMap<Key, Value>,
}

/// What is wanted everywhere.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) members: BTreeMap<String, Wanted>,
    pub(super) broker: Wanted,
}

/// One valid export of a service.
struct Source<'a> {
    cluster: &'a str,
    export: &'a Export,
    service: &'a Service,
    /// Its type conflicts with that of the oldest export: it is not published.
    refused: bool,
}

pub(super) fn plan(
    members: &BTreeMap<String, Arc<Seen>>,
    broker: Option<&Seen>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan {
        members: members
            .keys()
            .map(|name| (name.clone(), Wanted::default()))
            .collect(),
        broker: Wanted::default(),
    };
    let names: BTreeSet<&NamespacedName> = members
        .values()
        .flat_map(|seen| seen.exports.keys())
        .collect();
    for name in names {
        let mut sources: Vec<Source<'_>> = Vec::new();
        for (cluster, seen) in members {
            let Some(export) = seen.exports.get(name) else {
                continue;
            };
            match seen
                .services
                .get(name)
                .filter(|service| service.exportable())
            {
                Some(service) => sources.push(Source {
                    cluster,
                    export,
                    service,
                    refused: false,
                }),
                None => {
                    let found = seen.services.get(name);
                    invalid(&mut plan, cluster, name, export, found, now);
                }
            }
        }
        // The oldest export wins, by name among equals.
        sources.sort_by(|a, b| (a.export.created, a.cluster).cmp(&(b.export.created, b.cluster)));
        let headless = sources
            .first()
            .is_some_and(|source| source.service.headless());
        for source in &mut sources {
            source.refused = source.service.headless() != headless;
        }
        publish(&mut plan, members, broker, name, &sources, now);
    }
    plan
}

fn invalid(
    plan: &mut Plan,
    cluster: &str,
    name: &NamespacedName,
    export: &Export,
    service: Option<&Service>,
    now: Timestamp,
) {
    let (reason, message) = match service {
        None => (
            "NoService",
            "Service to be exported doesn't exist".to_owned(),
        ),
        Some(service) => (
            "InvalidServiceType",
            format!("Service of type {} not supported", service.kind),
        ),
    };
    say(
        plan,
        cluster,
        name,
        export,
        &[
            ("Valid", "False", reason, message),
            (
                "Ready",
                "False",
                "Pending",
                "The export is not valid".to_owned(),
            ),
        ],
        now,
    );
}

/// Sets the conditions of an export; a condition that does not change keeps its time.
fn say(
    plan: &mut Plan,
    cluster: &str,
    name: &NamespacedName,
    export: &Export,
    conditions: &[(&str, &str, &str, String)],
    now: Timestamp,
) {
    if export.keep_conditions {
        return;
    }
    let written: Vec<Value> = conditions
        .iter()
        .map(|(kind, status, reason, message)| {
            let old = export
                .conditions
                .iter()
                .find(|old| old["type"] == **kind && old["status"] == **status && old["reason"] == **reason);
            let since = old
                .map(|old| old["lastTransitionTime"].clone())
                .unwrap_or_else(|| json!(now.strftime("%FT%TZ").to_string()));
            json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
        })
        .collect();
    if let Some(wanted) = plan.members.get_mut(cluster) {
        wanted.conditions.insert(name.clone(), written);
    }
}

fn publish(
    plan: &mut Plan,
    members: &BTreeMap<String, Arc<Seen>>,
    broker: Option<&Seen>,
    name: &NamespacedName,
    sources: &[Source<'_>],
    now: Timestamp,
) {
    let accepted: Vec<&Source<'_>> = sources.iter().filter(|source| !source.refused).collect();
    let conflict = port_conflict(&accepted);
    let broker_key = (
        "ServiceImport",
        BROKER_NAMESPACE.to_owned(),
        format!("{}-{}", name.name, name.namespace),
    );
    for source in sources {
        let slice = slice_name(name, source.cluster);
        // Ready says that the broker has it, not that it is on its way.
        let arrived = broker.is_none_or(|broker| {
            broker.objects.contains_key(&(
                "EndpointSlice",
                BROKER_NAMESPACE.to_owned(),
                slice.clone(),
            )) && broker.objects.contains_key(&broker_key)
        });
        let ready = if source.refused {
            (
                "Ready",
                "False",
                "Failed",
                "Unable to export due to an irresolvable conflict".to_owned(),
            )
        } else if arrived {
            (
                "Ready",
                "True",
                "Exported",
                "Service was successfully exported to the broker".to_owned(),
            )
        } else {
            (
                "Ready",
                "False",
                "Pending",
                "ServiceImport created - awaiting aggregation on the broker".to_owned(),
            )
        };
        let conflicted = if source.refused {
            let kind = |headless| if headless { "Headless" } else { "ClusterSetIP" };
            let message = format!(
                "The local service type ({:?}) does not match the type ({:?}) of the existing exported service",
                kind(source.service.headless()),
                kind(!source.service.headless())
            );
            ("Conflict", "True", "TypeConflict", message)
        } else if let Some(message) = &conflict {
            ("Conflict", "True", "PortConflict", message.clone())
        } else {
            ("Conflict", "False", "NoConflicts", String::new())
        };
        let valid = ("Valid", "True", "Valid", "Service is valid".to_owned());
        say(
            plan,
            source.cluster,
            name,
            source.export,
            &[valid, ready, conflicted],
            now,
        );
    }
    if accepted.is_empty() {
        return;
    }
    let import = |namespace: &str, object: &str| aggregated(namespace, object, name, &accepted);
    plan.broker
        .objects
        .insert(broker_key.clone(), import(BROKER_NAMESPACE, &broker_key.2));
    for source in &accepted {
        let key = (
            "EndpointSlice",
            BROKER_NAMESPACE.to_owned(),
            slice_name(name, source.cluster),
        );
        plan.broker
            .objects
            .insert(key, slice(BROKER_NAMESPACE, name, source));
        if let Some(own) = plan.members.get_mut(source.cluster) {
            let object = format!("{}-{}-{}", name.name, name.namespace, source.cluster);
            let value = local(&object, name, source);
            own.objects.insert(
                ("ServiceImport", OPERATOR_NAMESPACE.to_owned(), object),
                value,
            );
        }
    }
    for (cluster, seen) in members {
        let Some(wanted) = plan
            .members
            .get_mut(cluster)
            .filter(|_| seen.namespaces.contains(&name.namespace))
        else {
            continue;
        };
        let key = ("ServiceImport", name.namespace.clone(), name.name.clone());
        wanted
            .objects
            .insert(key, import(&name.namespace, &name.name));
        for source in &accepted {
            let key = (
                "EndpointSlice",
                name.namespace.clone(),
                slice_name(name, source.cluster),
            );
            wanted
                .objects
                .insert(key, slice(&name.namespace, name, source));
        }
    }
}

fn port_conflict(sources: &[&Source<'_>]) -> Option<String> {
    let differ = sources
        .windows(2)
        .any(|pair| pair[0].service.ports_of_import() != pair[1].service.ports_of_import());
    differ.then(|| {
        let clusters: Vec<&str> = sources.iter().map(|source| source.cluster).collect();
        format!(
            "The service ports conflict between the constituent clusters [{}]. The service will expose the union of all the ports",
            clusters.join(", ")
        )
    })
}

fn union_of_ports(sources: &[&Source<'_>]) -> Vec<Value> {
    let mut ports = Vec::new();
    for port in sources
        .iter()
        .flat_map(|source| source.service.ports_of_import())
    {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

fn kind(source: &Source<'_>) -> &'static str {
    if source.service.headless() {
        "Headless"
    } else {
        "ClusterSetIP"
    }
}

fn aggregated(
    namespace: &str,
    object: &str,
    name: &NamespacedName,
    sources: &[&Source<'_>],
) -> Value {
    let mut annotations = json!({
        SERVICE_NAME: name.name,
        SOURCE_NAMESPACE: name.namespace,
        "lighthouse.submariner.io/use-clusterset-ip": "false",
    });
    for source in sources {
        if let Some(created) = source.export.created {
            annotations[format!("timestamp.submariner.io/{}", source.cluster)] =
                json!(created.as_nanosecond().to_string());
        }
    }
    let clusters: Vec<Value> = sources
        .iter()
        .map(|source| json!({"cluster": source.cluster}))
        .collect();
    json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceImport",
        "metadata": {
            "name": object,
            "namespace": namespace,
            "labels": {MADE_BY.0: MADE_BY.1},
            "annotations": annotations,
        },
        "spec": {
            "type": sources.first().map_or("ClusterSetIP", |source| kind(source)),
            "sessionAffinity": sources.first().map_or("None", |source| source.service.affinity.as_str()),
            "ports": union_of_ports(sources),
        },
        "status": {"clusters": clusters},
    })
}

fn local(object: &str, name: &NamespacedName, source: &Source<'_>) -> Value {
    let mut spec = json!({
        "type": kind(source),
        "sessionAffinity": source.service.affinity,
        "ports": source.service.ports_of_import(),
    });
    if let Some(ip) = &source.service.cluster_ip {
        spec["ips"] = json!([ip]);
    }
    json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ServiceImport",
        "metadata": {
            "name": object,
            "namespace": OPERATOR_NAMESPACE,
            "labels": {
                MADE_BY.0: MADE_BY.1,
                SERVICE_NAME: name.name,
                SOURCE_NAMESPACE: name.namespace,
                SOURCE_CLUSTER: source.cluster,
            },
            "annotations": {"lighthouse.submariner.io/publish-not-ready-addresses": "false"},
        },
        "spec": spec,
        "status": {"clusters": [{"cluster": source.cluster}]},
    })
}

/// Lighthouse generates the suffix; here it is the same each time, so that a
/// restart changes nothing.
fn slice_name(name: &NamespacedName, cluster: &str) -> String {
    let digest = Digest::of_bytes(format!("{name}@{cluster}").as_bytes());
    format!(
        "{}-{}",
        name.name,
        digest.as_str().get(..5).unwrap_or_default()
    )
}

fn slice(namespace: &str, name: &NamespacedName, source: &Source<'_>) -> Value {
    let mut labels = json!({
        MADE_BY.0: MADE_BY.1,
        MANAGED_BY.0: MANAGED_BY.1,
        SERVICE_NAME: name.name,
        SOURCE_CLUSTER: source.cluster,
        SOURCE_NAMESPACE: name.namespace,
        IS_HEADLESS: source.service.headless().to_string(),
        "submariner-io/clusterID": source.cluster,
    });
    if namespace == BROKER_NAMESPACE {
        labels["submariner-io/originatingNamespace"] = json!(name.namespace);
    }
    let backends = &source.export.backends;
    let endpoints: Vec<Value> = match &source.service.cluster_ip {
        Some(ip) => {
            let ready = backends
                .iter()
                .any(|backend| backend["conditions"]["ready"] != json!(false));
            vec![json!({"addresses": [ip], "conditions": {"ready": ready}})]
        }
        None => backends.clone(),
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": slice_name(name, source.cluster), "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": source.service.ports_of_slice(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
