//! What the task of a member keeps of one application, and the picture of it
//! that the hub gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::observe::{Kind, Row};
use super::probe::backoff;
use crate::api::{ClusterName, NamespacedName};
use crate::core::delivery::{
    ClusterDelivery, DeliveryPhase, Failure, FailureClass, Health, ObjectState, PassCounts, Sync,
};
use crate::core::desired::DesiredSet;
use crate::core::health::needs_body;
use crate::core::inventory::Inventory;
use crate::core::object::ObjectId;

/// A heal is forgotten when the object stayed as it was for this long.
const CALM: Duration = Duration::from_secs(60);

/// When an object or a pass is tried again.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    /// Content that was tried: other content is tried at once.
    pub(super) digest: String,
    /// Tries so far; negative while something was said to have changed.
    pub(super) attempts: i32,
    pub(super) next: Instant,
    /// Whether `next` is still to be acted upon.
    pub(super) armed: bool,
    /// `None`: it worked, but another writer took it back.
    pub(super) failure: Option<Failure>,
}

/// Delays between tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delays {
    pub(super) base: Duration,
    pub(super) max: Duration,
}

impl Delays {
    pub(super) fn after(self, attempts: i32, salt: &str) -> Duration {
        match u32::try_from(attempts) {
            Ok(attempts) => backoff(self.base, self.max, attempts, salt),
            // Something that was awaited has just come.
            Err(_) => Duration::from_millis(100),
        }
    }
}

/// One application on one member.
#[derive(Default)]
pub(super) struct App {
    /// Last content that was wished for.
    pub(super) desired: Option<Arc<DesiredSet>>,
    /// The record on the member; `None` when there is none.
    pub(super) inventory: Option<Inventory>,
    /// Whether the record is behind: it is written when there is time.
    pub(super) unsettled: bool,
    pub(super) running: bool,
    /// Whether it waits until fewer passes run.
    pub(super) queued: bool,
    pub(super) removing: bool,
    /// Objects that are tried again later.
    pub(super) retries: BTreeMap<ObjectId, Retry>,
    /// A failure of the whole pass.
    pub(super) stopped: Option<Retry>,
    pub(super) last_pass: PassCounts,
    pub(super) applied_at: Option<Timestamp>,
}

impl App {
    /// Objects whose next try is not due. Heals that held are forgotten.
    pub(super) fn held(&mut self, now: Instant) -> BTreeSet<ObjectId> {
        self.retries
            .retain(|_, retry| retry.failure.is_some() || now < retry.next + CALM);
        if self.retries.is_empty() {
            return BTreeSet::new();
        }
        let digests: BTreeMap<&ObjectId, &str> = self
            .desired
            .iter()
            .filter(|_| !self.removing)
            .flat_map(|desired| &desired.objects)
            .map(|object| (&object.id, object.digest.short()))
            .collect();
        self.retries
            .iter()
            .filter(|(id, retry)| {
                retry.next > now && digests.get(id).copied().unwrap_or_default() == retry.digest
            })
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// When something here is due next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.retries
            .values()
            .chain(&self.stopped)
            .filter(|retry| retry.armed)
            .map(|retry| retry.next)
            .min()
    }

    /// Disarms what is due; whether anything was.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let mut due = false;
        for retry in self.retries.values_mut().chain(&mut self.stopped) {
            if retry.armed && retry.next <= now {
                retry.armed = false;
                due = true;
            }
        }
        due
    }

    /// Notes that an object failed, or (without a failure) was put right.
    pub(super) fn tried(
        &mut self,
        id: &ObjectId,
        failure: Option<Failure>,
        delays: Delays,
        now: Instant,
    ) {
        let digest = self.digest_of(id);
        let attempts = match self.retries.get(id) {
            Some(retry) if retry.digest == digest => retry.attempts.saturating_add(1),
            _ => 0,
        };
        let slow = matches!(
            failure.as_ref().map(|failure| failure.class),
            Some(FailureClass::Invalid | FailureClass::Stalled | FailureClass::Conflict)
        );
        // Nothing here heals by itself soon; every try costs the member a call.
        let delays = if slow {
            Delays {
                max: delays.max * 5,
                base: delays.base * 4,
            }
        } else {
            delays
        };
        let next = now + delays.after(attempts, &id.name);
        self.retries.insert(
            id.clone(),
            Retry {
                digest,
                attempts,
                next,
                armed: true,
                failure,
            },
        );
    }

    fn digest_of(&self, id: &ObjectId) -> String {
        self.desired
            .iter()
            .filter(|_| !self.removing)
            .flat_map(|desired| &desired.objects)
            .find(|object| object.id == *id)
            .map(|object| object.digest.short().to_owned())
            .unwrap_or_default()
    }

    /// Kinds (with a version) of which this application has objects here.
    pub(super) fn kinds(&self) -> BTreeMap<Kind, String> {
        self.inventory
            .iter()
            .flat_map(|inventory| &inventory.entries)
            .filter(|(_, entry)| !entry.merged && !entry.digest.is_empty())
            .map(|(id, entry)| {
                (
                    (id.group.clone(), id.kind.clone()),
                    entry.api_version.clone(),
                )
            })
            .collect()
    }
}

