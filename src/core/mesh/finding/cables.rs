//! Findings about gateways and cables.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Check, Evidence, Finding, finding};
use crate::api::ClusterName;
use crate::core::activity::Severity;
use crate::core::mesh::beat::Beat;
use crate::core::mesh::cable::{Cable, CableState, Direction};
use crate::core::mesh::observation::GatewayFacts;
use crate::core::mesh::roster::Roster;

fn object(gateway: &GatewayFacts) -> String {
    format!("Gateway {}/{}", gateway.namespace, gateway.name)
}

pub(super) fn gateways(
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

pub(super) fn pair(roster: &Roster<'_>, cable: &Cable, found: &mut Vec<Finding>) {
    let halves = [&cable.forward, &cable.backward];
    let mut new: Vec<Finding> = missing(cable).into_iter().chain(overlap(cable)).collect();
    new.extend(halves.into_iter().filter_map(|half| one_way(roster, half)));
    new.extend(asymmetry(cable));
    let evidence: Vec<Evidence> = halves.into_iter().map(status).collect();
    found.extend(new.into_iter().map(|finding| Finding {
        clusters: vec![cable.from.clone(), cable.to.clone()],
        evidence: evidence.clone(),
        ..finding
    }));
}

fn subject(cable: &Cable) -> String {
    format!("{}–{}", cable.from, cable.to)
}

fn missing_halves(cable: &Cable) -> Vec<&Direction> {
    [&cable.forward, &cable.backward]
        .into_iter()
        .filter(|half| half.state == CableState::Missing)
        .collect()
}

fn missing(cable: &Cable) -> Option<Finding> {
    let halves = missing_halves(cable);
    let first = halves.first()?;
    let sentence = if halves.len() == 2 {
        format!(
            "Neither {} nor {} lists a connection to the other.",
            cable.from, cable.to
        )
    } else {
        first.reason.clone()
    };
    let advice = "Compare the Endpoint objects on both clusters and on the broker; read the log of the active submariner-gateway pod.";
    Some(finding(
        Check::MissingPair,
        Severity::Bad,
        subject(cable),
        sentence,
        advice,
    ))
}

fn overlap(cable: &Cable) -> Option<Finding> {
    let overlap = cable.overlap.as_ref()?;
    let (severity, sentence) = if missing_halves(cable).is_empty() {
        (Severity::Warning, format!("{overlap}."))
    } else {
        let sentence = format!(
            "{overlap}: that is why {} and {} are not connected.",
            cable.from, cable.to
        );
        (Severity::Bad, sentence)
    };
    let advice = "Give one of the clusters another network, or join them with Globalnet.";
    Some(finding(
        Check::Overlap,
        severity,
        subject(cable),
        sentence,
        advice,
    ))
}

fn one_way(roster: &Roster<'_>, half: &Direction) -> Option<Finding> {
    let subject = format!("{}→{}", half.from, half.to);
    let (check, severity, sentence, advice) = match half.state {
        CableState::Error => (
            Check::NotConnected,
            Severity::Bad,
            format!("{} cannot reach {}: {}", half.from, half.to, half.reason),
            "Check that the gateways' tunnel port (4500/udp, or the one configured) is open both ways.",
        ),
        CableState::Connecting => (
            Check::NotConnected,
            Severity::Warning,
            format!(
                "{} is still negotiating its connection to {}: {}",
                half.from, half.to, half.reason
            ),
            "If it stays so, check the firewall for 500/udp, 4500/udp and 4490/udp.",
        ),
        CableState::Connected if !half.verified => (
            Check::Unverified,
            Severity::Warning,
            unverified(roster, half),
            "Enable connectionHealthCheck in the Submariner resource of both clusters.",
        ),
        _ => return None,
    };
    Some(finding(check, severity, subject, sentence, advice))
}

fn asymmetry(cable: &Cable) -> Option<Finding> {
    let halves = [&cable.forward, &cable.backward];
    let up = halves
        .into_iter()
        .find(|half| half.state == CableState::Connected)?;
    let down = halves.into_iter().find(|half| half.state.is_failing())?;
    let sentence = format!(
        "{} reports {} to {}, but {} reports {} back: traffic needs both ways.",
        up.from,
        up.state.word(),
        up.to,
        down.from,
        down.state.word()
    );
    let advice = "Look at the side that reports the failure first; NAT or a one-way firewall rule is the usual cause.";
    Some(finding(
        Check::Asymmetry,
        Severity::Bad,
        subject(cable),
        sentence,
        advice,
    ))
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
pub(super) fn settings(roster: &Roster<'_>, cables: &[Cable], found: &mut Vec<Finding>) {
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
