//! Objects by key, one growing revision, and the recent history of each
//! collection for watches.
//!
//! Objects are kept as their JSON bytes: a list or a watch event is then a
//! copy, and a fleet of simulated members fits into memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::durable::{Change, Durable, DurableError};

/// Name of a collection: `GROUP/PLURAL`, the group empty for core.
pub(super) type Collection = Arc<str>;

/// Where an object lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) collection: Collection,
    /// Empty for cluster-scoped objects.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// One version of an object.
#[derive(Debug)]
pub(super) struct Stored {
    /// The object's `metadata.resourceVersion`.
    pub(super) revision: u64,
    /// The whole object in its storage version.
    pub(super) json: Bytes,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) uid: String,
    owners: Vec<String>,
}

impl Stored {
    /// Parses the object. The bytes were written by this store, so a failure
    /// means a damaged file; it reads as an empty object then.
    pub(super) fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_else(|_| Value::Object(Default::default()))
    }

    /// The same object under another revision.
    pub(super) fn at(&self, revision: u64) -> Self {
        let mut value = self.value();
        if let Some(meta) = value["metadata"].as_object_mut() {
            meta.insert("resourceVersion".to_owned(), revision.to_string().into());
        }
        Self::from_value(&value, revision)
    }

    /// Uids of the owner references.
    pub(super) fn owner_uids(&self) -> &[String] {
        &self.owners
    }

    pub(super) fn is_owned(&self) -> bool {
        !self.owners.is_empty()
    }

    fn from_value(value: &Value, revision: u64) -> Self {
        let meta = &value["metadata"];
        let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
        let labels = meta["labels"].as_object().map(|labels| {
            labels
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                .collect()
        });
        let owners = meta["ownerReferences"].as_array().map(|owners| {
            owners
                .iter()
                .filter_map(|o| Some(o["uid"].as_str()?.to_owned()))
                .collect()
        });
        Self {
            revision,
            json: Bytes::from(value.to_string()),
            namespace: text("namespace"),
            name: text("name"),
            labels: labels.unwrap_or_default(),
            uid: text("uid"),
            owners: owners.unwrap_or_default(),
        }
    }
}

/// One change of one object.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) revision: u64,
    /// The object before; `None` when it was created.
    pub(super) before: Option<Arc<Stored>>,
    /// The object after; of a deletion, the last state with the revision of
    /// the deletion.
    pub(super) object: Arc<Stored>,
    pub(super) deleted: bool,
}

/// What a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// No object under the key.
    Absent,
    /// Exactly this revision.
    Revision(u64),
}

/// Why a write did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WriteError {
    /// An object is there already.
    #[error("the object exists already")]
    Exists,
    /// The object changed or vanished since it was read.
    #[error("the object changed since it was read")]
    Stale,
}

/// The history a watch asked for is gone: list again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: oldest known is {oldest}")]
pub(super) struct Expired {
    pub(super) oldest: u64,
}

/// Objects of a collection and the revision they were read at.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) objects: Vec<Arc<Stored>>,
    pub(super) revision: u64,
}

struct CollectionState {
    objects: BTreeMap<(String, String), Arc<Stored>>,
    ring: VecDeque<Arc<Event>>,
    /// Events up to this revision are forgotten.
    forgotten: u64,
    latest: watch::Sender<u64>,
}

struct State {
    revision: u64,
    start: u64,
    collections: BTreeMap<Collection, CollectionState>,
    uids: BTreeMap<String, Key>,
    dependents: BTreeMap<String, BTreeSet<Key>>,
}

impl State {
    fn collection(&mut self, name: &Collection) -> &mut CollectionState {
        let start = self.start;
        self.collections
            .entry(Arc::clone(name))
            .or_insert_with(|| CollectionState {
                objects: BTreeMap::new(),
                ring: VecDeque::new(),
                forgotten: start,
                latest: watch::Sender::new(start),
            })
    }

    fn link(&mut self, key: &Key, object: &Stored) {
        self.uids.insert(object.uid.clone(), key.clone());
        for owner in &object.owners {
            let dependents = self.dependents.entry(owner.clone()).or_default();
            dependents.insert(key.clone());
        }
    }

