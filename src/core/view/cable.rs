//! Cables: the matrix both ways, findings, connections in subctl's columns.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::activity::{self, Entry};
use super::connection::{self, ConnectionRow};
use super::graph::{self, CablePlan, NodePlan, Picture};
use super::matrix::{self, Matrix};
use super::need::Need;
use super::{Address, Chip, FleetView, Listing, Query, Text, Tone, age};
use crate::api::ClusterName;
use crate::core::activity::Activity;
use crate::core::mesh::duration::GoDuration;
use crate::core::mesh::finding::Check;
use crate::core::mesh::observation::RoundTrip;
use crate::core::mesh::{Cable, CableState, Direction, Finding, MeshView};

/// Findings shown on the cables page.
const FINDINGS: usize = 50;

/// Two clusters and both directions between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairRow {
    /// One cluster.
    pub a: String,
    /// The other.
    pub b: String,
    /// Their page.
    pub address: Address,
    /// Worse of both directions.
    pub tone: Tone,
    /// Both directions in a sentence.
    pub words: String,
    /// What `a` says about `b`.
    pub forward: Side,
    /// What `b` says about `a`.
    pub backward: Side,
}

/// What one cluster's gateway says about another cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Who says it.
    pub from: String,
    /// About whom.
    pub to: String,
    /// State.
    pub chip: Chip,
    /// Why the state is what it is.
    pub reason: String,
    /// Round trip in microseconds, when measured.
    pub rtt_micros: Option<u64>,
    /// What stands where there is no round trip.
    pub silence: String,
    /// Since when the state holds.
    pub since: Option<Timestamp>,
    /// Gateway, addresses, driver: name and value.
    pub facts: Vec<(String, String)>,
    /// Page of the pair.
    pub address: Address,
}

/// The cables page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CablesPage {
    /// What the cables come to.
    pub sentence: String,
    /// Drivers and freshness.
    pub side: Vec<Text>,
    /// The matrix, up to 40 clusters.
    pub matrix: Option<Matrix>,
    /// Pairs, worst first.
    pub pairs: Listing<PairRow>,
    /// Findings, worst first, at most 50.
    pub findings: Vec<Need>,
    /// All of them.
    pub findings_total: usize,
    /// Connections of this page.
    pub connections: Listing<ConnectionRow>,
    /// What changed.
    pub history: Vec<Entry>,
}

/// One pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CablePage {
    /// Its row.
    pub pair: PairRow,
    /// Both directions.
    pub sides: [Side; 2],
    /// Findings about either cluster's side of it.
    pub findings: Vec<Need>,
    /// Services that cross it.
    pub services: Vec<Need>,
    /// What changed.
    pub history: Vec<Entry>,
}

/// Tone of a direction's state. Unknown is never "down"; a live gateway that
/// does not list the other cluster is.
fn state_chip(state: CableState) -> Chip {
    let tone = match state {
        CableState::Connected => Tone::Ok,
        CableState::Connecting => Tone::Busy,
        CableState::Error => Tone::Bad,
        CableState::Stale => Tone::Warn,
        CableState::Missing => Tone::Bad,
        CableState::Unknown => Tone::Unknown,
    };
    Chip::new(tone, state.word())
}

fn side(from: &ClusterName, to: &ClusterName, direction: &Direction, address: &Address) -> Side {
    let chip = state_chip(direction.state);
    let silence = match direction.state {
        CableState::Connected => "not measured",
        CableState::Connecting | CableState::Error => "no answer",
        CableState::Stale => "gateway silent",
        CableState::Missing => "not listed",
        CableState::Unknown => "no report",
    };
    let nat = direction
        .nat
        .map(|nat| if nat { "yes" } else { "no" }.to_owned());
    let facts = [
        ("Gateway", direction.gateway.clone()),
        ("Remote gateway", direction.remote_gateway.clone()),
        ("Remote IP", direction.using_ip.clone()),
        ("NAT", nat),
        ("Cable driver", direction.driver.clone()),
        ("Subnets", Some(direction.subnets.join(", "))),
        (
            "Verified by pings",
            Some(if direction.verified { "yes" } else { "no" }.to_owned()),
        ),
    ];
    Side {
        from: from.to_string(),
        to: to.to_string(),
        chip,
        reason: direction.reason.clone(),
        rtt_micros: round_trip(direction),
        silence: silence.to_owned(),
        since: (direction.state != CableState::Unknown).then_some(direction.since),
        facts: facts
            .into_iter()
            .filter_map(|(name, value)| {
                Some((name.to_owned(), value.filter(|value| !value.is_empty())?))
            })
            .collect(),
        address: address.clone(),
    }
}

