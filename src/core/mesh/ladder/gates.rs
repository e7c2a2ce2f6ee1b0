//! The gates, one function each.

use super::{Catalogue, Gate, Ground, Outcome, Rung};
use crate::api::{ClusterName, NamespacedName};
use crate::core::mesh::cable::{CableState, direction};
use crate::core::mesh::export::{ExportState, verdict};
use crate::core::mesh::observation::{
    BackendFacts, ExportFacts, MeshKind, PortFacts, Reading, SliceFacts,
};
use crate::core::mesh::roster::Part;

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

pub(super) fn applied(
    ground: &Ground<'_>,
    service: &NamespacedName,
    exporter: &ClusterName,
) -> Rung {
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

pub(super) fn valid(ground: &Ground<'_>, service: &NamespacedName, exporter: &ClusterName) -> Rung {
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

pub(super) fn published(
    ground: &Ground<'_>,
    service: &NamespacedName,
    exporter: &ClusterName,
) -> Rung {
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

pub(super) fn on_broker(
    ground: &Ground<'_>,
    service: &NamespacedName,
    exporter: &ClusterName,
) -> Rung {
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

pub(super) fn has_endpoints(
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

pub(super) fn imported(
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

pub(super) fn path(ground: &Ground<'_>, exporter: &ClusterName, consumer: &ClusterName) -> Rung {
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
