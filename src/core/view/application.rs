//! Applications: the list, and one application from commit to consumers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::failure::{self, ErrorBlock};
use super::graph::{self, NodePlan, Picture};
use super::heat::{self, Heat};
use super::need::Need;
use super::placement::{self, VerdictRow};
use super::reach::{self, Reach};
use super::revision::{DISCOVERABLE, RevisionRow, StageRow, short};
use super::{Address, Chip, Facts, FleetView, Listing, Query, Text, Tone, activity};
use crate::api::NamespacedName;
use crate::core::delivery::{Health, ObjectState, Sync};
use crate::core::fleet::{CommitFacts, SubscriptionSnapshot};
use crate::core::mesh::Connectivity;
use crate::core::object::ObjectId;

/// One application in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApplicationRow {
    /// Name of the Subscription.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its page.
    pub address: Address,
    /// `main@4f1c2ab`.
    pub revision: String,
    /// First line of the commit message.
    pub summary: String,
    /// Clusters it is placed on.
    pub clusters: usize,
    /// Clusters it is placed on beside those, which the reader may not see.
    pub unseen: usize,
    /// Sync word over all clusters.
    pub sync: Chip,
    /// Health word over all clusters.
    pub health: Chip,
    /// Connectivity word; `None` when it neither uses nor offers a service.
    pub connectivity: Option<Chip>,
    /// Worst of the three.
    pub tone: Tone,
    /// Why it is not well, in a few words.
    pub note: Option<Text>,
}

/// All applications, worst first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApplicationsPage {
    /// What the list comes to, in a sentence.
    pub sentence: String,
    /// Rows of this page.
    pub rows: Listing<ApplicationRow>,
    /// Namespaces that occur, for the filter.
    pub namespaces: Vec<String>,
}

/// One application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApplicationPage {
    /// Its row in the list.
    pub row: ApplicationRow,
    /// Commit in use.
    pub commit: Option<CommitFacts>,
    /// Source: channel, path, when it was asked.
    pub source: Text,
    /// Last time the repository was asked.
    pub checked_at: Option<Timestamp>,
    /// Whether delivery is paused by label.
    pub paused: bool,
    /// The way of the revision.
    pub stages: Vec<StageRow>,
    /// Errors in full.
    pub errors: Vec<ErrorBlock>,
    /// Objects × clusters.
    pub heat: Heat,
    /// The placement's page.
    pub placement: Option<Address>,
    /// The placement's name, as `PlacementRule guestbook-pr`.
    pub placement_name: Option<String>,
    /// Why here and why not there: chosen first, at most 12.
    pub verdicts: Vec<VerdictRow>,
    /// Clusters left out of `verdicts`.
    pub more_verdicts: usize,
    /// What it depends on, drawn.
    pub picture: Option<Picture>,
    /// The same as rows.
    pub reaches: Vec<Reach>,
    /// Services it exports.
    pub exports: Vec<Address>,
    /// Revisions, newest first.
    pub history: Vec<RevisionRow>,
    /// What happened to it lately.
    pub activity: Vec<activity::Entry>,
    /// The command that shows the Subscription.
    pub command: String,
}

/// Sync over all clusters; a failure before the members makes it OutOfSync
/// when something is placed but cannot be brought up to date.
pub(super) fn sync(subscription: &SubscriptionSnapshot) -> Sync {
    if subscription.failure.is_some() {
        return Sync::OutOfSync;
    }
    let worst = subscription
        .deliveries
        .values()
        .map(|delivery| delivery.sync())
        .max();
    let missing = subscription
        .placed
        .iter()
        .any(|cluster| !subscription.deliveries.contains_key(cluster));
    match (worst, missing) {
        (Some(worst), false) => worst,
        (Some(worst), true) => worst.max(Sync::Unknown),
        (None, _) if subscription.placed.is_empty() && !subscription.history.is_empty() => {
            Sync::Synced
        }
        (None, _) => Sync::Unknown,
    }
}

/// Health over all clusters.
pub(super) fn health(subscription: &SubscriptionSnapshot) -> Health {
    let worst = subscription
        .deliveries
        .values()
        .map(|delivery| delivery.health())
        .max();
    worst.unwrap_or(Health::Unknown)
}

/// Every application, worst first, then by name.
pub(super) fn rows(facts: &Facts) -> Vec<ApplicationRow> {
    let subscriptions = facts.fleet.subscriptions.iter();
    let mut rows: Vec<ApplicationRow> = subscriptions
        .map(|(id, subscription)| row(id, subscription, reach::connectivity(facts, subscription)))
        .collect();
    rows.sort_by(|a, b| (b.tone, &a.name, &a.namespace).cmp(&(a.tone, &b.name, &b.namespace)));
    rows
}

