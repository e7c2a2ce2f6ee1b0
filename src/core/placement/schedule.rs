//! The result of a placement.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::facts::ClusterFacts;
use super::reason::{Reason, Verdict};
use crate::api::ClusterName;

/// A cluster that is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The cluster.
    pub cluster: ClusterName,
    /// Why.
    pub reason: Reason,
}

/// Decisions that roll out together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Position, from 0.
    pub index: usize,
    /// Name; empty for clusters that no named group took.
    pub name: String,
    /// Clusters by name.
    pub clusters: Vec<ClusterName>,
}

/// What a placement came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// Chosen clusters by name; the old ones while held.
    pub decisions: Vec<Decision>,
    /// Every cluster by name, with the reason.
    pub verdicts: Vec<Verdict>,
    /// What it came to.
    pub outcome: Outcome,
    /// Why the old decisions are kept, when they are. Then nothing may be
    /// written to the decisions.
    pub hold: Option<HoldReason>,
    /// When the passing of time alone may change the result.
    pub recheck_after: Option<Timestamp>,
    /// Groups of decisions; at least one.
    pub groups: Vec<Group>,
    /// AddOnPlacementScores as `CLUSTER/NAME` that expired and count as 0.
    pub expired_scores: BTreeSet<String>,
}

impl Schedule {
    /// Chosen clusters.
    #[must_use]
    pub fn chosen(&self) -> BTreeSet<ClusterName> {
        self.decisions
            .iter()
            .map(|decision| decision.cluster.clone())
            .collect()
    }

    /// The answer for one cluster.
    #[must_use]
    pub fn verdict(&self, cluster: &ClusterName) -> Option<&Verdict> {
        let at = self
            .verdicts
            .binary_search_by(|verdict| verdict.cluster.cmp(cluster))
            .ok()?;
        self.verdicts.get(at)
    }

    /// Keeps the old decisions because of `hold`.
    pub(super) fn held(
        outcome: Outcome,
        hold: HoldReason,
        clusters: &[ClusterFacts],
        current: &[ClusterName],
    ) -> Self {
        let current: BTreeSet<&ClusterName> = current.iter().collect();
        let mut reasons: BTreeMap<ClusterName, Reason> = clusters
            .iter()
            .map(|cluster| {
                let chosen = current.contains(&cluster.name);
                (
                    cluster.name.clone(),
                    Reason::Held {
                        hold: hold.clone(),
                        chosen,
                    },
                )
            })
            .collect();
        let decisions = current
            .into_iter()
            .map(|cluster| Decision {
                cluster: cluster.clone(),
                reason: reasons
                    .entry(cluster.clone())
                    .or_insert_with(|| Reason::Held {
                        hold: hold.clone(),
                        chosen: true,
                    })
                    .clone(),
            })
            .collect();
        Self {
            verdicts: verdicts(reasons),
            hold: Some(hold),
            ..Self::of(outcome, decisions)
        }
    }

    /// From a reason for every cluster; the chosen ones are those whose reason says so.
    pub(super) fn evaluated(outcome: Outcome, reasons: BTreeMap<ClusterName, Reason>) -> Self {
        let verdicts = verdicts(reasons);
        let decisions = verdicts
            .iter()
            .filter(|verdict| verdict.chosen)
            .map(|verdict| Decision {
                cluster: verdict.cluster.clone(),
                reason: verdict.reason.clone(),
            })
            .collect();
        Self {
            verdicts,
            ..Self::of(outcome, decisions)
        }
    }

    fn of(outcome: Outcome, decisions: Vec<Decision>) -> Self {
        let clusters = decisions
            .iter()
            .map(|decision| decision.cluster.clone())
            .collect();
        Self {
            decisions,
            verdicts: Vec::new(),
            outcome,
            hold: None,
            recheck_after: None,
            groups: vec![Group {
                index: 0,
                name: String::new(),
                clusters,
            }],
            expired_scores: BTreeSet::new(),
        }
    }
}

fn verdicts(reasons: BTreeMap<ClusterName, Reason>) -> Vec<Verdict> {
    reasons
        .into_iter()
        .map(|(cluster, reason)| Verdict {
            cluster,
            chosen: matches!(
                reason,
                Reason::Chosen { .. }
                    | Reason::Held { chosen: true, .. }
                    | Reason::External { chosen: true, .. }
            ),
            reason,
        })
        .collect()
}