/// Average round trip of a report that is believed.
pub(super) fn round_trip(direction: &Direction) -> Option<u64> {
    let rtt = direction.rtt.filter(RoundTrip::measured)?;
    rtt.average.or(rtt.last).map(GoDuration::micros)
}

/// Both directions in a sentence.
fn pair_words(forward: &Side, backward: &Side) -> String {
    if forward.chip == backward.chip {
        let words = match forward.chip.tone {
            Tone::Ok => format!("{} both ways", forward.chip.word),
            _ => format!("{} both ways: {}", forward.chip.word, forward.reason),
        };
        return match forward.rtt_micros {
            Some(micros) => format!("{words}, {}", age::round_trip(micros)),
            None => words,
        };
    }
    let (worse, better) = if forward.chip.tone >= backward.chip.tone {
        (forward, backward)
    } else {
        (backward, forward)
    };
    format!(
        "{} says {}, {} says {}: {}",
        worse.from, worse.chip.word, better.from, better.chip.word, worse.reason
    )
}

/// Every expected pair, worst first, then by name.
pub(super) fn pairs(mesh: &MeshView) -> Vec<PairRow> {
    let mut pairs: Vec<PairRow> = mesh.cables.iter().map(pair).collect();
    pairs.sort_by(|x, y| (y.tone, &x.a, &x.b).cmp(&(x.tone, &y.a, &y.b)));
    pairs
}

pub(super) fn pair(cable: &Cable) -> PairRow {
    let address = Address::Cable(cable.from.to_string(), cable.to.to_string());
    let forward = side(&cable.from, &cable.to, &cable.forward, &address);
    let backward = side(&cable.to, &cable.from, &cable.backward, &address);
    PairRow {
        a: cable.from.to_string(),
        b: cable.to.to_string(),
        tone: forward.chip.tone.max(backward.chip.tone),
        words: pair_words(&forward, &backward),
        address,
        forward,
        backward,
    }
}

/// Per cluster: pairs connected both ways, pairs, and the worst tone.
pub(super) fn by_cluster(pairs: &[PairRow]) -> BTreeMap<&str, (usize, usize, Tone)> {
    let mut counts = BTreeMap::new();
    for pair in pairs {
        for name in [&pair.a, &pair.b] {
            let (up, all, worst) = counts.entry(name.as_str()).or_insert((0, 0, Tone::Ok));
            *up += usize::from(pair.tone == Tone::Ok);
            *all += 1;
            *worst = pair.tone.max(*worst);
        }
    }
    counts
}

pub(super) fn members(pairs: &[PairRow]) -> Vec<&str> {
    let names: BTreeSet<&str> = pairs
        .iter()
        .flat_map(|pair| [pair.a.as_str(), pair.b.as_str()])
        .collect();
    names.into_iter().collect()
}

/// The cables drawn, when the fleet is small enough.
pub(super) fn picture(view: &FleetView) -> Option<Picture> {
    let names = members(&view.pairs);
    let nodes: Vec<NodePlan> = names
        .iter()
        .map(|name| {
            let row = view.clusters.iter().find(|row| row.name == *name);
            NodePlan {
                name: (*name).to_owned(),
                sub: age::count(row.map_or(0, |row| row.applications), "application"),
                tone: row
                    .map(|row| row.reach.tone)
                    .filter(|tone| *tone >= Tone::Unknown),
                address: Address::Cluster((*name).to_owned()),
            }
        })
        .collect();
    let index = |name: &str| names.iter().position(|other| *other == name).unwrap_or(0);
    let cables: Vec<CablePlan> = view
        .pairs
        .iter()
        .map(|pair| {
            let worse = if pair.backward.chip.tone > pair.forward.chip.tone {
                &pair.backward
            } else {
                &pair.forward
            };
            let words = match worse.rtt_micros.filter(|_| pair.tone == Tone::Ok) {
                Some(micros) => age::round_trip(micros),
                None => worse.chip.word.clone(),
            };
            CablePlan {
                from: index(&pair.a),
                to: index(&pair.b),
                words,
                tone: pair.tone,
            }
        })
        .collect();
    graph::cables(
        &nodes,
        &cables,
        format!("{} clusters and their cables", nodes.len()),
    )
}

/// The findings of the mesh as needs, in its own order (worst first).
pub(super) fn findings<'a>(mesh: &'a MeshView) -> impl Iterator<Item = Need> + 'a {
    mesh.findings.iter().map(|found| finding(mesh, found))
}

/// Findings for the overview: those about a service are said there once, by
/// the service itself, with the application that needs it.
pub(super) fn needs<'a>(mesh: &'a MeshView) -> impl Iterator<Item = Need> + 'a {
    let own = mesh
        .findings
        .iter()
        .filter(|finding| finding.check != Check::NotDiscoverable);
    own.map(|found| finding(mesh, found))
}

