//! Clusters: the list, and one cluster with everything on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::cable::{self, PairRow};
use super::connection::{self, ConnectionRow};
use super::failure::ErrorBlock;
use super::here::{self, AppHere};
use super::need::Need;
use super::{Address, Chip, FleetView, Listing, Query, Text, Tone, activity, age};
use crate::api::ClusterName;
use crate::api::cluster::ManagedCluster;
use crate::core::fleet::{ClusterSnapshot, Connection, FleetSnapshot};
use crate::core::removal;

/// Label that puts a cluster into a set (OCM).
const SET_LABEL: &str = "cluster.open-cluster-management.io/clusterset";

/// One cluster in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterRow {
    /// Name.
    pub name: String,
    /// Its page.
    pub address: Address,
    /// Cluster set, empty when it is in none.
    pub set: String,
    /// Kubernetes version, as it reports it.
    pub version: String,
    /// Whether the hub reaches it.
    pub reach: Chip,
    /// Since when.
    pub since: Option<Timestamp>,
    /// How long the last probe took, in microseconds.
    pub latency_micros: Option<u64>,
    /// Applications placed here.
    pub applications: usize,
    /// Of them, synced.
    pub synced: usize,
    /// Objects here that failed or are not well.
    pub unwell: usize,
    /// Cables connected both ways.
    pub cables_up: usize,
    /// Cables expected.
    pub cables: usize,
    /// Taints as `key=value:Effect`.
    pub taints: Vec<String>,
    /// Worst of reach, applications and cables.
    pub tone: Tone,
}

/// All clusters, worst first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClustersPage {
    /// What the list comes to, in a sentence.
    pub sentence: String,
    /// Rows of this page.
    pub rows: Listing<ClusterRow>,
    /// Cluster sets that occur, for the filter.
    pub sets: Vec<String>,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterPage {
    /// Its row in the list.
    pub row: ClusterRow,
    /// What is wrong with the connection, in full.
    pub trouble: Option<String>,
    /// When an unreachable cluster is tried next.
    pub next_probe: Option<Timestamp>,
    /// Name and value of what is known about it.
    pub facts: Vec<(String, Text)>,
    /// Its conditions.
    pub conditions: Vec<ConditionRow>,
    /// Labels as `key=value`.
    pub labels: Vec<String>,
    /// ClusterClaims as `name=value`.
    pub claims: Vec<String>,
    /// Applications placed here or still holding objects here, worst first.
    pub applications: Listing<AppHere>,
    /// Objects here that failed.
    pub errors: Vec<ErrorBlock>,
    /// Inventories whose Subscription the hub does not know.
    pub orphans: Vec<String>,
    /// Its side of its cables, at most 50.
    pub connections: Vec<ConnectionRow>,
    /// What happened here lately.
    pub activity: Vec<activity::Entry>,
    /// The command that shows the ManagedCluster.
    pub command: String,
}

/// A condition of the ManagedCluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConditionRow {
    /// Type.
    pub name: String,
    /// Status with its meaning.
    pub chip: Chip,
    /// Reason.
    pub reason: String,
    /// Message.
    pub message: String,
    /// When it last changed.
    pub since: Option<Timestamp>,
}

pub(super) fn set_of(cluster: &ManagedCluster) -> String {
    let labels = cluster.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(SET_LABEL))
        .cloned()
        .unwrap_or_default()
}

/// The word for a connection.
pub(super) fn reach(connection: &Connection) -> (Chip, Option<Timestamp>) {
    match connection {
        Connection::NoCredential { .. } => (Chip::new(Tone::Warn, "No credential"), None),
        Connection::Connecting => (Chip::new(Tone::Busy, "Connecting"), None),
        Connection::Reachable { since, .. } => (Chip::new(Tone::Ok, "Reachable"), Some(*since)),
        Connection::Unreachable { since, .. } => {
            (Chip::new(Tone::Bad, "Unreachable"), Some(*since))
        }
    }
}

/// What applications come to on each cluster.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    placed: usize,
    synced: usize,
    unwell: usize,
    tone: Option<Tone>,
}

/// One pass over all deliveries.
fn loads(fleet: &FleetSnapshot) -> BTreeMap<&ClusterName, Load> {
    let mut loads: BTreeMap<&ClusterName, Load> = BTreeMap::new();
    for subscription in fleet.subscriptions.values() {
        for cluster in &subscription.placed {
            loads.entry(cluster).or_default().placed += 1;
        }
        for (cluster, delivery) in &subscription.deliveries {
            let load = loads.entry(cluster).or_default();
            let sync = Chip::from(delivery.sync()).tone;
            let health = Chip::from(delivery.health()).tone;
            load.synced += usize::from(sync == Tone::Ok && subscription.placed.contains(cluster));
            load.unwell += delivery
                .objects
                .iter()
                .filter(|state| {
                    state.failure.is_some() || Chip::from(state.health).tone >= Tone::Warn
                })
                .count();
            load.tone = load.tone.max(Some(sync.max(health)));
        }
    }
    loads
}

