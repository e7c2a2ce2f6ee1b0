//! The placement controller: PlacementRules and Placements to
//! PlacementDecisions and status.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;

use super::coexistence::left_to;
use super::context::Shared;
use super::queue::Requeue;
use super::record::PlacementRecord;
use super::stores::{Change, PlacementKey, PlacementKind, decision_owner, name_of, named};
use crate::api::apps::PlacementRule;
use crate::api::cluster::{Placement, PlacementDecision};
use crate::api::{ClusterName, NamespacedName, STATUS_MANAGER};
use crate::core::placement::{
    ClusterFacts, DecisionOwner, PlacementInputs, Schedule, ScoreSources, decided_by,
    decision_objects, placement, placement_rule, placement_status, rule_status,
};

/// Which placements a change concerns. A change of a cluster concerns all:
/// evaluation is cheap, and only a changed decision is written.
#[must_use]
pub fn concerned(context: &Shared, change: &Change) -> Vec<PlacementKey> {
    match change {
        Change::PlacementRule(name) => vec![rule_key(name.clone())],
        Change::Placement(name) => vec![placement_key(name.clone())],
        Change::Decision(key) => vec![key.clone()],
        Change::Binding(namespace) => placements(context)
            .filter(|key| key.name.namespace == *namespace)
            .collect(),
        Change::ClusterSet(_) => placements(context).collect(),
        Change::Score(score) => ranked_by(context, score),
        Change::Cluster(_) | Change::Everything => {
            placements(context).chain(rules(context)).collect()
        }
        _ => Vec::new(),
    }
}

fn rules(context: &Shared) -> impl Iterator<Item = PlacementKey> {
    let rules = context.stores.rules.state();
    rules
        .into_iter()
        .map(|rule| rule_key(name_of(rule.as_ref())))
}

fn placements(context: &Shared) -> impl Iterator<Item = PlacementKey> {
    let placements = context.stores.placements.state();
    placements
        .into_iter()
        .map(|placement| placement_key(name_of(placement.as_ref())))
}

/// Placements that rank by an AddOnPlacementScore of this name.
fn ranked_by(context: &Shared, score: &str) -> Vec<PlacementKey> {
    let names = |placement: &Placement| {
        let policy = placement.spec.prioritizer_policy.as_ref();
        let configurations = policy.and_then(|policy| policy.configurations.as_ref());
        configurations.into_iter().flatten().any(|configuration| {
            let coordinate = configuration.score_coordinate.as_ref();
            let add_on = coordinate.and_then(|coordinate| coordinate.add_on.as_ref());
            add_on.is_some_and(|add_on| add_on.resource_name == score)
        })
    };
    let placements = context.stores.placements.state();
    placements
        .iter()
        .filter(|placement| names(placement))
        .map(|placement| placement_key(name_of(placement.as_ref())))
        .collect()
}

