//! Who takes part: clusters, the ids by which Submariner knows them, their
//! networks, and the pairs between which a cable is expected.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::ClusterName;
use crate::core::mesh::MeshInput;
use crate::core::mesh::cidr::Cidr;
use crate::core::mesh::observation::{
    EndpointFacts, GatewayFacts, MeshKind, MeshObservation, Reading,
};

/// Pairs beyond this are not listed: a full mesh of so many clusters is
/// nothing that Submariner carries.
const PAIR_LIMIT: usize = 50_000;

/// One cluster of the mesh.
#[derive(Clone, Debug)]
pub(super) struct Side<'a> {
    /// What was read; `None` when the hub does not read this cluster.
    pub(super) observation: Option<&'a MeshObservation>,
    /// Whether it is registered at the hub. Others are known from Endpoint objects.
    pub(super) managed: bool,
    /// Id by which Submariner knows it.
    pub(super) id: String,
    /// Its networks, as others route to them.
    pub(super) subnets: Vec<String>,
    /// Whether Submariner runs there.
    pub(super) part: Part,
}

/// Whether a cluster takes part in the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Submariner runs there.
    Yes,
    /// It was read, and Submariner does not run there.
    No,
    /// It could not be read.
    Unknown,
}

impl<'a> Side<'a> {
    /// Gateways, or the operator's copies on releases without the resource.
    pub(super) fn gateways(&self) -> &'a [GatewayFacts] {
        let Some(observation) = self.observation else {
            return &[];
        };
        if observation.gateways.is_empty()
            && *observation.reading(MeshKind::Gateway) == Reading::NotServed
        {
            return observation
                .submariners
                .first()
                .map(|facts| facts.legacy_gateways.as_slice())
                .unwrap_or_default();
        }
        &observation.gateways
    }
}

/// Everybody, by name.
#[derive(Debug)]
pub(super) struct Roster<'a> {
    pub(super) sides: BTreeMap<ClusterName, Side<'a>>,
    /// Expected pairs, each once, names in order.
    pub(super) pairs: BTreeSet<(ClusterName, ClusterName)>,
    /// Clusters that share a set (or a broker) with each cluster, itself included.
    pub(super) neighbours: BTreeMap<ClusterName, BTreeSet<ClusterName>>,
    names: BTreeMap<String, ClusterName>,
    /// Overlaps of each cluster with its neighbours.
    overlaps: BTreeMap<ClusterName, Vec<Overlap>>,
}

/// Two networks of neighbours that share an address.
#[derive(Clone, Debug)]
struct Overlap {
    other: ClusterName,
    own_cidr: String,
    other_cidr: String,
}

impl<'a> Roster<'a> {
    pub(super) fn of(input: &MeshInput<'a>) -> Self {
        let mut sides = managed_sides(input);
        let mut names: BTreeMap<String, ClusterName> = sides
            .iter()
            .map(|(name, side)| (side.id.clone(), name.clone()))
            .collect();
        let endpoints = endpoints_by_id(input);
        for (id, endpoint) in &endpoints {
            if !names.contains_key(id) {
                let name = ClusterName::from(id.as_str());
                names.insert(id.clone(), name.clone());
                sides.entry(name).or_insert_with(|| Side {
                    observation: None,
                    managed: false,
                    id: id.clone(),
                    subnets: endpoint.subnets.clone(),
                    part: Part::Yes,
                });
            }
        }
        for side in sides.values_mut() {
            if let Some(endpoint) = endpoints.get(&side.id) {
                // An Endpoint object is proof enough for a cluster that cannot be read.
                if side.part == Part::Unknown {
                    side.part = Part::Yes;
                }
                if side.subnets.is_empty() {
                    side.subnets.clone_from(&endpoint.subnets);
                }
            }
        }
        let neighbours = neighbours(input, &sides);
        let pairs = pairs(&sides, &neighbours, &names);
        let overlaps = overlaps(&sides, &neighbours);
        Self {
            sides,
            pairs,
            neighbours,
            names,
            overlaps,
        }
    }

    /// The overlap between the two, as a sentence without its full stop.
    pub(super) fn overlap(&self, one: &ClusterName, two: &ClusterName) -> Option<String> {
        let found = self.overlaps.get(one)?;
        let overlap = found.iter().find(|overlap| overlap.other == *two)?;
        Some(overlap.sentence(one))
    }