/// Every cluster, worst first, then by name.
pub(super) fn rows(fleet: &FleetSnapshot, pairs: &[PairRow]) -> Vec<ClusterRow> {
    let loads = loads(fleet);
    let cables = cable::by_cluster(pairs);
    let mut rows: Vec<ClusterRow> = fleet
        .clusters
        .iter()
        .map(|(name, snapshot)| {
            let load = loads.get(name).copied().unwrap_or_default();
            let cables = cables
                .get(name.to_string().as_str())
                .copied()
                .unwrap_or((0, 0, Tone::Ok));
            row(name, snapshot, load, cables)
        })
        .collect();
    rows.sort_by(|a, b| (b.tone, &a.name).cmp(&(a.tone, &b.name)));
    rows
}

fn row(
    name: &ClusterName,
    snapshot: &ClusterSnapshot,
    load: Load,
    cables: (usize, usize, Tone),
) -> ClusterRow {
    let (chip, since) = reach(&snapshot.connection);
    let latency_micros = match &snapshot.connection {
        Connection::Reachable { latency_micros, .. } => Some(*latency_micros),
        _ => None,
    };
    let taints = &snapshot.object.spec.taints;
    ClusterRow {
        name: name.to_string(),
        address: Address::Cluster(name.to_string()),
        set: set_of(&snapshot.object),
        version: version(&snapshot.object).unwrap_or_default(),
        since,
        latency_micros,
        applications: load.placed,
        synced: load.synced,
        unwell: load.unwell,
        cables_up: cables.0,
        cables: cables.1,
        taints: taints.iter().flatten().map(taint).collect(),
        tone: chip.tone.max(load.tone.unwrap_or(Tone::Ok)).max(cables.2),
        reach: chip,
    }
}

fn version(cluster: &ManagedCluster) -> Option<String> {
    cluster
        .status
        .as_ref()?
        .version
        .as_ref()?
        .kubernetes
        .clone()
}

fn taint(taint: &crate::api::cluster::Taint) -> String {
    let value = taint.value.as_deref().unwrap_or_default();
    let equals = if value.is_empty() { "" } else { "=" };
    format!("{}{equals}{value}:{}", taint.key, taint.effect)
}

pub(super) fn page(view: &FleetView, query: &Query) -> ClustersPage {
    let mut kept: Vec<&ClusterRow> = view
        .clusters
        .iter()
        .filter(|row| query.wants(row.tone, &row.set))
        .filter(|row| query.q.is_empty() || query.matches(&searchable(view, row)))
        .collect();
    match query.sort.as_str() {
        "name" => kept.sort_by_key(|row| &row.name),
        "latency" => kept.sort_by_key(|row| (std::cmp::Reverse(row.latency_micros), &row.name)),
        "applications" => kept.sort_by_key(|row| (std::cmp::Reverse(row.applications), &row.name)),
        _ => {}
    }
    let mut sets: Vec<String> = view
        .clusters
        .iter()
        .map(|row| row.set.clone())
        .filter(|set| !set.is_empty())
        .collect();
    sets.sort();
    sets.dedup();
    ClustersPage {
        sentence: sentence(&view.clusters),
        rows: Listing::cut(kept.into_iter().cloned(), view.clusters.len(), query),
        sets,
    }
}

/// Names, set, version, and the labels, so that `region=eu` finds its clusters.
fn searchable(view: &FleetView, row: &ClusterRow) -> String {
    let mut text = format!(
        "{} {} {} {}",
        row.name, row.set, row.version, row.reach.word
    );
    if let Some(snapshot) = view.snapshot_of(&row.name) {
        for (key, value) in snapshot.object.metadata.labels.iter().flatten() {
            text.push_str(&format!(" {key}={value}"));
        }
    }
    text
}

fn sentence(rows: &[ClusterRow]) -> String {
    let lost = rows
        .iter()
        .filter(|row| row.reach.tone == Tone::Bad)
        .count();
    let unwell = rows.iter().filter(|row| row.tone >= Tone::Warn).count();
    match (rows.len(), lost, unwell) {
        (0, ..) => "No cluster has joined yet.".to_owned(),
        (all, 0, 0) => format!("All {all} are reachable and well."),
        (all, 0, unwell) => format!("All {all} are reachable; {unwell} of them need attention."),
        (all, lost, _) => format!("{lost} of {all} cannot be reached."),
    }
}