/// What the picture is drawn from.
pub(super) struct Picture<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) application: &'a NamespacedName,
    pub(super) app: &'a App,
    pub(super) rows: &'a BTreeMap<ObjectId, Row>,
    pub(super) synced: &'a BTreeSet<Kind>,
    /// Objects of the last picture.
    pub(super) old: BTreeMap<&'a ObjectId, &'a ObjectState>,
    pub(super) now: Timestamp,
}

impl Picture<'_> {
    pub(super) fn draw(&self) -> ClusterDelivery {
        let (app, removing) = (self.app, self.app.removing);
        let mut objects = Vec::new();
        let mut pruning = Vec::new();
        if let Some(desired) = app.desired.as_ref().filter(|_| !removing) {
            objects.extend(desired.objects.iter().map(|object| {
                self.object(&object.id, &object.api_version, Some(object.digest.short()))
            }));
            objects.extend(desired.refused.iter().map(|refused| {
                self.since(ObjectState {
                    id: refused.id.clone(),
                    api_version: refused.api_version.clone(),
                    sync: Sync::OutOfSync,
                    health: self
                        .rows
                        .get(&refused.id)
                        .map_or(Health::Missing, |row| row.health),
                    health_message: String::new(),
                    failure: Some(refused.failure.clone()),
                    since: self.now,
                })
            }));
        }
        let known: BTreeSet<&ObjectId> = objects.iter().map(|object| &object.id).collect();
        if let Some(inventory) = &app.inventory {
            pruning.extend(
                inventory
                    .entries
                    .keys()
                    .filter(|id| !known.contains(id))
                    .cloned(),
            );
        }
        if app.desired.is_none() && !removing {
            // Held since before this process: the record says what is here.
            let entries = app
                .inventory
                .iter()
                .flat_map(|inventory| &inventory.entries);
            objects.extend(entries.map(|(id, entry)| self.object(id, &entry.api_version, None)));
            pruning.clear();
        }
        let failure = app.stopped.as_ref().and_then(|retry| retry.failure.clone());
        let phase = self.phase(&objects, &pruning, failure.is_some());
        let complete = phase == DeliveryPhase::Applied;
        let recorded = app
            .inventory
            .as_ref()
            .map(|inventory| inventory.revision.clone())
            .filter(|revision| !revision.is_empty());
        ClusterDelivery {
            cluster: self.cluster.clone(),
            application: self.application.clone(),
            revision: match &app.desired {
                Some(desired) if complete => Some(desired.revision.clone()),
                _ => recorded.clone(),
            },
            recorded,
            desired: app
                .desired
                .as_ref()
                .filter(|_| !removing)
                .map(|desired| desired.digest.clone()),
            phase,
            objects,
            pruning,
            failure,
            applied_at: app.applied_at,
            last_pass: app.last_pass,
        }
    }

    fn phase(&self, objects: &[ObjectState], pruning: &[ObjectId], stopped: bool) -> DeliveryPhase {
        let app = self.app;
        if app.removing {
            return if app.inventory.is_none() && !app.running && !stopped {
                DeliveryPhase::Removed
            } else {
                DeliveryPhase::Removing
            };
        }
        if stopped || objects.iter().any(|object| object.failure.is_some()) {
            return DeliveryPhase::Failed;
        }
        if app.running {
            return DeliveryPhase::Applying;
        }
        let synced = objects.iter().all(|object| object.sync == Sync::Synced);
        if synced && pruning.is_empty() && (app.desired.is_some() || app.inventory.is_some()) {
            DeliveryPhase::Applied
        } else {
            DeliveryPhase::Pending
        }
    }

    fn object(&self, id: &ObjectId, api_version: &str, digest: Option<&str>) -> ObjectState {
        let row = self.rows.get(id);
        let entry = self
            .app
            .inventory
            .as_ref()
            .and_then(|inventory| inventory.entries.get(id));
        let watched = self.synced.contains(&(id.group.clone(), id.kind.clone()));
        let recorded = entry.is_some_and(|entry| {
            !entry.digest.is_empty() && digest.is_none_or(|digest| entry.digest == digest)
        });
        let merged = entry.is_some_and(|entry| entry.merged);
        let present = row.is_some() || !watched || merged;
        let drifted = !merged
            && row.is_some_and(|row| {
                entry.is_some_and(|entry| row.observed.fingerprint != entry.fingerprint)
            });
        let (health, health_message) = match row {
            Some(row) => (row.health, row.health_message.clone()),
            None if !recorded || !present => (Health::Missing, String::new()),
            None if needs_body(&id.group, &id.kind) => {
                (Health::Unknown, "not observed yet".to_owned())
            }
            None => (Health::Healthy, String::new()),
        };
        self.since(ObjectState {
            id: id.clone(),
            api_version: api_version.to_owned(),
            sync: if recorded && present && !drifted {
                Sync::Synced
            } else {
                Sync::OutOfSync
            },
            health,
            health_message,
            failure: self
                .app
                .retries
                .get(id)
                .and_then(|retry| retry.failure.clone()),
            since: self.now,
        })
    }

    /// Keeps the time of a state that did not change.
    fn since(&self, mut state: ObjectState) -> ObjectState {
        if state.failure.is_some() {
            state.sync = Sync::OutOfSync;
        }
        if let Some(old) = self.old.get(&state.id)
            && (old.sync, old.health, &old.failure) == (state.sync, state.health, &state.failure)
        {
            state.since = old.since;
        }
        state
    }
}
