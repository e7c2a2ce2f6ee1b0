//! What happens when objects go away: finalizers, owner references,
//! namespaces and definitions. The work is done within the request that
//! causes it, through a queue, so a cascade of any depth needs no stack; a
//! restart takes up what a killed server left half done.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Inner;
use super::crd;
use super::object::{self, finalizers, is_deleting, set, set_meta, with_meta};
use super::resource::{self, Resource};
use super::store::{Expect, Key, Stored};

const FOREGROUND: &str = "foregroundDeletion";

/// What becomes of the dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// What a deletion left.
#[derive(Debug)]
pub(super) enum Deleted {
    /// Gone; its last state.
    Gone(Arc<Stored>),
    /// Waiting for finalizers or its content.
    Waiting(Arc<Stored>),
}

/// True when nothing keeps an object that is being deleted.
pub(super) fn is_finished(resource: &Resource, object: &Value) -> bool {
    let held = resource.is("", "namespaces")
        && object["spec"]["finalizers"]
            .as_array()
            .is_some_and(|f| !f.is_empty());
    is_deleting(object) && finalizers(object).is_empty() && !held
}

fn namespaces() -> super::store::Collection {
    resource::collection("", "namespaces")
}

/// Deletes an object and everything that goes with it. `None`: not there.
pub(super) fn delete(
    inner: &Inner,
    key: &Key,
    expect: Option<u64>,
    propagation: Propagation,
    now: Timestamp,
) -> Option<Deleted> {
    let mut sweep = Sweep {
        inner,
        now,
        queue: VecDeque::new(),
    };
    let first = sweep.mark(key, expect, propagation);
    sweep.run();
    let first = first?;
    // The cascade may have finished what was only marked at first.
    match first {
        Deleted::Waiting(waiting) => Some(match inner.store.get(key) {
            Some(live) if live.uid == waiting.uid => Deleted::Waiting(live),
            _ => Deleted::Gone(waiting),
        }),
        gone @ Deleted::Gone(_) => Some(gone),
    }
}

/// To be called when a write removed the last finalizer.
pub(super) fn after_remove(inner: &Inner, key: &Key, last: &Arc<Stored>, now: Timestamp) {
    let mut sweep = Sweep {
        inner,
        now,
        queue: VecDeque::new(),
    };
    sweep.removed(key, last);
    sweep.run();
}

/// To be called after an update: owners may have been taken away.
pub(super) fn after_update(inner: &Inner, key: &Key, stored: &Arc<Stored>, now: Timestamp) {
    if stored.is_owned() {
        collect_orphans(inner, vec![key.clone()], now);
    }
}

/// An object created with owners that do not exist is garbage at once; so is
/// one whose namespace was deleted while it was on its way.
pub(super) fn after_create(inner: &Inner, key: &Key, now: Timestamp) {
    if inner.store.get(key).is_some_and(|object| object.is_owned()) {
        collect_orphans(inner, vec![key.clone()], now);
    }
    let homeless = || {
        let namespace = inner.namespace(&key.namespace);
        namespace.is_none_or(|namespace| is_deleting(&namespace))
    };
    if !key.namespace.is_empty() && homeless() {
        delete(inner, key, None, Propagation::Background, now);
    }
}

/// Takes up what a killed server left: half-deleted namespaces and
/// definitions, dependents without owners.
pub(super) fn resume(inner: &Inner, now: Timestamp) {
    let mut sweep = Sweep {
        inner,
        now,
        queue: VecDeque::new(),
    };
    for collection in [namespaces(), crd::collection()] {
        for object in inner.store.list(&collection, None).objects {
            if is_deleting(&object.value()) {
                sweep.queue.push_back(Task::Settle(Key {
                    collection: Arc::clone(&collection),
                    namespace: String::new(),
                    name: object.name.clone(),
                }));
            }
        }
    }
    sweep.run();
    collect_orphans(inner, inner.store.owned(), now);
}

fn collect_orphans(inner: &Inner, keys: Vec<Key>, now: Timestamp) {
    let mut sweep = Sweep {
        inner,
        now,
        queue: keys.into_iter().map(Task::CheckOwners).collect(),
    };
    sweep.run();
}

enum Task {
    Delete(Key),
    /// Delete it when none of its owners exists.
    CheckOwners(Key),
    /// A namespace or definition: empty it, remove it when it is empty. Any
    /// other object: remove it when nothing holds it any more.
    Settle(Key),
}

struct Sweep<'a> {
    inner: &'a Inner,
    now: Timestamp,
    queue: VecDeque<Task>,
}

