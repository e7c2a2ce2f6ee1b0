//! The heat grid of an application: objects × clusters.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::failure;
use super::revision::spaced;
use super::{Address, Chip, Listing, Query, Tone};
use crate::api::ClusterName;
use crate::core::delivery::{ClusterDelivery, ObjectState, Sync};
use crate::core::fleet::SubscriptionSnapshot;
use crate::core::object::ObjectId;

/// Clusters shown side by side in the heat grid.
const HEAT_COLUMNS: usize = 8;

/// Characters up to which a note stands in its cell.
const SHORT_NOTE: usize = 40;
/// Objects shown in the heat grid.
const HEAT_ROWS: usize = 100;

/// Objects × clusters, worst clusters first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heat {
    /// Clusters of this page.
    pub clusters: Listing<HeatColumn>,
    /// Objects, in apply order.
    pub rows: Vec<HeatRow>,
    /// Objects left out.
    pub more: usize,
}

/// A cluster of the heat grid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeatColumn {
    /// Name.
    pub cluster: String,
    /// Its page.
    pub address: Address,
}

/// An object of the heat grid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeatRow {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace, when there is one.
    pub namespace: Option<String>,
    /// One cell per cluster of this page; `None` where it is not.
    pub cells: Vec<Option<HeatCell>>,
}

/// One copy of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeatCell {
    /// Its state.
    pub chip: Chip,
    /// What the state rests on.
    pub note: String,
    /// The note again when it is short enough to stand in the cell.
    pub short: String,
}

/// Worst clusters first, a page of them at a time.
pub(super) fn heat(subscription: &SubscriptionSnapshot, query: &Query) -> Heat {
    let mut deliveries: Vec<(&ClusterName, &ClusterDelivery)> = subscription
        .deliveries
        .iter()
        .map(|(cluster, delivery)| (cluster, delivery.as_ref()))
        .collect();
    deliveries
        .sort_by_key(|(cluster, delivery)| (std::cmp::Reverse(delivery_tone(delivery)), *cluster));
    let columns = deliveries.iter().map(|(cluster, _)| HeatColumn {
        cluster: cluster.to_string(),
        address: Address::Cluster(cluster.to_string()),
    });
    let clusters = Listing::cut_by(columns, deliveries.len(), query, HEAT_COLUMNS);
    let shown: Vec<&ClusterDelivery> = deliveries
        .iter()
        .skip((clusters.page - 1) * HEAT_COLUMNS)
        .take(HEAT_COLUMNS)
        .map(|(_, delivery)| *delivery)
        .collect();
    let states: Vec<BTreeMap<&ObjectId, &ObjectState>> = shown
        .iter()
        .map(|delivery| {
            delivery
                .objects
                .iter()
                .map(|state| (&state.id, state))
                .collect()
        })
        .collect();
    let mut ids: Vec<&ObjectId> = Vec::new();
    let mut seen = BTreeSet::new();
    for delivery in &shown {
        ids.extend(
            delivery
                .objects
                .iter()
                .map(|state| &state.id)
                .filter(|id| seen.insert(*id)),
        );
    }
    let rows = ids.iter().take(HEAT_ROWS).map(|id| HeatRow {
        kind: id.kind.clone(),
        name: id.name.clone(),
        namespace: id.namespace.clone(),
        cells: states
            .iter()
            .map(|column| column.get(*id).map(|state| cell(state)))
            .collect(),
    });
    Heat {
        rows: rows.collect(),
        more: ids.len().saturating_sub(HEAT_ROWS),
        clusters,
    }
}

fn delivery_tone(delivery: &ClusterDelivery) -> Tone {
    if delivery.failure.is_some() {
        return Tone::Bad;
    }
    Chip::from(delivery.sync())
        .tone
        .max(Chip::from(delivery.health()).tone)
}

/// One word per copy: the failure's, else the sync word when it is not in
/// place, else the health word.
fn cell(state: &ObjectState) -> HeatCell {
    if let Some(failure) = &state.failure {
        let chip = Chip::new(failure::tone(failure), spaced(&failure.reason));
        return HeatCell {
            chip,
            note: failure.message.clone(),
            short: String::new(),
        };
    }
    let chip = match state.sync {
        Sync::Synced => Chip::from(state.health),
        Sync::Unknown | Sync::OutOfSync => Chip::from(state.sync),
    };
    let note = if chip.tone == Tone::Ok {
        String::new()
    } else {
        state.health_message.clone()
    };
    let short = if note.chars().count() <= SHORT_NOTE {
        note.clone()
    } else {
        String::new()
    };
    HeatCell { chip, note, short }
}