    fn unlink(&mut self, key: &Key, object: &Stored) {
        self.uids.remove(&object.uid);
        for owner in &object.owners {
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(key);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }
}

/// The store of one server.
pub(super) struct Store {
    state: RwLock<State>,
    durable: Option<Durable>,
    history: usize,
}

/// A restarted server continues this far beyond the last revision on disk:
/// a watcher may have seen revisions that were never committed, and those
/// must not come again with another meaning.
const RESTART_GAP: u64 = 10_000;

impl Store {
    /// An empty store, or the one that `durable` holds.
    pub(super) fn open(durable: Option<Durable>, history: usize) -> Result<Self, DurableError> {
        let mut state = State {
            revision: 1,
            start: 1,
            collections: BTreeMap::new(),
            uids: BTreeMap::new(),
            dependents: BTreeMap::new(),
        };
        if let Some(durable) = &durable {
            let loaded = durable.load()?;
            if loaded.revision > 0 {
                state.revision = loaded.revision + RESTART_GAP;
            }
            state.start = state.revision;
            durable.begin_at(state.start);
            for (key, json) in loaded.objects {
                let Ok(value) = serde_json::from_slice::<Value>(&json) else {
                    return Err(DurableError::Damaged { key: key.name });
                };
                let revision = revision_of(&value).unwrap_or(state.start);
                let object = Arc::new(Stored::from_value(&value, revision));
                state.link(&key, &object);
                let place = (key.namespace, key.name);
                let collection = state.collection(&key.collection);
                collection.objects.insert(place, object);
            }
        }
        Ok(Self {
            state: RwLock::new(state),
            durable,
            history: history.max(1),
        })
    }

    // A panic elsewhere cannot leave the maps half-changed in a way that a
    // reader could not bear, so a poisoned lock is used on.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest revision given out.
    pub(super) fn revision(&self) -> u64 {
        self.read().revision
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        let state = self.read();
        let collection = state.collections.get(&key.collection)?;
        let place = (key.namespace.clone(), key.name.clone());
        collection.objects.get(&place).cloned()
    }

    /// All objects of a collection, or of one namespace of it, in key order.
    pub(super) fn list(&self, collection: &Collection, namespace: Option<&str>) -> Snapshot {
        let state = self.read();
        let objects = match (state.collections.get(collection), namespace) {
            (None, _) => Vec::new(),
            (Some(found), None) => found.objects.values().cloned().collect(),
            (Some(found), Some(namespace)) => found
                .objects
                .range((namespace.to_owned(), String::new())..)
                .take_while(|((ns, _), _)| ns == namespace)
                .map(|(_, object)| Arc::clone(object))
                .collect(),
        };
        Snapshot {
            objects,
            revision: state.revision,
        }
    }

    /// What [`Self::list`] said at an earlier revision: the pages of one list show one state.
    ///
    /// # Errors
    /// [`Expired`] when changes since then are forgotten.
    pub(super) fn list_at(
        &self,
        collection: &Collection,
        namespace: Option<&str>,
        revision: u64,
    ) -> Result<Snapshot, Expired> {
        let state = self.read();
        let found = state.collections.get(collection);
        let oldest = found.map_or(state.start, |found| found.forgotten);
        if revision < oldest {
            return Err(Expired { oldest });
        }
        let mut objects = BTreeMap::new();
        if let Some(found) = found {
            let inside = |place: &(String, String)| namespace.is_none_or(|ns| place.0 == ns);
            let live = found.objects.iter().filter(|(place, _)| inside(place));
            objects.extend(live.map(|(place, object)| (place.clone(), Arc::clone(object))));
            let first = found
                .ring
                .partition_point(|event| event.revision <= revision);
            for event in found.ring.range(first..).rev() {
                let place = (event.object.namespace.clone(), event.object.name.clone());
                match &event.before {
                    _ if !inside(&place) => {}
                    Some(before) => {
                        objects.insert(place, Arc::clone(before));
                    }
                    None => {
                        objects.remove(&place);
                    }
                }
            }
        }
        Ok(Snapshot {
            objects: objects.into_values().collect(),
            revision,
        })
    }