impl Sweep<'_> {
    fn run(&mut self) {
        while let Some(task) = self.queue.pop_front() {
            match task {
                Task::Delete(key) => {
                    self.mark(&key, None, Propagation::Background);
                }
                Task::CheckOwners(key) => self.check_owners(&key),
                Task::Settle(key) => self.settle(&key),
            }
        }
    }

    /// Changes an object until nobody interferes; `None` leaves it alone.
    fn change(&self, key: &Key, change: impl Fn(&mut Value) -> bool) -> Option<Arc<Stored>> {
        loop {
            let live = self.inner.store.get(key)?;
            let mut value = live.value();
            if !change(&mut value) {
                return Some(live);
            }
            let expect = Expect::Revision(live.revision);
            if let Ok(stored) = self.inner.store.put(key, expect, value) {
                return Some(stored);
            }
        }
    }

    /// Begins the deletion of one object.
    fn mark(
        &mut self,
        key: &Key,
        expect: Option<u64>,
        propagation: Propagation,
    ) -> Option<Deleted> {
        loop {
            let live = self.inner.store.get(key)?;
            if expect.is_some_and(|revision| revision != live.revision) {
                return None;
            }
            let mut value = live.value();
            if propagation == Propagation::Orphan {
                self.orphan_dependents(&live.uid);
            }
            self.hold(key, &mut value, propagation);
            let held = self.is_held(key, &value);
            if held && is_deleting(&live.value()) {
                self.queue.push_back(Task::Settle(key.clone()));
                return Some(Deleted::Waiting(live));
            }
            let expect = Expect::Revision(live.revision);
            if !held {
                if let Ok(last) = self.inner.store.remove(key, expect, value) {
                    self.removed(key, &last);
                    return Some(Deleted::Gone(last));
                }
                continue;
            }
            set_meta(
                &mut value,
                "deletionTimestamp",
                json!(object::time(self.now)),
            );
            let graceful = key.collection != namespaces() && key.collection != crd::collection();
            if graceful {
                set_meta(&mut value, "deletionGracePeriodSeconds", json!(0));
            }
            if let Some(generation) = value["metadata"]["generation"]
                .as_i64()
                .filter(|_| graceful)
            {
                set_meta(
                    &mut value,
                    "generation",
                    json!(generation.saturating_add(1)),
                );
            }
            if let Ok(stored) = self.inner.store.put(key, expect, value) {
                self.queue.push_back(Task::Settle(key.clone()));
                return Some(Deleted::Waiting(stored));
            }
        }
    }

    /// Adds what keeps the object until its content or dependents are gone.
    fn hold(&self, key: &Key, value: &mut Value, propagation: Propagation) {
        let add = |value: &mut Value, finalizer: &str| {
            with_meta(value, |meta| {
                let list = meta.entry("finalizers").or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut()
                    && !list.iter().any(|f| f == finalizer)
                {
                    list.push(json!(finalizer));
                }
            });
        };
        if key.collection == namespaces() {
            set(value, "status", json!({"phase": "Terminating"}));
        } else if key.collection == crd::collection() {
            add(value, crd::CLEANUP);
            crd::terminate(value, self.now);
        } else if propagation == Propagation::Foreground {
            let uid = object::meta_text(value, "uid").to_owned();
            if !self.inner.store.dependents(&uid).is_empty() {
                add(value, FOREGROUND);
            }
        }
    }

    fn is_held(&self, key: &Key, value: &Value) -> bool {
        let namespace = key.collection == namespaces()
            && value["spec"]["finalizers"]
                .as_array()
                .is_some_and(|f| !f.is_empty());
        namespace || !finalizers(value).is_empty()
    }

    fn orphan_dependents(&self, uid: &str) {
        for key in self.inner.store.dependents(uid) {
            self.change(&key, |value| drop_owner(value, |owner| owner == uid));
        }
    }

    /// Follows up the removal of an object.
    fn removed(&mut self, key: &Key, last: &Arc<Stored>) {
        if key.collection == crd::collection() {
            self.inner.served.refresh(&self.inner.store);
        }
        for dependent in self.inner.store.dependents(&last.uid) {
            self.queue.push_back(Task::CheckOwners(dependent));
        }
        for owner in last.owner_uids() {
            if let Some(owner) = self.inner.store.by_uid(owner) {
                self.queue.push_back(Task::Settle(owner));
            }
        }
        if !key.namespace.is_empty() {
            self.queue.push_back(Task::Settle(Key {
                collection: namespaces(),
                namespace: String::new(),
                name: key.namespace.clone(),
            }));
        }
        if let Some((group, plural)) = key.collection.split_once('/') {
            self.queue.push_back(Task::Settle(Key {
                collection: crd::collection(),
                namespace: String::new(),
                name: format!("{plural}.{group}"),
            }));
        }
    }

    fn check_owners(&mut self, key: &Key) {
        let Some(object) = self.inner.store.get(key) else {
            return;
        };
        let missing: Vec<&String> = object
            .owner_uids()
            .iter()
            .filter(|uid| self.inner.store.by_uid(uid).is_none())
            .collect();
        if missing.is_empty() {
            return;
        }
        if missing.len() == object.owner_uids().len() {
            self.queue.push_back(Task::Delete(key.clone()));
            return;
        }
        let missing: Vec<String> = missing.into_iter().cloned().collect();
        self.change(key, |value| {
            drop_owner(value, |uid| missing.iter().any(|m| m == uid))
        });
    }

    /// Brings an object that is being deleted nearer to its end.
    fn settle(&mut self, key: &Key) {
        let Some(live) = self.inner.store.get(key) else {
            return;
        };
        let value = live.value();
        if !is_deleting(&value) {
            return;
        }
        let done = if key.collection == namespaces() {
            self.empty(self.inner.store.in_namespace(&key.name))
        } else if key.collection == crd::collection() {
            self.empty(self.instances(&value))
        } else if finalizers(&value).contains(&FOREGROUND) {
            self.empty(self.inner.store.dependents(&live.uid))
        } else {
            false
        };
        if !done {
            return;
        }
        self.release(key);
    }

    /// Queues the deletion of what is left; true when nothing is.
    fn empty(&mut self, content: Vec<Key>) -> bool {
        let nothing = content.is_empty();
        for key in content {
            let waiting = self.inner.store.get(&key);
            if waiting.is_some_and(|object| !is_deleting(&object.value())) {
                self.queue.push_back(Task::Delete(key));
            }
        }
        nothing
    }

    fn instances(&self, definition: &Value) -> Vec<Key> {
        let group = definition["spec"]["group"].as_str().unwrap_or_default();
        let plural = definition["spec"]["names"]["plural"]
            .as_str()
            .unwrap_or_default();
        let collection = resource::collection(group, plural);
        let objects = self.inner.store.list(&collection, None).objects;
        let key = |object: &Arc<Stored>| Key {
            collection: Arc::clone(&collection),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        };
        objects.iter().map(key).collect()
    }

    /// Takes our own finalizers off and removes the object if that was all.
    fn release(&mut self, key: &Key) {
        loop {
            let Some(live) = self.inner.store.get(key) else {
                return;
            };
            let mut value = live.value();
            if key.collection == namespaces() {
                set(&mut value, "spec", json!({}));
            }
            with_meta(&mut value, |meta| {
                if let Some(list) = meta.get_mut("finalizers").and_then(Value::as_array_mut) {
                    list.retain(|f| f != FOREGROUND && f != crd::CLEANUP);
                    if list.is_empty() {
                        meta.remove("finalizers");
                    }
                }
            });
            let held = self.is_held(key, &value);
            if held && value == live.value() {
                return;
            }
            let expect = Expect::Revision(live.revision);
            let result = match held {
                true => self.inner.store.put(key, expect, value),
                false => self.inner.store.remove(key, expect, value),
            };
            if let Ok(last) = result {
                if !held {
                    self.removed(key, &last);
                }
                return;
            }
        }
    }
}

