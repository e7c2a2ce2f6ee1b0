//! The snapshot of everything the hub knows, and the view built from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::context::Shared;
use super::stores::{ChangeReader, PlacementKind, name_of};
use crate::api::apps::Subscription;
use crate::api::{ClusterName, LABEL_SUBSCRIPTION_PAUSE, NamespacedName};
use crate::core::coexistence::controller_of;
use crate::core::fleet::{
    ClusterSnapshot, Connection, FleetSnapshot, HubFacts, SourceSnapshot, SubscriptionSnapshot,
};
use crate::core::mesh::{Consumer, MeshInput, MeshView, PlannedExport, history};
use crate::core::placement::ClusterFacts;
use crate::core::placement::sets::SetFilter;
use crate::core::removal::owed;
use crate::core::stages::{StageInput, stages};
use crate::core::view::{Facts, FleetView, Schedules};

/// Changes that come within this time make one view.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Building views takes at most one part in so many of the time.
const SHARE: u32 = 8;
/// A view is built at least this often: freshness of gateways is a matter of time.
const REFRESH: Duration = Duration::from_secs(2);

/// Builds views until `shutdown`.
pub async fn publish(
    context: Shared,
    mut changes: ChangeReader,
    views: watch::Sender<Arc<FleetView>>,
    shutdown: CancellationToken,
) {
    let mut mesh: Arc<MeshView> = Arc::default();
    let mut generation = 0;
    loop {
        let begun = Instant::now();
        let fleet = snapshot(&context);
        let next = Arc::new(judge(&context, &fleet, &mesh));
        note_transitions(&context, &mesh, &next, generation);
        mesh = next;
        generation += 1;
        let facts = Facts {
            fleet: Arc::new(fleet),
            schedules: Arc::new(schedules(&context)),
            mesh: Arc::clone(&mesh),
            generation,
        };
        views.send_replace(Arc::new(FleetView::build(facts)));
        let pause = DEBOUNCE.max(begun.elapsed() * SHARE).min(REFRESH);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(REFRESH) => {}
            change = changes.next() => {
                if change.is_none() {
                    return;
                }
                tokio::time::sleep(pause).await;
                changes.skip();
            }
        }
    }
}

/// Everything the hub knows now.
#[must_use]
pub fn snapshot(context: &Shared) -> FleetSnapshot {
    let subscriptions = context
        .stores
        .subscriptions
        .state()
        .into_iter()
        .map(|subscription| (name_of(subscription.as_ref()), one(context, subscription)))
        .collect();
    FleetSnapshot {
        observed_at: Some(Timestamp::now()),
        hub: HubFacts {
            id: context.hub_id.clone(),
            mode: context.options.mode.clone(),
            kubernetes_version: context.kubernetes_version.clone(),
            last_pass: context.last_pass(),
            problems: problems(context),
        },
        clusters: clusters(context),
        sets: context
            .stores
            .sets
            .state()
            .into_iter()
            .map(|set| (set.name_any(), set))
            .collect(),
        subscriptions,
        applications: context
            .stores
            .applications
            .state()
            .into_iter()
            .map(|application| (name_of(application.as_ref()), application))
            .collect(),
        activity: context.activity.entries(),
    }
}

fn clusters(context: &Shared) -> BTreeMap<ClusterName, ClusterSnapshot> {
    let known: BTreeSet<NamespacedName> = context
        .stores
        .subscriptions
        .state()
        .iter()
        .map(|subscription| name_of(subscription.as_ref()))
        .collect();
    let credentials = context.credentials().clone();
    context
        .stores
        .clusters
        .state()
        .into_iter()
        .map(|object| {
            let name = ClusterName::from(object.name_any());
            let credential = credentials.get(&name);
            let problem = credential.and_then(|credential| credential.problem.clone());
            let connection = match problem {
                Some(message) => Connection::NoCredential { message },
                None => context
                    .pool
                    .connection(&name)
                    .unwrap_or(Connection::Connecting),
            };
            let owed = owed(object.annotations());
            let orphans = context
                .pool
                .inventories(&name)
                .unwrap_or_default()
                .difference(&known)
                .filter(|application| !owed.contains(application))
                .cloned()
                .collect();
            let snapshot = ClusterSnapshot {
                object,
                credential: credential.and_then(|credential| credential.source.clone()),
                server: credential.and_then(|credential| credential.server.clone()),
                credential_kind: credential
                    .and_then(|credential| credential.kind)
                    .map(|kind| kind.to_string()),
                credential_ends: credential.and_then(|credential| credential.ends),
                connection,
                orphans,
            };
            (name, snapshot)
        })
        .collect()
}

/// Watches that fail, and objects that are left to another controller without
/// that having been asked for.
fn problems(context: &Shared) -> Vec<String> {
    let options = &context.options;
    let left = |kind: &str| options.controllers.has(controller_of(kind));
    let mut problems = context.stores.problems();
    problems.extend(context.stores.others.sentences(left, options.take_over));
    problems
}

