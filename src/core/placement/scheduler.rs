//! Placement (ocm-placement §3): sets and bindings, predicates, taints, number.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::ClusterFacts;
use super::group::Grouping;
use super::reason::{Because, Miss, Reason};
use super::rule::miss;
use super::schedule::{HoldReason, Outcome, Schedule};
use super::score::{self, Field, Prioritizer, ScoreSources};
use super::selector::Selector;
use super::sets::{SetError, SetFilter, is_bound};
use super::taint::{self, Tolerance};
use crate::api::cluster::{
    ClusterPredicate, ManagedClusterSet, ManagedClusterSetBinding, Placement, PlacementSpec,
};
use crate::api::{ANNOTATION_SCHEDULING_DISABLED, ClusterName};

/// What a Placement is evaluated against.
#[derive(Clone, Copy, Debug)]
pub struct PlacementInputs<'a> {
    /// All cluster sets.
    pub sets: &'a [Arc<ManagedClusterSet>],
    /// Bindings; those of other namespaces are passed over.
    pub bindings: &'a [Arc<ManagedClusterSetBinding>],
    /// All clusters.
    pub clusters: &'a [ClusterFacts],
    /// Clusters in the PlacementDecisions of this Placement now.
    pub current: &'a [ClusterName],
    /// Now.
    pub now: Timestamp,
}

/// Chooses the clusters of a Placement.
///
/// Hard constraints, in order: in a set that is bound to the namespace (and
/// asked for), not being deleted, one of the predicates fits, every taint is
/// tolerated. Neither acceptance nor availability is looked at: the taints say
/// so, as upstream. Then the best totals of the prioritizers, ties by name,
/// up to `numberOfClusters`. A spec that cannot be evaluated, or that uses what
/// is not built, changes nothing.
#[must_use]
pub fn placement(
    placement: &Placement,
    inputs: &PlacementInputs<'_>,
    sources: &ScoreSources<'_>,
) -> Schedule {
    let hold = |hold: HoldReason, plugin: &'static str| {
        let outcome = Outcome::Held {
            hold: hold.clone(),
            plugin,
        };
        Schedule::held(outcome, hold, inputs.clusters, inputs.current)
    };
    let spec = &placement.spec;
    if placement.metadata.deletion_timestamp.is_some() {
        return hold(HoldReason::Deleting, "");
    }
    let annotations = placement.metadata.annotations.as_ref();
    if annotations
        .and_then(|annotations| annotations.get(ANNOTATION_SCHEDULING_DISABLED))
        .is_some_and(|value| value == "true")
    {
        return hold(HoldReason::Frozen, "");
    }
    let fields = unsupported(spec);
    if !fields.is_empty() {
        return hold(HoldReason::Unsupported { fields }, "");
    }
    let plan = match Plan::new(spec) {
        Ok(plan) => plan,
        Err((plugin, message)) => return hold(HoldReason::Misconfigured { message }, plugin),
    };
    let sets = match usable_sets(placement, inputs) {
        Ok(Ok(sets)) => sets,
        Ok(Err(outcome)) => return nothing(outcome, inputs.clusters),
        Err(error) => {
            return hold(
                HoldReason::Failed {
                    message: error_text(&error),
                },
                "",
            );
        }
    };
    evaluate(&plan, &sets, inputs, sources)
}

/// Fields that change the result and are not built. Never ignored in silence.
fn unsupported(spec: &PlacementSpec) -> Vec<String> {
    let mut fields = Vec::new();
    let cel = |predicate: &ClusterPredicate| {
        let selector = predicate.required_cluster_selector.as_ref();
        let cel = selector.and_then(|selector| selector.cel_selector.as_ref());
        let expressions = cel.and_then(|cel| cel.get("celExpressions")?.as_array());
        expressions.is_some_and(|expressions| !expressions.is_empty())
    };
    if spec.predicates.iter().flatten().any(cel) {
        fields.push("spec.predicates[].requiredClusterSelector.celSelector".to_owned());
    }
    let spread = spec
        .spread_policy
        .as_ref()
        .and_then(|policy| policy.get("spreadConstraints")?.as_array());
    if spread.is_some_and(|constraints| !constraints.is_empty()) {
        fields.push("spec.spreadPolicy".to_owned());
    }
    if spec
        .sort_by
        .as_deref()
        .is_some_and(|by| !by.is_empty() && by != "ClusterName")
    {
        fields.push("spec.sortBy".to_owned());
    }
    fields
}

/// The spec, read and checked.
struct Plan<'a> {
    spec: &'a PlacementSpec,
    limit: Option<usize>,
    predicates: Vec<Predicate>,
    prioritizers: Vec<Prioritizer>,
    grouping: Grouping,
}

struct Predicate {
    labels: Selector,
    claims: Selector,
}

