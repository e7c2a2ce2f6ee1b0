//! Rows with subctl's values (subctl 0.20), from one cluster's observation as
//! it stands: like subctl, these do not judge.

use serde::Serialize;

use crate::core::mesh::observation::{ConnectionFacts, GatewayFacts, MeshObservation};

/// A component of Submariner on a cluster, for the versions table.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Component {
    /// Name of its DaemonSet or Deployment.
    pub component: String,
    /// Image repository without the image's own name.
    pub repository: String,
    /// Tag of the image.
    pub configured: String,
    /// What runs, when the API says so.
    pub running: Option<String>,
    /// Node architectures, when known.
    pub arch: Option<String>,
}

/// One row of `show connections`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionRow {
    /// Remote gateway's host name.
    pub gateway: String,
    /// Remote cluster.
    pub cluster: String,
    /// Address in use.
    pub remote_ip: String,
    /// Whether NAT is crossed.
    pub nat: bool,
    /// Driver.
    pub cable_driver: String,
    /// Remote networks.
    pub subnets: Vec<String>,
    /// As reported.
    pub status: String,
    /// Mean round trip as Go writes it; empty when not measured.
    pub rtt_avg: String,
}

/// One row of `show endpoints`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointRow {
    /// Cluster.
    pub cluster: String,
    /// Private address.
    pub endpoint_ip: String,
    /// Public address.
    pub public_ip: String,
    /// Driver.
    pub cable_driver: String,
    /// `local` or `remote`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// One row of `show gateways`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayRow {
    /// Node.
    pub node: String,
    /// `active` or `passive`.
    pub ha_status: String,
    /// Sentence.
    pub summary: String,
}

/// What `show networks` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Networks {
    /// Network plugin.
    pub network_plugin: String,
    /// Service CIDRs.
    pub service_cidrs: Vec<String>,
    /// Pod CIDRs.
    pub cluster_cidrs: Vec<String>,
    /// Globalnet CIDRs.
    pub global_cidrs: Vec<String>,
    /// Clusterset IP CIDRs.
    pub clusterset_ip_cidrs: Vec<String>,
}

pub(super) fn gateways(observation: &MeshObservation) -> &[GatewayFacts] {
    if observation.gateways.is_empty() {
        observation
            .submariners
            .first()
            .map(|facts| facts.legacy_gateways.as_slice())
            .unwrap_or_default()
    } else {
        &observation.gateways
    }
}

/// Rows of `show connections`, gateway by gateway.
#[must_use]
pub(super) fn connections(gateways: &[GatewayFacts]) -> Vec<ConnectionRow> {
    gateways
        .iter()
        .flat_map(|gateway| &gateway.connections)
        .map(connection_row)
        .collect()
}

fn connection_row(connection: &ConnectionFacts) -> ConnectionRow {
    let endpoint = &connection.endpoint;
    let nat = connection.using_nat.unwrap_or(endpoint.nat_enabled);
    let addresses = if endpoint.nat_enabled {
        &endpoint.public_ips
    } else {
        &endpoint.private_ips
    };
    ConnectionRow {
        gateway: endpoint.hostname.clone(),
        cluster: endpoint.cluster_id.clone(),
        remote_ip: connection
            .using_ip
            .clone()
            .or_else(|| addresses.first().cloned())
            .unwrap_or_default(),
        nat,
        cable_driver: endpoint.backend.clone(),
        subnets: endpoint.subnets.clone(),
        status: connection.status.clone(),
        rtt_avg: connection
            .rtt
            .and_then(|rtt| rtt.average)
            .map(|average| average.to_string())
            .unwrap_or_default(),
    }
}

pub(super) fn endpoints(gateways: &[GatewayFacts]) -> Vec<EndpointRow> {
    gateways
        .iter()
        .flat_map(|gateway| {
            let remotes = gateway
                .connections
                .iter()
                .map(|connection| (&connection.endpoint, "remote"));
            std::iter::once((&gateway.local, "local")).chain(remotes)
        })
        .map(|(endpoint, kind)| EndpointRow {
            cluster: endpoint.cluster_id.clone(),
            endpoint_ip: endpoint.private_ips.first().cloned().unwrap_or_default(),
            public_ip: endpoint.public_ips.first().cloned().unwrap_or_default(),
            cable_driver: endpoint.backend.clone(),
            kind,
        })
        .collect()
}

pub(super) fn gateway_row(gateway: &GatewayFacts) -> GatewayRow {
    let all = gateway.connections.len();
    let up = gateway
        .connections
        .iter()
        .filter(|connection| connection.status == "connected")
        .count();
    let summary = if !gateway.failure.is_empty() {
        gateway.failure.clone()
    } else if all == 0 {
        "There are no connections".to_owned()
    } else if up == all {
        format!("All connections ({all}) are established")
    } else {
        format!("{up} connections out of {all} are established")
    };
    GatewayRow {
        node: if gateway.local.hostname.is_empty() {
            gateway.name.clone()
        } else {
            gateway.local.hostname.clone()
        },
        ha_status: gateway.ha_status.clone(),
        summary,
    }
}

pub(super) fn networks(observation: &MeshObservation) -> Option<Networks> {
    let facts = observation.submariners.first()?;
    Some(Networks {
        network_plugin: facts.network_plugin.clone(),
        service_cidrs: facts.service_cidr.clone(),
        cluster_cidrs: facts.cluster_cidr.clone(),
        global_cidrs: facts.global_cidr.clone(),
        clusterset_ip_cidrs: facts.clusterset_ip_cidr.clone(),
    })
}