fn finding(mesh: &MeshView, finding: &Finding) -> Need {
    let links: Vec<(&str, Address)> = finding
        .clusters
        .iter()
        .map(|name| (name.as_str(), Address::Cluster(name.to_string())))
        .collect();
    let mut why = Text::from(finding.advice.as_str());
    if let Some(evidence) = finding
        .evidence
        .first()
        .filter(|evidence| !evidence.value.is_empty())
    {
        why = why
            .plain(format!(" {} on {}: ", evidence.object, evidence.cluster))
            .code(&evidence.value);
    }
    Need::new(finding.severity.into(), Text::of(&finding.sentence, &links))
        .because(why)
        .since(since(mesh, finding))
}

/// Since when the worse direction between the two clusters of a finding is as it is.
fn since(mesh: &MeshView, finding: &Finding) -> Option<Timestamp> {
    let [a, b] = finding.clusters.as_slice() else {
        return None;
    };
    let directions = [mesh.direction(a, b), mesh.direction(b, a)]
        .into_iter()
        .flatten();
    let worst = directions.max_by_key(|direction| direction.state)?;
    (worst.state != CableState::Connected).then_some(worst.since)
}

fn cable_entry(activity: &Activity) -> bool {
    ["Cable", "Gateway", "Connection"]
        .iter()
        .any(|word| activity.reason.starts_with(word))
}

pub(super) fn page(view: &FleetView, query: &Query) -> CablesPage {
    let connections = connection::connections(view);
    let total = connections.len();
    CablesPage {
        sentence: sentence(&view.pairs),
        side: aside(&view.facts.mesh),
        matrix: matrix::matrix(&view.pairs),
        pairs: Listing::cut(view.pairs.iter().cloned(), view.pairs.len(), query),
        findings: findings(&view.facts.mesh).take(FINDINGS).collect(),
        findings_total: view.facts.mesh.findings.len(),
        connections: Listing::cut(connections.into_iter(), total, query),
        history: activity::newest(view, 20, cable_entry),
    }
}

fn sentence(pairs: &[PairRow]) -> String {
    let up = pairs.iter().filter(|pair| pair.tone == Tone::Ok).count();
    match (up, pairs.len()) {
        (_, 0) => "No pair of clusters is expected to be connected.".to_owned(),
        (1, 1) => "The one pair is connected both ways. Row reports on column: each direction is what that cluster’s own gateway says.".to_owned(),
        (up, all) if up == all => format!(
            "All {} connected both ways. Row reports on column: each direction is what that cluster’s own gateway says.",
            age::count(all, "pair")
        ),
        (up, all) => format!(
            "{up} of {all} pairs are connected both ways. Row reports on column: each direction is what that cluster’s own gateway says."
        ),
    }
}

/// Which drivers are in use.
fn aside(mesh: &MeshView) -> Vec<Text> {
    let directions = mesh
        .cables
        .iter()
        .flat_map(|cable| [&cable.forward, &cable.backward]);
    let drivers: BTreeSet<&str> = directions
        .filter_map(|direction| direction.driver.as_deref())
        .collect();
    let drivers: Vec<&str> = drivers.into_iter().collect();
    match drivers.as_slice() {
        [] => Vec::new(),
        [driver] => vec![
            Text::new()
                .plain("cable driver ")
                .strong(*driver)
                .plain(" everywhere"),
        ],
        many => vec![Text::new().plain("cable drivers ").strong(many.join(", "))],
    }
}

pub(super) fn detail(view: &FleetView, a: &str, b: &str) -> Option<CablePage> {
    let pair = view
        .pairs
        .iter()
        .find(|pair| (pair.a == a && pair.b == b) || (pair.a == b && pair.b == a))?
        .clone();
    let mesh = &view.facts.mesh;
    let both = |clusters: &[ClusterName]| {
        [a, b]
            .iter()
            .all(|name| clusters.iter().any(|cluster| cluster.as_str() == *name))
    };
    let concerns = |finding: &&Finding| {
        both(&finding.clusters)
            || (finding.clusters.len() == 1
                && finding
                    .clusters
                    .iter()
                    .any(|name| [a, b].contains(&name.as_str())))
    };
    let history = activity::newest(view, 20, |entry| {
        cable_entry(entry) && [a, b].iter().all(|name| entry.message.contains(name))
    });
    Some(CablePage {
        sides: [pair.forward.clone(), pair.backward.clone()],
        findings: mesh
            .findings
            .iter()
            .filter(concerns)
            .map(|found| finding(mesh, found))
            .collect(),
        services: super::service::across(view, &pair.a, &pair.b),
        history,
        pair,
    })
}
