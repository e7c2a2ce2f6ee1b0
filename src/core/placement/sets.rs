//! Which clusters a ManagedClusterSet selects (ocm-placement §2).
//!
//! A set whose selector cannot be read is skipped alone and says so in its
//! condition; upstream stops rescheduling for the whole hub.

use std::sync::Arc;

use jiff::Timestamp;

use super::condition;
use super::facts::ClusterFacts;
use super::selector::{Selector, SelectorError};
use crate::api::LABEL_CLUSTER_SET;
use crate::api::cluster::{ConditionedStatus, ManagedClusterSet, ManagedClusterSetBinding};

/// Condition of a set: whether nothing is in it.
pub const CONDITION_SET_EMPTY: &str = "ClusterSetEmpty";
/// Condition of a binding: whether its set exists.
pub const CONDITION_BOUND: &str = "Bound";

/// A set that cannot say what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The selector type is unknown.
    #[error(
        "cluster set {set:?}: selectorType {selector_type:?} is not known; use ExclusiveClusterSetLabel or LabelSelector"
    )]
    Type {
        /// Name of the set.
        set: String,
        /// As written.
        selector_type: String,
    },
    /// The label selector cannot be read.
    #[error("cluster set {set:?} has a label selector that cannot be read; correct it")]
    Selector {
        /// Name of the set.
        set: String,
        /// What is wrong with it.
        #[source]
        source: SelectorError,
    },
}

/// A set, ready to be asked.
#[derive(Clone, Debug)]
pub struct SetFilter {
    /// Name of the set.
    pub name: String,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Exclusive,
    Nothing,
    Labels(Selector),
}

impl SetFilter {
    /// Reads the selector of a set.
    ///
    /// # Errors
    /// The selector's type or its labels cannot be read.
    pub fn new(set: &ManagedClusterSet) -> Result<Self, SetError> {
        let name = set.metadata.name.clone().unwrap_or_default();
        let selector = set.spec.cluster_selector.clone().unwrap_or_default();
        let rule = match selector.selector_type.as_deref().unwrap_or_default() {
            "" | "ExclusiveClusterSetLabel" => Rule::Exclusive,
            // Without a selector nothing, with an empty one everything: metav1's rule.
            "LabelSelector" => match &selector.label_selector {
                None => Rule::Nothing,
                Some(labels) => {
                    Rule::Labels(Selector::new(labels).map_err(|source| SetError::Selector {
                        set: name.clone(),
                        source,
                    })?)
                }
            },
            other => {
                return Err(SetError::Type {
                    set: name,
                    selector_type: other.to_owned(),
                });
            }
        };
        Ok(Self { name, rule })
    }

    /// Whether the cluster is in the set.
    #[must_use]
    pub fn holds(&self, cluster: &ClusterFacts) -> bool {
        match &self.rule {
            Rule::Exclusive => cluster.labels.get(LABEL_CLUSTER_SET) == Some(&self.name),
            Rule::Nothing => false,
            Rule::Labels(selector) => selector.matches(&cluster.labels),
        }
    }
}

/// Status of a set, for the clusters there are. Clusters that are being
/// deleted count, as upstream.
#[must_use]
pub fn set_status(
    set: &ManagedClusterSet,
    clusters: &[ClusterFacts],
    now: Timestamp,
) -> ConditionedStatus {
    let answer = match SetFilter::new(set) {
        Ok(filter) => match clusters
            .iter()
            .filter(|cluster| filter.holds(cluster))
            .count()
        {
            0 => (
                "True",
                "NoClusterMatched",
                "No ManagedCluster selected".to_owned(),
            ),
            count => (
                "False",
                "ClustersSelected",
                format!("{count} ManagedClusters selected"),
            ),
        },
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let message = [Some(error.to_string()), source].into_iter().flatten();
            (
                "Unknown",
                "SelectorInvalid",
                message.collect::<Vec<_>>().join(": "),
            )
        }
    };
    with(set.status.as_ref(), CONDITION_SET_EMPTY, answer, now)
}

