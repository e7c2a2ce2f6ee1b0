//! What a name would answer, computed from the objects that Lighthouse's DNS
//! reads (submariner.md §2.3). Nothing is asked over the network.

use serde::Serialize;

use crate::api::{ClusterName, NamespacedName};
use crate::core::mesh::ladder::Ground;
use crate::core::mesh::observation::{MeshKind, MeshObservation, Reading, SliceFacts};

/// Response of the DNS server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Response {
    /// The name exists; the list of addresses may be empty.
    NoError,
    /// The name does not exist.
    NxDomain,
    /// The hub cannot tell.
    Unknown,
}

/// An address that would be answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Address {
    /// IPv4 or IPv6.
    pub ip: String,
    /// Exporting cluster; `None` for a clusterset IP.
    pub cluster: Option<ClusterName>,
}

/// A computed answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The cluster that asks.
    pub from: ClusterName,
    /// The name that it asks for.
    pub name: String,
    /// Response code.
    pub response: Response,
    /// Addresses; with several clusters one of them is given in turn.
    pub addresses: Vec<Address>,
    /// Which rule led there, one sentence.
    pub rule: String,
    /// Always true: the answer is computed, not probed.
    pub computed: bool,
}

/// `SVC.NS.svc.clusterset.local`, with a cluster before it or not.
#[must_use]
pub fn name(service: &NamespacedName, cluster: Option<&str>) -> String {
    let prefix = cluster
        .map(|cluster| format!("{cluster}."))
        .unwrap_or_default();
    format!(
        "{prefix}{}.{}.svc.clusterset.local",
        service.name, service.namespace
    )
}

/// Answers for the plain name and for the name of each exporter, as asked
/// from `from`.
pub(super) fn answers(
    ground: &Ground<'_>,
    service: &NamespacedName,
    from: &ClusterName,
    exporters: &[&ClusterName],
) -> Vec<Answer> {
    let plain = answer(from, name(service, None), any(ground, service, from));
    let prefixed = exporters.iter().map(|exporter| {
        let id = ground.roster.id(exporter);
        answer(
            from,
            name(service, Some(id)),
            one(ground, service, from, exporter),
        )
    });
    std::iter::once(plain).chain(prefixed).collect()
}

type Found = (Response, Vec<Address>, String);

fn answer(from: &ClusterName, name: String, (response, addresses, rule): Found) -> Answer {
    Answer {
        from: from.clone(),
        name,
        response,
        addresses,
        rule,
        computed: true,
    }
}

/// Whether the resolver on `from` knows the service; else the answer at once.
fn known<'a>(
    ground: &Ground<'a>,
    service: &NamespacedName,
    from: &ClusterName,
) -> Result<&'a MeshObservation, Found> {
    let unknown = |reason: String| (Response::Unknown, Vec::new(), reason);
    let Some(observation) = ground.observation(from) else {
        return Err(unknown(format!("The hub does not read {from}.")));
    };
    for kind in [MeshKind::ServiceImport, MeshKind::EndpointSlice] {
        match observation.reading(kind) {
            Reading::Current => {}
            Reading::NotServed => {
                let rule = format!(
                    "Lighthouse is not installed on {from}: nobody serves clusterset.local there."
                );
                return Err((Response::NxDomain, Vec::new(), rule));
            }
            Reading::Pending => return Err(unknown(format!("The hub has not read {from} yet."))),
            Reading::Failing { message, .. } => {
                return Err(unknown(format!("The hub cannot read {from}: {message}.")));
            }
        }
    }
    let has_import = ground.catalogue(from).is_some_and(|catalogue| {
        catalogue.imports(service).iter().any(|import| {
            let aggregated =
                import.namespace == service.namespace && import.source_cluster.is_none();
            // Before 0.15 every cluster held one import per exporter.
            let id = ground.roster.id(from);
            aggregated
                || import
                    .source_cluster
                    .as_deref()
                    .is_some_and(|source| source != id)
        })
    });
    if has_import {
        Ok(observation)
    } else {
        let rule = if observation.namespaces.contains(&service.namespace) {
            format!("{from} holds no import of {service}.")
        } else {
            format!(
                "{from} has no namespace {}, so no import of {service}.",
                service.namespace
            )
        };
        Err((Response::NxDomain, Vec::new(), rule))
    }
}

/// Slices on `from` with the exporting cluster of each.
fn slices<'a>(
    ground: &Ground<'a>,
    service: &NamespacedName,
    from: &ClusterName,
) -> Vec<&'a SliceFacts> {
    ground
        .catalogue(from)
        .and_then(|catalogue| catalogue.slices.get(service))
        .cloned()
        .unwrap_or_default()
}