    /// Writes `value` under `key` and gives it the next revision.
    pub(super) fn put(
        &self,
        key: &Key,
        expect: Expect,
        mut value: Value,
    ) -> Result<Arc<Stored>, WriteError> {
        let mut state = self.lock();
        let before = check(&mut state, key, expect)?;
        let revision = state.revision + 1;
        set_revision(&mut value, revision);
        let object = Arc::new(Stored::from_value(&value, revision));
        if let Some(before) = &before {
            state.unlink(key, before);
        }
        state.link(key, &object);
        let place = (key.namespace.clone(), key.name.clone());
        let collection = state.collection(&key.collection);
        collection.objects.insert(place, Arc::clone(&object));
        self.record(
            &mut state,
            key,
            Event {
                revision,
                before,
                object: Arc::clone(&object),
                deleted: false,
            },
        );
        Ok(object)
    }

    /// Removes the object; `last` is its final state as watches see it.
    pub(super) fn remove(
        &self,
        key: &Key,
        expect: Expect,
        mut last: Value,
    ) -> Result<Arc<Stored>, WriteError> {
        let mut state = self.lock();
        let Some(before) = check(&mut state, key, expect)? else {
            return Err(WriteError::Stale);
        };
        let revision = state.revision + 1;
        set_revision(&mut last, revision);
        let object = Arc::new(Stored::from_value(&last, revision));
        state.unlink(key, &before);
        let place = (key.namespace.clone(), key.name.clone());
        state.collection(&key.collection).objects.remove(&place);
        self.record(
            &mut state,
            key,
            Event {
                revision,
                before: Some(before),
                object: Arc::clone(&object),
                deleted: true,
            },
        );
        Ok(object)
    }

    fn record(&self, state: &mut State, key: &Key, event: Event) {
        let revision = event.revision;
        state.revision = revision;
        if let Some(durable) = &self.durable {
            durable.enqueue(Change {
                key: key.clone(),
                json: (!event.deleted).then(|| event.object.json.clone()),
                revision,
            });
        }
        let history = self.history;
        let collection = state.collection(&key.collection);
        if collection.ring.len() >= history
            && let Some(old) = collection.ring.pop_front()
        {
            collection.forgotten = old.revision;
        }
        collection.ring.push_back(Arc::new(event));
        collection.latest.send_replace(revision);
    }

    /// Waits until everything up to `revision` is on disk.
    pub(super) async fn committed(&self, revision: u64) -> Result<(), DurableError> {
        match &self.durable {
            Some(durable) => durable.committed(revision).await,
            None => Ok(()),
        }
    }

