//! What the watches say, as rows, and whom it concerns.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Task;
use crate::core::object::ObjectId;
use crate::member::failure;
use crate::member::observe::{self, Kind, Observation, Row};

/// After something changed that an object waits for, so many quick tries.
const QUICK_TRIES: i32 = 10;

impl Task<'_> {
    pub(super) fn update_row(&mut self, id: ObjectId, row: Row) {
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

    pub(super) fn observe(&mut self, observation: Observation) {
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

    pub(super) fn gone(&mut self, id: ObjectId, version: u64) {
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

    pub(super) fn listed(&mut self, kind: Kind) {
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
    pub(super) fn definition(&mut self, group: &str, gone: bool) {
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

    pub(super) fn listed_nothing(&mut self, kind: &Kind) {
        self.listing.insert(kind.clone(), BTreeSet::new());
        self.listed(kind.clone());
    }

    /// A kind that the hub took for namespaced is recorded with a namespace
    /// even where the member has it without.
    pub(super) fn settled(&self, id: ObjectId, applyset: &str) -> ObjectId {
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

    pub(super) fn watch(&mut self, kind: Kind, api_version: String) {
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
