//! What needs attention, in one sentence each, with the evidence and the
//! next step: the checks that no other tool makes (submariner.md §3.4).

mod cables;
mod services;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::ClusterName;
use crate::core::activity::Severity;
use crate::core::mesh::cable::Cable;
use crate::core::mesh::observation::MeshKind;
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
        // Silence of a gateway that cannot be read is no silence.
        if side
            .observation
            .is_some_and(|seen| seen.is_current(MeshKind::Gateway))
        {
            cables::gateways(name, side.gateways(), now, &mut found);
        }
    }
    for cable in cables {
        cables::pair(roster, cable, &mut found);
    }
    cables::settings(roster, cables, &mut found);
    for service in services {
        services::discoverability(service, &mut found);
        services::conflicts(service, &mut found);
    }
    found.sort_by(|a, b| (b.severity, a.check, &a.subject).cmp(&(a.severity, b.check, &b.subject)));
    found
}
