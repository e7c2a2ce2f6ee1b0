//! Is this export really usable from there? Gates L0–L6 of one export and one
//! consumer cluster, in order; the first that fails is the reason
//! (submariner.md §2.4). A `True` condition proves only that an object
//! reached the broker.

mod gates;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ClusterName, NamespacedName};
use crate::core::mesh::cable::Cable;
use crate::core::mesh::observation::{ExportFacts, ImportFacts, MeshObservation, SliceFacts};
use crate::core::mesh::roster::Roster;

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Gate {
    /// L0: the ServiceExport exists on the exporter.
    Applied,
    /// L1: its Service exists and can be exported.
    Valid,
    /// L2: the agent says that it is published.
    Published,
    /// L3: the broker holds it.
    OnBroker,
    /// L4: a backend is ready.
    HasEndpoints,
    /// L5: the consumer holds a true copy.
    Imported,
    /// L6: the consumer's cable to the exporter works.
    Path,
}

impl Gate {
    /// `L0` … `L6`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Applied => "L0",
            Self::Valid => "L1",
            Self::Published => "L2",
            Self::OnBroker => "L3",
            Self::HasEndpoints => "L4",
            Self::Imported => "L5",
            Self::Path => "L6",
        }
    }

    /// What it asks, in two words.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Valid => "valid",
            Self::Published => "published",
            Self::OnBroker => "on the broker",
            Self::HasEndpoints => "has endpoints",
            Self::Imported => "imported",
            Self::Path => "path",
        }
    }
}

/// How a gate came out, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Outcome {
    /// Holds.
    Passed,
    /// Does not apply (no cable is needed inside one cluster).
    Skipped,
    /// The hub cannot tell.
    Unknown,
    /// Does not hold.
    Failed,
}

/// A gate with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rung {
    /// Which.
    pub gate: Gate,
    /// How it came out.
    pub outcome: Outcome,
    /// One sentence: why.
    pub detail: String,
}

/// Whether a consumer can use an export, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Discoverable {
    /// Every gate holds.
    Yes,
    /// Nothing fails, but something is not known.
    Unknown,
    /// For some consumers only (over several ladders).
    Degraded,
    /// A gate fails.
    No,
}

/// All gates of one export for one consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ladder {
    /// Exporting cluster.
    pub exporter: ClusterName,
    /// Consuming cluster.
    pub consumer: ClusterName,
    /// Whether an application on the consumer refers to the service.
    pub wanted: bool,
    /// L0–L6.
    pub rungs: Vec<Rung>,
    /// Verdict.
    pub verdict: Discoverable,
    /// The first gate that fails, else the first that is not known.
    pub stops_at: Option<Gate>,
    /// Its sentence; a sentence of success when nothing stops.
    pub reason: String,
}

/// Exports, imports and slices of one cluster by service.
#[derive(Debug, Default)]
pub(super) struct Catalogue<'a> {
    pub(super) exports: BTreeMap<&'a NamespacedName, &'a ExportFacts>,
    pub(super) imports: BTreeMap<&'a NamespacedName, Vec<&'a ImportFacts>>,
    pub(super) slices: BTreeMap<&'a NamespacedName, Vec<&'a SliceFacts>>,
}

impl<'a> Catalogue<'a> {
    /// What a cluster itself holds, a broker that it hosts left aside.
    pub(super) fn of(observation: &'a MeshObservation) -> Self {
        let broker = observation.broker_namespaces();
        let mut catalogue = Self::picked(observation, |namespace| !broker.contains(namespace));
        catalogue.exports = observation
            .exports
            .iter()
            .map(|export| (&export.service, export))
            .collect();
        catalogue
    }

    /// What the broker holds that this cluster hosts; `None` when it hosts none.
    pub(super) fn of_broker(observation: &'a MeshObservation) -> Option<Self> {
        let broker = observation.broker_namespaces();
        (!broker.is_empty())
            .then(|| Self::picked(observation, |namespace| broker.contains(namespace)))
    }

