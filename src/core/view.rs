//! The one read model behind every page, JSON twin and live update.
//!
//! [`FleetView::build`] sorts and judges once per change; [`FleetView::page`]
//! then cuts out what one page shows. Sentences come before numbers, the
//! worst comes first, the order is stable, and ages are computed from the
//! `now` of the reader. Nothing in here is secret: it is built from facts that
//! carry no credential.

pub mod activity;
pub mod address;
pub mod age;
pub mod application;
pub mod cable;
pub mod cluster;
pub mod connection;
pub mod example;
pub mod failure;
pub mod graph;
pub mod heat;
pub mod here;
pub mod listing;
pub mod matrix;
pub mod need;
pub mod overview;
pub mod placement;
pub mod reach;
pub mod revision;
pub mod search;
pub mod service;
pub mod text;
pub mod visible;
pub mod word;

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

pub use address::Address;
pub use listing::{Listing, Query};
pub use placement::{PlacementId, Schedules};
pub use text::{Span, Text};
pub use visible::{Scope, Things, Visible};
pub use word::{Chip, Tone};

use crate::api::ClusterName;
use crate::core::fleet::{ClusterSnapshot, FleetSnapshot};
use crate::core::mesh::MeshView;
use need::Need;

#[cfg(test)]
mod tests;

/// The facts a view is built from. Shared, not copied.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What the hub knows.
    pub fleet: Arc<FleetSnapshot>,
    /// Every placement with its verdicts.
    pub schedules: Arc<Schedules>,
    /// Cables and services.
    pub mesh: Arc<MeshView>,
    /// Counts up with every view; the id of its live updates.
    pub generation: u64,
}

/// The read model: lists sorted and judged once, details cut out on demand.
#[derive(Debug, Default)]
pub struct FleetView {
    facts: Facts,
    clusters: Vec<cluster::ClusterRow>,
    applications: Vec<application::ApplicationRow>,
    services: Vec<service::ServiceRow>,
    placements: Vec<placement::PlacementRow>,
    pairs: Vec<cable::PairRow>,
    needs: Vec<Need>,
}

/// One page, ready to be drawn or serialised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Page {
    /// `/`
    Overview(Box<overview::OverviewPage>),
    /// `/clusters`
    Clusters(Box<cluster::ClustersPage>),
    /// `/clusters/NAME`
    Cluster(Box<cluster::ClusterPage>),
    /// `/cables`
    Cables(Box<cable::CablesPage>),
    /// `/cables/A/B`
    Cable(Box<cable::CablePage>),
    /// `/applications`
    Applications(Box<application::ApplicationsPage>),
    /// `/applications/NAMESPACE/NAME`
    Application(Box<application::ApplicationPage>),
    /// `/services`
    Services(Box<service::ServicesPage>),
    /// `/services/NAMESPACE/NAME`
    Service(Box<service::ServicePage>),
    /// `/placements`
    Placements(Box<placement::PlacementsPage>),
    /// `/placements/KIND/NAMESPACE/NAME`
    Placement(Box<placement::PlacementPage>),
    /// `/activity`
    Activity(Box<activity::ActivityPage>),
    /// `/search`
    Search(Box<search::SearchPage>),
}

impl Page {
    /// The title of the page.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Overview(_) => "Fleet".to_owned(),
            Self::Clusters(_) => "Clusters".to_owned(),
            Self::Cluster(page) => page.row.name.clone(),
            Self::Cables(_) => "Cables".to_owned(),
            Self::Cable(page) => format!("{} – {}", page.pair.a, page.pair.b),
            Self::Applications(_) => "Applications".to_owned(),
            Self::Application(page) => page.row.name.clone(),
            Self::Services(_) => "Services".to_owned(),
            Self::Service(page) => page.row.name.clone(),
            Self::Placements(_) => "Placements".to_owned(),
            Self::Placement(page) => page.row.name.clone(),
            Self::Activity(_) => "Activity".to_owned(),
            Self::Search(_) => "Search".to_owned(),
        }
    }
}

impl FleetView {
    /// Sorts and judges the facts. Costs one pass over all deliveries; call
    /// it when something changed, at most a few times a second.
    #[must_use]
    pub fn build(facts: Facts) -> Self {
        let fleet = &facts.fleet;
        let pairs = cable::pairs(&facts.mesh);
        let applications = application::rows(&facts);
        let clusters = cluster::rows(fleet, &pairs);
        let services = service::rows(&facts.mesh);
        let placements = placement::rows(fleet, &facts.schedules);
        let mut view = Self {
            clusters,
            applications,
            services,
            placements,
            pairs,
            needs: Vec::new(),
            facts,
        };
        view.needs = view.gather_needs();
        view
    }

