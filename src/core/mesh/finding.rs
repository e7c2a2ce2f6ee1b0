//! What needs attention, in one sentence each, with the evidence and the
//! next step: the checks that no other tool makes (submariner.md §3.4).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::Severity;
use crate::core::mesh::beat::Beat;
use crate::core::mesh::cable::{Cable, CableState, Direction};
use crate::core::mesh::ladder::{Discoverable, Gate, Ladder, Outcome};
use crate::core::mesh::observation::GatewayFacts;
use crate::core::mesh::roster::Roster;
use crate::core::mesh::service::ServiceView;

/// The checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Check {
    /// C4, as subctl diagnose: a connection is in error or negotiating.
    NotConnected,
    /// D1: a gateway stopped reporting.
    StaleGateway,
    /// D2: a pair that should be connected is not even listed.
    MissingPair,
    /// D3: overlapping networks, which explain a missing pair.
    Overlap,
    /// D4: one direction works and the other does not.
    Asymmetry,
    /// D5: fewer than two gateways report.
    SingleGateway,
    /// D6: cable drivers or ports differ.
    DriverMismatch,
    /// D7: versions differ.
    VersionSkew,
    /// D10: connected by the driver's word only.
    Unverified,
    /// D12: an export that a consumer needs does not get there.
    NotDiscoverable,
    /// D13: the namespace of an import is missing where it is needed.
    NamespaceMissing,
    /// Exporters disagree about a service.
    Conflict,
}

impl Check {
    /// Stable short code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotConnected => "C4",
            Self::StaleGateway => "D1",
            Self::MissingPair => "D2",
            Self::Overlap => "D3",
            Self::Asymmetry => "D4",
            Self::SingleGateway => "D5",
            Self::DriverMismatch => "D6",
            Self::VersionSkew => "D7",
            Self::Unverified => "D10",
            Self::NotDiscoverable => "D12",
            Self::NamespaceMissing => "D13",
            Self::Conflict => "E1",
        }
    }
}

/// The object, field and value that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Evidence {
    /// Cluster that holds the object.
    pub cluster: ClusterName,
    /// `Gateway submariner-operator/ip-10-0-31-78`.
    pub object: String,
    /// Path of the field.
    pub field: String,
    /// Its value, as read.
    pub value: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable: code and subject, for links and for telling old from new.
    pub id: String,
    /// Which check.
    pub check: Check,
    /// Weight.
    pub severity: Severity,
    /// What it is about: a cluster, a pair, a service at a cluster.
    pub subject: String,
    /// Clusters concerned.
    pub clusters: Vec<ClusterName>,
    /// One sentence.
    pub sentence: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// What to do next, one sentence.
    pub advice: String,
}

fn finding(
    check: Check,
    severity: Severity,
    subject: String,
    sentence: String,
    advice: &str,
) -> Finding {
    Finding {
        id: format!("{}:{subject}", check.code()),
        check,
        severity,
        subject,
        clusters: Vec::new(),
        sentence,
        evidence: Vec::new(),
        advice: advice.to_owned(),
    }
}

/// All findings, worst first, then by check and subject.
pub(super) fn findings(
    roster: &Roster<'_>,
    cables: &[Cable],
    services: &[ServiceView],
    now: Timestamp,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, side) in &roster.sides {
        gateways(name, side.gateways(), now, &mut found);
    }
    for cable in cables {
        pair(roster, cable, &mut found);
    }
    settings(roster, cables, &mut found);
    for service in services {
        discoverability(service, &mut found);
        conflicts(service, &mut found);
    }
    found.sort_by(|a, b| (b.severity, a.check, &a.subject).cmp(&(a.severity, b.check, &b.subject)));
    found
}

fn object(gateway: &GatewayFacts) -> String {
    format!("Gateway {}/{}", gateway.namespace, gateway.name)
}