impl<'a> Plan<'a> {
    /// Upstream checks tolerations and predicates only once a cluster reaches
    /// them; we always do, so that a mistake shows before it matters.
    fn new(spec: &'a PlacementSpec) -> Result<Self, (&'static str, String)> {
        let limit = spec
            .number_of_clusters
            .map(|number| {
                usize::try_from(number).map_err(|_| {
                    (
                        "",
                        format!("numberOfClusters is {number}, it cannot be negative"),
                    )
                })
            })
            .transpose()?;
        let predicates = spec
            .predicates
            .iter()
            .flatten()
            .map(Predicate::new)
            .collect::<Result<_, _>>()
            .map_err(|message| ("Predicate", message))?;
        taint::validate(spec.tolerations.as_deref().unwrap_or_default())
            .map_err(|message| ("TaintToleration", message))?;
        let prioritizers = score::prioritizers(spec.prioritizer_policy.as_ref())
            .map_err(|message| ("", message))?;
        let strategy = spec.decision_strategy.as_ref();
        let grouping = Grouping::new(strategy.and_then(|s| s.group_strategy.as_ref()))
            .map_err(|message| ("", message))?;
        Ok(Self {
            spec,
            limit,
            predicates,
            prioritizers,
            grouping,
        })
    }
}

impl Predicate {
    fn new(predicate: &ClusterPredicate) -> Result<Self, String> {
        let selector = predicate
            .required_cluster_selector
            .clone()
            .unwrap_or_default();
        let labels = Selector::new(&selector.label_selector.unwrap_or_default());
        let claims = selector
            .claim_selector
            .unwrap_or_default()
            .match_expressions;
        let claims = Selector::from_requirements(claims.as_deref().unwrap_or_default());
        Ok(Self {
            labels: labels.map_err(|error| format!("labelSelector: {error}"))?,
            claims: claims.map_err(|error| format!("claimSelector: {error}"))?,
        })
    }

    fn miss(&self, cluster: &ClusterFacts) -> Option<Miss> {
        miss(&self.labels, "label", &cluster.labels)
            .or_else(|| miss(&self.claims, "claim", &cluster.claims))
    }
}

/// Bound sets that the Placement may use, by name; or the outcome when there
/// are none. A set that cannot be read stops only those who ask for it.
fn usable_sets(
    placement: &Placement,
    inputs: &PlacementInputs<'_>,
) -> Result<Result<Vec<SetFilter>, Outcome>, SetError> {
    let namespace = &placement.metadata.namespace;
    let bound: BTreeSet<&str> = inputs
        .bindings
        .iter()
        .filter(|binding| binding.metadata.namespace == *namespace)
        .filter(|binding| is_bound(binding, inputs.sets))
        .map(|binding| binding.spec.cluster_set.as_str())
        .collect();
    if bound.is_empty() {
        return Ok(Err(Outcome::NoBinding));
    }
    let wanted = placement.spec.cluster_sets.as_deref().unwrap_or_default();
    let usable = |name: &str| {
        bound.contains(name) && (wanted.is_empty() || wanted.iter().any(|set| set == name))
    };
    let mut sets: Vec<&Arc<ManagedClusterSet>> = inputs
        .sets
        .iter()
        .filter(|set| set.metadata.name.as_deref().is_some_and(usable))
        .collect();
    if sets.is_empty() {
        return Ok(Err(Outcome::NoIntersection {
            sets: wanted.to_vec(),
        }));
    }
    sets.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    sets.into_iter()
        .map(|set| SetFilter::new(set))
        .collect::<Result<_, _>>()
        .map(Ok)
}

fn nothing(outcome: Outcome, clusters: &[ClusterFacts]) -> Schedule {
    let reasons = clusters
        .iter()
        .map(|cluster| {
            let reason = if cluster.deleting {
                Reason::Deleting
            } else {
                Reason::NoSet
            };
            (cluster.name.clone(), reason)
        })
        .collect();
    Schedule::evaluated(outcome, reasons)
}

/// A cluster that passed every filter.
struct Fitting<'a> {
    cluster: &'a ClusterFacts,
    because: Arc<Because>,
    kept: bool,
    until: Option<Timestamp>,
}

