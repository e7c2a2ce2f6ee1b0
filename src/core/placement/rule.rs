//! PlacementRule (ocm-apps §3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::ClusterFacts;
use super::reason::{Because, Miss, Reason};
use super::schedule::{HoldReason, Outcome, Schedule};
use super::selector::Selector;
use crate::api::ClusterName;
use crate::api::apps::{ClusterConditionFilter, ClusterReference, PlacementRule, ResourceHint};

/// Scheduler names that mean us.
const OUR_SCHEDULERS: [&str; 3] = ["", "default", "mcm"];

/// Chooses the clusters of a PlacementRule.
///
/// `current` are the decisions in its status. Hard constraints: not being
/// deleted; named in `clusters` (by the label `name` or the object's name) or,
/// without such a list, matched by `clusterSelector`; every condition of
/// `clusterConditions` as wanted. Then `clusterReplicas` of them: those of
/// before first, then by name; with a `resourceHint` by allocatable resources
/// instead, without regard to before, as upstream. Fewer than wanted is no error.
#[must_use]
pub fn placement_rule(
    rule: &PlacementRule,
    clusters: &[ClusterFacts],
    current: &[ClusterName],
) -> Schedule {
    let hold = |hold: HoldReason| {
        let outcome = Outcome::Held {
            hold: hold.clone(),
            plugin: "",
        };
        Schedule::held(outcome, hold, clusters, current)
    };
    let spec = &rule.spec;
    let scheduler = spec.scheduler_name.as_deref().unwrap_or_default();
    if !OUR_SCHEDULERS.contains(&scheduler) {
        return hold(HoldReason::NotOurs {
            scheduler: scheduler.to_owned(),
        });
    }
    if rule.metadata.deletion_timestamp.is_some() {
        return hold(HoldReason::Deleting);
    }
    let limit = match spec.cluster_replicas.map(usize::try_from) {
        None => None,
        Some(Ok(limit)) => Some(limit),
        Some(Err(_)) => {
            let message = format!(
                "clusterReplicas is {}, it cannot be negative",
                spec.cluster_replicas.unwrap_or_default()
            );
            return hold(HoldReason::Misconfigured { message });
        }
    };
    let hint = match spec.resource_hint.as_ref().map(Hint::new).transpose() {
        Ok(hint) => hint,
        Err(message) => return hold(HoldReason::Misconfigured { message }),
    };
    let named = spec.clusters.as_deref().unwrap_or_default();
    let filter = match Filter::new(named, spec.cluster_selector.as_ref()) {
        Ok(filter) => filter,
        Err(message) => return hold(HoldReason::Misconfigured { message }),
    };
    let conditions = spec.cluster_conditions.as_deref().unwrap_or_default();
    let filter = filter.with_conditions(conditions);

    let mut reasons = BTreeMap::new();
    let mut fitting = Vec::new();
    for cluster in clusters {
        match filter.judge(cluster).or_else(|| unmet(cluster, conditions)) {
            Some(reason) => {
                reasons.insert(cluster.name.clone(), reason);
            }
            None => fitting.push(cluster),
        }
    }
    rank(&mut fitting, hint.as_ref(), current);
    choose(
        &mut reasons,
        &fitting,
        limit,
        "clusterReplicas",
        &filter.because,
        current,
    );
    let chosen = fitting.len().min(limit.unwrap_or(usize::MAX));
    let outcome = if chosen == 0 && limit != Some(0) {
        Outcome::NoMatch
    } else {
        Outcome::Satisfied { chosen }
    };
    Schedule::evaluated(outcome, reasons)
}

/// Gives the first `limit` of `fitting` the reason that they are chosen, and
/// the others that they come too late.
pub(super) fn choose(
    reasons: &mut BTreeMap<ClusterName, Reason>,
    fitting: &[&ClusterFacts],
    limit: Option<usize>,
    field: &'static str,
    because: &Arc<Because>,
    current: &[ClusterName],
) {
    let current: BTreeSet<&ClusterName> = current.iter().collect();
    for (place, cluster) in fitting.iter().enumerate() {
        let reason = match limit {
            Some(limit) if place >= limit => Reason::BeyondLimit {
                field,
                limit,
                score: None,
            },
            _ => Reason::Chosen {
                because: Arc::clone(because),
                kept: current.contains(&cluster.name),
                score: None,
                tolerated_until: None,
            },
        };
        reasons.insert(cluster.name.clone(), reason);
    }
}

