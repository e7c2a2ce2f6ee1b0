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
        return external(rule, scheduler, clusters);
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

/// Passes on what another scheduler (Ramen, for example) wrote to the status.
fn external(rule: &PlacementRule, scheduler: &str, clusters: &[ClusterFacts]) -> Schedule {
    let decisions = rule
        .status
        .as_ref()
        .and_then(|status| status.decisions.as_deref());
    let decided: Vec<ClusterName> = decisions
        .unwrap_or_default()
        .iter()
        .map(|decision| ClusterName::from(decision.cluster_name.as_str()))
        .collect();
    decided_by(scheduler, &decided, clusters)
}

/// What another scheduler or controller decided, passed on as it is.
#[must_use]
pub fn decided_by(scheduler: &str, decided: &[ClusterName], clusters: &[ClusterFacts]) -> Schedule {
    let decided: BTreeSet<ClusterName> = decided.iter().cloned().collect();
    let known = clusters.iter().map(|cluster| cluster.name.clone());
    let reasons = known
        .chain(decided.iter().cloned())
        .map(|cluster| {
            let chosen = decided.contains(&cluster);
            (
                cluster,
                Reason::External {
                    scheduler: scheduler.to_owned(),
                    chosen,
                },
            )
        })
        .collect();
    let outcome = Outcome::External {
        scheduler: scheduler.to_owned(),
        chosen: decided.len(),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn rule(spec: Value) -> PlacementRule {
        let metadata = json!({"name": "guestbook-pr", "namespace": "guestbook"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn cluster(name: &str, labels: &[(&str, &str)], available: &str) -> ClusterFacts {
        let mut facts = ClusterFacts::named(name);
        let pairs = labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        facts.labels = pairs.collect();
        if !available.is_empty() {
            facts
                .conditions
                .insert("ManagedClusterConditionAvailable".into(), available.into());
        }
        facts
    }

    fn fleet() -> Vec<ClusterFacts> {
        vec![
            cluster("aws-sub1", &[("name", "aws-sub1"), ("env", "prod")], "True"),
            cluster(
                "aws-sub2",
                &[("name", "aws-sub2"), ("env", "prod")],
                "Unknown",
            ),
            cluster("gcp-1", &[("name", "renamed"), ("env", "dev")], ""),
            cluster("old", &[("env", "prod")], "True"),
        ]
    }

    fn names(schedule: &Schedule) -> Vec<String> {
        schedule
            .decisions
            .iter()
            .map(|decision| decision.cluster.to_string())
            .collect()
    }

    fn current(names: &[&str]) -> Vec<ClusterName> {
        names.iter().map(|name| ClusterName::from(*name)).collect()
    }

    fn reason(schedule: &Schedule, cluster: &str) -> String {
        schedule
            .verdict(&cluster.into())
            .unwrap()
            .reason
            .to_string()
    }

    #[test]
    fn clusters_are_chosen_as_upstream_chooses_them() {
        let available = json!([{"type": "ManagedClusterConditionAvailable", "status": "True"}]);
        for (spec, before, chosen) in [
            (
                json!({}),
                vec![],
                vec!["aws-sub1", "aws-sub2", "gcp-1", "old"],
            ),
            (
                json!({"clusterSelector": {}}),
                vec![],
                vec!["aws-sub1", "aws-sub2", "gcp-1", "old"],
            ),
            (
                json!({"clusterSelector": {"matchLabels": {"name": "aws-sub1"}}, "clusterReplicas": 2,
                "clusterConditions": available}),
                vec![],
                vec!["aws-sub1"],
            ),
            // By the label `name` as RHACM, or by the object's name.
            (
                json!({"clusters": [{"name": "renamed"}, {"name": "old"}]}),
                vec![],
                vec!["gcp-1", "old"],
            ),
            // A list of names beats the selector.
            (
                json!({"clusters": [{"name": "old"}], "clusterSelector": {"matchLabels": {"env": "dev"}}}),
                vec![],
                vec!["old"],
            ),
            (
                json!({"clusterConditions": available}),
                vec![],
                vec!["aws-sub1", "old"],
            ),
            (json!({"clusterReplicas": 0}), vec!["old"], vec![]),
            (json!({"clusterReplicas": 1}), vec![], vec!["aws-sub1"]),
            // Kept before others; but not when it does not fit any more.
            (json!({"clusterReplicas": 1}), vec!["old"], vec!["old"]),
            (
                json!({"clusterReplicas": 2}),
                vec!["old"],
                vec!["aws-sub1", "old"],
            ),
            (
                json!({"clusterReplicas": 1, "clusterConditions": available}),
                vec!["gcp-1"],
                vec!["aws-sub1"],
            ),
            (
                json!({"clusterReplicas": 9}),
                vec![],
                vec!["aws-sub1", "aws-sub2", "gcp-1", "old"],
            ),
        ] {
            let schedule = placement_rule(&rule(spec.clone()), &fleet(), &current(&before));
            assert_eq!(names(&schedule), chosen, "{spec}");
            assert_eq!(schedule.hold, None, "{spec}");
            assert_eq!(schedule.verdicts.len(), 4, "every cluster has a verdict");
        }
    }

    #[test]
    fn every_cluster_is_told_why() {
        let mut fleet = fleet();
        fleet[3].deleting = true;
        fleet.push(cluster("z", &[("env", "prod")], "True"));
        let spec = json!({"clusterReplicas": 1, "clusterSelector": {"matchLabels": {"env": "prod"}},
            "clusterConditions": [{"type": "ManagedClusterConditionAvailable", "status": "True"}]});
        let schedule = placement_rule(&rule(spec), &fleet, &current(&["aws-sub1"]));
        for (cluster, sentence) in [
            (
                "aws-sub1",
                "kept from before: label `env=prod` matches, condition `ManagedClusterConditionAvailable=True` matches",
            ),
            (
                "aws-sub2",
                "condition `ManagedClusterConditionAvailable` is Unknown, wanted True",
            ),
            (
                "gcp-1",
                "label `env=prod` does not match: the cluster has `env=dev`",
            ),
            ("old", "it is being deleted"),
            (
                "z",
                "it fits, but clusterReplicas is 1 and others come first",
            ),
        ] {
            assert_eq!(reason(&schedule, cluster), sentence);
        }
        let named = placement_rule(&rule(json!({"clusters": [{"name": "z"}]})), &fleet, &[]);
        assert_eq!(
            reason(&named, "aws-sub1"),
            "it is not named in the list of clusters"
        );
        assert_eq!(reason(&named, "z"), "it is named in the list of clusters");
    }

    #[test]
    fn a_missing_condition_is_unknown_and_not_true() {
        let spec = json!({"clusterConditions": [{"type": "Other", "status": "Unknown"}]});
        assert_eq!(names(&placement_rule(&rule(spec), &fleet(), &[])).len(), 4);
    }

    #[test]
    fn what_cannot_be_evaluated_keeps_the_decisions() {
        for (spec, word) in [
            (
                json!({"clusterSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
                "\"Is\"",
            ),
            (json!({"clusterReplicas": -1}), "cannot be negative"),
            (json!({"resourceHint": {"type": "gpu"}}), "\"gpu\""),
        ] {
            let schedule = placement_rule(&rule(spec), &fleet(), &current(&["gcp-1", "gone"]));
            assert_eq!(names(&schedule), ["gcp-1", "gone"]);
            let hold = schedule.hold.clone().unwrap().to_string();
            assert!(hold.contains(word), "{hold}");
            assert!(reason(&schedule, "old").starts_with("not looked at: "));
        }
    }

    #[test]
    fn decisions_of_another_scheduler_are_passed_on() {
        let mut rule = rule(json!({"schedulerName": "ramen"}));
        let status = json!({"decisions": [{"clusterName": "gcp-1", "clusterNamespace": "gcp-1"}]});
        rule.status = serde_json::from_value(status).unwrap();
        let schedule = placement_rule(&rule, &fleet(), &current(&["old"]));
        assert_eq!(names(&schedule), ["gcp-1"]);
        assert_eq!(
            schedule.hold, None,
            "the decisions are written to PlacementDecisions"
        );
        assert_eq!(
            crate::core::placement::rule_status(&schedule),
            None,
            "the status is not ours"
        );
        assert_eq!(reason(&schedule, "gcp-1"), "scheduler `ramen` chose it");
        assert_eq!(
            reason(&schedule, "old"),
            "scheduler `ramen` did not choose it"
        );
    }

    #[test]
    fn our_scheduler_names_are_ours() {
        for name in ["", "default", "mcm"] {
            let schedule = placement_rule(&rule(json!({"schedulerName": name})), &fleet(), &[]);
            assert_eq!(names(&schedule).len(), 4, "{name}");
        }
    }

    #[test]
    fn nothing_that_fits_is_said_but_zero_replicas_is_a_wish() {
        let none = placement_rule(&rule(json!({"clusters": [{"name": "x"}]})), &fleet(), &[]);
        assert_eq!(none.outcome, Outcome::NoMatch);
        let zero = placement_rule(&rule(json!({"clusterReplicas": 0})), &fleet(), &[]);
        assert!(zero.outcome.is_satisfied());
    }

    #[test]
    fn resource_hints_rank_by_allocatable_with_names_as_tie_break() {
        let mut fleet: Vec<_> = ["d", "c", "b", "a"].map(|n| cluster(n, &[], "")).into();
        for (cluster, memory) in fleet.iter_mut().zip([3.0, 3.0, 9.0, 1.0]) {
            cluster.allocatable.insert("memory".into(), memory);
        }
        for (order, expected) in [
            (json!(null), ["b", "c"]),
            (json!("desc"), ["b", "c"]),
            (json!("asc"), ["a", "c"]),
        ] {
            let hint = json!({"type": "memory", "order": order});
            let spec = json!({"clusterReplicas": 2, "resourceHint": hint});
            // Without regard to before, as upstream.
            let schedule = placement_rule(&rule(spec), &fleet, &current(&["d"]));
            assert_eq!(names(&schedule), expected, "{order}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_clusters_does_not_matter(
            order in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(),
            replicas in 0..14i32,
            before in proptest::collection::btree_set(0..12usize, 0..6),
        ) {
            let name = |i: &usize| format!("c{i:02}");
            let make = |i: &usize| cluster(&name(i), &[("third", if i.is_multiple_of(3) { "y" } else { "n" })], "");
            let sorted: Vec<_> = (0..12).map(|i| make(&i)).collect();
            let shuffled: Vec<_> = order.iter().map(make).collect();
            let current: Vec<ClusterName> = before.iter().map(|i| name(i).into()).collect();
            let spec = json!({"clusterReplicas": replicas, "clusterSelector": {"matchLabels": {"third": "n"}}});
            let rule = rule(spec);
            let one = placement_rule(&rule, &sorted, &current);
            prop_assert_eq!(&one, &placement_rule(&rule, &shuffled, &current));

            // Exactly as many as fit, and none is given up while another comes.
            let fit = 8usize;
            let wanted = usize::try_from(replicas).unwrap_or_default();
            prop_assert_eq!(one.decisions.len(), wanted.min(fit));
            let kept: Vec<_> = current.iter().filter(|c| one.chosen().contains(*c)).collect();
            let fitting_before = before.iter().filter(|i| *i % 3 != 0).count();
            prop_assert_eq!(kept.len(), fitting_before.min(wanted));

            // Evaluated again on its own result nothing moves.
            let again: Vec<ClusterName> = one.chosen().into_iter().collect();
            prop_assert_eq!(placement_rule(&rule, &sorted, &again).chosen(), one.chosen());
        }
    }
}