fn gateways(
    name: &ClusterName,
    gateways: &[GatewayFacts],
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    for gateway in gateways {
        let Beat::Silent { since } = gateway.beat else {
            continue;
        };
        let age = now.duration_since(since).as_secs().max(0);
        found.push(Finding {
            clusters: vec![name.clone()],
            evidence: vec![Evidence {
                cluster: name.clone(),
                object: object(gateway),
                field: "metadata.annotations.update-timestamp".to_owned(),
                value: gateway.stamp.clone().unwrap_or_default(),
            }],
            ..finding(
                Check::StaleGateway,
                if gateway.is_active() { Severity::Bad } else { Severity::Warning },
                format!("{name}/{}", gateway.name),
                format!(
                    "Gateway {} of {name} has not reported for {age} s, so what it says about its cables is not believed.",
                    gateway.name
                ),
                "Look at the submariner-gateway pod on that node; when the node is gone for good, delete its Gateway object.",
            )
        });
    }
    let alive = gateways
        .iter()
        .filter(|gateway| gateway.beat == Beat::Beating)
        .count();
    if alive == 1 && gateways.iter().all(|gateway| gateway.beat != Beat::Unheard) {
        found.push(Finding {
            clusters: vec![name.clone()],
            ..finding(
                Check::SingleGateway,
                Severity::Info,
                name.to_string(),
                format!(
                    "{name} has one gateway that reports: if its node goes, all its cables go."
                ),
                "Label a second node submariner.io/gateway=true.",
            )
        });
    }
}

fn status(direction: &Direction) -> Evidence {
    Evidence {
        cluster: direction.from.clone(),
        object: format!(
            "Gateway {}",
            direction.gateway.as_deref().unwrap_or("(none)")
        ),
        field: format!("status.connections[{}].status", direction.to),
        value: match direction.state {
            CableState::Missing => "(not listed)".to_owned(),
            state => state.word().to_owned(),
        },
    }
}

fn pair(roster: &Roster<'_>, cable: &Cable, found: &mut Vec<Finding>) {
    let (from, to) = (&cable.from, &cable.to);
    let subject = format!("{from}–{to}");
    let clusters = vec![from.clone(), to.clone()];
    let halves = [&cable.forward, &cable.backward];
    let evidence: Vec<Evidence> = halves.iter().map(|half| status(half)).collect();
    let missing: Vec<&&Direction> = halves
        .iter()
        .filter(|half| half.state == CableState::Missing)
        .collect();
    let mut push = |new: Finding| {
        found.push(Finding {
            clusters: clusters.clone(),
            evidence: evidence.clone(),
            ..new
        });
    };
    if let Some(first) = missing.first() {
        let sentence = if missing.len() == 2 {
            format!("Neither {from} nor {to} lists a connection to the other.")
        } else {
            first.reason.clone()
        };
        let advice = "Compare the Endpoint objects on both clusters and on the broker; read the log of the active submariner-gateway pod.";
        push(finding(
            Check::MissingPair,
            Severity::Bad,
            subject.clone(),
            sentence,
            advice,
        ));
    }
    if let Some(overlap) = &cable.overlap {
        let severity = if missing.is_empty() {
            Severity::Warning
        } else {
            Severity::Bad
        };
        let sentence = if missing.is_empty() {
            format!("{overlap}.")
        } else {
            format!("{overlap}: that is why {from} and {to} are not connected.")
        };
        let advice = "Give one of the clusters another network, or join them with Globalnet.";
        push(finding(
            Check::Overlap,
            severity,
            subject.clone(),
            sentence,
            advice,
        ));
    }
    for half in halves {
        let subject = format!("{}→{}", half.from, half.to);
        match half.state {
            CableState::Error => {
                let sentence = format!("{} cannot reach {}: {}", half.from, half.to, half.reason);
                let advice = "Check that the gateways' tunnel port (4500/udp, or the one configured) is open both ways.";
                push(finding(
                    Check::NotConnected,
                    Severity::Bad,
                    subject,
                    sentence,
                    advice,
                ));
            }
            CableState::Connecting => {
                let sentence = format!(
                    "{} is still negotiating its connection to {}: {}",
                    half.from, half.to, half.reason
                );
                let advice =
                    "If it stays so, check the firewall for 500/udp, 4500/udp and 4490/udp.";
                push(finding(
                    Check::NotConnected,
                    Severity::Warning,
                    subject,
                    sentence,
                    advice,
                ));
            }
            CableState::Connected if !half.verified => {
                let sentence = unverified(roster, half);
                let advice =
                    "Enable connectionHealthCheck in the Submariner resource of both clusters.";
                push(finding(
                    Check::Unverified,
                    Severity::Warning,
                    subject,
                    sentence,
                    advice,
                ));
            }
            _ => {}
        }
    }
    let up = halves
        .iter()
        .find(|half| half.state == CableState::Connected);
    let down = halves.iter().find(|half| half.state.is_failing());
    if let (Some(up), Some(down)) = (up, down) {
        let sentence = format!(
            "{} reports {} to {}, but {} reports {} back: traffic needs both ways.",
            up.from,
            up.state.word(),
            up.to,
            down.from,
            down.state.word()
        );
        let advice = "Look at the side that reports the failure first; NAT or a one-way firewall rule is the usual cause.";
        push(finding(
            Check::Asymmetry,
            Severity::Bad,
            subject,
            sentence,
            advice,
        ));
    }
}

