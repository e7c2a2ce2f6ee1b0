//! A cable as both ends report it.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::ClusterName;
use crate::core::mesh::MeshView;
use crate::core::mesh::beat::Beat;
use crate::core::mesh::observation::{ConnectionFacts, GatewayFacts, MeshKind, Reading, RoundTrip};
use crate::core::mesh::roster::{Part, Roster, Side};

/// State of one direction, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum CableState {
    /// A live gateway reports `connected`.
    Connected,
    /// The hub cannot tell.
    Unknown,
    /// The last report is too old to be believed.
    Stale,
    /// The tunnel is being negotiated.
    Connecting,
    /// A live gateway does not list the other cluster at all.
    Missing,
    /// A live gateway reports `error`.
    Error,
}

impl CableState {
    /// The word in lower case, for sentences and tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::Connecting => "connecting",
            Self::Missing => "missing",
            Self::Error => "error",
        }
    }

    /// Whether a live report says that no traffic passes.
    #[must_use]
    pub fn is_failing(self) -> bool {
        matches!(self, Self::Connecting | Self::Missing | Self::Error)
    }
}

/// Connectivity axis of a pair or a cluster, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Connectivity {
    /// All directions are connected.
    Connected,
    /// Not known. Unknown is not down.
    Unknown,
    /// Some directions work, or are on their way.
    Degraded,
    /// Live reports say that nothing passes.
    Down,
}

/// What one cluster reports about its way to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Direction {
    /// The reporting cluster.
    pub from: ClusterName,
    /// The other one.
    pub to: ClusterName,
    /// State.
    pub state: CableState,
    /// One sentence: why.
    pub reason: String,
    /// Round trips, when measured by a gateway that reports.
    pub rtt: Option<RoundTrip>,
    /// Whether `Connected` rests on an answered ping and not only on the
    /// driver's word (the vxlan driver always says connected).
    pub verified: bool,
    /// Whether NAT is crossed.
    pub nat: Option<bool>,
    /// Remote address in use.
    pub using_ip: Option<String>,
    /// Cable driver.
    pub driver: Option<String>,
    /// Networks of the other cluster.
    pub subnets: Vec<String>,
    /// Gateway node that reports.
    pub gateway: Option<String>,
    /// Gateway node at the other end.
    pub remote_gateway: Option<String>,
    /// Since when the hub sees this state.
    pub since: Timestamp,
}

impl Direction {
    /// Whether the hub has simply not looked yet: what comes next is news of
    /// the hub, not of the cable.
    #[must_use]
    pub fn is_first_look(&self) -> bool {
        self.state == CableState::Unknown
            && self.gateway.is_none()
            && self.reason.ends_with(" yet.")
    }
}

/// A pair of clusters, both ways.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cable {
    /// First cluster by name.
    pub from: ClusterName,
    /// Second cluster by name.
    pub to: ClusterName,
    /// What `from` reports.
    pub forward: Direction,
    /// What `to` reports.
    pub backward: Direction,
    /// Both together.
    pub connectivity: Connectivity,
    /// The CIDRs that overlap, as a sentence, when any do.
    pub overlap: Option<String>,
}

impl Cable {
    /// The worse of the two states.
    #[must_use]
    pub fn worst(&self) -> CableState {
        self.forward.state.max(self.backward.state)
    }
}

/// The direction from one cluster to another among `cables`.
pub(super) fn direction<'a>(
    cables: &'a [Cable],
    from: &ClusterName,
    to: &ClusterName,
) -> Option<&'a Direction> {
    let (first, second) = if from < to { (from, to) } else { (to, from) };
    let index = cables
        .binary_search_by(|cable| (&cable.from, &cable.to).cmp(&(first, second)))
        .ok()?;
    let cable = cables.get(index)?;
    Some(if from < to {
        &cable.forward
    } else {
        &cable.backward
    })
}

/// Several cables in one word; `None` for none.
pub(super) fn summary<'a>(cables: impl Iterator<Item = &'a Cable>) -> Option<Connectivity> {
    let words: Vec<Connectivity> = cables.map(|cable| cable.connectivity).collect();
    let worst = words.iter().copied().max()?;
    Some(match worst {
        Connectivity::Down if words.iter().any(|word| *word != Connectivity::Down) => {
            Connectivity::Degraded
        }
        worst => worst,
    })
}

