//! What a placement may know of a cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;

use crate::api::ClusterName;
use crate::api::cluster::{ManagedCluster, Taint};

/// A cluster as placements see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterFacts {
    /// Name.
    pub name: ClusterName,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Claims by name; of claims with the same name the last counts, as upstream.
    pub claims: BTreeMap<String, String>,
    /// Taints.
    #[serde(skip)]
    pub taints: Vec<Taint>,
    /// Condition type to status. A type that is not here counts as `Unknown`.
    pub conditions: BTreeMap<String, String>,
    /// Allocatable resources, in the unit of the resource.
    pub allocatable: BTreeMap<String, f64>,
    /// Capacity, in the unit of the resource.
    pub capacity: BTreeMap<String, f64>,
    /// It has a deletionTimestamp: no placement chooses it.
    pub deleting: bool,
}

impl ClusterFacts {
    /// An otherwise empty cluster: a beginning for tests and simulations.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            labels: BTreeMap::new(),
            claims: BTreeMap::new(),
            taints: Vec::new(),
            conditions: BTreeMap::new(),
            allocatable: BTreeMap::new(),
            capacity: BTreeMap::new(),
            deleting: false,
        }
    }

    /// Status of a condition; `Unknown` when the cluster does not have it.
    #[must_use]
    pub fn condition(&self, type_: &str) -> &str {
        self.conditions.get(type_).map_or("Unknown", String::as_str)
    }
}

impl From<&ManagedCluster> for ClusterFacts {
    /// Quantities that cannot be read are left out: the cluster then has no
    /// score for that resource, as if it had not reported it.
    fn from(cluster: &ManagedCluster) -> Self {
        let status = cluster.status.as_ref();
        let claims = status.and_then(|status| status.cluster_claims.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_ref());
        Self {
            name: cluster.metadata.name.as_deref().unwrap_or_default().into(),
            labels: cluster.metadata.labels.clone().unwrap_or_default(),
            claims: claims
                .into_iter()
                .flatten()
                .map(|claim| (claim.name.clone(), claim.value.clone()))
                .collect(),
            taints: cluster.spec.taints.clone().unwrap_or_default(),
            conditions: conditions
                .into_iter()
                .flatten()
                .map(|condition| (condition.type_.clone(), condition.status.clone()))
                .collect(),
            allocatable: quantities(status.and_then(|status| status.allocatable.as_ref())),
            capacity: quantities(status.and_then(|status| status.capacity.as_ref())),
            deleting: cluster.metadata.deletion_timestamp.is_some(),
        }
    }
}

fn quantities(map: Option<&BTreeMap<String, Quantity>>) -> BTreeMap<String, f64> {
    map.into_iter()
        .flatten()
        .filter_map(|(name, text)| Some((name.clone(), quantity(&text.0)?)))
        .collect()
}

/// A Kubernetes quantity as a float, as `AsApproximateFloat64` gives it.
///
/// Reads decimal (`n u m k M G T P E`) and binary (`Ki` … `Ei`) suffixes and
/// exponents; `None` for anything else.
#[must_use]
pub fn quantity(text: &str) -> Option<f64> {
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let scale = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => f64::from(1u32 << 20),
        "Gi" => f64::from(1u32 << 30),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10f64.powi(exponent)
        }
    };
    let number: f64 = number.parse().ok()?;
    let value = number * scale;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_kubernetes_does() {
        for (text, value) in [
            ("0", 0.0),
            ("11.7", 11.7),
            ("100m", 0.1),
            ("1k", 1000.0),
            ("16Gi", 17_179_869_184.0),
            ("1e3", 1000.0),
            ("2E2", 200.0),
            ("1E", 1e18),
            ("-5", -5.0),
        ] {
            let read = quantity(text).unwrap();
            assert!(
                (read - value).abs() <= value.abs() * 1e-12,
                "{text}: {read}"
            );
        }
        for bad in ["", "x", "1x", "1.2.3", "Ki", "1e", "1e999999"] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }

    #[test]
    fn facts_are_taken_from_the_whole_object() {
        let cluster: ManagedCluster = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "aws-sub1", "labels": {"name": "aws-sub1"}, "deletionTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"taints": [{"key": "k", "effect": "NoSelect"}]},
            "status": {
                "conditions": [{"type": "A", "status": "True", "reason": "r", "message": "", "lastTransitionTime": "2024-01-01T00:00:00Z"}],
                "clusterClaims": [{"name": "c", "value": "old"}, {"name": "c", "value": "new"}],
                "allocatable": {"cpu": "3500m", "odd": "x"},
                "capacity": {"cpu": 4}
            }
        }))
        .unwrap();
        let facts = ClusterFacts::from(&cluster);
        assert_eq!(facts.name.as_str(), "aws-sub1");
        assert!(facts.deleting);
        assert_eq!(facts.claims["c"], "new");
        assert_eq!(
            (facts.condition("A"), facts.condition("B")),
            ("True", "Unknown")
        );
        assert_eq!(facts.allocatable, BTreeMap::from([("cpu".to_owned(), 3.5)]));
        assert_eq!(facts.capacity["cpu"], 4.0);
        assert_eq!(facts.taints.len(), 1);
    }
}