fn any(ground: &Ground<'_>, service: &NamespacedName, from: &ClusterName) -> Found {
    let observation = match known(ground, service, from) {
        Ok(observation) => observation,
        Err(found) => return found,
    };
    let shared = ground.catalogue(from).and_then(|catalogue| {
        catalogue
            .imports(service)
            .iter()
            .find(|import| import.source_cluster.is_none() && !import.ips.is_empty())
    });
    if let Some(import) = shared {
        let addresses = import
            .ips
            .iter()
            .map(|ip| Address {
                ip: ip.clone(),
                cluster: None,
            })
            .collect();
        return (
            Response::NoError,
            addresses,
            "The service has a clusterset IP.".to_owned(),
        );
    }
    let own = ground.roster.id(from);
    let slices = slices(ground, service, from);
    let headless = slices.iter().any(|slice| slice.headless);
    let usable = |slice: &SliceFacts| resolver_sees(observation, own, &slice.source_cluster);
    if !headless {
        let local: Vec<Address> = ready(
            ground,
            slices.iter().filter(|slice| slice.source_cluster == own),
        );
        if !local.is_empty() {
            return (
                Response::NoError,
                local,
                format!("{from} exports it itself and a backend is ready: local first."),
            );
        }
    }
    let addresses = ready(ground, slices.iter().filter(|slice| usable(slice)));
    let rule = match (addresses.len(), headless) {
        (0, _) if slices.is_empty() => {
            "The service is known, but no cluster's endpoints are.".to_owned()
        }
        (0, _) => left_out(&slices),
        (1, false) => "One cluster is connected and has a ready backend.".to_owned(),
        (_, false) => {
            "One of these in turn: round robin over connected clusters with a ready backend."
                .to_owned()
        }
        (_, true) => "Headless: all ready endpoints of connected clusters.".to_owned(),
    };
    (Response::NoError, addresses, rule)
}

/// Why nothing is left of the exporting clusters.
fn left_out(slices: &[&SliceFacts]) -> String {
    let ready: Vec<&str> = slices
        .iter()
        .filter(|slice| slice.ready().next().is_some())
        .map(|slice| slice.source_cluster.as_str())
        .collect();
    if ready.is_empty() {
        return "No backend is ready, so the answer is empty.".to_owned();
    }
    format!(
        "The gateway does not report {} as connected, so the answer is empty.",
        ready.join(", ")
    )
}

fn one(
    ground: &Ground<'_>,
    service: &NamespacedName,
    from: &ClusterName,
    exporter: &ClusterName,
) -> Found {
    if let Err(found) = known(ground, service, from) {
        return found;
    }
    let id = ground.roster.id(exporter);
    let slices: Vec<&SliceFacts> = slices(ground, service, from)
        .into_iter()
        .filter(|slice| slice.source_cluster == id)
        .collect();
    if slices.is_empty() {
        return (
            Response::NxDomain,
            Vec::new(),
            format!("{from} holds no endpoints of {exporter}."),
        );
    }
    // A name with a cluster is answered even if that cluster is unhealthy or not connected.
    let addresses = if slices.iter().any(|slice| slice.headless) {
        ready(ground, slices.iter())
    } else {
        let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
        endpoints
            .flat_map(|endpoint| address(&endpoint.addresses, Some(exporter)))
            .collect()
    };
    (
        Response::NoError,
        addresses,
        "Asked for by cluster: answered whether or not it is connected or ready.".to_owned(),
    )
}

fn ready<'s>(
    ground: &Ground<'_>,
    slices: impl Iterator<Item = &'s &'s SliceFacts>,
) -> Vec<Address> {
    let mut found: Vec<Address> = slices
        .flat_map(|slice| {
            let cluster = ground.roster.by_id(&slice.source_cluster);
            slice
                .ready()
                .flat_map(move |endpoint| address(&endpoint.addresses, cluster))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn address<'s>(
    addresses: &'s [String],
    cluster: Option<&'s ClusterName>,
) -> impl Iterator<Item = Address> + 's {
    addresses.iter().map(move |ip| Address {
        ip: ip.clone(),
        cluster: cluster.cloned(),
    })
}

/// Whether Lighthouse takes a cluster for connected: its own is; without
/// Submariner every one is; else the active gateway's list decides. The list
/// is taken as it stands, stale or not, as Lighthouse does.
fn resolver_sees(observation: &MeshObservation, own: &str, id: &str) -> bool {
    if id == own
        || observation.submariners.is_empty()
        || *observation.reading(MeshKind::Gateway) == Reading::NotServed
    {
        return true;
    }
    observation
        .gateways
        .iter()
        .filter(|gateway| gateway.is_active())
        .flat_map(|gateway| &gateway.connections)
        .any(|connection| connection.endpoint.cluster_id == id && connection.status == "connected")
}
