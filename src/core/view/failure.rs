//! Errors in full: equal errors of many clusters are one block.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Address, Text, Tone};
use crate::api::ClusterName;
use crate::core::delivery::{Failure, FailureClass};
use crate::core::fleet::SubscriptionSnapshot;

/// An error as the application page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorBlock {
    /// Weight.
    pub tone: Tone,
    /// What failed, and on which clusters.
    pub subject: Text,
    /// Stable word.
    pub reason: String,
    /// The whole message, with file and line where there is one.
    pub message: String,
    /// When it is tried again, and what that waits for.
    pub next: &'static str,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Clusters concerned; empty for the source or the whole application.
    pub clusters: Vec<String>,
}

/// Weight of a failure: what waits or is retried is milder than what is stuck.
#[must_use]
pub fn tone(failure: &Failure) -> Tone {
    match failure.class {
        FailureClass::Transient => Tone::Warn,
        FailureClass::Invalid
        | FailureClass::Waiting
        | FailureClass::Conflict
        | FailureClass::Stalled => Tone::Bad,
    }
}

/// When a failure is tried again.
#[must_use]
pub fn next_step(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Invalid => {
            "Tried again when the content changes. Nothing was pruned because of it."
        }
        FailureClass::Waiting => {
            "Everything else was applied. Tried again as soon as what is missing appears."
        }
        FailureClass::Transient => "Tried again with growing pauses.",
        FailureClass::Conflict => "Another writer owns it. Nothing was forced.",
        FailureClass::Stalled => "Not tried again until someone acts.",
    }
}

/// Every failure of a Subscription, worst first, equal ones of several
/// clusters put together.
pub(super) fn blocks(subscription: &SubscriptionSnapshot) -> Vec<ErrorBlock> {
    let mut blocks = Vec::new();
    for (subject, failure) in [
        ("Repository", &subscription.source.failure),
        ("Delivery stopped", &subscription.failure),
    ] {
        if let Some(failure) = failure {
            blocks.push(block(
                Text::new().strong(subject),
                failure,
                None,
                Vec::new(),
            ));
        }
    }
    // A source failure is often also why delivery stopped: say it once.
    blocks.dedup_by(|b, a| a.message == b.message);
    for (group, places) in grouped(subscription) {
        let since = places.iter().filter_map(|(_, since)| *since).min();
        let clusters: Vec<String> = places
            .iter()
            .map(|(cluster, _)| cluster.to_string())
            .collect();
        let subject = on_clusters(group.subject, &clusters);
        blocks.push(block(subject, group.failure, since, clusters));
    }
    blocks.sort_by_key(|block| std::cmp::Reverse(block.tone));
    blocks
}

struct Group<'a> {
    subject: Text,
    failure: &'a Failure,
}

type Places<'a> = Vec<(&'a ClusterName, Option<Timestamp>)>;

fn grouped(subscription: &SubscriptionSnapshot) -> Vec<(Group<'_>, Places<'_>)> {
    let mut groups: BTreeMap<(String, &str, &str), (Group<'_>, Places<'_>)> = BTreeMap::new();
    for (cluster, delivery) in &subscription.deliveries {
        if let Some(failure) = &delivery.failure {
            let key = (
                String::new(),
                failure.reason.as_str(),
                failure.message.as_str(),
            );
            let group = Group {
                subject: Text::new().strong("Delivery"),
                failure,
            };
            groups
                .entry(key)
                .or_insert_with(|| (group, Vec::new()))
                .1
                .push((cluster, None));
        }
        for object in &delivery.objects {
            let Some(failure) = &object.failure else {
                continue;
            };
            let key = (
                object.id.to_string(),
                failure.reason.as_str(),
                failure.message.as_str(),
            );
            let subject = Text::new()
                .plain(format!("{} ", object.id.kind))
                .strong(&object.id.name);
            let group = Group { subject, failure };
            let place = (cluster, Some(object.since));
            groups
                .entry(key)
                .or_insert_with(|| (group, Vec::new()))
                .1
                .push(place);
        }
    }
    groups.into_values().collect()
}

/// Adds ` on a, b and 3 more clusters`.
pub(super) fn on_clusters(mut subject: Text, clusters: &[String]) -> Text {
    for (index, cluster) in clusters.iter().take(3).enumerate() {
        subject = subject
            .plain(if index == 0 { " on " } else { ", " })
            .link(cluster, Address::Cluster(cluster.clone()));
    }
    match clusters.len() {
        0..=3 => subject,
        more => subject.plain(format!(" and {} more clusters", more - 3)),
    }
}

fn block(
    subject: Text,
    failure: &Failure,
    since: Option<Timestamp>,
    clusters: Vec<String>,
) -> ErrorBlock {
    ErrorBlock {
        tone: tone(failure),
        subject,
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        next: next_step(failure.class),
        since,
        clusters,
    }
}