fn unverified(roster: &Roster<'_>, half: &Direction) -> String {
    let health_check = roster
        .sides
        .get(&half.from)
        .and_then(|side| side.observation?.submariners.first())
        .is_none_or(|facts| facts.health_check);
    let why = match half.driver.as_deref() {
        _ if !health_check => "its health check is switched off".to_owned(),
        Some("vxlan") => {
            "the vxlan driver always says connected, and no ping was answered yet".to_owned()
        }
        _ => "no ping was answered yet".to_owned(),
    };
    format!(
        "{} says that it is connected to {}, unverified: {why}.",
        half.from, half.to
    )
}

/// D6 and D7: settings that differ between the ends of a cable.
fn settings(roster: &Roster<'_>, cables: &[Cable], found: &mut Vec<Finding>) {
    let active = |name: &ClusterName| {
        let side = roster.sides.get(name)?;
        side.gateways().iter().find(|gateway| gateway.is_active())
    };
    let mut versions: BTreeMap<&str, BTreeSet<&ClusterName>> = BTreeMap::new();
    for cable in cables {
        let ends = (active(&cable.from), active(&cable.to));
        for (name, gateway) in [(&cable.from, ends.0), (&cable.to, ends.1)] {
            if let Some(version) = gateway
                .map(|gateway| gateway.version.as_str())
                .filter(|text| !text.is_empty())
            {
                versions.entry(version).or_default().insert(name);
            }
        }
        let (Some(one), Some(two)) = ends else {
            continue;
        };
        if !one.local.backend.is_empty()
            && !two.local.backend.is_empty()
            && one.local.backend != two.local.backend
        {
            let evidence = [(&cable.from, one), (&cable.to, two)]
                .into_iter()
                .map(|(name, gateway)| Evidence {
                    cluster: name.clone(),
                    object: object(gateway),
                    field: "status.localEndpoint.backend".to_owned(),
                    value: gateway.local.backend.clone(),
                })
                .collect();
            found.push(Finding {
                clusters: vec![cable.from.clone(), cable.to.clone()],
                evidence,
                ..finding(
                    Check::DriverMismatch,
                    Severity::Bad,
                    format!("{}–{}", cable.from, cable.to),
                    format!(
                        "{} uses the cable driver {} and {} uses {}: they cannot connect.",
                        cable.from, one.local.backend, cable.to, two.local.backend
                    ),
                    "Set the same cableDriver in both Submariner resources.",
                )
            });
        }
    }
    if versions.len() > 1 {
        let clusters: BTreeSet<ClusterName> = versions
            .values()
            .flatten()
            .map(|name| (*name).clone())
            .collect();
        let parts: Vec<String> = versions
            .iter()
            .map(|(version, names)| format!("{version} on {} ({})", names.len(), example(names)))
            .collect();
        found.push(Finding {
            clusters: clusters.into_iter().collect(),
            ..finding(
                Check::VersionSkew,
                Severity::Warning,
                "versions".to_owned(),
                format!("Gateways run different versions: {}.", parts.join(", ")),
                "Upgrade the older ones; one minor version apart is what Submariner tests.",
            )
        });
    }
}

fn example(names: &BTreeSet<&ClusterName>) -> String {
    let shown: Vec<&str> = names.iter().take(3).map(|name| name.as_str()).collect();
    if names.len() > shown.len() {
        format!("{}, …", shown.join(", "))
    } else {
        shown.join(", ")
    }
}

fn discoverability(service: &ServiceView, found: &mut Vec<Finding>) {
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

fn conflicts(service: &ServiceView, found: &mut Vec<Finding>) {
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
