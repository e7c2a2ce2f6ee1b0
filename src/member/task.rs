//! The task of one member: it owns everything that is known of it.
//!
//! While the probe succeeds there is a session: inventories are listed once,
//! kinds are watched, wishes are planned and passes run. When the probe fails
//! the session ends and all its connections with it; the next one starts from
//! what the member says then.

mod load;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::application::{App, Delays, Picture, Retry};
use super::calls::Calls;
use super::client::MemberClient;
use super::ledger::{Desire, Ledger};
use super::observe::{self, Kind, Observation, Row};
use super::pass::{Outcome, Pass, PassResult, Session};
use super::pool::PoolOptions;
use super::probe;
use crate::api::NamespacedName;
use crate::core::delivery::{DeliveryPhase, Failure, Health, Sync};
use crate::core::fleet::Connection;
use crate::core::inventory::applyset_id;
use crate::core::object::ObjectId;
use crate::core::plan::{ApplyReason, Observed, plan};

/// Events of the watches that wait to be looked at.
const OBSERVATIONS: usize = 1_024;
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
            session: Session::new(calls.clone(), options.metrics.clone()),
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
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => tokio::time::sleep(Duration::from_secs(3_600)).await,
    }
}
