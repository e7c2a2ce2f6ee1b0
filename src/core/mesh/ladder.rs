//! Is this export really usable from there? Gates L0–L6 of one export and one
//! consumer cluster, in order; the first that fails is the reason
//! (submariner.md §2.4). A `True` condition proves only that an object
//! reached the broker.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ClusterName, NamespacedName};
use crate::core::mesh::cable::{Cable, CableState, direction};
use crate::core::mesh::export::{ExportState, verdict};
use crate::core::mesh::observation::{
    BackendFacts, ExportFacts, ImportFacts, MeshKind, MeshObservation, PortFacts, Reading,
    SliceFacts,
};
use crate::core::mesh::roster::{Part, Roster};

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
        applied(ground, service, exporter),
        valid(ground, service, exporter),
        published(ground, service, exporter),
        on_broker(ground, service, exporter),
        has_endpoints(ground, service, exporter, consumer),
        imported(ground, service, exporter, consumer),
        path(ground, exporter, consumer),
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
            || format!("{} can use {service} of {exporter}.", consumer),
            |rung| rung.detail.clone(),
        ),
        exporter: exporter.clone(),
        consumer: consumer.clone(),
        wanted,
        verdict,
        rungs,
    }
}

fn rung(gate: Gate, outcome: Outcome, detail: impl Into<String>) -> Rung {
    Rung {
        gate,
        outcome,
        detail: detail.into(),
    }
}

/// Why absence of `kind` on a cluster proves nothing, or `None` when it does.
fn unread(ground: &Ground<'_>, cluster: &ClusterName, kind: MeshKind) -> Option<String> {
    let Some(observation) = ground.observation(cluster) else {
        return Some(format!("The hub does not read {cluster}."));
    };
    match observation.reading(kind) {
        Reading::Current | Reading::NotServed => None,
        Reading::Pending => Some(format!("The hub has not read {cluster} yet.")),
        Reading::Failing { message, .. } => {
            Some(format!("The hub cannot read {cluster}: {message}."))
        }
    }
}

fn applied(ground: &Ground<'_>, service: &NamespacedName, exporter: &ClusterName) -> Rung {
    let gate = Gate::Applied;
    if let Some(reason) = unread(ground, exporter, MeshKind::ServiceExport) {
        return rung(gate, Outcome::Unknown, reason);
    }
    let served = ground
        .observation(exporter)
        .is_some_and(|observation| observation.is_current(MeshKind::ServiceExport));
    if !served {
        let detail =
            format!("{exporter} does not serve ServiceExports: Lighthouse is not installed there.");
        return rung(gate, Outcome::Failed, detail);
    }
    match export(ground, service, exporter) {
        Some(export) => {
            let detail = match &export.delivered_by {
                Some(owner) => format!("Delivered by {owner}."),
                None => format!("Made by hand on {exporter}."),
            };
            rung(gate, Outcome::Passed, detail)
        }
        None => rung(
            gate,
            Outcome::Failed,
            format!("ServiceExport {service} does not exist on {exporter}."),
        ),
    }
}

fn export<'a>(
    ground: &Ground<'a>,
    service: &NamespacedName,
    exporter: &ClusterName,
) -> Option<&'a ExportFacts> {
    ground.catalogue(exporter)?.exports.get(service).copied()
}

fn valid(ground: &Ground<'_>, service: &NamespacedName, exporter: &ClusterName) -> Rung {
    let gate = Gate::Valid;
    let Some(export) = export(ground, service, exporter) else {
        return rung(
            gate,
            Outcome::Unknown,
            "There is no ServiceExport to judge.",
        );
    };
    let verdict = verdict(export, ground.now);
    if verdict.valid == Some(false) {
        return rung(gate, Outcome::Failed, verdict.sentence);
    }
    let behind = ground
        .observation(exporter)
        .and_then(|observation| observation.services.get(service));
    match behind {
        Some(None) => rung(
            gate,
            Outcome::Failed,
            format!("Service {service} does not exist on {exporter}."),
        ),
        Some(Some(facts)) if facts.kind != "ClusterIP" => {
            let detail = format!(
                "Service {service} is of type {}; only ClusterIP and headless ones can be exported.",
                facts.kind
            );
            rung(gate, Outcome::Failed, detail)
        }
        Some(Some(_)) => rung(
            gate,
            Outcome::Passed,
            "The Service exists and can be exported.",
        ),
        None if verdict.valid == Some(true) => {
            rung(gate, Outcome::Passed, "The agent says that it is valid.")
        }
        None if verdict.state == ExportState::Unanswered => {
            rung(gate, Outcome::Failed, verdict.sentence)
        }
        None => rung(gate, Outcome::Unknown, verdict.sentence),
    }
}