    /// An overlap between one end of a pair and a third cluster that the
    /// other end must route to as well: its gateway cannot tell the two apart.
    pub(super) fn third_party_overlap(
        &self,
        one: &ClusterName,
        two: &ClusterName,
    ) -> Option<String> {
        [(one, two), (two, one)]
            .into_iter()
            .find_map(|(name, router)| {
                let routed = self.neighbours.get(router)?;
                let overlap =
                    self.overlaps.get(name)?.iter().find(|overlap| {
                        overlap.other != *router && routed.contains(&overlap.other)
                    })?;
                Some(overlap.sentence(name))
            })
    }

    /// The cluster with that Submariner id.
    pub(super) fn by_id(&self, id: &str) -> Option<&ClusterName> {
        self.names.get(id)
    }

    /// Id of a cluster; its name when Submariner was not read.
    pub(super) fn id<'n>(&'n self, name: &'n ClusterName) -> &'n str {
        self.sides
            .get(name)
            .map_or(name.as_str(), |side| side.id.as_str())
    }
}

impl Overlap {
    fn sentence(&self, own: &ClusterName) -> String {
        let Self {
            other,
            own_cidr,
            other_cidr,
        } = self;
        format!("CIDR {own_cidr} of {own} overlaps with {other_cidr} of {other}")
    }
}

fn overlaps(
    sides: &BTreeMap<ClusterName, Side<'_>>,
    neighbours: &BTreeMap<ClusterName, BTreeSet<ClusterName>>,
) -> BTreeMap<ClusterName, Vec<Overlap>> {
    let ranges: BTreeMap<&ClusterName, Vec<(Cidr, &str)>> = sides
        .iter()
        .filter(|(_, side)| side.part == Part::Yes)
        .map(|(name, side)| {
            let ranges = side.subnets.iter();
            (
                name,
                ranges
                    .filter_map(|text| Some((Cidr::parse(text)?, text.as_str())))
                    .collect(),
            )
        })
        .collect();
    let overlap = |one: &ClusterName, two: &ClusterName| {
        let theirs = ranges.get(two)?;
        ranges.get(one)?.iter().find_map(|(own, own_text)| {
            let (_, text) = theirs.iter().find(|(other, _)| own.overlaps(*other))?;
            Some(Overlap {
                other: two.clone(),
                own_cidr: (*own_text).to_owned(),
                other_cidr: (*text).to_owned(),
            })
        })
    };
    neighbours
        .iter()
        .map(|(name, others)| {
            let others = others.iter().filter(|other| *other != name);
            (
                name.clone(),
                others.filter_map(|other| overlap(name, other)).collect(),
            )
        })
        .collect()
}

fn managed_sides<'a>(input: &MeshInput<'a>) -> BTreeMap<ClusterName, Side<'a>> {
    let registered: BTreeSet<&ClusterName> = input
        .members
        .keys()
        .chain(input.sets.values().flatten())
        .collect();
    registered
        .into_iter()
        .map(|name| {
            let observation = input.members.get(name).map(AsRef::as_ref);
            let side = Side {
                observation,
                managed: true,
                id: observation
                    .and_then(MeshObservation::cluster_id)
                    .unwrap_or(name.as_str())
                    .to_owned(),
                subnets: observation.map(own_subnets).unwrap_or_default(),
                part: observation.map_or(Part::Unknown, part),
            };
            (name.clone(), side)
        })
        .collect()
}

fn part(observation: &MeshObservation) -> Part {
    if observation.runs_submariner() {
        return Part::Yes;
    }
    let settled = |kind| {
        matches!(
            observation.reading(kind),
            Reading::Current | Reading::NotServed
        )
    };
    if settled(MeshKind::Submariner) && settled(MeshKind::Gateway) {
        Part::No
    } else {
        Part::Unknown
    }
}

/// Networks as the active gateway announces them, else as the operator
/// detected them (under globalnet only the global CIDR is routed).
fn own_subnets(observation: &MeshObservation) -> Vec<String> {
    let announced = observation
        .gateways
        .iter()
        .filter(|gateway| gateway.is_active())
        .map(|gateway| &gateway.local.subnets)
        .find(|subnets| !subnets.is_empty());
    if let Some(subnets) = announced {
        return subnets.clone();
    }
    let Some(facts) = observation.submariners.first() else {
        return Vec::new();
    };
    if facts.global_cidr.is_empty() {
        facts
            .service_cidr
            .iter()
            .chain(&facts.cluster_cidr)
            .cloned()
            .collect()
    } else {
        facts.global_cidr.clone()
    }
}