/// Whether a binding is one that Placements may use: its set exists, and it
/// is named like the set, which upstream's webhook enforces.
#[must_use]
pub fn is_bound(binding: &ManagedClusterSetBinding, sets: &[Arc<ManagedClusterSet>]) -> bool {
    let set = &binding.spec.cluster_set;
    binding.metadata.name.as_ref() == Some(set)
        && sets
            .iter()
            .any(|known| known.metadata.name.as_ref() == Some(set))
}

/// Status of a binding.
#[must_use]
pub fn binding_status(
    binding: &ManagedClusterSetBinding,
    sets: &[Arc<ManagedClusterSet>],
    now: Timestamp,
) -> ConditionedStatus {
    let set = &binding.spec.cluster_set;
    let answer = if is_bound(binding, sets) {
        ("True", "ClusterSetBound", String::new())
    } else if binding.metadata.name.as_ref() != Some(set) {
        (
            "False",
            "ClusterSetNotFound",
            format!("spec.clusterSet is {set:?}, but the binding must be named like its set"),
        )
    } else {
        (
            "False",
            "ClusterSetNotFound",
            format!("ManagedClusterSet {set:?} not found"),
        )
    };
    with(binding.status.as_ref(), CONDITION_BOUND, answer, now)
}

fn with(
    old: Option<&ConditionedStatus>,
    type_: &str,
    answer: (&str, &str, String),
    now: Timestamp,
) -> ConditionedStatus {
    let mut conditions = old
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default();
    condition::set(&mut conditions, type_, answer, now);
    ConditionedStatus {
        conditions: Some(conditions),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(spec: Value) -> ManagedClusterSet {
        serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec})).unwrap()
    }

    fn clusters() -> Vec<ClusterFacts> {
        let mut member = ClusterFacts::named("a");
        member.labels.insert(LABEL_CLUSTER_SET.into(), "s".into());
        let mut other = ClusterFacts::named("b");
        other.labels.insert("env".into(), "prod".into());
        vec![member, other]
    }

    #[test]
    fn selector_types_select_as_upstream() {
        for (spec, expected) in [
            (json!({}), vec!["a"]),
            (
                json!({"clusterSelector": {"selectorType": "ExclusiveClusterSetLabel"}}),
                vec!["a"],
            ),
            (
                json!({"clusterSelector": {"selectorType": "LabelSelector"}}),
                vec![],
            ),
            (
                json!({"clusterSelector": {"selectorType": "LabelSelector", "labelSelector": {}}}),
                vec!["a", "b"],
            ),
            (
                json!({"clusterSelector": {"selectorType": "LabelSelector", "labelSelector": {"matchLabels": {"env": "prod"}}}}),
                vec!["b"],
            ),
        ] {
            let filter = SetFilter::new(&set(spec.clone())).unwrap();
            let clusters = clusters();
            let found: Vec<&str> = clusters
                .iter()
                .filter(|cluster| filter.holds(cluster))
                .map(|cluster| cluster.name.as_str())
                .collect();
            assert_eq!(found, expected, "{spec}");
        }
    }

    #[test]
    fn status_counts_and_a_bad_selector_says_so() {
        let now = Timestamp::UNIX_EPOCH;
        let status = |spec| {
            let conditions = set_status(&set(spec), &clusters(), now).conditions.unwrap();
            (conditions[0].status.clone(), conditions[0].message.clone())
        };
        assert_eq!(
            status(json!({})),
            ("False".into(), "1 ManagedClusters selected".into())
        );
        let bad = status(json!({"clusterSelector": {"selectorType": "LabelSelector",
            "labelSelector": {"matchLabels": {"a": "b c"}}}}));
        assert_eq!(bad.0, "Unknown");
        assert!(bad.1.contains("\"b c\" for key \"a\""), "{}", bad.1);
    }

    #[test]
    fn a_binding_must_be_named_like_an_existing_set() {
        let sets = [Arc::new(set(json!({})))];
        for (name, of, bound) in [("s", "s", true), ("other", "s", false), ("x", "x", false)] {
            let binding: ManagedClusterSetBinding = serde_json::from_value(
                json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"clusterSet": of}}),
            )
            .unwrap();
            assert_eq!(is_bound(&binding, &sets), bound, "{name}/{of}");
            let status = binding_status(&binding, &sets, Timestamp::UNIX_EPOCH);
            let condition = &status.conditions.unwrap()[0];
            assert_eq!(condition.status == "True", bound);
        }
    }
}