/// Removes owner references by uid; false when there was none.
fn drop_owner(value: &mut Value, is_gone: impl Fn(&str) -> bool) -> bool {
    with_meta(value, |meta| {
        let Some(owners) = meta
            .get_mut("ownerReferences")
            .and_then(Value::as_array_mut)
        else {
            return false;
        };
        let before = owners.len();
        owners.retain(|owner| !owner["uid"].as_str().is_some_and(&is_gone));
        let changed = owners.len() != before;
        if owners.is_empty() {
            meta.remove("ownerReferences");
        }
        if changed {
            forget_owners(meta, &is_gone);
        }
        changed
    })
}

/// Who owned a reference that went owns it no more.
fn forget_owners(meta: &mut Map<String, Value>, is_gone: impl Fn(&str) -> bool) {
    let entries = meta.get_mut("managedFields").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        let Some(fields) = entry["fieldsV1"]["f:metadata"].as_object_mut() else {
            continue;
        };
        let Some(owners) = fields
            .get_mut("f:ownerReferences")
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        owners.retain(|key, _| {
            let key = key.strip_prefix("k:").unwrap_or_default();
            let key: Value = serde_json::from_str(key).unwrap_or_default();
            !key["uid"].as_str().is_some_and(&is_gone)
        });
        if owners.keys().all(|key| key == ".") {
            fields.remove("f:ownerReferences");
        }
    }
}