fn evaluate(
    plan: &Plan<'_>,
    sets: &[SetFilter],
    inputs: &PlacementInputs<'_>,
    sources: &ScoreSources<'_>,
) -> Schedule {
    let current: BTreeSet<&ClusterName> = inputs.current.iter().collect();
    let causes = Causes::new(plan, sets);
    let mut reasons = BTreeMap::new();
    let mut fitting = Vec::new();
    let mut candidates = 0;
    for cluster in inputs.clusters {
        let kept = current.contains(&cluster.name);
        match candidate(cluster, sets).and_then(|set| {
            candidates += 1;
            judge(cluster, set, plan, &causes, kept, inputs.now)
        }) {
            Ok(fits) => fitting.push(fits),
            Err(reason) => {
                reasons.insert(cluster.name.clone(), reason);
            }
        }
    }
    let passed: Vec<&ClusterFacts> = fitting.iter().map(|fits| fits.cluster).collect();
    let field = Field {
        clusters: &passed,
        current: &current,
        sources,
        now: inputs.now,
    };
    let totals = score::totals(&plan.prioritizers, &field);
    let total = |cluster: &ClusterName| totals.scores.get(cluster).copied().unwrap_or_default();
    fitting.sort_by_key(|fits| (Reverse(total(&fits.cluster.name)), &fits.cluster.name));
    let limit = plan.limit.unwrap_or(fitting.len());
    let tolerated = fitting
        .iter()
        .take(limit)
        .filter_map(|fits| fits.until)
        .min();
    let mut chosen: Vec<_> = fitting
        .iter()
        .take(limit)
        .map(|fits| fits.cluster)
        .collect();
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    let groups = plan.grouping.split(&chosen);
    let chosen = chosen.len();
    for (place, fits) in fitting.into_iter().enumerate() {
        let score = plan.limit.map(|_| total(&fits.cluster.name));
        reasons.insert(
            fits.cluster.name.clone(),
            verdict(fits, place, limit, score),
        );
    }
    let outcome = if candidates == 0 {
        let sets = sets.iter().map(|set| set.name.clone()).collect();
        Outcome::SetsEmpty { sets }
    } else if chosen == 0 {
        Outcome::NoMatch
    } else if plan.limit.is_some_and(|limit| limit > chosen) {
        Outcome::Short {
            chosen,
            missing: limit - chosen,
        }
    } else {
        Outcome::Satisfied { chosen }
    };
    Schedule {
        recheck_after: [tolerated, totals.expires].into_iter().flatten().min(),
        groups,
        expired_scores: totals.expired,
        ..Schedule::evaluated(outcome, reasons)
    }
}

fn verdict(fits: Fitting<'_>, place: usize, limit: usize, score: Option<i64>) -> Reason {
    if place >= limit {
        return Reason::BeyondLimit {
            field: "numberOfClusters",
            limit,
            score,
        };
    }
    Reason::Chosen {
        because: fits.because,
        kept: fits.kept,
        score,
        tolerated_until: fits.until,
    }
}

/// The set that makes the cluster a candidate: its index in `sets`.
fn candidate(cluster: &ClusterFacts, sets: &[SetFilter]) -> Result<usize, Reason> {
    if cluster.deleting {
        return Err(Reason::Deleting);
    }
    sets.iter()
        .position(|set| set.holds(cluster))
        .ok_or_else(|| Reason::NotInSet {
            sets: sets.iter().map(|set| set.name.clone()).collect(),
        })
}

fn judge<'a>(
    cluster: &'a ClusterFacts,
    set: usize,
    plan: &Plan<'_>,
    causes: &Causes,
    kept: bool,
    now: Timestamp,
) -> Result<Fitting<'a>, Reason> {
    let predicate = fitting_predicate(cluster, &plan.predicates)?;
    let tolerations = plan.spec.tolerations.as_deref().unwrap_or_default();
    match taint::tolerance(&cluster.taints, tolerations, kept, now) {
        Tolerance::Tolerated { until } => Ok(Fitting {
            cluster,
            because: causes.of(set, predicate),
            kept,
            until,
        }),
        Tolerance::Refused { taint, ran_out } => Err(Reason::Tainted {
            taint,
            tolerated_until: ran_out,
        }),
    }
}

/// The first predicate that fits; 0 when there are none.
fn fitting_predicate(cluster: &ClusterFacts, predicates: &[Predicate]) -> Result<usize, Reason> {
    let mut misses = Vec::new();
    for (index, predicate) in predicates.iter().enumerate() {
        match predicate.miss(cluster) {
            None => return Ok(index),
            Some(miss) => misses.push(miss),
        }
    }
    match misses.len() {
        0 => Ok(0),
        1 => Err(Reason::NoMatch {
            miss: misses.remove(0),
        }),
        _ => Err(Reason::NoPredicate { misses }),
    }
}

/// What makes a cluster fit, once for each set and predicate: thousands of
/// clusters share a handful.
struct Causes {
    predicates: usize,
    causes: Vec<Arc<Because>>,
}

impl Causes {
    fn new(plan: &Plan<'_>, sets: &[SetFilter]) -> Self {
        let mut causes = Vec::new();
        for set in sets {
            let set = Some(set.name.clone());
            if plan.predicates.is_empty() {
                causes.push(Arc::new(Because {
                    set,
                    ..Because::default()
                }));
                continue;
            }
            for predicate in &plan.predicates {
                let because = Because::predicate(&predicate.labels, &predicate.claims);
                causes.push(Arc::new(Because {
                    set: set.clone(),
                    ..because
                }));
            }
        }
        Self {
            predicates: plan.predicates.len().max(1),
            causes,
        }
    }

    fn of(&self, set: usize, predicate: usize) -> Arc<Because> {
        let cause = self.causes.get(set * self.predicates + predicate);
        cause.map_or_else(Default::default, Arc::clone)
    }
}

fn error_text(error: &SetError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