pub(super) fn detail(view: &FleetView, name: &str, query: &Query) -> Option<ClusterPage> {
    let row = view.clusters.iter().find(|row| row.name == name)?.clone();
    let (id, snapshot) = view
        .facts
        .fleet
        .clusters
        .iter()
        .find(|(id, _)| id.to_string() == name)?;
    let (trouble, next_probe) = match &snapshot.connection {
        Connection::NoCredential { message } => (Some(message.clone()), None),
        Connection::Unreachable {
            failure,
            next_probe,
            ..
        } => (Some(failure.message.clone()), *next_probe),
        _ => (None, None),
    };
    let metadata = &snapshot.object.metadata;
    let claims = snapshot
        .object
        .status
        .iter()
        .flat_map(|status| status.cluster_claims.iter().flatten());
    Some(ClusterPage {
        facts: facts(&row, snapshot),
        conditions: conditions(&snapshot.object),
        labels: pairs(metadata.labels.iter().flatten()),
        claims: claims
            .map(|claim| format!("{}={}", claim.name, claim.value))
            .collect(),
        applications: here::applications(view, id, query),
        errors: here::errors(&view.facts.fleet, id),
        orphans: snapshot.orphans.iter().map(ToString::to_string).collect(),
        connections: connection::connections_of(view, name),
        activity: activity::newest(view, 12, |entry| entry.cluster.as_ref() == Some(id)),
        command: format!("kubectl get managedcluster {name} -o yaml"),
        trouble,
        next_probe,
        row,
    })
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<String> {
    pairs.map(|(key, value)| format!("{key}={value}")).collect()
}

fn facts(row: &ClusterRow, snapshot: &ClusterSnapshot) -> Vec<(String, Text)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, text: Option<Text>| {
        if let Some(text) = text.filter(|text| !text.words().is_empty()) {
            facts.push((name.to_owned(), text));
        }
    };
    let code = |words: &String| Text::new().code(words);
    fact("API server", snapshot.server.as_ref().map(code));
    fact("Credential", snapshot.credential.as_ref().map(code));
    let kind = snapshot.credential_kind.as_deref();
    fact(
        "Credential kept by",
        kind.map(|kind| Text::new().plain(kind)),
    );
    let ends = snapshot.credential_ends.map(|ends| ends.to_string());
    fact("Credential ends", ends.map(|ends| Text::new().plain(ends)));
    fact("Cluster set", (!row.set.is_empty()).then(|| code(&row.set)));
    fact("Kubernetes", Some(Text::new().plain(&row.version)));
    fact(
        "Last probe",
        row.latency_micros
            .map(|micros| Text::new().plain(age::round_trip(micros))),
    );
    if let Some(status) = &snapshot.object.status {
        let amounts = pairs(
            status
                .capacity
                .iter()
                .flatten()
                .map(|(key, value)| (key, &value.0)),
        )
        .join(", ");
        fact("Capacity", Some(Text::new().plain(amounts)));
        let amounts = pairs(
            status
                .allocatable
                .iter()
                .flatten()
                .map(|(key, value)| (key, &value.0)),
        )
        .join(", ");
        fact("Allocatable", Some(Text::new().plain(amounts)));
    }
    let owed = snapshot.object.metadata.annotations.as_ref();
    let owed = owed.map(removal::owed).unwrap_or_default();
    fact(
        "To be removed when it answers",
        removal::written(&owed).map(|names| Text::new().code(names)),
    );
    let mut taints = Text::new();
    for (index, taint) in row.taints.iter().enumerate() {
        taints = taints.plain(if index == 0 { "" } else { ", " }).code(taint);
    }
    fact("Taints", Some(taints));
    facts
}

fn conditions(cluster: &ManagedCluster) -> Vec<ConditionRow> {
    let conditions = cluster
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .map(|condition| {
            let tone = match condition.status.as_str() {
                "True" => Tone::Ok,
                "False" => Tone::Warn,
                _ => Tone::Unknown,
            };
            ConditionRow {
                name: condition.type_.clone(),
                chip: Chip::new(tone, &condition.status),
                reason: condition.reason.clone(),
                message: condition.message.clone(),
                since: Some(condition.last_transition_time.0),
            }
        })
        .collect()
}

/// What of a cluster needs someone: its connection, and what nobody owns on it.
pub(super) fn needs(name: &ClusterName, snapshot: &ClusterSnapshot) -> Vec<Need> {
    let link = || Text::new().link(name.to_string(), Address::Cluster(name.to_string()));
    let mut needs = Vec::new();
    match &snapshot.connection {
        Connection::NoCredential { message } => needs.push(
            Need::new(Tone::Warn, link().plain(" has no usable credential."))
                .because(message.as_str()),
        ),
        Connection::Unreachable { since, failure, .. } => needs.push(
            Need::new(Tone::Bad, link().plain(" cannot be reached."))
                .because(failure.message.as_str())
                .since(Some(*since)),
        ),
        Connection::Connecting | Connection::Reachable { .. } => {}
    }
    if let Some(orphan) = snapshot.orphans.first() {
        let number = age::count(snapshot.orphans.len(), "inventory");
        let text = link()
            .plain(format!(
                " holds {number} whose Subscription the hub does not know, such as "
            ))
            .code(orphan.to_string())
            .plain(".");
        needs.push(Need::new(Tone::Warn, text).because(
            "left alone until someone applies the Subscription again or deletes the objects",
        ));
    }
    needs
}
