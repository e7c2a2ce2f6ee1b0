//! The Subscription controller: gather, decide, execute, report.
//!
//! The decision itself is `core::subscription::decide`; this file only brings
//! facts in and wishes out.

mod content;
mod execute;
mod holders;
mod metadata;
mod placed;

pub(super) use execute::facts as commit_facts;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use super::coexistence::left_to;
use super::context::Shared;
use super::queue::Requeue;
use super::removal;
use super::report;
use super::stores::{Change, PlacementKey, PlacementKind, name_of, named};
use crate::api::apps::Subscription;
use crate::api::{ClusterName, FINALIZER, LABEL_SUBSCRIPTION_PAUSE, NamespacedName};
use crate::core::source::unsupported;
use crate::core::subscription::{Content, Decision, Inputs, decide};

/// How soon a Secret or ConfigMap that a Channel names is looked for again.
const AWAIT_SECRET: Duration = Duration::from_secs(15);

/// Which Subscriptions a change concerns.
#[must_use]
pub fn concerned(context: &Shared, change: &Change) -> Vec<NamespacedName> {
    match change {
        Change::Subscription(name) | Change::Source(name) | Change::Delivery(_, name) => {
            vec![name.clone()]
        }
        Change::Channel(channel) => {
            let channel = channel.to_string();
            select(context, |subscription| subscription.spec.channel == channel)
        }
        Change::Decision(key) => select(context, |subscription| {
            placed::reference(subscription).is_some_and(|reference| reference == Ok(key.clone()))
        }),
        Change::PlacementRule(name) => placement_users(context, PlacementKind::PlacementRule, name),
        Change::Placement(name) => placement_users(context, PlacementKind::Placement, name),
        // Inline placements look at clusters themselves; all may hold something on a member.
        Change::Cluster(_) => select(context, |subscription| {
            placed::reference(subscription).is_none()
        }),
        Change::Member(cluster) => on_cluster(context, cluster),
        Change::Everything => select(context, |_| true),
        _ => Vec::new(),
    }
}

fn placement_users(
    context: &Shared,
    kind: PlacementKind,
    name: &NamespacedName,
) -> Vec<NamespacedName> {
    let key = PlacementKey {
        kind,
        name: name.clone(),
    };
    select(context, |subscription| {
        placed::reference(subscription) == Some(Ok(key.clone()))
    })
}

fn select(context: &Shared, wanted: impl Fn(&Subscription) -> bool) -> Vec<NamespacedName> {
    context
        .stores
        .subscriptions
        .state()
        .iter()
        .filter(|subscription| wanted(subscription))
        .map(|subscription| name_of(subscription.as_ref()))
        .collect()
}

/// Subscriptions placed on a cluster, asked something of it, or found there.
fn on_cluster(context: &Shared, cluster: &ClusterName) -> Vec<NamespacedName> {
    let mut names: BTreeSet<NamespacedName> = context
        .subscriptions()
        .iter()
        .filter(|(_, record)| record.placed.contains(cluster) || record.asked.contains(cluster))
        .map(|(name, _)| name.clone())
        .collect();
    names.extend(context.pool.inventories(cluster).unwrap_or_default());
    names.into_iter().collect()
}