    fn picked(observation: &'a MeshObservation, wanted: impl Fn(&str) -> bool) -> Self {
        let mut catalogue = Self::default();
        for import in observation
            .imports
            .iter()
            .filter(|import| wanted(&import.namespace))
        {
            catalogue
                .imports
                .entry(&import.service)
                .or_default()
                .push(import);
        }
        for slice in observation
            .slices
            .iter()
            .filter(|slice| wanted(&slice.namespace))
        {
            catalogue
                .slices
                .entry(&slice.service)
                .or_default()
                .push(slice);
        }
        catalogue
    }

    pub(super) fn imports(&self, service: &NamespacedName) -> &[&'a ImportFacts] {
        self.imports
            .get(service)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    pub(super) fn slices<'s>(
        &'s self,
        service: &NamespacedName,
        id: &'s str,
    ) -> impl Iterator<Item = &'a SliceFacts> + 's {
        self.slices
            .get(service)
            .into_iter()
            .flatten()
            .copied()
            .filter(move |slice| slice.source_cluster == id)
    }

    /// Whether an import says that `id` exports the service.
    fn lists(&self, service: &NamespacedName, id: &str) -> bool {
        self.imports(service).iter().any(|import| {
            import.source_cluster.as_deref() == Some(id)
                || import.clusters.iter().any(|cluster| cluster == id)
        })
    }
}

/// What every ladder of a fleet needs.
pub(super) struct Ground<'a> {
    pub(super) roster: &'a Roster<'a>,
    pub(super) cables: &'a [Cable],
    pub(super) catalogues: &'a BTreeMap<ClusterName, Catalogue<'a>>,
    pub(super) broker: Option<&'a Catalogue<'a>>,
    pub(super) now: Timestamp,
}

impl<'a> Ground<'a> {
    pub(super) fn observation(&self, cluster: &ClusterName) -> Option<&'a MeshObservation> {
        self.roster
            .sides
            .get(cluster)
            .and_then(|side| side.observation)
    }

    pub(super) fn catalogue(&self, cluster: &ClusterName) -> Option<&'a Catalogue<'a>> {
        self.catalogues.get(cluster)
    }
}

/// Climbs the ladder.
pub(super) fn climb(
    ground: &Ground<'_>,
    service: &NamespacedName,
    exporter: &ClusterName,
    consumer: &ClusterName,
    wanted: bool,
) -> Ladder {
    let rungs = vec![
        gates::applied(ground, service, exporter),
        gates::valid(ground, service, exporter),
        gates::published(ground, service, exporter),
        gates::on_broker(ground, service, exporter),
        gates::has_endpoints(ground, service, exporter, consumer),
        gates::imported(ground, service, exporter, consumer),
        gates::path(ground, exporter, consumer),
    ];
    let failed = rungs.iter().find(|rung| rung.outcome == Outcome::Failed);
    // What arrived at the consumer was on the broker, whether or not the hub can read it.
    let arrived = rungs
        .iter()
        .any(|rung| rung.gate == Gate::Imported && rung.outcome == Outcome::Passed);
    let unknown = rungs
        .iter()
        .find(|rung| rung.outcome == Outcome::Unknown && !(arrived && rung.gate == Gate::OnBroker));
    let (verdict, stop) = match (failed, unknown) {
        (Some(rung), _) => (Discoverable::No, Some(rung)),
        (None, Some(rung)) => (Discoverable::Unknown, Some(rung)),
        (None, None) => (Discoverable::Yes, None),
    };
    Ladder {
        stops_at: stop.map(|rung| rung.gate),
        reason: stop.map_or_else(
            || format!("The export of {exporter} passes every gate."),
            |rung| rung.detail.clone(),
        ),
        exporter: exporter.clone(),
        consumer: consumer.clone(),
        wanted,
        verdict,
        rungs,
    }
}
