//! The task of one member: it owns everything that is known of it.
//!
//! While the probe succeeds there is a session: inventories are listed once,
//! kinds are watched, wishes are planned and passes run. When the probe fails
//! the session ends and all its connections with it; the next one starts from
//! what the member says then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::application::{App, Delays, Picture, Retry};
use super::calls::{CallError, Calls};
use super::client::MemberClient;
use super::failure;
use super::ledger::{Desire, Ledger};
use super::observe::{self, Kind, Observation, Row};
use super::pass::{Outcome, Pass, PassResult, Session};
use super::pool::PoolOptions;
use super::probe;
use crate::api::NamespacedName;
use crate::core::delivery::{ClusterDelivery, DeliveryPhase, Failure, Health, PassCounts, Sync};
use crate::core::fleet::Connection;
use crate::core::inventory::{Inventory, LABEL_HUB, applyset_id};
use crate::core::object::ObjectId;
use crate::core::plan::{ApplyReason, Observed, plan};

/// Events of the watches that wait to be looked at.
const OBSERVATIONS: usize = 1_024;
/// After something changed that an object waits for, so many quick tries.
const QUICK_TRIES: i32 = 10;

/// Runs a member until `stop`.
pub(super) async fn run(
    ledger: Arc<Ledger>,
    client: MemberClient,
    options: PoolOptions,
    stop: CancellationToken,
) {
    let calls = Calls::new(
        client.calls.clone(),
        options.in_flight,
        options.may_write.clone(),
    );
    let (gate, mut reachable) = watch::channel(false);
    let nudge = Arc::new(Notify::new());
    let mut probe = JoinSet::new();
    probe.spawn(probe::run(
        calls.clone(),
        ledger.clone(),
        options.clone(),
        gate,
        nudge.clone(),
    ));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            open = reachable.wait_for(|open| *open) => if open.is_err() { return },
        }
        let mut task = Task::new(&ledger, &client, &calls, &options, &nudge);
        tokio::select! {
            () = stop.cancelled() => return,
            closed = reachable.wait_for(|open| !*open) => if closed.is_err() { return },
            () = task.run() => {}
        }
        drop(task);
        mark_unreachable(&ledger);
    }
}

/// What was known stays in view, but nobody claims that it still holds.
fn mark_unreachable(ledger: &Ledger) {
    let Connection::Unreachable { failure, .. } = ledger.connection() else {
        return;
    };
    for application in ledger.wishes().into_keys() {
        let Some(mut delivery) = ledger.delivery(&application) else {
            continue;
        };
        delivery.failure = Some(failure.clone());
        if delivery.phase != DeliveryPhase::Removed {
            delivery.phase = DeliveryPhase::Pending;
        }
        for object in &mut delivery.objects {
            (object.sync, object.health) = (Sync::Unknown, Health::Unknown);
            object.health_message = "the cluster does not answer".to_owned();
        }
        ledger.set_delivery(delivery);
    }
}

struct Task<'a> {
    ledger: &'a Arc<Ledger>,
    client: &'a MemberClient,
    options: &'a PoolOptions,
    nudge: &'a Notify,
    session: Session,
    apps: BTreeMap<NamespacedName, App>,
    /// ApplySet id to application, for rows.
    owners: BTreeMap<String, NamespacedName>,
    rows: BTreeMap<ObjectId, Row>,
    synced: BTreeSet<Kind>,
    /// Kinds being listed, with the ids seen so far.
    listing: BTreeMap<Kind, BTreeSet<ObjectId>>,
    watches: BTreeMap<Kind, AbortHandle>,
    watchers: JoinSet<()>,
    passes: JoinSet<PassResult>,
    observations: (mpsc::Sender<Observation>, mpsc::Receiver<Observation>),
    touched: BTreeSet<NamespacedName>,
}

