//! What Lighthouse makes of the exports: pure.

mod objects;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::NamespacedName;
use crate::simulator::lighthouse::observe::{Export, Seen, Service};
use crate::simulator::submariner::{BROKER_NAMESPACE, OPERATOR_NAMESPACE};

use objects::{aggregated, local, slice, slice_name};

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
        // Ready says that the broker has it, not that it is on its way.
        let slice = (
            "EndpointSlice",
            BROKER_NAMESPACE.to_owned(),
            slice_name(name, source.cluster),
        );
        let arrived = broker.is_none_or(|broker| {
            broker.objects.contains_key(&slice) && broker.objects.contains_key(&broker_key)
        });
        let conditions = conditions(source, arrived, conflict.as_deref());
        say(plan, source.cluster, name, source.export, &conditions, now);
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

type Condition = (&'static str, &'static str, &'static str, String);

/// Conditions of a valid export, in the words of release 0.21.
fn conditions(source: &Source<'_>, arrived: bool, conflict: Option<&str>) -> [Condition; 3] {
    let valid = ("Valid", "True", "Valid", "Service is valid".to_owned());
    if source.refused {
        let kind = |headless| if headless { "Headless" } else { "ClusterSetIP" };
        let message = format!(
            "The local service type ({:?}) does not match the type ({:?}) of the existing exported service",
            kind(source.service.headless()),
            kind(!source.service.headless())
        );
        let failed = "Unable to export due to an irresolvable conflict".to_owned();
        return [
            valid,
            ("Ready", "False", "Failed", failed),
            ("Conflict", "True", "TypeConflict", message),
        ];
    }
    let ready = if arrived {
        let message = "Service was successfully exported to the broker".to_owned();
        ("Ready", "True", "Exported", message)
    } else {
        let message = "ServiceImport created - awaiting aggregation on the broker".to_owned();
        ("Ready", "False", "Pending", message)
    };
    let conflicted = match conflict {
        Some(message) => ("Conflict", "True", "PortConflict", message.to_owned()),
        None => ("Conflict", "False", "NoConflicts", String::new()),
    };
    [valid, ready, conflicted]
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
