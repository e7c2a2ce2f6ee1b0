//! Whether applications reach the services that their manifests name.

use std::collections::BTreeMap;

use serde::Serialize;

use super::service::verdict_chip;
use super::{Address, Facts, FleetView, Text, Tone};
use crate::api::{ClusterName, NamespacedName};
use crate::core::fleet::SubscriptionSnapshot;
use crate::core::mesh::ladder::Discoverable;
use crate::core::mesh::{Connectivity, ServiceView};

/// A service that an application names, and where it is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// The service.
    pub service: NamespacedName,
    /// Its page.
    pub address: Address,
    /// Clusters that export it.
    pub exporters: Vec<String>,
    /// Weight over the clusters of the application.
    pub tone: Tone,
    /// In a few words, for the picture.
    pub short: String,
    /// In a sentence.
    pub text: Text,
    /// Objects and fields that name it.
    pub named_in: String,
}

impl Reach {
    /// `exported by aws-sub1`.
    #[must_use]
    pub fn exported_by(&self) -> String {
        match self.exporters.as_slice() {
            [] => "exported by nobody".to_owned(),
            [one] => format!("exported by {one}"),
            many => format!("exported by {} clusters", many.len()),
        }
    }
}

/// What one cluster gets of a service.
pub(super) struct FromCluster<'a> {
    pub(super) verdict: Discoverable,
    pub(super) reason: &'a str,
}

/// The best export that `cluster` can find: one is enough, unless the name
/// asks for the export of one cluster.
pub(super) fn from_cluster<'a>(
    service: &'a ServiceView,
    cluster: &ClusterName,
    only: Option<&str>,
) -> FromCluster<'a> {
    let Some(only) = only else {
        // Consumers are in the order of names (core::mesh::service).
        let at = service
            .consumers
            .binary_search_by(|consumer| consumer.cluster.cmp(cluster));
        return match at.ok().and_then(|at| service.consumers.get(at)) {
            Some(consumer) => FromCluster {
                verdict: consumer.verdict,
                reason: &consumer.reason,
            },
            None => not_seen(service),
        };
    };
    let mut ladders = service
        .ladders
        .iter()
        .filter(|ladder| ladder.consumer == *cluster);
    match ladders.find(|ladder| ladder.exporter.as_str() == only) {
        Some(ladder) => FromCluster {
            verdict: ladder.verdict,
            reason: &ladder.reason,
        },
        None => not_seen(service),
    }
}

/// What is said of a service about which no ladder was climbed.
fn not_seen(service: &ServiceView) -> FromCluster<'static> {
    if service.exports.is_empty() {
        FromCluster {
            verdict: Discoverable::No,
            reason: "no cluster exports it",
        }
    } else {
        FromCluster {
            verdict: Discoverable::Unknown,
            reason: "the hub has no report about it",
        }
    }
}

/// Services that an application names, worst first.
pub(super) fn of_application(view: &FleetView, subscription: &SubscriptionSnapshot) -> Vec<Reach> {
    let mut by_service: BTreeMap<&NamespacedName, Vec<&crate::core::fleet::ServiceReference>> =
        BTreeMap::new();
    for reference in &subscription.references {
        by_service
            .entry(&reference.service)
            .or_default()
            .push(reference);
    }
    let mut reaches: Vec<Reach> = by_service
        .into_iter()
        .map(|(id, references)| {
            let places: Vec<&str> = references
                .iter()
                .map(|reference| reference.from.as_str())
                .collect();
            let only = references
                .iter()
                .find_map(|reference| reference.cluster.as_deref());
            reach(
                id,
                view.facts.mesh.service(id),
                subscription,
                only,
                places.join("; "),
            )
        })
        .collect();
    reaches.sort_by(|a, b| (b.tone, &a.service).cmp(&(a.tone, &b.service)));
    reaches
}

fn reach(
    id: &NamespacedName,
    service: Option<&ServiceView>,
    subscription: &SubscriptionSnapshot,
    only: Option<&str>,
    named_in: String,
) -> Reach {
    let link = Text::new().link(id.to_string(), Address::Service(id.clone()));
    let mut reach = Reach {
        service: id.clone(),
        address: Address::Service(id.clone()),
        exporters: Vec::new(),
        tone: Tone::Bad,
        short: "exported by nobody".to_owned(),
        text: Text::new()
            .strong(id.to_string())
            .plain(" is exported by no cluster."),
        named_in,
    };
    let Some(service) = service else { return reach };
    reach.exporters = service
        .exports
        .iter()
        .map(|export| export.cluster.to_string())
        .collect();
    let seen: Vec<(&ClusterName, FromCluster<'_>)> = subscription
        .placed
        .iter()
        .map(|cluster| (cluster, from_cluster(service, cluster, only)))
        .collect();
    let worst = seen.iter().max_by_key(|(_, from)| from.verdict);
    let failing = seen
        .iter()
        .filter(|(_, from)| from.verdict != Discoverable::Yes)
        .count();
    match worst {
        None => {
            reach.tone = Tone::Unknown;
            reach.short = "not placed".to_owned();
            reach.text = link.plain(" is not looked for: the application is placed nowhere.");
        }
        Some(_) if failing == 0 => {
            reach.tone = Tone::Ok;
            reach.short = match seen.len() {
                1 => "discoverable".to_owned(),
                2 => "discoverable from both".to_owned(),
                all => format!("discoverable from all {all}"),
            };
            reach.text = link.plain(format!(" is {}.", reach.short));
        }
        Some((cluster, from)) => {
            let chip = verdict_chip(from.verdict);
            reach.tone = chip.tone;
            reach.short = match (failing, from.verdict) {
                (1, Discoverable::Unknown) => format!("unknown from {cluster}"),
                (1, _) => format!("not from {cluster}"),
                (more, _) => format!("not from {more} of {} clusters", seen.len()),
            };
            let mut text = link
                .plain(format!(" is {} from ", chip.word))
                .link(cluster.to_string(), Address::Cluster(cluster.to_string()))
                .plain(": ");
            text.spans.extend(Text::from(from.reason).spans);
            reach.text = text;
        }
    }
    reach
}

/// The third axis: over what it names and what it exports. `None` when it
/// does neither.
pub(super) fn connectivity(
    facts: &Facts,
    subscription: &SubscriptionSnapshot,
) -> Option<Connectivity> {
    if subscription.references.is_empty() && subscription.exports.is_empty() {
        return None;
    }
    let find = |id: &NamespacedName| facts.mesh.service(id);
    let mut words = Vec::new();
    for reference in &subscription.references {
        let service = find(&reference.service);
        for cluster in &subscription.placed {
            words.push(service.map_or(Discoverable::No, |service| {
                from_cluster(service, cluster, reference.cluster.as_deref()).verdict
            }));
        }
    }
    for export in &subscription.exports {
        words.push(find(export).map_or(Discoverable::Unknown, |service| service.verdict));
    }
    let count = |verdict| words.iter().filter(|word| **word == verdict).count();
    let lost = count(Discoverable::No);
    Some(
        if words.is_empty()
            || lost + count(Discoverable::Degraded) + count(Discoverable::Unknown) == 0
        {
            Connectivity::Connected
        } else if lost == words.len() {
            Connectivity::Down
        } else if lost + count(Discoverable::Degraded) > 0 {
            Connectivity::Degraded
        } else {
            Connectivity::Unknown
        },
    )
}