/// Endpoint objects wherever they were read, by cluster id. The cluster's own
/// object is preferred over copies, a copy over nothing.
fn endpoints_by_id<'a>(input: &MeshInput<'a>) -> BTreeMap<String, &'a EndpointFacts> {
    let mut found: BTreeMap<String, &EndpointFacts> = BTreeMap::new();
    let observations = input.members.values().map(AsRef::as_ref).chain(input.hub);
    for observation in observations {
        let own = observation.cluster_id();
        for endpoint in &observation.endpoints {
            let id = endpoint.spec.cluster_id.as_str();
            if id.is_empty() {
                continue;
            }
            if own == Some(id) || !found.contains_key(id) {
                found.insert(id.to_owned(), &endpoint.spec);
            }
        }
    }
    found
}

/// Where a cluster's broker is; clusters of different brokers never connect.
fn broker<'a>(side: &Side<'a>) -> Option<(&'a str, &'a str)> {
    let facts = side.observation?.submariners.first()?;
    (!facts.broker_namespace.is_empty()).then_some((
        facts.broker_server.as_str(),
        facts.broker_namespace.as_str(),
    ))
}

fn neighbours(
    input: &MeshInput<'_>,
    sides: &BTreeMap<ClusterName, Side<'_>>,
) -> BTreeMap<ClusterName, BTreeSet<ClusterName>> {
    let mut found: BTreeMap<ClusterName, BTreeSet<ClusterName>> = sides
        .keys()
        .map(|name| (name.clone(), BTreeSet::from([name.clone()])))
        .collect();
    for members in input.sets.values() {
        // A set in which nobody runs Submariner asks for no cables.
        if !members
            .iter()
            .any(|name| sides.get(name).is_some_and(|side| side.part == Part::Yes))
        {
            continue;
        }
        // Only those that take part: sets may be large, meshes are not.
        let parts: Vec<&ClusterName> = members
            .iter()
            .filter(|name| sides.get(*name).is_some_and(|side| side.part != Part::No))
            .collect();
        for name in &parts {
            if let Some(others) = found.get_mut(*name) {
                others.extend(
                    parts
                        .iter()
                        .filter(|other| same_broker(sides, name, other))
                        .map(|other| (*other).clone()),
                );
            }
        }
    }
    let in_sets: BTreeSet<&ClusterName> = input.sets.values().flatten().collect();
    for (name, side) in sides {
        // Without a set, a common broker is what makes a mesh; a cluster that
        // the hub does not know is known from a broker's Endpoints.
        if in_sets.contains(name) || side.part != Part::Yes {
            continue;
        }
        for (other, peer) in sides {
            let together = match (broker(side), broker(peer)) {
                (Some(one), Some(two)) => one == two,
                _ => !side.managed || !peer.managed,
            };
            if other != name && peer.part == Part::Yes && together {
                found.entry(name.clone()).or_default().insert(other.clone());
                found.entry(other.clone()).or_default().insert(name.clone());
            }
        }
    }
    found
}

fn same_broker(
    sides: &BTreeMap<ClusterName, Side<'_>>,
    one: &ClusterName,
    two: &ClusterName,
) -> bool {
    match (
        sides.get(one).and_then(broker),
        sides.get(two).and_then(broker),
    ) {
        (Some(one), Some(two)) => one == two,
        _ => true,
    }
}

fn pairs(
    sides: &BTreeMap<ClusterName, Side<'_>>,
    neighbours: &BTreeMap<ClusterName, BTreeSet<ClusterName>>,
    names: &BTreeMap<String, ClusterName>,
) -> BTreeSet<(ClusterName, ClusterName)> {
    let takes_part = |name: &ClusterName| sides.get(name).is_some_and(|side| side.part != Part::No);
    let expected = neighbours.iter().flat_map(|(name, others)| {
        others
            .iter()
            .filter(move |other| *other > name)
            .map(move |other| (name.clone(), other.clone()))
    });
    // What is connected is shown, expected or not.
    let reported = sides.iter().flat_map(|(name, side)| {
        side.gateways()
            .iter()
            .flat_map(|gateway| &gateway.connections)
            .filter_map(|connection| names.get(&connection.endpoint.cluster_id))
            .filter(move |other| *other != name)
            .map(move |other| {
                if other > name {
                    (name.clone(), other.clone())
                } else {
                    (other.clone(), name.clone())
                }
            })
    });
    expected
        .filter(|(one, two)| takes_part(one) && takes_part(two))
        .chain(reported)
        .take(PAIR_LIMIT)
        .collect()
}