fn published(ground: &Ground<'_>, service: &NamespacedName, exporter: &ClusterName) -> Rung {
    let gate = Gate::Published;
    let Some(export) = export(ground, service, exporter) else {
        return rung(
            gate,
            Outcome::Unknown,
            "There is no ServiceExport to judge.",
        );
    };
    let verdict = verdict(export, ground.now);
    let outcome = match verdict.state {
        ExportState::Published => Outcome::Passed,
        ExportState::Unknown => Outcome::Unknown,
        _ => Outcome::Failed,
    };
    let detail = match verdict.conflict {
        Some(conflict) => format!("{} {conflict}", verdict.sentence),
        None => verdict.sentence,
    };
    rung(gate, outcome, detail)
}

fn on_broker(ground: &Ground<'_>, service: &NamespacedName, exporter: &ClusterName) -> Rung {
    let gate = Gate::OnBroker;
    let Some(broker) = ground.broker else {
        return rung(
            gate,
            Outcome::Unknown,
            "The broker was found neither on the hub nor on a member.",
        );
    };
    let id = ground.roster.id(exporter);
    match (
        broker.lists(service, id),
        broker.slices(service, id).next().is_some(),
    ) {
        (true, true) => rung(
            gate,
            Outcome::Passed,
            "The broker holds its import and its endpoints.",
        ),
        (false, _) => rung(
            gate,
            Outcome::Failed,
            format!("The broker's import of {service} does not list {exporter}."),
        ),
        (true, false) => rung(
            gate,
            Outcome::Failed,
            format!("The broker holds no endpoints of {exporter} for {service}."),
        ),
    }
}

fn has_endpoints(
    ground: &Ground<'_>,
    service: &NamespacedName,
    exporter: &ClusterName,
    consumer: &ClusterName,
) -> Rung {
    let gate = Gate::HasEndpoints;
    let Some(slices) = truth(ground, service, exporter).or_else(|| {
        copies(
            ground.catalogue(consumer),
            service,
            ground.roster.id(exporter),
        )
    }) else {
        let reason = unread(ground, exporter, MeshKind::EndpointSlice);
        return match reason {
            Some(reason) => rung(gate, Outcome::Unknown, reason),
            None => rung(
                gate,
                Outcome::Failed,
                format!("No EndpointSlice says where {service} of {exporter} is."),
            ),
        };
    };
    let ready = slices.iter().flat_map(|slice| slice.ready()).count();
    if ready == 0 {
        rung(
            gate,
            Outcome::Failed,
            format!("No backend of {service} is ready on {exporter}."),
        )
    } else {
        rung(gate, Outcome::Passed, "A backend is ready.")
    }
}

fn copies<'a>(
    catalogue: Option<&Catalogue<'a>>,
    service: &NamespacedName,
    id: &str,
) -> Option<Vec<&'a SliceFacts>> {
    let found: Vec<&SliceFacts> = catalogue?.slices(service, id).collect();
    (!found.is_empty()).then_some(found)
}

/// The slices that the consumers' copies must equal: the exporter's own, else the broker's.
fn truth<'a>(
    ground: &Ground<'a>,
    service: &NamespacedName,
    exporter: &ClusterName,
) -> Option<Vec<&'a SliceFacts>> {
    let id = ground.roster.id(exporter);
    copies(ground.catalogue(exporter), service, id).or_else(|| copies(ground.broker, service, id))
}