impl<'a> Task<'a> {
    fn new(
        ledger: &'a Arc<Ledger>,
        client: &'a MemberClient,
        calls: &Calls,
        options: &'a PoolOptions,
        nudge: &'a Notify,
    ) -> Self {
        Self {
            ledger,
            client,
            options,
            nudge,
            session: Session::new(calls.clone()),
            apps: BTreeMap::new(),
            owners: BTreeMap::new(),
            rows: BTreeMap::new(),
            synced: BTreeSet::new(),
            listing: BTreeMap::new(),
            watches: BTreeMap::new(),
            watchers: JoinSet::new(),
            passes: JoinSet::new(),
            observations: mpsc::channel(OBSERVATIONS),
            touched: BTreeSet::new(),
        }
    }

    /// Ends only by being dropped.
    async fn run(&mut self) {
        self.load_inventories().await;
        self.watchers.spawn(observe::watch_definitions(
            self.client.watches.clone(),
            self.observations.0.clone(),
        ));
        self.ledger.take_dirty();
        self.touched.extend(self.ledger.wishes().into_keys());
        let kinds: Vec<_> = self.apps.values().flat_map(App::kinds).collect();
        kinds
            .into_iter()
            .for_each(|(kind, version)| self.watch(kind, version));
        loop {
            for application in std::mem::take(&mut self.touched) {
                self.consider(&application);
            }
            let due = self.apps.values().filter_map(App::next_due).min();
            tokio::select! {
                () = self.ledger.wake.notified() => self.wishes_changed(),
                Some(observation) = self.observations.1.recv() => {
                    self.observe(observation);
                    // What came together is looked at together.
                    while let Ok(observation) = self.observations.1.try_recv() {
                        self.observe(observation);
                    }
                }
                Some(done) = self.passes.join_next(), if !self.passes.is_empty() => if let Ok(result) = done {
                    self.finish(result);
                },
                () = sleep_until(due) => {
                    let now = Instant::now();
                    let due = self.apps.iter_mut().filter_map(|(name, app)| app.take_due(now).then(|| name.clone()));
                    self.touched.extend(due);
                }
            }
        }
    }

    fn wishes_changed(&mut self) {
        for application in self.ledger.take_dirty() {
            if let Some(app) = self.apps.get_mut(&application) {
                app.stopped = None;
            }
            self.touched.insert(application);
        }
    }

    /// Lists this hub's inventories, page by page, until it works.
    async fn load_inventories(&mut self) {
        let mut attempts = 0;
        loop {
            match self.list_inventories().await {
                Ok(inventories) => {
                    for inventory in inventories {
                        let application = inventory.application.clone();
                        self.app(&application).inventory = Some(inventory);
                    }
                    return self.tell_inventories();
                }
                Err(error) => {
                    tracing::warn!(cluster = %self.ledger.cluster, %error, "cannot list inventories");
                    self.stop_all(&failure::of_call(&error));
                    self.nudge.notify_one();
                }
            }
            tokio::time::sleep(probe::backoff(
                self.options.retry_base,
                self.options.retry_max,
                attempts,
                self.ledger.cluster.as_str(),
            ))
            .await;
            attempts += 1;
        }
    }