/// Clusters by name or by label, as PlacementRules and inline placements say them.
pub(super) struct Filter<'a> {
    named: BTreeSet<&'a str>,
    selector: Selector,
    /// What makes a cluster fit.
    pub(super) because: Arc<Because>,
}

impl<'a> Filter<'a> {
    /// A list of names beats the selector.
    pub(super) fn new(
        named: &'a [ClusterReference],
        selector: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
    ) -> Result<Self, String> {
        let named: BTreeSet<&str> = named.iter().map(|cluster| cluster.name.as_str()).collect();
        let selector = selector
            .filter(|_| named.is_empty())
            .map(Selector::new)
            .transpose()
            .map_err(|error| format!("clusterSelector: {error}"))?
            .unwrap_or_default();
        let because = Because {
            named: !named.is_empty(),
            ..Because::labels(&selector)
        };
        Ok(Self {
            named,
            selector,
            because: Arc::new(because),
        })
    }

    fn with_conditions(mut self, conditions: &[ClusterConditionFilter]) -> Self {
        let texts = conditions
            .iter()
            .map(|wanted| format!("{}={}", wanted.type_, wanted.status));
        Arc::make_mut(&mut self.because).conditions = texts.collect();
        self
    }

    /// Why the cluster does not fit; `None` when it does.
    pub(super) fn judge(&self, cluster: &ClusterFacts) -> Option<Reason> {
        if cluster.deleting {
            return Some(Reason::Deleting);
        }
        if !self.named.is_empty() {
            // RHACM selects by the label `name` that it forces on every cluster.
            let label = cluster.labels.get("name").map(String::as_str);
            let fits = self.named.contains(cluster.name.as_str())
                || label.is_some_and(|label| self.named.contains(label));
            return (!fits).then_some(Reason::NotNamed);
        }
        miss(&self.selector, "label", &cluster.labels).map(|miss| Reason::NoMatch { miss })
    }
}

/// The first requirement that does not hold, with what was found instead.
pub(super) fn miss(
    selector: &Selector,
    on: &'static str,
    map: &BTreeMap<String, String>,
) -> Option<Miss> {
    let requirement = selector.miss(map)?;
    Some(Miss {
        on,
        wanted: requirement.to_string(),
        key: requirement.key().to_owned(),
        found: map.get(requirement.key()).cloned(),
    })
}

fn unmet(cluster: &ClusterFacts, conditions: &[ClusterConditionFilter]) -> Option<Reason> {
    let wanted = conditions
        .iter()
        .find(|wanted| cluster.condition(&wanted.type_) != wanted.status)?;
    Some(Reason::Condition {
        condition: wanted.type_.clone(),
        wanted: wanted.status.clone(),
        found: cluster.condition(&wanted.type_).to_owned(),
    })
}

struct Hint {
    resource: &'static str,
    ascending: bool,
}

impl Hint {
    fn new(hint: &ResourceHint) -> Result<Self, String> {
        let resource = match hint.type_.as_deref().unwrap_or_default() {
            "cpu" => "cpu",
            "memory" => "memory",
            other => {
                return Err(format!("resourceHint.type is {other:?}; use cpu or memory"));
            }
        };
        let ascending = match hint.order.as_deref().unwrap_or_default() {
            "" | "desc" => false,
            "asc" => true,
            other => return Err(format!("resourceHint.order is {other:?}; use asc or desc")),
        };
        Ok(Self {
            resource,
            ascending,
        })
    }
}

/// Best first. A cluster that does not report the resource counts as 0.
fn rank(fitting: &mut [&ClusterFacts], hint: Option<&Hint>, current: &[ClusterName]) {
    match hint {
        None => {
            let current: BTreeSet<&ClusterName> = current.iter().collect();
            fitting.sort_by_key(|cluster| (!current.contains(&cluster.name), &cluster.name));
        }
        Some(hint) => {
            let amount = |cluster: &ClusterFacts| {
                cluster
                    .allocatable
                    .get(hint.resource)
                    .copied()
                    .unwrap_or_default()
            };
            fitting.sort_by(|a, b| {
                let order = amount(a).total_cmp(&amount(b));
                let order = if hint.ascending {
                    order
                } else {
                    order.reverse()
                };
                order.then_with(|| a.name.cmp(&b.name))
            });
        }
    }
}