/// Why old decisions are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum HoldReason {
    /// The spec cannot be evaluated.
    Misconfigured {
        /// What is wrong.
        message: String,
    },
    /// The spec uses fields that are not built yet.
    Unsupported {
        /// Paths of the fields.
        fields: Vec<String>,
    },
    /// The annotation that disables scheduling is set.
    Frozen,
    /// The placement is being deleted.
    Deleting,
    /// Something the placement needs cannot be evaluated.
    Failed {
        /// What is wrong.
        message: String,
    },
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misconfigured { message } => {
                write!(f, "the placement cannot be evaluated: {message}")
            }
            Self::Unsupported { fields } => {
                write!(
                    f,
                    "the placement uses `{}`, not supported yet",
                    fields.join("`, `")
                )
            }
            Self::Frozen => f.write_str("an annotation disables scheduling"),
            Self::Deleting => f.write_str("the placement is being deleted"),
            Self::Failed { message } => f.write_str(message),
        }
    }
}

/// What a placement came to, in OCM's terms (ocm-placement §3.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Outcome {
    /// Every wanted decision was made.
    Satisfied {
        /// How many.
        chosen: usize,
    },
    /// No valid ManagedClusterSetBinding in the namespace.
    NoBinding,
    /// None of the sets asked for is bound.
    NoIntersection {
        /// Sets asked for.
        sets: Vec<String>,
    },
    /// The usable sets hold no cluster.
    SetsEmpty {
        /// Those sets.
        sets: Vec<String>,
    },
    /// No cluster fits.
    NoMatch,
    /// Fewer clusters fit than were asked for.
    Short {
        /// How many are chosen.
        chosen: usize,
        /// How many are missing.
        missing: usize,
    },
    /// Another scheduler decides: its decisions are passed on (PlacementRule only).
    External {
        /// Its name.
        scheduler: String,
        /// How many clusters it chose.
        chosen: usize,
    },
    /// Nothing could be decided; see [`Schedule::hold`].
    Held {
        /// Why.
        hold: HoldReason,
        /// Name of upstream's plugin that refused, or empty.
        plugin: &'static str,
    },
}

impl Outcome {
    /// Whether everything that was asked for was found.
    #[must_use]
    pub fn is_satisfied(&self) -> bool {
        matches!(self, Self::Satisfied { .. } | Self::External { .. })
    }

    /// Status, reason and message of `PlacementSatisfied`.
    #[must_use]
    pub fn satisfied(&self) -> (&'static str, &'static str, String) {
        let list = |sets: &[String]| sets.join(",");
        match self {
            Self::Satisfied { .. } | Self::External { .. } => (
                "True",
                "AllDecisionsScheduled",
                "All cluster decisions scheduled".to_owned(),
            ),
            Self::NoBinding => (
                "False",
                "NoManagedClusterSetBindings",
                "No valid ManagedClusterSetBindings found in placement namespace".to_owned(),
            ),
            Self::NoIntersection { sets } => (
                "False",
                "NoIntersection",
                format!(
                    "None of ManagedClusterSets [{}] is bound to placement namespace",
                    list(sets)
                ),
            ),
            Self::SetsEmpty { sets } => (
                "False",
                "AllManagedClusterSetsEmpty",
                format!(
                    "All ManagedClusterSets [{}] have no member ManagedCluster",
                    list(sets)
                ),
            ),
            Self::NoMatch => (
                "False",
                "NoManagedClusterMatched",
                "No ManagedCluster matches any of the cluster predicate".to_owned(),
            ),
            Self::Short { missing, .. } => (
                "False",
                "NotAllDecisionsScheduled",
                format!("{missing} cluster decisions unscheduled"),
            ),
            Self::Held { hold, .. } => (
                "False",
                "NotAllDecisionsScheduled",
                format!("{hold}; the decisions of before are kept"),
            ),
        }
    }

    /// Status, reason and message of `PlacementMisconfigured`.
    #[must_use]
    pub fn misconfigured(&self) -> (&'static str, &'static str, String) {
        match self {
            Self::Held {
                hold: HoldReason::Misconfigured { message },
                plugin,
            } => ("True", "Misconfigured", format!("{plugin}:{message}")),
            Self::Held {
                hold: hold @ HoldReason::Unsupported { .. },
                ..
            } => ("True", "Misconfigured", format!(":{hold}")),
            _ => (
                "False",
                "Succeedconfigured",
                "Placement configurations check pass".to_owned(),
            ),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Satisfied { chosen: 1 } => f.write_str("1 cluster chosen"),
            Self::Satisfied { chosen } => write!(f, "{chosen} clusters chosen"),
            Self::Short { chosen, missing } => {
                write!(f, "{chosen} chosen, {missing} more wanted than fit")
            }
            Self::External { scheduler, chosen } => {
                write!(
                    f,
                    "{chosen} chosen by scheduler `{scheduler}`, not by this hub"
                )
            }
            Self::Held { hold, .. } => write!(f, "{hold}; the decisions of before are kept"),
            other => f.write_str(&other.satisfied().2),
        }
    }
}