/// Works on one Subscription.
///
/// # Errors
/// When the hub's API fails; the key backs off.
pub async fn reconcile(context: &Shared, name: &NamespacedName) -> Result<Requeue, kube::Error> {
    let found = named(&context.stores.subscriptions, name);
    let Some(subscription) = found else {
        forget(context, name);
        return Ok(Requeue::Await);
    };
    let deleting = subscription.metadata.deletion_timestamp.is_some();
    if deleting
        && !subscription
            .finalizers()
            .iter()
            .any(|finalizer| finalizer == FINALIZER)
    {
        forget(context, name);
        return Ok(Requeue::Await);
    }
    let ours = subscription
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER);
    if !(deleting && ours)
        && left_to(context, "subscriptions", subscription.as_ref())
            .await
            .is_some()
    {
        // What was delivered before stays, and nothing more is.
        return Ok(Requeue::Await);
    }
    // gather (the hub's API and caches)
    let subscription = if deleting {
        subscription
    } else {
        match metadata::ensure(context, name, &subscription).await? {
            Some(subscription) => subscription,
            None => return Ok(Requeue::Await),
        }
    };
    let gathered = gather(context, name, &subscription, deleting).await?;
    // decide (pure)
    let decision = decide(&gathered.inputs);
    // execute (wishes to the members; they work on their own)
    let left = execute::execute(context, name, &subscription, &gathered, &decision);
    if deleting {
        if left.ended() {
            for cluster in &left.overdue {
                removal::note(context, cluster, name).await?;
            }
            metadata::release(context, name, &subscription).await?;
            forget(context, name);
            return Ok(Requeue::Await);
        }
        return Ok(Requeue::After(execute::RELEASE_CHECK));
    }
    remember(context, name, &gathered, &decision);
    if let Some(left) = report::held_back(context, name, &subscription, &decision) {
        return Ok(Requeue::After(left));
    }
    // report (the hub's API, only what changed)
    let waits = report::report(context, name, &subscription, &decision).await?;
    Ok(match waits {
        Some(left) => Requeue::After(left),
        None if gathered.awaits_secret => Requeue::After(AWAIT_SECRET),
        None => Requeue::Await,
    })
}

/// Everything a pass needs to know.
struct Gathered {
    inputs: Inputs,
    placement: Option<String>,
    inline: Option<crate::core::placement::Schedule>,
    content: content::Found,
    admin: bool,
    awaits_secret: bool,
}

async fn gather(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Arc<Subscription>,
    deleting: bool,
) -> Result<Gathered, kube::Error> {
    let before = context
        .subscriptions()
        .get(name)
        .map(|record| (record.placed.clone(), record.asked.clone()))
        .unwrap_or_default();
    let placed = placed::resolve(context, subscription, &before.0);
    let content = if deleting {
        content::Found::default()
    } else {
        content::find(context, name, subscription).await?
    };
    let registered = registered(context);
    let mut holders = holders::known(context, name, before.1);
    if deleting {
        holders::suspected(context, name, &placed.placement, &registered, &mut holders).await?;
    }
    let inputs = Inputs {
        deleting,
        paused: subscription
            .labels()
            .get(LABEL_SUBSCRIPTION_PAUSE)
            .is_some_and(|value| value == "true"),
        unsupported: unsupported(subscription),
        placement: placed.placement,
        content: content.content.clone(),
        holders,
        registered,
    };
    Ok(Gathered {
        inputs,
        placement: placed.words,
        inline: placed.inline,
        awaits_secret: content.awaits_secret,
        content,
        admin: context.stores.is_admin_namespace(&name.namespace),
    })
}

/// Clusters that the hub has and that are not leaving it.
fn registered(context: &Shared) -> BTreeSet<ClusterName> {
    context
        .stores
        .clusters
        .state()
        .iter()
        .filter(|cluster| cluster.metadata.deletion_timestamp.is_none())
        .map(|cluster| ClusterName::from(cluster.name_any()))
        .collect()
}

fn remember(context: &Shared, name: &NamespacedName, gathered: &Gathered, decision: &Decision) {
    let mut records = context.subscriptions();
    let record = records.entry(name.clone()).or_default();
    record.decision = Some(decision.clone());
    record.placement.clone_from(&gathered.placement);
    record.inline.clone_from(&gathered.inline);
    record.source = gathered.content.words.clone();
    record.placed = match &gathered.inputs.placement {
        crate::core::subscription::Placement::Decided(clusters)
        | crate::core::subscription::Placement::Pending { clusters, .. } => clusters.clone(),
        // Held: what was decided before still stands.
        crate::core::subscription::Placement::Failed(_) => std::mem::take(&mut record.placed),
    };
    if let (Content::Ready { .. }, Some(commit)) =
        (&gathered.content.content, &gathered.content.commit)
    {
        execute::note_revision(record, commit);
    }
}

fn forget(context: &Shared, name: &NamespacedName) {
    context.sources.forget(name);
    context.subscriptions().remove(name);
}