fn one(context: &Shared, object: Arc<Subscription>) -> SubscriptionSnapshot {
    let name = name_of(object.as_ref());
    let record = context
        .subscriptions()
        .get(&name)
        .cloned()
        .unwrap_or_default();
    let state = context.sources.state(&name);
    let deliveries = context.pool.deliveries(&name);
    let commit = state
        .as_ref()
        .and_then(|state| state.commit.as_ref())
        .map(|commit| super::subscription::commit_facts(commit));
    let stages = stages(&StageInput {
        failure: record
            .decision
            .as_ref()
            .and_then(|decision| decision.failure.as_ref()),
        commit: commit.as_ref(),
        objects: record.desired.as_ref().map(|desired| desired.objects.len()),
        placed: &record.placed,
        deliveries: &deliveries,
        newest: record.history.first(),
    });
    SubscriptionSnapshot {
        paused: object
            .labels()
            .get(LABEL_SUBSCRIPTION_PAUSE)
            .is_some_and(|value| value == "true"),
        source: SourceSnapshot {
            channel: record.source.channel.clone(),
            url: record.source.url.clone(),
            reference: record.source.reference.clone(),
            path: record.source.path.clone(),
            commit,
            checked_at: state.as_ref().and_then(|state| state.checked_at),
            failure: state.and_then(|state| state.failure),
        },
        stages,
        failure: record
            .decision
            .as_ref()
            .and_then(|decision| decision.failure.clone()),
        placement: record.placement.clone(),
        placed: record.placed.iter().cloned().collect(),
        deliveries,
        references: record.references.clone(),
        exports: record.exports.clone(),
        history: record.history.clone(),
        object,
    }
}

/// Judges cables and services.
fn judge(context: &Shared, fleet: &FleetSnapshot, previous: &MeshView) -> MeshView {
    let mut members = context.meshes.members();
    for (name, cluster) in &fleet.clusters {
        // A member that is cut off says nothing: its watches may not know it yet.
        if let Connection::Unreachable { since, failure, .. } = &cluster.connection
            && let Some(seen) = members.get_mut(name)
        {
            *seen = Arc::new(seen.unreadable(*since, &failure.message));
        }
    }
    let hub = context.meshes.hub();
    let mut consumers = Vec::new();
    let mut planned = Vec::new();
    for (application, subscription) in &fleet.subscriptions {
        for cluster in &subscription.placed {
            if !subscription.references.is_empty() {
                consumers.push(Consumer {
                    application: application.clone(),
                    cluster: cluster.clone(),
                    references: subscription.references.clone(),
                });
            }
            planned.extend(subscription.exports.iter().map(|service| PlannedExport {
                application: application.clone(),
                cluster: cluster.clone(),
                service: service.clone(),
            }));
        }
    }
    let sets = set_members(fleet);
    let input = MeshInput {
        members: &members,
        hub: hub.as_deref(),
        sets: &sets,
        consumers: &consumers,
        planned: &planned,
        previous: Some(previous),
    };
    MeshView::build(&input, Timestamp::now())
}

/// Clusters of each set. `global` holds all clusters and says nothing about
/// who should reach whom.
fn set_members(fleet: &FleetSnapshot) -> BTreeMap<String, BTreeSet<ClusterName>> {
    let facts: Vec<ClusterFacts> = fleet
        .clusters
        .values()
        .map(|cluster| ClusterFacts::from(cluster.object.as_ref()))
        .collect();
    fleet
        .sets
        .iter()
        .filter(|(name, _)| name.as_str() != "global")
        .filter_map(|(name, set)| {
            let filter = SetFilter::new(set).ok()?;
            let members = facts
                .iter()
                .filter(|cluster| filter.holds(cluster))
                .map(|cluster| cluster.name.clone())
                .collect();
            Some((name.clone(), members))
        })
        .collect()
}

fn note_transitions(context: &Shared, before: &MeshView, after: &MeshView, generation: u64) {
    // The first view has nothing before it: everything would seem new.
    if generation == 0 {
        return;
    }
    for entry in history::transitions(before, after, Timestamp::now()) {
        context.activity.push(entry);
    }
}

fn schedules(context: &Shared) -> Schedules {
    let mut schedules: Schedules = context
        .placements()
        .iter()
        .map(|(key, record)| {
            let kind = match key.kind {
                PlacementKind::PlacementRule => "PlacementRule",
                PlacementKind::Placement => "Placement",
            };
            (
                (kind.to_owned(), key.name.clone()),
                Arc::clone(&record.schedule),
            )
        })
        .collect();
    for (name, record) in context.subscriptions().iter() {
        if let Some(inline) = &record.inline {
            schedules.insert(
                ("Subscription".to_owned(), name.clone()),
                Arc::new(inline.clone()),
            );
        }
    }
    schedules
}
