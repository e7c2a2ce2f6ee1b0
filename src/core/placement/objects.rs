//! PlacementDecision objects and statuses (ocm-placement §3.9, §3.10; ocm-apps §3.2).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use super::condition;
use super::reason::Reason;
use super::schedule::{Decision, Group, HoldReason, Outcome, Schedule};
use crate::api::apps::{PlacementRule, PlacementRuleDecision, PlacementRuleStatus};
use crate::api::cluster::{
    ClusterDecision, DecisionGroupStatus, Placement, PlacementDecision, PlacementDecisionSpec,
    PlacementDecisionStatus, PlacementStatus,
};
use crate::api::{
    LABEL_DECISION_GROUP_INDEX, LABEL_DECISION_GROUP_NAME, LABEL_PLACEMENT, LABEL_PLACEMENT_RULE,
};

/// Clusters in one PlacementDecision at most.
const PER_OBJECT: usize = 100;

/// Whose decisions they are.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionOwner {
    namespace: String,
    name: String,
    reference: Option<OwnerReference>,
    /// Label that leads from a decision to its owner.
    pub label: &'static str,
}

impl From<&PlacementRule> for DecisionOwner {
    fn from(rule: &PlacementRule) -> Self {
        Self::new(rule, LABEL_PLACEMENT_RULE)
    }
}

impl From<&Placement> for DecisionOwner {
    fn from(placement: &Placement) -> Self {
        Self::new(placement, LABEL_PLACEMENT)
    }
}

impl DecisionOwner {
    fn new<K: Resource<DynamicType = ()>>(owner: &K, label: &'static str) -> Self {
        Self {
            namespace: owner.meta().namespace.clone().unwrap_or_default(),
            name: owner.meta().name.clone().unwrap_or_default(),
            reference: owner.controller_owner_ref(&()),
            label,
        }
    }
}

/// The PlacementDecisions that should exist; any other with the owner's label
/// should go, last.
///
/// A PlacementRule that chose nothing has none, a Placement one that is empty.
/// The reason of each cluster is written without what changes by itself
/// ("kept", scores, deadlines), so that an unchanged choice is no write.
#[must_use]
pub fn decision_objects(owner: &DecisionOwner, schedule: &Schedule) -> Vec<PlacementDecision> {
    let is_rule = owner.label == LABEL_PLACEMENT_RULE;
    let reasons: BTreeMap<_, _> = schedule
        .decisions
        .iter()
        .map(|decision| (&decision.cluster, decision))
        .collect();
    let mut objects = Vec::new();
    for group in &schedule.groups {
        let mut chunks: Vec<_> = group.clusters.chunks(PER_OBJECT).collect();
        if chunks.is_empty() && !is_rule {
            chunks.push(&[]);
        }
        for clusters in chunks {
            let decisions = clusters
                .iter()
                .map(|cluster| ClusterDecision {
                    cluster_name: cluster.to_string(),
                    reason: reasons
                        .get(cluster)
                        .map(|d| stable_reason(d))
                        .unwrap_or_default(),
                })
                .collect();
            objects.push(object(
                owner,
                objects.len() + 1,
                (!is_rule).then_some(group),
                decisions,
            ));
        }
    }
    objects
}

fn stable_reason(decision: &Decision) -> String {
    match &decision.reason {
        Reason::Chosen { because, .. } => because.to_string(),
        _ => String::new(),
    }
}

fn object(
    owner: &DecisionOwner,
    number: usize,
    group: Option<&Group>,
    decisions: Vec<ClusterDecision>,
) -> PlacementDecision {
    let mut labels = BTreeMap::from([(owner.label.to_owned(), owner.name.clone())]);
    if let Some(group) = group {
        labels.insert(
            LABEL_DECISION_GROUP_INDEX.to_owned(),
            group.index.to_string(),
        );
        labels.insert(LABEL_DECISION_GROUP_NAME.to_owned(), group.name.clone());
    }
    PlacementDecision {
        metadata: ObjectMeta {
            namespace: Some(owner.namespace.clone()),
            name: Some(format!("{}-decision-{number}", owner.name)),
            labels: Some(labels),
            owner_references: owner.reference.clone().map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        spec: PlacementDecisionSpec {},
        status: Some(PlacementDecisionStatus {
            decisions: Some(decisions),
        }),
    }
}

/// Status of a PlacementRule; `None` where it must be left as it is.
#[must_use]
pub fn rule_status(schedule: &Schedule) -> Option<PlacementRuleStatus> {
    if schedule.hold.is_some() || matches!(schedule.outcome, Outcome::External { .. }) {
        return None;
    }
    let decisions = schedule
        .decisions
        .iter()
        .map(|decision| PlacementRuleDecision {
            cluster_name: decision.cluster.to_string(),
            cluster_namespace: decision.cluster.to_string(),
        })
        .collect();
    Some(PlacementRuleStatus {
        decisions: Some(decisions),
    })
}

/// Status of a Placement, given its old status and the objects of
/// [`decision_objects`]; `None` where it must be left as it is.
///
/// While decisions are held only the conditions speak; counts and groups stay.
#[must_use]
pub fn placement_status(
    old: Option<&PlacementStatus>,
    schedule: &Schedule,
    objects: &[PlacementDecision],
    now: Timestamp,
) -> Option<PlacementStatus> {
    let mut status = old.cloned().unwrap_or_default();
    match &schedule.hold {
        Some(HoldReason::Frozen | HoldReason::Deleting) => {
            return None;
        }
        Some(_) => {}
        None => {
            status.number_of_selected_clusters =
                i32::try_from(schedule.decisions.len()).unwrap_or(i32::MAX);
            status.decision_groups = Some(
                schedule
                    .groups
                    .iter()
                    .map(|group| group_status(group, objects))
                    .collect(),
            );
        }
    }
    let mut conditions = status.conditions.take().unwrap_or_default();
    condition::set(
        &mut conditions,
        "PlacementMisconfigured",
        schedule.outcome.misconfigured(),
        now,
    );
    condition::set(
        &mut conditions,
        "PlacementSatisfied",
        schedule.outcome.satisfied(),
        now,
    );
    status.conditions = Some(conditions);
    Some(status)
}

fn group_status(group: &Group, objects: &[PlacementDecision]) -> DecisionGroupStatus {
    let index = group.index.to_string();
    let names = objects
        .iter()
        .filter(|object| {
            let labels = object.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(LABEL_DECISION_GROUP_INDEX)) == Some(&index)
        })
        .filter_map(|object| object.metadata.name.clone())
        .collect();
    DecisionGroupStatus {
        decision_group_index: i32::try_from(group.index).unwrap_or(i32::MAX),
        decision_group_name: group.name.clone(),
        decisions: Some(names),
        cluster_count: i32::try_from(group.clusters.len()).unwrap_or(i32::MAX),
    }
}