fn row(
    id: &NamespacedName,
    subscription: &SubscriptionSnapshot,
    connectivity: Option<Connectivity>,
) -> ApplicationRow {
    let sync = Chip::from(sync(subscription));
    let health = Chip::from(health(subscription));
    let connectivity = connectivity.map(Chip::from);
    let tone = connectivity
        .iter()
        .chain([&sync, &health])
        .map(|chip| chip.tone)
        .max()
        .unwrap_or(Tone::Unknown);
    let commit = subscription.source.commit.as_ref();
    let branch = subscription.source.reference.as_deref().unwrap_or("HEAD");
    ApplicationRow {
        name: id.name.clone(),
        namespace: id.namespace.clone(),
        address: Address::Application(id.clone()),
        revision: commit.map_or_else(String::new, |commit| {
            format!("{branch}@{}", short(&commit.id))
        }),
        summary: commit.map_or_else(String::new, |commit| commit.summary.clone()),
        clusters: subscription.placed.len(),
        unseen: 0,
        note: note(subscription),
        sync,
        health,
        connectivity,
        tone,
    }
}

fn note(subscription: &SubscriptionSnapshot) -> Option<Text> {
    let block = failure::blocks(subscription).into_iter().next()?;
    let first = block.message.lines().next().unwrap_or_default();
    Some(block.subject.plain(": ").plain(first))
}

pub(super) fn page(view: &FleetView, query: &Query) -> ApplicationsPage {
    let mut kept: Vec<&ApplicationRow> = view
        .applications
        .iter()
        .filter(|row| query.wants(row.tone, &row.namespace))
        .filter(|row| {
            query.q.is_empty()
                || query.matches(&format!(
                    "{} {} {} {} {} {}",
                    row.namespace,
                    row.name,
                    row.revision,
                    row.summary,
                    row.sync.word,
                    row.health.word
                ))
        })
        .collect();
    match query.sort.as_str() {
        "name" => kept.sort_by_key(|row| (&row.name, &row.namespace)),
        "clusters" => kept.sort_by_key(|row| (std::cmp::Reverse(row.clusters), &row.name)),
        _ => {}
    }
    let mut namespaces: Vec<String> = view
        .applications
        .iter()
        .map(|row| row.namespace.clone())
        .collect();
    namespaces.sort();
    namespaces.dedup();
    ApplicationsPage {
        sentence: sentence(&view.applications),
        rows: Listing::cut(kept.into_iter().cloned(), view.applications.len(), query),
        namespaces,
    }
}

fn sentence(rows: &[ApplicationRow]) -> String {
    let unwell = rows.iter().filter(|row| row.tone >= Tone::Warn).count();
    let moving = rows.iter().filter(|row| row.tone == Tone::Busy).count();
    match (rows.len(), unwell, moving) {
        (0, ..) => "Nothing is subscribed yet.".to_owned(),
        (all, 0, 0) => format!("All {all} are in place and well, as far as is known."),
        (all, 0, moving) => format!("{moving} of {all} on their way; nothing is wrong."),
        (all, unwell, _) => format!("{unwell} of {all} need attention."),
    }
}

pub(super) fn detail(
    view: &FleetView,
    id: &NamespacedName,
    query: &Query,
) -> Option<ApplicationPage> {
    let facts = &view.facts;
    let subscription = facts.fleet.subscriptions.get(id)?;
    let row = view
        .applications
        .iter()
        .find(|row| row.address == Address::Application(id.clone()))?;
    let (verdicts, more_verdicts) = placement::verdicts_for(view, id, subscription, 12);
    let reaches = reach::of_application(view, subscription);
    Some(ApplicationPage {
        commit: subscription.source.commit.clone(),
        source: source(subscription),
        checked_at: subscription.source.checked_at,
        paused: subscription.paused,
        stages: stages(facts, subscription),
        errors: failure::blocks(subscription),
        heat: heat::heat(subscription, query),
        placement: placement::address_for(view, id, subscription),
        placement_name: subscription.placement.clone(),
        verdicts,
        more_verdicts,
        picture: picture(row, subscription, &reaches),
        reaches,
        exports: subscription
            .exports
            .iter()
            .cloned()
            .map(Address::Service)
            .collect(),
        history: subscription.history.iter().map(RevisionRow::from).collect(),
        activity: activity::newest(view, 12, |entry| entry.application.as_ref() == Some(id)),
        command: format!(
            "kubectl -n {} get subscriptions.apps.open-cluster-management.io {} -o yaml",
            id.namespace, id.name
        ),
        row: row.clone(),
    })
}

