//! The task of one member: it owns everything that is known of it.
//!
//! While the probe succeeds there is a session: inventories are listed once,
//! kinds are watched, wishes are planned and passes run. When the probe fails
//! the session ends and all its connections with it; the next one starts from
//! what the member says then.

mod load;
mod passes;
mod rows;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::application::{App, Delays, Picture};
use super::calls::Calls;
use super::client::MemberClient;
use super::ledger::{Desire, Ledger};
use super::observe::{self, Kind, Observation, Row};
use super::pass::{PassResult, Session};
use super::pool::PoolOptions;
use super::probe;
use crate::api::NamespacedName;
use crate::core::delivery::{DeliveryPhase, Health, Sync};
use crate::core::fleet::Connection;
use crate::core::inventory::applyset_id;
use crate::core::object::ObjectId;

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
        ledger.set_crowd(0);
        mark_unreachable(&ledger);
    }
}

/// What was known stays in view, but nobody claims that it still holds.
fn mark_unreachable(ledger: &Ledger) {
    let Connection::Unreachable { failure, .. } = ledger.connection() else {
        return;
    };
    for application in ledger.wishes().into_keys() {
        let Some(delivery) = ledger.delivery(&application) else {
            continue;
        };
        let mut delivery = Arc::unwrap_or_clone(delivery);
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
    /// Applications that wait for others to be written.
    queue: VecDeque<NamespacedName>,
    /// Applications whose record is behind, and since when.
    unsettled: BTreeMap<NamespacedName, Instant>,
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
            session: Session::new(calls.clone(), ledger.clone(), options.metrics.clone()),
            apps: BTreeMap::new(),
            owners: BTreeMap::new(),
            rows: BTreeMap::new(),
            synced: BTreeSet::new(),
            listing: BTreeMap::new(),
            watches: BTreeMap::new(),
            watchers: JoinSet::new(),
            passes: JoinSet::new(),
            queue: VecDeque::new(),
            unsettled: BTreeMap::new(),
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
            self.flush(Instant::now());
            let due = self.apps.values().filter_map(App::next_due);
            let due = due.chain(self.flush_due()).min();
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

    fn delays(&self) -> Delays {
        Delays {
            base: self.options.retry_base,
            max: self.options.retry_max,
        }
    }

    fn publish(&self, application: &NamespacedName) {
        let Some(app) = self.apps.get(application) else {
            return;
        };
        let old = self.ledger.delivery(application);
        let picture = Picture {
            cluster: &self.ledger.cluster,
            application,
            app,
            rows: &self.rows,
            synced: &self.synced,
            old: old
                .iter()
                .flat_map(|old| &old.objects)
                .map(|object| (&object.id, object))
                .collect(),
            now: (self.options.clock)(),
        };
        self.ledger.set_delivery(picture.draw());
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => tokio::time::sleep(Duration::from_secs(3_600)).await,
    }
}