fn imported(
    ground: &Ground<'_>,
    service: &NamespacedName,
    exporter: &ClusterName,
    consumer: &ClusterName,
) -> Rung {
    let gate = Gate::Imported;
    let Some(observation) = ground.observation(consumer) else {
        return rung(
            gate,
            Outcome::Unknown,
            format!("The hub does not read {consumer}."),
        );
    };
    let namespaces_known = observation.is_current(MeshKind::Namespace);
    if namespaces_known && !observation.namespaces.contains(&service.namespace) {
        let detail = format!(
            "Namespace {} does not exist on {consumer}: Lighthouse imports only into namespaces that exist.",
            service.namespace
        );
        return rung(gate, Outcome::Failed, detail);
    }
    for kind in [MeshKind::ServiceImport, MeshKind::EndpointSlice] {
        if let Some(reason) = unread(ground, consumer, kind) {
            return rung(gate, Outcome::Unknown, reason);
        }
    }
    if *observation.reading(MeshKind::ServiceImport) == Reading::NotServed {
        return rung(
            gate,
            Outcome::Failed,
            format!("{consumer} does not serve ServiceImports: Lighthouse is not installed there."),
        );
    }
    let Some(catalogue) = ground.catalogue(consumer) else {
        return rung(
            gate,
            Outcome::Unknown,
            format!("The hub does not read {consumer}."),
        );
    };
    let id = ground.roster.id(exporter);
    if !catalogue.lists(service, id) {
        return rung(
            gate,
            Outcome::Failed,
            format!("The import of {service} on {consumer} does not list {exporter}."),
        );
    }
    let Some(copy) = copies(Some(catalogue), service, id) else {
        return rung(
            gate,
            Outcome::Failed,
            format!("{consumer} holds no endpoints of {exporter} for {service}."),
        );
    };
    match truth(ground, service, exporter) {
        Some(original) if content(&original) != content(&copy) => rung(
            gate,
            Outcome::Failed,
            format!("The endpoints that {consumer} holds differ from those of {exporter}."),
        ),
        _ => rung(
            gate,
            Outcome::Passed,
            format!("{consumer} holds the import and its endpoints."),
        ),
    }
}

fn content<'a>(slices: &[&'a SliceFacts]) -> Vec<(Vec<&'a BackendFacts>, &'a [PortFacts])> {
    let mut content: Vec<_> = slices
        .iter()
        .map(|slice| {
            let mut endpoints: Vec<&BackendFacts> = slice.endpoints.iter().collect();
            endpoints.sort();
            (endpoints, slice.ports.as_slice())
        })
        .collect();
    content.sort();
    content
}

fn path(ground: &Ground<'_>, exporter: &ClusterName, consumer: &ClusterName) -> Rung {
    let gate = Gate::Path;
    if exporter == consumer {
        return rung(
            gate,
            Outcome::Skipped,
            "No cable is needed inside one cluster.",
        );
    }
    let Some(there) = direction(ground.cables, consumer, exporter) else {
        let part = ground.roster.sides.get(consumer).map(|side| side.part);
        return match part {
            Some(Part::No) => rung(
                gate,
                Outcome::Failed,
                format!("Submariner is not installed on {consumer}."),
            ),
            _ => rung(
                gate,
                Outcome::Unknown,
                format!("No cable is expected between {consumer} and {exporter}."),
            ),
        };
    };
    let outcome = match there.state {
        CableState::Connected => Outcome::Passed,
        CableState::Unknown | CableState::Stale => Outcome::Unknown,
        CableState::Connecting | CableState::Missing | CableState::Error => Outcome::Failed,
    };
    let mut detail = there.reason.clone();
    if let Some(back) = direction(ground.cables, exporter, consumer)
        && outcome == Outcome::Passed
        && back.state.is_failing()
    {
        detail = format!(
            "{detail} But {exporter} reports {} back to {consumer}.",
            back.state.word()
        );
    }
    rung(gate, outcome, detail)
}