/// The stages of the revision; the last one, whether what it uses and offers
/// can be found, is for the mesh to say.
fn stages(facts: &Facts, subscription: &SubscriptionSnapshot) -> Vec<StageRow> {
    let mut stages: Vec<StageRow> = subscription.stages.iter().map(StageRow::from).collect();
    let told = stages.iter().any(|stage| stage.name == DISCOVERABLE);
    if let Some(word) = reach::connectivity(facts, subscription)
        && !told
        && !stages.is_empty()
    {
        let ready = stages.iter().all(|stage| stage.tone == Tone::Ok);
        stages.push(StageRow::discoverable(ready, word));
    }
    stages
}

fn source(subscription: &SubscriptionSnapshot) -> Text {
    let source = &subscription.source;
    let mut text = Text::new().plain("from channel ").strong(&source.channel);
    if let Some(path) = &source.path {
        text = text.plain(", path ").code(path);
    }
    if let Some(url) = &source.url {
        text = text.plain(", ").code(url);
    }
    text
}

fn picture(
    row: &ApplicationRow,
    subscription: &SubscriptionSnapshot,
    reaches: &[Reach],
) -> Option<Picture> {
    let names: Vec<String> = subscription
        .placed
        .iter()
        .map(ToString::to_string)
        .collect();
    let application = NodePlan {
        name: row.name.clone(),
        sub: match names.len() {
            0 => "not placed".to_owned(),
            1..=2 => names.join(", "),
            more => format!("{more} clusters"),
        },
        tone: None,
        address: row.address.clone(),
    };
    let services: Vec<(NodePlan, String, Tone)> = reaches
        .iter()
        .map(|reach| {
            let plan = NodePlan {
                name: reach.service.name.clone(),
                sub: reach.exported_by(),
                tone: (reach.tone >= Tone::Warn).then_some(reach.tone),
                address: Address::Service(reach.service.clone()),
            };
            (plan, reach.short.clone(), reach.tone)
        })
        .collect();
    let listed: Vec<&str> = reaches
        .iter()
        .map(|reach| reach.service.name.as_str())
        .collect();
    let description = format!("{} uses {}", row.name, listed.join(", "));
    graph::dependencies(&application, &services, description)
}

/// What of an application needs someone: its errors, then what is not healthy.
pub(super) fn needs(id: &NamespacedName, subscription: &SubscriptionSnapshot) -> Vec<Need> {
    let name = |text: Text| text.link(&id.name, Address::Application(id.clone()));
    let mut needs: Vec<Need> = failure::blocks(subscription)
        .into_iter()
        .map(|block| {
            let mut text = name(Text::new()).plain(": ");
            text.spans.extend(block.subject.spans);
            let first = block.message.lines().next().unwrap_or_default().to_owned();
            let text = text.plain(". ").plain(first);
            Need {
                tone: block.tone,
                text,
                why: Some(Text::from(block.next)),
                since: block.since,
            }
        })
        .collect();
    needs.extend(
        unhealthy(subscription)
            .into_iter()
            .map(|(state, clusters)| {
                let chip = Chip::from(state.health);
                let text = name(Text::new()).plain(format!(" is {}", chip.word.to_lowercase()));
                let text = failure::on_clusters(text, &clusters)
                    .plain(format!(": {} ", state.id.kind))
                    .strong(&state.id.name)
                    .plain(if state.health_message.is_empty() {
                        ""
                    } else {
                        ", "
                    })
                    .plain(&state.health_message)
                    .plain(".");
                let why = subscription.source.commit.as_ref().map(|commit| {
                    Text::new()
                        .plain("commit ")
                        .code(short(&commit.id))
                        .plain(format!(" “{}”", commit.summary))
                });
                Need {
                    tone: chip.tone,
                    text,
                    why,
                    since: Some(state.since),
                }
            }),
    );
    needs
}

/// Objects that are in place but not well, equal ones put together.
fn unhealthy(subscription: &SubscriptionSnapshot) -> Vec<(&ObjectState, Vec<String>)> {
    let mut groups: BTreeMap<(&ObjectId, Health, &str), (&ObjectState, Vec<String>)> =
        BTreeMap::new();
    for (cluster, delivery) in &subscription.deliveries {
        for state in &delivery.objects {
            let well = matches!(state.health, Health::Healthy | Health::Suspended);
            if well
                || state.failure.is_some()
                || (state.health == Health::Unknown && delivery.failure.is_some())
            {
                continue;
            }
            let key = (&state.id, state.health, state.health_message.as_str());
            groups
                .entry(key)
                .or_insert_with(|| (state, Vec::new()))
                .1
                .push(cluster.to_string());
        }
    }
    groups.into_values().collect()
}
