//! Findings about services across clusters.

use std::collections::BTreeSet;

use super::{Check, Evidence, Finding, finding};
use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::Severity;
use crate::core::mesh::ladder::{Discoverable, Gate, Ladder, Outcome};
use crate::core::mesh::service::ServiceView;

pub(super) fn discoverability(service: &ServiceView, found: &mut Vec<Finding>) {
    for consumer in &service.consumers {
        let ladders = || {
            service
                .ladders
                .iter()
                .filter(|ladder| ladder.consumer == consumer.cluster)
        };
        let subject = format!("{} at {}", service.service, consumer.cluster);
        let clusters: BTreeSet<ClusterName> = ladders()
            .map(|ladder| ladder.exporter.clone())
            .chain([consumer.cluster.clone()])
            .collect();
        let without_namespace =
            ladders().find(|ladder| stops_at_namespace(ladder, &service.service));
        if let Some(ladder) = without_namespace {
            let wanted = !consumer.wanted_by.is_empty();
            found.push(Finding {
                clusters: clusters.iter().cloned().collect(),
                ..finding(
                    Check::NamespaceMissing,
                    if wanted {
                        Severity::Bad
                    } else {
                        Severity::Info
                    },
                    subject.clone(),
                    format!("{}: {}", service.service, imported(ladder)),
                    "Create the namespace there; Lighthouse imports the service by itself.",
                )
            });
        }
        if consumer.verdict == Discoverable::No
            && !consumer.wanted_by.is_empty()
            && without_namespace.is_none()
        {
            let who: BTreeSet<String> = consumer
                .wanted_by
                .iter()
                .map(|want| want.application.to_string())
                .collect();
            let who: Vec<String> = who.into_iter().collect();
            found.push(Finding {
                clusters: clusters.into_iter().collect(),
                ..finding(
                    Check::NotDiscoverable,
                    Severity::Bad,
                    subject,
                    format!(
                        "{} needs {} on {}: {}",
                        who.join(", "),
                        service.service,
                        consumer.cluster,
                        consumer.reason
                    ),
                    "Follow the ladder of the service from its first gate that fails.",
                )
            });
        }
    }
}

fn stops_at_namespace(ladder: &Ladder, service: &NamespacedName) -> bool {
    ladder.stops_at == Some(Gate::Imported)
        && ladder.verdict == Discoverable::No
        && imported(ladder).starts_with(&format!("Namespace {} does not exist", service.namespace))
}

fn imported(ladder: &Ladder) -> &str {
    ladder
        .rungs
        .iter()
        .find(|rung| rung.gate == Gate::Imported && rung.outcome == Outcome::Failed)
        .map(|rung| rung.detail.as_str())
        .unwrap_or_default()
}

pub(super) fn conflicts(service: &ServiceView, found: &mut Vec<Finding>) {
    for export in &service.exports {
        let Some(conflict) = export
            .verdict
            .as_ref()
            .and_then(|verdict| verdict.conflict.as_ref())
        else {
            continue;
        };
        found.push(Finding {
            clusters: vec![export.cluster.clone()],
            evidence: vec![Evidence {
                cluster: export.cluster.clone(),
                object: format!("ServiceExport {}", service.service),
                field: "status.conditions[Conflict]".to_owned(),
                value: "True".to_owned(),
            }],
            ..finding(
                Check::Conflict,
                Severity::Warning,
                format!("{} of {}", service.service, export.cluster),
                format!("{} conflicts with another export of {}: {conflict}", export.cluster, service.service),
                "Make ports, type and session affinity of the Service the same in every exporting cluster.",
            )
        });
    }
}
