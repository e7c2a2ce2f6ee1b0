//! Cables between clusters and services across them: what the members
//! report, judged.
//!
//! ```text
//! MeshObservation (one per cluster) ─▶ roster ─▶ cables ─▶ findings
//!                                         └────▶ services: verdict, ladder, DNS
//! ```
//!
//! Three rules hold everywhere. Unknown is never "down". A report whose
//! gateway fell silent is not "connected". Both directions are always shown,
//! because each half is the opinion of one side (submariner.md §0).

pub mod beat;
pub mod cable;
pub mod cidr;
pub mod dns;
pub mod duration;
pub mod export;
pub mod finding;
pub mod history;
pub mod ladder;
pub mod observation;
pub mod read;
pub mod references;
mod roster;
pub mod service;
pub mod tables;

#[cfg(test)]
mod example;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod scenarios;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ClusterName, NamespacedName};
use crate::core::fleet::ServiceReference;

pub use cable::{Cable, CableState, Connectivity, Direction};
pub use finding::Finding;
pub use observation::MeshObservation;
pub use references::references;
pub use service::{ExportView, ServiceView};

/// What the judgement rests on.
#[derive(Clone, Copy, Debug)]
pub struct MeshInput<'a> {
    /// What was read from each member. A registered cluster that is missing
    /// here was not read: everything about it is unknown.
    pub members: &'a BTreeMap<ClusterName, Arc<MeshObservation>>,
    /// What was read from the hub, which may host the broker.
    pub hub: Option<&'a MeshObservation>,
    /// Clusters of each ManagedClusterSet.
    pub sets: &'a BTreeMap<String, BTreeSet<ClusterName>>,
    /// Which applications refer to which exported services, and where they run.
    pub consumers: &'a [Consumer],
    /// ServiceExports that applications deliver, and where.
    pub planned: &'a [PlannedExport],
    /// The view before this one: it tells since when a state holds.
    pub previous: Option<&'a MeshView>,
}

/// An application that refers to exported services from a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Consumer {
    /// The Subscription.
    pub application: NamespacedName,
    /// Where it runs.
    pub cluster: ClusterName,
    /// Names in its manifests.
    pub references: Vec<ServiceReference>,
}

/// A ServiceExport that an application delivers to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PlannedExport {
    /// The Subscription.
    pub application: NamespacedName,
    /// Where it is placed.
    pub cluster: ClusterName,
    /// The exported Service.
    pub service: NamespacedName,
}

/// Cables, findings and services of the fleet at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MeshView {
    /// Every expected pair of clusters, by name.
    pub cables: Vec<Cable>,
    /// What needs attention, worst first.
    pub findings: Vec<Finding>,
    /// Every service that is exported, planned or referred to, by name.
    pub services: Vec<ServiceView>,
}

impl MeshView {
    /// Judges what was read. Pure: equal inputs give equal views.
    #[must_use]
    pub fn build(input: &MeshInput<'_>, now: Timestamp) -> Self {
        let roster = roster::Roster::of(input);
        let cables = cable::cables(&roster, input.previous, now);
        let services = service::services(input, &roster, &cables, now);
        let findings = finding::findings(&roster, &cables, &services, now);
        Self {
            cables,
            findings,
            services,
        }
    }

    /// The direction from one cluster to another, when a cable is expected there.
    #[must_use]
    pub fn direction(&self, from: &ClusterName, to: &ClusterName) -> Option<&Direction> {
        cable::direction(&self.cables, from, to)
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &NamespacedName) -> Option<&ServiceView> {
        self.services
            .iter()
            .find(|service| service.service == *name)
    }

    /// Connectivity of one cluster: over its cables, `Connected` when all
    /// are, `Down` when none carries traffic, `Unknown` when nothing is
    /// known, else `Degraded`. `None` when no cable is expected.
    #[must_use]
    pub fn connectivity(&self, cluster: &ClusterName) -> Option<Connectivity> {
        cable::summary(
            self.cables
                .iter()
                .filter(|cable| cable.from == *cluster || cable.to == *cluster),
        )
    }
}
