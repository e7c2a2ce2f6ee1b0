//! Connections as the gateways report them, in subctl's columns.

use jiff::Timestamp;
use serde::Serialize;

use super::cable::{Side, pair, round_trip};
use super::{Address, Chip, FleetView};
use crate::core::mesh::{CableState, Direction};

/// One connection as a gateway reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionRow {
    /// Cluster that reports.
    pub from: String,
    /// Remote gateway's host name, as subctl has it.
    pub gateway: String,
    /// Remote cluster.
    pub cluster: String,
    /// Address in use.
    pub remote_ip: String,
    /// `yes`, `no` or `-`.
    pub nat: &'static str,
    /// Cable driver.
    pub driver: String,
    /// Subnets, comma-separated.
    pub subnets: String,
    /// Status.
    pub chip: Chip,
    /// Average round trip in microseconds.
    pub rtt_micros: Option<u64>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Page of the pair.
    pub address: Address,
}

fn connection(side: &Side, direction: &Direction) -> ConnectionRow {
    ConnectionRow {
        from: side.from.clone(),
        gateway: direction.remote_gateway.clone().unwrap_or_default(),
        cluster: side.to.clone(),
        remote_ip: direction.using_ip.clone().unwrap_or_default(),
        nat: match direction.nat {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        },
        driver: direction.driver.clone().unwrap_or_default(),
        subnets: direction.subnets.join(", "),
        chip: side.chip.clone(),
        rtt_micros: round_trip(direction),
        since: Some(direction.since),
        address: side.address.clone(),
    }
}

/// Every reported direction, worst first.
pub(super) fn connections(view: &FleetView) -> Vec<ConnectionRow> {
    let mut rows: Vec<ConnectionRow> = Vec::new();
    for (cable, pair) in view
        .facts
        .mesh
        .cables
        .iter()
        .map(|cable| (cable, pair(cable)))
    {
        for (side, direction) in [
            (&pair.forward, &cable.forward),
            (&pair.backward, &cable.backward),
        ] {
            if !matches!(direction.state, CableState::Missing | CableState::Unknown) {
                rows.push(connection(side, direction));
            }
        }
    }
    rows.sort_by(|a, b| {
        (b.chip.tone, &a.from, &a.cluster).cmp(&(a.chip.tone, &b.from, &b.cluster))
    });
    rows
}

/// What one cluster reports, at most 50 rows.
pub(super) fn connections_of(view: &FleetView, cluster: &str) -> Vec<ConnectionRow> {
    let mut rows: Vec<ConnectionRow> = Vec::new();
    for cable in &view.facts.mesh.cables {
        if rows.len() < 50 && (cable.from.as_str() == cluster || cable.to.as_str() == cluster) {
            let pair = pair(cable);
            let (side, direction) = if pair.a == cluster {
                (&pair.forward, &cable.forward)
            } else {
                (&pair.backward, &cable.backward)
            };
            if !matches!(direction.state, CableState::Missing | CableState::Unknown) {
                rows.push(connection(side, direction));
            }
        }
    }
    rows.sort_by(|a, b| (b.chip.tone, &a.cluster).cmp(&(a.chip.tone, &b.cluster)));
    rows
}