/// Every expected pair, ordered by names.
pub(super) fn cables(
    roster: &Roster<'_>,
    previous: Option<&MeshView>,
    now: Timestamp,
) -> Vec<Cable> {
    roster
        .pairs
        .iter()
        .filter_map(|(from, to)| {
            let (one, two) = (roster.sides.get(from)?, roster.sides.get(to)?);
            let direct = roster.overlap(from, to);
            let overlap = direct
                .clone()
                .or_else(|| roster.third_party_overlap(from, to));
            let mut forward = judge(from, one, to, two, overlap.as_deref(), now);
            let mut backward = judge(to, two, from, one, overlap.as_deref(), now);
            for half in [&mut forward, &mut backward] {
                let before = previous.and_then(|view| view.direction(&half.from, &half.to));
                if let Some(before) = before.filter(|before| before.state == half.state) {
                    half.since = before.since;
                }
            }
            let missing = [forward.state, backward.state].contains(&CableState::Missing);
            Some(Cable {
                connectivity: pair(forward.state, backward.state),
                from: from.clone(),
                to: to.clone(),
                forward,
                backward,
                // Another cluster's overlap explains a missing cable only.
                overlap: direct.or(overlap.filter(|_| missing)),
            })
        })
        .collect()
}

fn pair(forward: CableState, backward: CableState) -> Connectivity {
    use CableState::{Connected, Connecting};
    let halves = [forward, backward];
    if halves == [Connected, Connected] {
        Connectivity::Connected
    } else if !halves.iter().any(|state| state.is_failing()) {
        Connectivity::Unknown
    } else if halves.contains(&Connected)
        || halves
            .iter()
            .all(|state| !state.is_failing() || *state == Connecting)
    {
        Connectivity::Degraded
    } else {
        Connectivity::Down
    }
}

fn judge(
    from: &ClusterName,
    side: &Side<'_>,
    to: &ClusterName,
    peer: &Side<'_>,
    overlap: Option<&str>,
    now: Timestamp,
) -> Direction {
    let mut direction = Direction {
        from: from.clone(),
        to: to.clone(),
        state: CableState::Unknown,
        reason: String::new(),
        rtt: None,
        verified: false,
        nat: None,
        using_ip: None,
        driver: None,
        subnets: peer.subnets.clone(),
        gateway: None,
        remote_gateway: None,
        since: now,
    };
    let gateways = match readable(from, side) {
        Ok(gateways) => gateways,
        Err(reason) => {
            direction.reason = reason;
            return direction;
        }
    };
    let active: Vec<&GatewayFacts> = gateways
        .iter()
        .filter(|gateway| gateway.is_active())
        .collect();
    let live: Vec<&&GatewayFacts> = active
        .iter()
        .filter(|gateway| gateway.beat == Beat::Beating)
        .collect();
    if live.is_empty() {
        (direction.state, direction.reason) = silent(from, gateways, &active, now);
        // What was reported last is shown, greyed, but never believed.
        if let Some((gateway, connection)) = reported(active.iter().copied(), &peer.id) {
            fill(&mut direction, gateway, connection);
            direction.rtt = None;
        }
        return direction;
    }
    match reported(live.iter().map(|gateway| **gateway), &peer.id) {
        Some((gateway, connection)) => {
            fill(&mut direction, gateway, connection);
            (direction.state, direction.verified, direction.reason) = said(to, connection);
        }
        None => {
            direction.gateway = live.first().map(|gateway| gateway.name.clone());
            direction.state = CableState::Missing;
            direction.reason = match overlap {
                Some(overlap) => format!(
                    "{from} lists no connection to {to}: {overlap}, and Submariner skips such endpoints without a word."
                ),
                None => format!("{from} lists no connection to {to}."),
            };
        }
    }
    direction
}

/// The gateways, or why they cannot be judged.
fn readable<'a>(from: &ClusterName, side: &Side<'a>) -> Result<&'a [GatewayFacts], String> {
    let Some(observation) = side.observation else {
        return Err(if side.managed {
            format!("The hub has not read {from} yet.")
        } else {
            format!("{from} is not registered at the hub, which cannot read its side.")
        });
    };
    if let Reading::Failing { message, .. } = observation.reading(MeshKind::Gateway) {
        return Err(format!(
            "The hub cannot read the gateways of {from}: {message}."
        ));
    }
    if *observation.reading(MeshKind::Gateway) == Reading::Pending {
        return Err(format!("The hub has not read the gateways of {from} yet."));
    }
    if side.part == Part::No {
        return Err(format!("Submariner is not installed on {from}."));
    }
    Ok(side.gateways())
}

