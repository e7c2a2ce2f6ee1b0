//! Placements: every cluster with the reason why it was chosen or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::need::Need;
use super::{Address, Chip, FleetView, Listing, Query, Text, Tone};
use crate::api::{ClusterName, NamespacedName};
use crate::core::fleet::{FleetSnapshot, SubscriptionSnapshot};
use crate::core::placement::Schedule;

/// Kind (`PlacementRule`, `Placement`, or `Subscription` for a placement
/// written inline) and name of a placement.
pub type PlacementId = (String, NamespacedName);

/// Every placement with what it came to.
pub type Schedules = BTreeMap<PlacementId, Arc<Schedule>>;

/// One placement in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacementRow {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Its page.
    pub address: Address,
    /// How it came out.
    pub outcome: Chip,
    /// The outcome in a sentence, when it is not simply satisfied.
    pub note: Text,
    /// Clusters chosen.
    pub chosen: usize,
    /// Clusters looked at.
    pub considered: usize,
    /// Applications that use it.
    pub used_by: Vec<Address>,
}

/// All placements, worst first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacementsPage {
    /// Rows of this page.
    pub rows: Listing<PlacementRow>,
    /// Namespaces that occur, for the filter.
    pub namespaces: Vec<String>,
}

/// One placement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacementPage {
    /// Its row in the list.
    pub row: PlacementRow,
    /// Applications that use it, by name.
    pub applications: Vec<(String, Address)>,
    /// Every cluster, chosen first.
    pub verdicts: Listing<VerdictRow>,
    /// The command that shows it.
    pub command: String,
}

/// A cluster and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictRow {
    /// Name.
    pub cluster: String,
    /// Its page.
    pub address: Address,
    /// Chosen or not.
    pub chip: Chip,
    /// Because.
    pub because: Text,
}

fn verdict_rows(schedule: &Schedule) -> Vec<VerdictRow> {
    let mut rows: Vec<(bool, VerdictRow)> = schedule
        .verdicts
        .iter()
        .map(|verdict| {
            let chip = if verdict.chosen {
                Chip::new(Tone::Ok, "chosen")
            } else {
                Chip::new(Tone::Unknown, "not chosen")
            };
            let row = VerdictRow {
                cluster: verdict.cluster.to_string(),
                address: Address::Cluster(verdict.cluster.to_string()),
                chip,
                because: Text::from(verdict.reason.to_string()),
            };
            (!verdict.chosen, row)
        })
        .collect();
    rows.sort_by_key(|(left_out, _)| *left_out);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The placement that a Subscription uses: the one it names in its own
/// namespace, or the one written inline.
fn id_for(id: &NamespacedName, subscription: &SubscriptionSnapshot) -> PlacementId {
    match subscription
        .placement
        .as_deref()
        .and_then(|placement| placement.split_once(' '))
    {
        Some((kind, name)) => match name.split_once('/') {
            Some((namespace, name)) => (kind.to_owned(), NamespacedName::new(namespace, name)),
            None => (kind.to_owned(), NamespacedName::new(&id.namespace, name)),
        },
        None => ("Subscription".to_owned(), id.clone()),
    }
}

fn address(id: &PlacementId) -> Address {
    Address::Placement(id.0.to_lowercase(), id.1.clone())
}

fn schedule_for<'a>(
    view: &'a FleetView,
    id: &NamespacedName,
    subscription: &SubscriptionSnapshot,
) -> Option<&'a Arc<Schedule>> {
    view.facts.schedules.get(&id_for(id, subscription))
}

/// The page of the placement of a Subscription, when the hub knows it.
pub(super) fn address_for(
    view: &FleetView,
    id: &NamespacedName,
    subscription: &SubscriptionSnapshot,
) -> Option<Address> {
    let id = id_for(id, subscription);
    view.facts.schedules.contains_key(&id).then(|| address(&id))
}

/// The first `most` verdicts, chosen first, and how many were left out.
pub(super) fn verdicts_for(
    view: &FleetView,
    id: &NamespacedName,
    subscription: &SubscriptionSnapshot,
    most: usize,
) -> (Vec<VerdictRow>, usize) {
    let mut rows = schedule_for(view, id, subscription)
        .map_or_else(Vec::new, |schedule| verdict_rows(schedule));
    let more = rows.len().saturating_sub(most);
    rows.truncate(most);
    (rows, more)
}

/// Why an application is on a cluster.
pub(super) fn why(
    view: &FleetView,
    id: &NamespacedName,
    subscription: &SubscriptionSnapshot,
    cluster: &ClusterName,
) -> Text {
    let Some(schedule) = schedule_for(view, id, subscription) else {
        return Text::new();
    };
    let verdict = schedule
        .verdicts
        .iter()
        .find(|verdict| verdict.cluster == *cluster);
    verdict.map_or_else(Text::new, |verdict| Text::from(verdict.reason.to_string()))
}

