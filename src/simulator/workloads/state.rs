//! What the watches told, and what is to be looked at because of it.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::Profile;
use super::fields::text;
use super::kind::Kind;
use super::pods::{self, VirtualPod};

/// Address of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn of(kind: Kind, object: &Value) -> Self {
        Self::new(
            kind,
            text(object, "/metadata/namespace"),
            text(object, "/metadata/name"),
        )
    }
}

/// The objects of one cluster, without their managed fields.
#[derive(Default)]
pub(super) struct State {
    objects: BTreeMap<Key, Value>,
    touched: BTreeSet<Key>,
    /// Kinds whose first list is complete.
    listed: BTreeSet<Kind>,
    /// What a list that is under way has named so far.
    listing: BTreeMap<Kind, BTreeSet<Key>>,
}

impl State {
    /// Takes in one event of a watch.
    pub(super) fn take(&mut self, kind: Kind, event: Event<DynamicObject>) {
        match event {
            Event::Init => {
                self.listing.insert(kind, BTreeSet::new());
            }
            Event::InitApply(object) => {
                if let Some(key) = self.store(kind, object) {
                    self.listing.entry(kind).or_default().insert(key);
                }
            }
            Event::InitDone => {
                let named = self.listing.remove(&kind).unwrap_or_default();
                let gone: Vec<Key> = self
                    .objects
                    .keys()
                    .filter(|key| key.kind == kind && !named.contains(key))
                    .cloned()
                    .collect();
                for key in gone {
                    self.forget(key);
                }
                self.listed.insert(kind);
            }
            Event::Apply(object) => {
                self.store(kind, object);
            }
            Event::Delete(object) => {
                let Ok(object) = serde_json::to_value(&object) else {
                    return;
                };
                self.forget(Key::of(kind, &object));
            }
        }
    }

    /// Takes in the answer to a write, so that the next look does not repeat
    /// it.
    pub(super) fn learn(&mut self, kind: Kind, object: Option<Value>) {
        if let Some(mut object) = object {
            slim(&mut object);
            self.objects.insert(Key::of(kind, &object), object);
        }
    }

    fn store(&mut self, kind: Kind, object: DynamicObject) -> Option<Key> {
        let mut object = serde_json::to_value(&object).ok()?;
        slim(&mut object);
        let key = Key::of(kind, &object);
        let known = self.objects.get(&key);
        if known.is_some_and(|known| {
            text(known, "/metadata/uid") == text(&object, "/metadata/uid")
                && version(known) >= version(&object)
        }) {
            // An echo of our own write, or older than it.
            return Some(key);
        }
        self.objects.insert(key.clone(), object);
        if kind == Kind::Slice {
            self.touch_service_of(&key);
        } else {
            self.touched.insert(key.clone());
        }
        Some(key)
    }

    fn forget(&mut self, key: Key) {
        if key.kind == Kind::Slice {
            self.touch_service_of(&key);
        }
        self.objects.remove(&key);
        self.touched.insert(key);
    }

    fn touch_service_of(&mut self, slice: &Key) {
        let Some(object) = self.objects.get(slice) else {
            return;
        };
        let labels = object.pointer("/metadata/labels/kubernetes.io~1service-name");
        if let Some(name) = labels.and_then(Value::as_str) {
            self.touched
                .insert(Key::new(Kind::Service, &slice.namespace, name));
        }
    }

    /// Whether all built-in kinds have been listed once.
    pub(super) fn listed(&self) -> bool {
        Kind::ALL
            .iter()
            .all(|kind| !kind.is_built_in() || self.listed.contains(kind))
    }

    /// Asks for a look at `key`.
    pub(super) fn touch(&mut self, key: Key) {
        self.touched.insert(key);
    }

    /// The next object to look at. Workloads come before Services.
    pub(super) fn next_touched(&mut self) -> Option<Key> {
        self.touched.pop_first()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Objects of one kind in one namespace.
    pub(super) fn keys(&self, kind: Kind, namespace: &str) -> Vec<Key> {
        self.range(kind, namespace)
            .map(|(k, _)| k.clone())
            .collect()
    }

    fn range<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.objects
            .range(Key::new(kind, namespace, "")..)
            .take_while(move |(key, _)| key.kind == kind && key.namespace == namespace)
    }

    /// Everything in one namespace that makes pods.
    pub(super) fn workloads_in(&self, namespace: &str) -> Vec<Key> {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_workload());
        kinds.flat_map(|kind| self.keys(kind, namespace)).collect()
    }

    /// Pods that the workload with this uid owns.
    pub(super) fn pods_owned_by(&self, namespace: &str, uid: &str) -> Vec<(Key, Value)> {
        self.range(Kind::Pod, namespace)
            .filter(|(_, pod)| text(pod, "/metadata/ownerReferences/0/uid") == uid)
            .map(|(key, pod)| (key.clone(), pod.clone()))
            .collect()
    }

    /// Pods that nothing owns.
    pub(super) fn lone_pods(&self, namespace: &str, profile: &Profile) -> Vec<VirtualPod> {
        self.range(Kind::Pod, namespace)
            .filter(|(_, pod)| pod.pointer("/metadata/ownerReferences/0").is_none())
            .map(|(_, pod)| pods::lone(pod, profile))
            .collect()
    }
}

/// Resource versions are numbers on every server that we play on.
fn version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion")
        .parse()
        .unwrap_or_default()
}

fn slim(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}