    fn gather_needs(&self) -> Vec<Need> {
        let fleet = &self.facts.fleet;
        let hub = fleet.hub.problems.iter();
        let mut needs: Vec<Need> = hub
            .map(|problem| Need::new(Tone::Bad, problem.as_str()))
            .collect();
        needs.extend(
            fleet
                .clusters
                .iter()
                .flat_map(|(name, snapshot)| cluster::needs(name, snapshot)),
        );
        needs.extend(
            fleet
                .subscriptions
                .iter()
                .flat_map(|(id, subscription)| application::needs(id, subscription)),
        );
        needs.extend(placement::needs(&self.placements));
        needs.extend(service::needs(self));
        needs.extend(cable::needs(&self.facts.mesh));
        need::sort(&mut needs);
        needs
    }

    /// The page at an address; `None` when its thing does not exist.
    #[must_use]
    pub fn page(&self, address: &Address, query: &Query) -> Option<Page> {
        Some(match address {
            Address::Overview => Page::Overview(Box::new(overview::page(self))),
            Address::Clusters => Page::Clusters(Box::new(cluster::page(self, query))),
            Address::Cluster(name) => Page::Cluster(Box::new(cluster::detail(self, name, query)?)),
            Address::Cables => Page::Cables(Box::new(cable::page(self, query))),
            Address::Cable(a, b) => Page::Cable(Box::new(cable::detail(self, a, b)?)),
            Address::Applications => Page::Applications(Box::new(application::page(self, query))),
            Address::Application(id) => {
                Page::Application(Box::new(application::detail(self, id, query)?))
            }
            Address::Services => Page::Services(Box::new(service::page(self, query))),
            Address::Service(id) => Page::Service(Box::new(service::detail(self, id, query)?)),
            Address::Placements => Page::Placements(Box::new(placement::page(self, query))),
            Address::Placement(kind, id) => {
                Page::Placement(Box::new(placement::detail(self, kind, id, query)?))
            }
            Address::Activity => Page::Activity(Box::new(activity::page(self, query))),
            Address::Search => Page::Search(Box::new(search::page(self, query))),
        })
    }

    /// Every cluster, for counting.
    #[must_use]
    pub fn clusters(&self) -> &[cluster::ClusterRow] {
        &self.clusters
    }

    /// Cables and services, for counting.
    #[must_use]
    pub fn mesh(&self) -> &MeshView {
        &self.facts.mesh
    }

    /// Every application, for counting.
    #[must_use]
    pub fn applications(&self) -> &[application::ApplicationRow] {
        &self.applications
    }

    /// Counts up with every view.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.facts.generation
    }

    /// When the facts were gathered.
    #[must_use]
    pub fn observed_at(&self) -> Option<Timestamp> {
        self.facts.fleet.observed_at
    }

    /// When the hub last finished a pass or looked at the fleet, whichever is
    /// later: a quiet fleet needs no passes.
    #[must_use]
    pub fn last_look(&self) -> Option<Timestamp> {
        self.facts.fleet.hub.last_pass.max(self.observed_at())
    }

    /// How the hub itself is.
    #[must_use]
    pub fn hub_line(&self) -> (Tone, String) {
        let hub = &self.facts.fleet.hub;
        match (hub.problems.as_slice(), hub.last_pass) {
            ([], Some(_)) => (Tone::Ok, "hub healthy".to_owned()),
            ([], None) => (Tone::Busy, "hub starting".to_owned()),
            (problems, _) => (
                Tone::Bad,
                age::count(problems.len(), "problem") + " on the hub",
            ),
        }
    }

    /// The state of the fleet in one sentence, for screen readers.
    #[must_use]
    pub fn sentence(&self) -> String {
        let bad = self
            .needs
            .iter()
            .filter(|need| need.tone == Tone::Bad)
            .count();
        let warn = self
            .needs
            .iter()
            .filter(|need| need.tone == Tone::Warn)
            .count();
        let down = self
            .pairs
            .iter()
            .filter(|pair| pair.tone == Tone::Bad)
            .count();
        match (bad, warn) {
            (0, 0) => "Nothing needs you.".to_owned(),
            (0, warn) => format!("{} to look at.", age::count(warn, "thing")),
            (bad, _) if down > 0 => format!(
                "{} to look at now; {} down.",
                age::count(bad, "thing"),
                age::count(down, "cable")
            ),
            (bad, _) => format!("{} to look at now.", age::count(bad, "thing")),
        }
    }

    fn snapshot_of(&self, cluster: &str) -> Option<&ClusterSnapshot> {
        self.facts.fleet.clusters.get(&ClusterName::from(cluster))
    }
}
