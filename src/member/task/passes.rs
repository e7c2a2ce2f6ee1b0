//! Passes of a member: how many at once, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Task;
use crate::api::NamespacedName;
use crate::core::delivery::Failure;
use crate::core::object::ObjectId;
use crate::core::plan::{ApplyReason, Observed, Plan, plan};
use crate::member::application::{App, Delays, Retry};
use crate::member::pass::{Outcome, Pass, PassResult};

/// Applications written to one member at once; the permits bound their calls.
/// More would not be faster, and what each has under way is held in memory.
const PASSES: usize = 32;
/// How long a record may be behind while other applications are written.
const UNSETTLED: Duration = Duration::from_secs(2);

impl Task<'_> {
    pub(super) fn plan(&mut self, application: &NamespacedName, now: Instant) {
        if self.passes.len() >= PASSES {
            return self.enqueue(application);
        }
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
                    desired,
                    plan,
                    rows,
                    ..self.empty_pass(application)
                };
                self.passes.spawn(pass.run());
                self.count();
            }
            Err(failure) => Self::stop(app, failure, delays, now),
        }
    }

    fn empty_pass(&self, application: &NamespacedName) -> Pass {
        let app = self.apps.get(application);
        Pass {
            session: self.session.clone(),
            application: application.clone(),
            hub_id: self.options.hub_id.clone(),
            desired: None,
            inventory: app.and_then(|app| app.inventory.clone()),
            unsettled: app.is_some_and(|app| app.unsettled),
            plan: Plan::default(),
            rows: BTreeMap::new(),
        }
    }

    fn enqueue(&mut self, application: &NamespacedName) {
        let Some(app) = self.apps.get_mut(application) else {
            return;
        };
        if !std::mem::replace(&mut app.queued, true) {
            self.queue.push_back(application.clone());
            self.count();
        }
    }

    fn count(&self) {
        self.ledger.set_crowd(self.passes.len() + self.queue.len());
    }

    /// Lets in who waited longest.
    fn admit(&mut self) {
        for _ in self.passes.len()..PASSES {
            let Some(application) = self.queue.pop_front() else {
                break;
            };
            if let Some(app) = self.apps.get_mut(&application) {
                app.queued = false;
            }
            self.touched.insert(application);
        }
        self.count();
    }

    /// When a record that is behind has waited long enough.
    pub(super) fn flush_due(&self) -> Option<Instant> {
        if self.passes.len() >= PASSES {
            // The end of a pass comes first.
            return None;
        }
        self.unsettled
            .values()
            .min()
            .map(|since| *since + UNSETTLED)
    }

    /// Writes records that are behind: all when there is time, else the old ones.
    pub(super) fn flush(&mut self, now: Instant) {
        if self.unsettled.is_empty() {
            return;
        }
        let calm = !self.ledger.crowded();
        let due: Vec<NamespacedName> = self
            .unsettled
            .iter()
            .filter(|(_, since)| calm || **since + UNSETTLED <= now)
            .map(|(application, _)| application.clone())
            .take(PASSES.saturating_sub(self.passes.len()))
            .collect();
        for application in due {
            self.unsettled.remove(&application);
            let pass = self.empty_pass(&application);
            let Some(app) = self.apps.get_mut(&application) else {
                continue;
            };
            if app.running || !app.unsettled {
                // The pass that runs writes it, or puts it here again.
                continue;
            }
            app.running = true;
            self.passes.spawn(pass.flush());
            self.count();
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

    pub(super) fn finish(&mut self, result: PassResult) {
        let (now, delays) = (Instant::now(), self.delays());
        let clock = (self.options.clock)();
        if result.unreachable {
            self.nudge.notify_one();
        }
        let application = result.application;
        let mut rows = Vec::new();
        let app = self.app(&application);
        app.running = false;
        let present = result.inventory.is_some();
        app.inventory = result.inventory;
        app.unsettled = result.unsettled;
        app.last_pass = result.counts.unwrap_or(app.last_pass);
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
        self.ledger.note_inventory(&application, present);
        if result.unsettled {
            self.unsettled.entry(application.clone()).or_insert(now);
        } else {
            self.unsettled.remove(&application);
        }
        self.admit();
        self.touched.insert(application);
    }
}