/// Rows of every placement, worst first.
pub(super) fn rows(fleet: &FleetSnapshot, schedules: &Schedules) -> Vec<PlacementRow> {
    let mut users: BTreeMap<PlacementId, Vec<&NamespacedName>> = BTreeMap::new();
    for (id, subscription) in &fleet.subscriptions {
        users.entry(id_for(id, subscription)).or_default().push(id);
    }
    let mut rows: Vec<PlacementRow> = schedules
        .iter()
        .map(|(id, schedule)| {
            let used_by = users.get(id).map(Vec::as_slice).unwrap_or_default();
            row(id, schedule, used_by)
        })
        .collect();
    rows.sort_by(|a, b| {
        (b.outcome.tone, &a.namespace, &a.name).cmp(&(a.outcome.tone, &b.namespace, &b.name))
    });
    rows
}

fn row(id: &PlacementId, schedule: &Schedule, used_by: &[&NamespacedName]) -> PlacementRow {
    let (outcome, note) = outcome(schedule);
    PlacementRow {
        kind: id.0.clone(),
        name: id.1.name.clone(),
        namespace: id.1.namespace.clone(),
        address: address(id),
        outcome,
        note,
        chosen: schedule
            .verdicts
            .iter()
            .filter(|verdict| verdict.chosen)
            .count(),
        considered: schedule.verdicts.len(),
        used_by: used_by
            .iter()
            .map(|id| Address::Application((*id).clone()))
            .collect(),
    }
}

fn outcome(schedule: &Schedule) -> (Chip, Text) {
    if let Some(hold) = &schedule.hold {
        let note = format!("Old decisions are kept: {hold}");
        return (Chip::new(Tone::Bad, "held"), Text::from(note));
    }
    let (_, _, words) = schedule.outcome.satisfied();
    if schedule.outcome.is_satisfied() {
        (Chip::new(Tone::Ok, "satisfied"), Text::from(words))
    } else {
        (Chip::new(Tone::Warn, "not satisfied"), Text::from(words))
    }
}

pub(super) fn page(view: &FleetView, query: &Query) -> PlacementsPage {
    let kept: Vec<&PlacementRow> = view
        .placements
        .iter()
        .filter(|row| query.wants(row.outcome.tone, &row.namespace))
        .filter(|row| {
            query.q.is_empty()
                || query.matches(&format!(
                    "{} {} {} {}",
                    row.kind, row.namespace, row.name, row.outcome.word
                ))
        })
        .collect();
    let mut namespaces: Vec<String> = view
        .placements
        .iter()
        .map(|row| row.namespace.clone())
        .collect();
    namespaces.sort();
    namespaces.dedup();
    PlacementsPage {
        rows: Listing::cut(kept.into_iter().cloned(), view.placements.len(), query),
        namespaces,
    }
}

pub(super) fn detail(
    view: &FleetView,
    kind: &str,
    id: &NamespacedName,
    query: &Query,
) -> Option<PlacementPage> {
    let wanted = Address::Placement(kind.to_owned(), id.clone());
    let row = view.placements.iter().find(|row| row.address == wanted)?;
    let schedule = view.facts.schedules.get(&(row.kind.clone(), id.clone()))?;
    let rows = verdict_rows(schedule);
    let total = rows.len();
    let kept: Vec<VerdictRow> = rows
        .into_iter()
        .filter(|row| query.wants(row.chip.tone, ""))
        .filter(|row| {
            query.q.is_empty() || query.matches(&format!("{} {}", row.cluster, row.because.words()))
        })
        .collect();
    let applications = row.used_by.iter().filter_map(|address| match address {
        Address::Application(id) => Some((id.to_string(), address.clone())),
        _ => None,
    });
    Some(PlacementPage {
        applications: applications.collect(),
        verdicts: Listing::cut(kept.into_iter(), total, query),
        command: format!(
            "kubectl -n {} get {} {} -o yaml",
            id.namespace, kind, id.name
        ),
        row: row.clone(),
    })
}

/// Placements that are held or come up short.
pub(super) fn needs(rows: &[PlacementRow]) -> impl Iterator<Item = Need> + '_ {
    rows.iter()
        .filter(|row| row.outcome.tone >= Tone::Warn)
        .map(|row| {
            let text = Text::new()
                .plain(format!("{} ", row.kind))
                .link(&row.name, row.address.clone())
                .plain(format!(" is {}.", row.outcome.word));
            Need::new(row.outcome.tone, text).because(row.note.clone())
        })
}