fn silent(
    from: &ClusterName,
    all: &[GatewayFacts],
    active: &[&GatewayFacts],
    now: Timestamp,
) -> (CableState, String) {
    let last = active
        .iter()
        .filter_map(|gateway| match gateway.beat {
            Beat::Silent { since } => Some((since, gateway.name.as_str())),
            _ => None,
        })
        .max();
    if active.is_empty() {
        let reason = if all.is_empty() {
            format!("No gateway of {from} reports.")
        } else {
            format!(
                "No gateway of {from} is active; {} wait as passive.",
                all.len()
            )
        };
        return (CableState::Missing, reason);
    }
    if active.iter().any(|gateway| gateway.beat == Beat::Unheard) {
        let reason = format!(
            "The hub has not seen the gateway of {from} report yet; its last report may be old."
        );
        return (CableState::Unknown, reason);
    }
    match last {
        Some((since, name)) => {
            let age = now.duration_since(since).as_secs().max(0);
            let reason = format!(
                "Gateway {name} of {from} has not reported for {age} s; its last word is not believed."
            );
            (CableState::Stale, reason)
        }
        None => (
            CableState::Unknown,
            format!("Nothing is known of the gateway of {from}."),
        ),
    }
}

/// The worst of the connections to that cluster: two families of addresses
/// are two connections, and a cable is as good as its worse half.
fn reported<'a>(
    gateways: impl Iterator<Item = &'a GatewayFacts>,
    id: &str,
) -> Option<(&'a GatewayFacts, &'a ConnectionFacts)> {
    gateways
        .flat_map(|gateway| {
            gateway
                .connections
                .iter()
                .map(move |connection| (gateway, connection))
        })
        .filter(|(_, connection)| connection.endpoint.cluster_id == id)
        .reduce(|worst, next| {
            if state_of(&next.1.status) > state_of(&worst.1.status) {
                next
            } else {
                worst
            }
        })
}

fn state_of(status: &str) -> CableState {
    match status {
        "connected" => CableState::Connected,
        "connecting" => CableState::Connecting,
        "error" => CableState::Error,
        // A word of a later release: shown, not judged.
        _ => CableState::Unknown,
    }
}

fn said(to: &ClusterName, connection: &ConnectionFacts) -> (CableState, bool, String) {
    let state = state_of(&connection.status);
    let message = connection.message.trim().trim_end_matches('.');
    let measured = connection.rtt.filter(RoundTrip::measured);
    let reason = match state {
        CableState::Connected => match measured.and_then(|rtt| rtt.average.or(rtt.last)) {
            Some(average) => format!("Pings to {to} are answered in {average}."),
            None => format!("The driver says connected to {to}; no ping has proved it."),
        },
        CableState::Unknown => format!(
            "The gateway reports {:?}, which is not known.",
            connection.status
        ),
        _ if message.is_empty() => format!("The gateway reports {} for {to}.", state.word()),
        _ => format!("{message}."),
    };
    (
        state,
        state == CableState::Connected && measured.is_some(),
        reason,
    )
}

fn fill(direction: &mut Direction, gateway: &GatewayFacts, connection: &ConnectionFacts) {
    let endpoint = &connection.endpoint;
    let nat = connection.using_nat.unwrap_or(endpoint.nat_enabled);
    let address = if nat {
        &endpoint.public_ips
    } else {
        &endpoint.private_ips
    };
    direction.gateway = Some(gateway.name.clone());
    direction.remote_gateway = Some(endpoint.hostname.clone()).filter(|name| !name.is_empty());
    direction.nat = Some(nat);
    direction.using_ip = connection
        .using_ip
        .clone()
        .or_else(|| address.first().cloned());
    direction.driver = Some(endpoint.backend.clone()).filter(|driver| !driver.is_empty());
    direction.rtt = connection.rtt;
    if !endpoint.subnets.is_empty() {
        direction.subnets.clone_from(&endpoint.subnets);
    }
}