    async fn list_inventories(&self) -> Result<Vec<Inventory>, CallError> {
        let selector = format!("{LABEL_HUB}%3D{}", self.options.hub_id);
        let (mut inventories, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/configmaps?labelSelector={selector}&limit=500{token}");
            let page: Value = self.session.calls.get(&path).await?;
            for item in page
                .get("items")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                match Inventory::from_config_map(item) {
                    Ok(inventory) => inventories.push(inventory),
                    // Its application meets it again at its first write and says so.
                    Err(error) => {
                        tracing::error!(cluster = %self.ledger.cluster, %error, "inventory left alone")
                    }
                }
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(next) if !next.is_empty() => token = format!("&continue={next}"),
                _ => return Ok(inventories),
            }
        }
    }

    fn tell_inventories(&self) {
        let present = self
            .apps
            .iter()
            .filter(|(_, app)| app.inventory.is_some())
            .map(|(name, _)| name.clone());
        self.ledger.set_inventories(present.collect());
    }

    fn stop_all(&self, failure: &Failure) {
        for application in self.ledger.wishes().into_keys() {
            let delivery = self
                .ledger
                .delivery(&application)
                .unwrap_or_else(|| ClusterDelivery {
                    cluster: self.ledger.cluster.clone(),
                    application: application.clone(),
                    revision: None,
                    desired: None,
                    phase: DeliveryPhase::Pending,
                    objects: Vec::new(),
                    pruning: Vec::new(),
                    failure: None,
                    applied_at: None,
                    last_pass: PassCounts::default(),
                });
            self.ledger.set_delivery(ClusterDelivery {
                failure: Some(failure.clone()),
                ..delivery
            });
        }
    }

    fn app(&mut self, application: &NamespacedName) -> &mut App {
        if !self.apps.contains_key(application) {
            self.owners
                .insert(applyset_id(application), application.clone());
        }
        self.apps.entry(application.clone()).or_default()
    }

    /// Looks at one application: plans, starts a pass where something is
    /// missing, and tells the hub.
    fn consider(&mut self, application: &NamespacedName) {
        let Some(wish) = self.ledger.wish(application) else {
            return;
        };
        let now = Instant::now();
        let app = self.app(application);
        if app.running {
            // Looked at again when the pass ends.
            return;
        }
        match &wish {
            Desire::Deliver(desired) => {
                app.removing = false;
                app.desired = Some(desired.clone());
            }
            Desire::Remove => app.removing = true,
            Desire::Hold => {
                app.removing = false;
                return self.publish(application);
            }
        }
        let waits = app.stopped.as_ref().is_some_and(|retry| retry.next > now);
        if !waits {
            self.plan(application, now);
        }
        self.publish(application);
    }

    fn plan(&mut self, application: &NamespacedName, now: Instant) {
        let delays = self.delays();
        let Some(app) = self.apps.get_mut(application) else {
            return;
        };
        let held = app.held(now);
        let desired = app.desired.clone().filter(|_| !app.removing);
        let ids: BTreeSet<&ObjectId> = desired
            .iter()
            .flat_map(|desired| &desired.objects)
            .map(|object| &object.id)
            .chain(
                app.inventory
                    .iter()
                    .flat_map(|inventory| inventory.entries.keys()),
            )
            .collect();
        let observed = Observed {
            synced: self.synced.clone(),
            objects: ids
                .iter()
                .filter_map(|id| Some(((*id).clone(), self.rows.get(*id)?.observed.clone())))
                .collect(),
        };
        match plan(desired.as_deref(), app.inventory.as_ref(), &observed, &held) {
            Ok(plan)
                if plan.is_empty()
                    || (plan.removes_all
                        && plan.apply.is_empty()
                        && plan.prune.is_empty()
                        && plan.held > 0) =>
            {
                app.stopped = None;
            }
            Ok(plan) => {
                let rows = plan
                    .prune
                    .iter()
                    .flatten()
                    .filter_map(|(id, _)| Some((id.clone(), self.rows.get(id)?.clone())))
                    .collect();
                app.running = true;
                let pass = Pass {
                    session: self.session.clone(),
                    application: application.clone(),
                    hub_id: self.options.hub_id.clone(),
                    desired,
                    inventory: app.inventory.clone(),
                    plan,
                    rows,
                };
                self.passes.spawn(pass.run());
            }
            Err(failure) => Self::stop(app, failure, delays, now),
        }
    }

    fn delays(&self) -> Delays {
        Delays {
            base: self.options.retry_base,
            max: self.options.retry_max,
        }
    }

    fn stop(app: &mut App, failure: Failure, delays: Delays, now: Instant) {
        let attempts = app
            .stopped
            .as_ref()
            .map_or(0, |retry| retry.attempts.saturating_add(1));
        let next = now + delays.after(attempts, &failure.reason);
        app.stopped = Some(Retry {
            digest: String::new(),
            attempts,
            next,
            armed: true,
            failure: Some(failure),
        });
    }

    fn publish(&self, application: &NamespacedName) {
        let Some(app) = self.apps.get(application) else {
            return;
        };
        let picture = Picture {
            cluster: &self.ledger.cluster,
            application,
            app,
            rows: &self.rows,
            synced: &self.synced,
            old: self
                .ledger
                .delivery(application)
                .into_iter()
                .flat_map(|old| old.objects)
                .map(|object| (object.id.clone(), object))
                .collect(),
            now: (self.options.clock)(),
        };
        self.ledger.set_delivery(picture.draw());
    }

    fn finish(&mut self, result: PassResult) {
        let (now, delays) = (Instant::now(), self.delays());
        let clock = (self.options.clock)();
        if result.unreachable {
            self.nudge.notify_one();
        }
        let application = result.application;
        let mut rows = Vec::new();
        let app = self.app(&application);
        app.running = false;
        let appeared = app.inventory.is_some() != result.inventory.is_some();
        app.inventory = result.inventory;
        app.last_pass = result.counts;
        for (id, outcome) in result.outcomes {
            match outcome {
                Outcome::Applied { row, reason, .. } => {
                    app.applied_at = Some(clock);
                    if matches!(reason, ApplyReason::Drifted | ApplyReason::Vanished) {
                        app.tried(&id, None, delays, now);
                    } else {
                        app.retries.remove(&id);
                    }
                    rows.push((id, Some(row)));
                }
                Outcome::Failed(failure) => app.tried(&id, Some(failure), delays, now),
                // The watch tells when it is gone; without one, it is asked.
                Outcome::Deleting => app.tried(&id, None, delays, now),
                Outcome::Pruned => {
                    app.retries.remove(&id);
                    rows.push((id, None));
                }
                Outcome::Released => {
                    app.retries.remove(&id);
                }
            }
        }
        match result.failure {
            Some(failure) => Self::stop(app, failure, delays, now),
            None => app.stopped = None,
        }
        let kinds = app.kinds();
        for (id, row) in rows {
            match row {
                Some(row) => self.update_row(id, *row),
                None => {
                    self.rows.remove(&id);
                }
            }
        }
        kinds
            .into_iter()
            .for_each(|(kind, version)| self.watch(kind, version));
        if appeared {
            self.tell_inventories();
        }
        self.touched.insert(application);
    }

    fn update_row(&mut self, id: ObjectId, row: Row) {
        if let Some(seen) = self.listing.get_mut(&(id.group.clone(), id.kind.clone())) {
            // Written while its kind is being listed: the list may not have it.
            seen.insert(id.clone());
        }
        if self
            .rows
            .get(&id)
            .is_none_or(|old| old.version <= row.version || old.uid != row.uid)
        {
            self.rows.insert(id, row);
        }
    }

    fn observe(&mut self, observation: Observation) {
        match observation {
            Observation::Listing(kind) => {
                self.listing.insert(kind, BTreeSet::new());
            }
            Observation::Row(id, row) => {
                let id = self.settled(id, &row.applyset);
                if let Some(owner) = self.owners.get(&*row.applyset) {
                    self.touched.insert(owner.clone());
                    self.update_row(id, *row);
                }
            }
            Observation::Gone(id, version) => self.gone(id, version),
            Observation::Listed(kind) => self.listed(kind),
            Observation::Troubled(kind) => {
                self.listing.remove(&kind);
                self.nudge.notify_one();
            }
            Observation::Definition { group, gone } => self.definition(&group, gone),
        }
    }

    fn gone(&mut self, id: ObjectId, version: u64) {
        let Some((id, row)) = self
            .rows
            .get_key_value(&id)
            .or_else(|| self.rows.iter().find(|(other, _)| is_same(other, &id)))
        else {
            return;
        };
        if row.version > version {
            return;
        }
        let (id, owner) = (id.clone(), self.owners.get(&*row.applyset).cloned());
        self.rows.remove(&id);
        if let Some(owner) = owner {
            // What waited for its end is done; a heal keeps its delay.
            if let Some(app) = self.apps.get_mut(&owner)
                && app
                    .retries
                    .get(&id)
                    .is_some_and(|retry| retry.failure.is_none() && retry.digest.is_empty())
            {
                app.retries.remove(&id);
            }
            self.touched.insert(owner);
        }
    }

    fn listed(&mut self, kind: Kind) {
        if let Some(seen) = self.listing.remove(&kind) {
            let lost: Vec<ObjectId> = self
                .rows
                .keys()
                .filter(|id| (&id.group, &id.kind) == (&kind.0, &kind.1) && !seen.contains(id))
                .cloned()
                .collect();
            for id in lost {
                self.gone(id, u64::MAX);
            }
        }
        let concerned = self
            .apps
            .iter()
            .filter(|(_, app)| app.kinds().contains_key(&kind))
            .map(|(name, _)| name.clone());
        self.touched.extend(concerned);
        self.synced.insert(kind);
    }

    /// A definition came, changed or went: what waits for its group is tried at
    /// once, a few times, since discovery follows a little later.
    fn definition(&mut self, group: &str, gone: bool) {
        let now = Instant::now();
        for (name, app) in &mut self.apps {
            let waiting = app.retries.iter_mut().filter(|(id, retry)| {
                id.group == group
                    && retry
                        .failure
                        .as_ref()
                        .is_some_and(|failure| failure.reason == failure::NOT_SERVED)
            });
            for (_, retry) in waiting {
                (retry.attempts, retry.next, retry.armed) = (-QUICK_TRIES, now, false);
                self.touched.insert(name.clone());
            }
        }
        let kinds: Vec<Kind> = self
            .watches
            .keys()
            .filter(|kind| kind.0 == group)
            .cloned()
            .collect();
        if gone {
            for kind in kinds {
                if let Some(handle) = self.watches.remove(&kind) {
                    handle.abort();
                }
                self.listing.remove(&kind);
                self.listed_nothing(&kind);
            }
        }
    }

    fn listed_nothing(&mut self, kind: &Kind) {
        self.listing.insert(kind.clone(), BTreeSet::new());
        self.listed(kind.clone());
    }

    /// A kind that the hub took for namespaced is recorded with a namespace
    /// even where the member has it without.
    fn settled(&self, id: ObjectId, applyset: &str) -> ObjectId {
        if id.namespace.is_some() {
            return id;
        }
        let inventory = self
            .owners
            .get(applyset)
            .and_then(|owner| self.apps.get(owner)?.inventory.as_ref());
        let recorded = inventory.and_then(|inventory| {
            if inventory.entries.contains_key(&id) {
                return None;
            }
            inventory
                .entries
                .keys()
                .find(|other| is_same(other, &id))
                .cloned()
        });
        recorded.unwrap_or(id)
    }

    fn watch(&mut self, kind: Kind, api_version: String) {
        if self.watches.contains_key(&kind) {
            return;
        }
        let (discovery, client) = (self.session.discovery.clone(), self.client.watches.clone());
        let (name, out, delays) = (kind.1.clone(), self.observations.0.clone(), self.delays());
        let handle = self.watchers.spawn(async move {
            let mut attempts = 0;
            loop {
                if let Ok(Some(resource)) = discovery.find(&api_version, &name).await {
                    return observe::watch(client, resource, out).await;
                }
                tokio::time::sleep(delays.after(attempts, &name)).await;
                attempts += 1;
            }
        });
        self.watches.insert(kind, handle);
    }
}

/// Whether two identities differ only in that one has no namespace.
fn is_same(recorded: &ObjectId, live: &ObjectId) -> bool {
    live.namespace.is_none()
        && (&recorded.group, &recorded.kind, &recorded.name)
            == (&live.group, &live.kind, &live.name)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => tokio::time::sleep(Duration::from_secs(3_600)).await,
    }
}