    /// Ends when the disk takes no more; never for a store in memory.
    pub(super) async fn failed(&self) -> DurableError {
        match &self.durable {
            Some(durable) => durable.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Events after `cursor`, and the revision up to which they are complete.
    pub(super) fn since(
        &self,
        collection: &Collection,
        cursor: u64,
    ) -> Result<(Vec<Arc<Event>>, u64), Expired> {
        let state = self.read();
        let Some(found) = state.collections.get(collection) else {
            return match cursor < state.start {
                true => Err(Expired {
                    oldest: state.start,
                }),
                false => Ok((Vec::new(), state.revision)),
            };
        };
        if cursor < found.forgotten {
            return Err(Expired {
                oldest: found.forgotten,
            });
        }
        let first = found.ring.partition_point(|event| event.revision <= cursor);
        let events = found.ring.range(first..).cloned().collect();
        Ok((events, state.revision))
    }

    /// Wakes when the collection changes.
    pub(super) fn subscribe(&self, collection: &Collection) -> watch::Receiver<u64> {
        self.lock().collection(collection).latest.subscribe()
    }

    /// The object with this uid, wherever it lives.
    pub(super) fn by_uid(&self, uid: &str) -> Option<Key> {
        self.read().uids.get(uid).cloned()
    }

    /// Objects whose ownerReferences name this uid.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Key> {
        let state = self.read();
        let found = state.dependents.get(uid);
        found.map_or_else(Vec::new, |keys| keys.iter().cloned().collect())
    }

    /// Every object with an owner: the collector's work list after a restart.
    pub(super) fn owned(&self) -> Vec<Key> {
        let state = self.read();
        let all: BTreeSet<&Key> = state.dependents.values().flatten().collect();
        all.into_iter().cloned().collect()
    }

    /// Every object in a namespace, over all collections.
    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        let state = self.read();
        let mut keys = Vec::new();
        for (name, collection) in &state.collections {
            let from = (namespace.to_owned(), String::new());
            let inside = collection.objects.range(from..);
            let inside = inside.take_while(|((ns, _), _)| ns == namespace);
            keys.extend(inside.map(|((namespace, object), _)| Key {
                collection: Arc::clone(name),
                namespace: namespace.clone(),
                name: object.clone(),
            }));
        }
        keys
    }
}

fn check(state: &mut State, key: &Key, expect: Expect) -> Result<Option<Arc<Stored>>, WriteError> {
    let place = (key.namespace.clone(), key.name.clone());
    let live = state.collection(&key.collection).objects.get(&place);
    match (expect, live) {
        (Expect::Absent, None) => Ok(None),
        (Expect::Absent, Some(_)) => Err(WriteError::Exists),
        (Expect::Revision(wanted), Some(live)) if live.revision == wanted => {
            Ok(Some(Arc::clone(live)))
        }
        (Expect::Revision(_), _) => Err(WriteError::Stale),
    }
}

fn set_revision(value: &mut Value, revision: u64) {
    if let Some(meta) = value["metadata"].as_object_mut() {
        meta.insert("resourceVersion".to_owned(), revision.to_string().into());
    }
}

fn revision_of(value: &Value) -> Option<u64> {
    value["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn store(history: usize) -> Store {
        Store::open(None, history).unwrap()
    }

    fn key(name: &str) -> Key {
        Key {
            collection: "/configmaps".into(),
            namespace: "ns".to_owned(),
            name: name.to_owned(),
        }
    }

    fn object(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "ns", "uid": name}})
    }

    #[test]
    fn revisions_grow_over_all_writes() {
        let store = store(10);
        let a = store.put(&key("a"), Expect::Absent, object("a")).unwrap();
        let b = store.put(&key("b"), Expect::Absent, object("b")).unwrap();
        assert!(b.revision > a.revision);
        assert_eq!(
            b.value()["metadata"]["resourceVersion"],
            b.revision.to_string()
        );
    }

    #[test]
    fn stale_writes_are_refused() {
        let store = store(10);
        let a = store.put(&key("a"), Expect::Absent, object("a")).unwrap();
        let expect = Expect::Revision(a.revision);
        store.put(&key("a"), expect, object("a")).unwrap();
        let again = store.put(&key("a"), expect, object("a"));
        assert_eq!(again.unwrap_err(), WriteError::Stale);
        let create = store.put(&key("a"), Expect::Absent, object("a"));
        assert_eq!(create.unwrap_err(), WriteError::Exists);
    }

    #[test]
    fn a_watch_behind_the_history_expires() {
        let store = store(2);
        let first = store.put(&key("a"), Expect::Absent, object("a")).unwrap();
        for name in ["b", "c", "d"] {
            store.put(&key(name), Expect::Absent, object(name)).unwrap();
        }
        let collection = key("a").collection;
        assert!(store.since(&collection, first.revision).is_err());
        let (events, upto) = store.since(&collection, first.revision + 1).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(upto, store.revision());
    }

    #[test]
    fn a_deletion_carries_its_own_revision() {
        let store = store(10);
        let a = store.put(&key("a"), Expect::Absent, object("a")).unwrap();
        let gone = store
            .remove(&key("a"), Expect::Revision(a.revision), a.value())
            .unwrap();
        assert!(gone.revision > a.revision);
        assert!(store.get(&key("a")).is_none());
        let (events, _) = store.since(&key("a").collection, a.revision).unwrap();
        assert!(events[0].deleted);
    }

    #[test]
    fn lists_of_a_namespace_leave_out_its_neighbours() {
        let store = store(10);
        store.put(&key("a"), Expect::Absent, object("a")).unwrap();
        let mut other = key("b");
        other.namespace = "ns2".to_owned();
        store.put(&other, Expect::Absent, object("b")).unwrap();
        assert_eq!(store.list(&other.collection, Some("ns")).objects.len(), 1);
        assert_eq!(store.list(&other.collection, None).objects.len(), 2);
    }
}