/// How often each cluster stands in the decisions of other placements. As
/// upstream, their changes alone evaluate nothing anew.
fn elsewhere(context: &Shared, own: &PlacementKey) -> BTreeMap<ClusterName, u32> {
    let mut others = context.stores.decisions.state();
    others.retain(|decision| decision_owner(decision).as_ref() != Some(own));
    let mut counts = BTreeMap::new();
    for cluster in clusters_of(&others) {
        let count: &mut u32 = counts.entry(cluster).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

fn rule_key(name: NamespacedName) -> PlacementKey {
    PlacementKey {
        kind: PlacementKind::PlacementRule,
        name,
    }
}

fn placement_key(name: NamespacedName) -> PlacementKey {
    PlacementKey {
        kind: PlacementKind::Placement,
        name,
    }
}

/// Facts of all clusters, in the order of their names.
#[must_use]
pub fn cluster_facts(context: &Shared) -> Vec<ClusterFacts> {
    let mut facts: Vec<ClusterFacts> = context
        .stores
        .clusters
        .state()
        .iter()
        .map(|cluster| ClusterFacts::from(cluster.as_ref()))
        .collect();
    facts.sort_by(|a, b| a.name.cmp(&b.name));
    facts
}

/// Decisions that exist for a placement, over all its objects, in name order.
#[must_use]
pub fn decided(context: &Shared, key: &PlacementKey) -> Vec<Arc<PlacementDecision>> {
    let mut objects: Vec<_> = context
        .stores
        .decisions
        .state()
        .into_iter()
        .filter(|decision| super::stores::decision_owner(decision).as_ref() == Some(key))
        .collect();
    objects.sort_by_key(|object| object.name_any());
    objects
}

/// The clusters that PlacementDecisions name.
pub fn clusters_of(objects: &[Arc<PlacementDecision>]) -> impl Iterator<Item = ClusterName> + '_ {
    objects
        .iter()
        .filter_map(|object| object.status.as_ref()?.decisions.as_ref())
        .flatten()
        .map(|decision| ClusterName::from(decision.cluster_name.as_str()))
}

/// Evaluates one placement and writes what changed.
///
/// # Errors
/// When the hub's API fails; the key backs off.
pub async fn reconcile(context: &Shared, key: &PlacementKey) -> Result<Requeue, kube::Error> {
    let now = Timestamp::now();
    let clusters = cluster_facts(context);
    let existing = decided(context, key);
    let current: Vec<ClusterName> = clusters_of(&existing).collect();
    if let Some((other, generation)) = other(context, key, &existing).await {
        // Read as it stands; two that write it would undo each other.
        let schedule = decided_by(&other, &current, &clusters);
        record(context, key, &schedule, generation);
        return Ok(Requeue::Await);
    }
    let schedule = match key.kind {
        PlacementKind::PlacementRule => {
            let Some(rule) = rule(context, &key.name) else {
                return Ok(forget(context, key));
            };
            let schedule = placement_rule(&rule, &clusters, &decided_in_status(&rule));
            let owner = DecisionOwner::from(rule.as_ref());
            let objects = decision_objects(&owner, &schedule);
            write_decisions(context, &key.name, &schedule, &objects, &existing).await?;
            if let Some(status) =
                rule_status(&schedule).filter(|status| rule.status.as_ref() != Some(status))
            {
                write_status::<PlacementRule>(context, &key.name, &status).await?;
            }
            record(context, key, &schedule, rule.metadata.generation);
            schedule
        }
        PlacementKind::Placement => {
            let Some(object) = found_placement(context, &key.name) else {
                return Ok(forget(context, key));
            };
            let schedule = evaluate(context, &object, &clusters, &current, now);
            let owner = DecisionOwner::from(object.as_ref());
            let objects = decision_objects(&owner, &schedule);
            write_decisions(context, &key.name, &schedule, &objects, &existing).await?;
            let status = placement_status(object.status.as_ref(), &schedule, &objects, now);
            if let Some(status) = status.filter(|status| object.status.as_ref() != Some(status)) {
                write_status::<Placement>(context, &key.name, &status).await?;
            }
            record(context, key, &schedule, object.metadata.generation);
            schedule
        }
    };
    Ok(match schedule.recheck_after {
        Some(at) => Requeue::After(until(now, at)),
        None => Requeue::Await,
    })
}

/// The controller to which a placement is left, with the placement's
/// generation. A rule that names its scheduler has a status of that one.
async fn other(
    context: &Shared,
    key: &PlacementKey,
    decisions: &[Arc<PlacementDecision>],
) -> Option<(String, Option<i64>)> {
    let (own, generation) = match key.kind {
        PlacementKind::PlacementRule => {
            let rule = rule(context, &key.name)?;
            let own = match &rule.spec.scheduler_name {
                Some(_) => None,
                None => left_to(context, "placementrules", rule.as_ref()).await,
            };
            (own, rule.metadata.generation)
        }
        PlacementKind::Placement => {
            let placement = found_placement(context, &key.name)?;
            let own = left_to(context, "placements", placement.as_ref()).await;
            (own, placement.metadata.generation)
        }
    };
    let mut other = own;
    for decision in decisions {
        if other.is_none() {
            other = left_to(context, "placementdecisions", decision.as_ref()).await;
        }
    }
    Some((other?, generation))
}

/// Decisions in the rule's own status: another scheduler may have written them.
fn decided_in_status(rule: &PlacementRule) -> Vec<ClusterName> {
    rule.status
        .iter()
        .filter_map(|status| status.decisions.as_ref())
        .flatten()
        .map(|decision| ClusterName::from(decision.cluster_name.as_str()))
        .collect()
}

fn until(now: Timestamp, at: Timestamp) -> std::time::Duration {
    std::time::Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

fn rule(context: &Shared, name: &NamespacedName) -> Option<Arc<PlacementRule>> {
    named(&context.stores.rules, name)
}

fn found_placement(context: &Shared, name: &NamespacedName) -> Option<Arc<Placement>> {
    named(&context.stores.placements, name)
}

fn evaluate(
    context: &Shared,
    object: &Placement,
    clusters: &[ClusterFacts],
    current: &[ClusterName],
    now: Timestamp,
) -> Schedule {
    let sets = context.stores.sets.state();
    let namespace = object.namespace();
    let bindings: Vec<_> = context
        .stores
        .bindings
        .state()
        .into_iter()
        .filter(|binding| binding.namespace() == namespace)
        .collect();
    let inputs = PlacementInputs {
        sets: &sets,
        bindings: &bindings,
        clusters,
        current,
        now,
    };
    let elsewhere = elsewhere(context, &placement_key(name_of(object)));
    let sources = ScoreSources {
        elsewhere: &elsewhere,
        addon: &context.stores.scores.state(),
    };
    placement(object, &inputs, &sources)
}

fn forget(context: &Shared, key: &PlacementKey) -> Requeue {
    if context.placements().remove(key).is_some() {
        context.changes.send(Change::Decision(key.clone()));
    }
    Requeue::Await
}

fn record(context: &Shared, key: &PlacementKey, schedule: &Schedule, generation: Option<i64>) {
    let fresh = {
        let mut records = context.placements();
        let before = records.insert(
            key.clone(),
            PlacementRecord {
                schedule: Arc::new(schedule.clone()),
                generation,
                written: schedule.hold.is_none(),
            },
        );
        before.is_none_or(|before| before.generation != generation || *before.schedule != *schedule)
    };
    if fresh {
        // Subscriptions learn that an absent cluster was decided against.
        context.changes.send(Change::Decision(key.clone()));
    }
}

/// Creates, updates and, last, deletes PlacementDecisions. Held decisions are
/// not touched.
async fn write_decisions(
    context: &Shared,
    name: &NamespacedName,
    schedule: &Schedule,
    wanted: &[PlacementDecision],
    existing: &[Arc<PlacementDecision>],
) -> Result<(), kube::Error> {
    if schedule.hold.is_some() {
        return Ok(());
    }
    let api: Api<PlacementDecision> = Api::namespaced(context.client.clone(), &name.namespace);
    for object in wanted {
        let found = existing
            .iter()
            .find(|known| known.name_any() == object.name_any());
        write_decision(&api, object, found.map(AsRef::as_ref)).await?;
    }
    for object in existing {
        if wanted
            .iter()
            .any(|wanted| wanted.name_any() == object.name_any())
        {
            continue;
        }
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: object.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api.delete(&object.name_any(), &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn write_decision(
    api: &Api<PlacementDecision>,
    wanted: &PlacementDecision,
    found: Option<&PlacementDecision>,
) -> Result<(), kube::Error> {
    let name = wanted.name_any();
    let params = PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    };
    match found {
        None => {
            let post = PostParams {
                field_manager: Some(STATUS_MANAGER.into()),
                ..PostParams::default()
            };
            match api.create(&post, wanted).await {
                Ok(_) => {}
                // The cache is behind: the status below is what counts.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(error),
            }
        }
        Some(found) => {
            let labels = wanted.labels();
            if labels
                .iter()
                .any(|(key, value)| found.labels().get(key) != Some(value))
            {
                let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
                api.patch(&name, &params, &patch).await?;
            }
            if found.status == wanted.status {
                return Ok(());
            }
        }
    }
    let patch = Patch::Merge(json!({"status": wanted.status}));
    api.patch_status(&name, &params, &patch).await?;
    Ok(())
}

async fn write_status<K>(
    context: &Shared,
    name: &NamespacedName,
    status: &impl Serialize,
) -> Result<(), kube::Error>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &name.namespace);
    let params = PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    };
    match api
        .patch_status(
            &name.name,
            &params,
            &Patch::Merge(json!({"status": status})),
        )
        .await
    {
        Ok(_) => Ok(()),
        // Deleted meanwhile: nothing to report to.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}
