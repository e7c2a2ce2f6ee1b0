//! Objects that are left to another controller (`core::coexistence`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use kube::Resource;

use kube::runtime::events::EventType;

use super::context::Shared;
use super::event;
use crate::api::NamespacedName;
use crate::core::activity::Severity;
use crate::core::coexistence::{StatusWriters, left_words, sentences};

/// A kind in the plural and an object of it.
type Key = (&'static str, NamespacedName);

/// The other controllers that were met, by object: noted while objects enter
/// the caches, which keep no managedFields.
#[derive(Clone, Debug, Default)]
pub struct Others(Arc<Mutex<BTreeMap<Key, Met>>>);

#[derive(Debug)]
struct Met {
    writers: StatusWriters,
    announced: bool,
}

impl Others {
    /// Notes who wrote the status of an object that enters a cache.
    pub fn meet<K: Resource>(&self, kind: &'static str, object: &K) {
        let meta = object.meta();
        let fields = meta.managed_fields.as_deref().unwrap_or_default();
        let writers = StatusWriters::of(fields);
        let key = (kind, super::stores::name_of(object));
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writers.other.is_none() {
            met.remove(&key);
            return;
        }
        let announced = met.get(&key).is_some_and(|before| before.announced);
        met.insert(key, Met { writers, announced });
    }

    /// An object is gone.
    pub fn forget(&self, kind: &'static str, name: &NamespacedName) {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        met.remove(&(kind, name.clone()));
    }

    /// A kind was listed anew: these objects are there.
    pub fn keep(&self, kind: &'static str, there: &BTreeSet<NamespacedName>) {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        met.retain(|(of, name), _| *of != kind || there.contains(name));
    }

    /// What is left to whom, in sentences.
    #[must_use]
    pub fn sentences(&self, left: impl Fn(&'static str) -> bool, take_over: bool) -> Vec<String> {
        let met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = met.iter().filter(|((kind, _), _)| left(kind));
        sentences(
            objects.filter_map(|((kind, _), met)| Some((*kind, met.writers.leave_to(take_over)?))),
        )
    }

    /// The controller to which an object is left, and whether that is news.
    fn left(&self, key: &Key, take_over: bool) -> Option<(String, bool)> {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let met = met.get_mut(key)?;
        let manager = met.writers.leave_to(take_over)?.to_owned();
        Some((manager, !std::mem::replace(&mut met.announced, true)))
    }
}

/// The controller to which an object is left, if it is. The first time, that
/// is told: in the log, as an Event and as an activity.
pub(super) async fn left_to<K>(context: &Shared, kind: &'static str, object: &K) -> Option<String>
where
    K: Resource<DynamicType = ()>,
{
    let name = super::stores::name_of(object);
    let take_over = context.options.take_over;
    let (manager, news) = context
        .stores
        .others
        .left(&(kind, name.clone()), take_over)?;
    if news {
        let words = if name.namespace.is_empty() {
            name.name.clone()
        } else {
            name.to_string()
        };
        let message = format!("{kind} {words} is {}", left_words(kind, &manager));
        tracing::warn!("{message}");
        context.note(
            Severity::Warning,
            "LeftToOther",
            message.clone(),
            (kind == "subscriptions").then_some(&name),
            None,
        );
        let told = ("Reconcile", "LeftToOther");
        event::publish(context, object, EventType::Warning, told, &message).await;
    }
    Some(manager)
}
