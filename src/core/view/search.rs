//! The search box: clusters, applications, services and placements by name.

use serde::Serialize;

use super::{Address, Chip, FleetView, Listing, Query};

/// A thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// `Cluster`, `Application`, `Service`, `PlacementRule` …
    pub kind: String,
    /// Its name, with the namespace when it has one.
    pub name: String,
    /// Its page.
    pub address: Address,
    /// Its state.
    pub chip: Chip,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SearchPage {
    /// Hits of this page: names that begin with the text first.
    pub hits: Listing<Hit>,
}

fn hits(view: &FleetView) -> impl Iterator<Item = Hit> + '_ {
    let clusters = view.clusters.iter().map(|row| Hit {
        kind: "Cluster".to_owned(),
        name: row.name.clone(),
        address: row.address.clone(),
        chip: row.reach.clone(),
    });
    let applications = view.applications.iter().map(|row| Hit {
        kind: "Application".to_owned(),
        name: format!("{}/{}", row.namespace, row.name),
        address: row.address.clone(),
        chip: [&row.sync, &row.health]
            .into_iter()
            .max_by_key(|chip| chip.tone)
            .unwrap_or(&row.sync)
            .clone(),
    });
    let services = view.services.iter().map(|row| Hit {
        kind: "Service".to_owned(),
        name: format!("{}/{}", row.namespace, row.name),
        address: row.address.clone(),
        chip: row.verdict.clone(),
    });
    let placements = view.placements.iter().map(|row| Hit {
        kind: row.kind.clone(),
        name: format!("{}/{}", row.namespace, row.name),
        address: row.address.clone(),
        chip: row.outcome.clone(),
    });
    clusters
        .chain(applications)
        .chain(services)
        .chain(placements)
}

pub(super) fn page(view: &FleetView, query: &Query) -> SearchPage {
    if query.q.is_empty() {
        return SearchPage {
            hits: Listing::cut(Vec::new().into_iter(), 0, query),
        };
    }
    let total =
        view.clusters.len() + view.applications.len() + view.services.len() + view.placements.len();
    let mut found: Vec<Hit> = hits(view)
        .filter(|hit| query.matches(&format!("{} {}", hit.kind, hit.name)))
        .collect();
    let wanted = query.q.to_lowercase();
    found.sort_by_cached_key(|hit| {
        let name = hit
            .name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_lowercase();
        (name != wanted, !name.starts_with(&wanted), hit.name.len())
    });
    SearchPage {
        hits: Listing::cut(found.into_iter(), total, query),
    }
}
