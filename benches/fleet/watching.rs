//! What is on a server as its watches tell: when objects are readable, and
//! who writes what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::stage::{GENERATION, NAMESPACE};

type Metadata = PartialObjectMeta<DynamicObject>;

/// Longest wait for anything.
const SOON: Duration = Duration::from_secs(180);

/// Kinds of the objects that the bench delivers.
fn delivered() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<Ingress>(&()),
    ]
}

/// Objects of the bench's namespace that carry a generation.
#[derive(Default)]
pub struct Delivered {
    objects: BTreeMap<(String, String), String>,
    by_generation: BTreeMap<String, usize>,
    /// When the last event came.
    at: Option<Instant>,
}

impl Delivered {
    /// How many objects there are.
    pub fn total(&self) -> usize {
        self.objects.len()
    }

    /// How many objects are of a generation.
    pub fn of(&self, generation: &str) -> usize {
        self.by_generation.get(generation).copied().unwrap_or(0)
    }

    fn set(&mut self, kind: &str, object: &Metadata, generation: Option<&String>) {
        self.at = Some(Instant::now());
        let key = (kind.to_owned(), object.name_any());
        let before = match generation {
            Some(new) => {
                *self.by_generation.entry(new.clone()).or_default() += 1;
                self.objects.insert(key, new.clone())
            }
            None => self.objects.remove(&key),
        };
        if let Some(count) = before.and_then(|old| self.by_generation.get_mut(&old)) {
            *count -= 1;
        }
    }
}

/// Watches the bench's namespace of the member.
pub struct Watching {
    state: watch::Receiver<Delivered>,
    _tasks: JoinSet<()>,
}

impl Watching {
    /// Begins to watch.
    pub fn start(client: &Client) -> Self {
        let (sender, state) = watch::channel(Delivered::default());
        let sender = Arc::new(sender);
        let mut tasks = JoinSet::new();
        for resource in delivered() {
            let api: Api<Metadata> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
            let sender = Arc::clone(&sender);
            tasks.spawn(async move {
                let mut events = watcher(api, watcher::Config::default()).boxed();
                while let Some(event) = events.next().await {
                    let (object, there) = match event {
                        Ok(Event::Apply(object) | Event::InitApply(object)) => (object, true),
                        Ok(Event::Delete(object)) => (object, false),
                        Ok(Event::Init | Event::InitDone) => continue,
                        Err(_) => {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                            continue;
                        }
                    };
                    let generation = object.annotations().get(GENERATION).filter(|_| there);
                    sender.send_modify(|state| state.set(&resource.kind, &object, generation));
                }
            });
        }
        Self {
            state,
            _tasks: tasks,
        }
    }

    /// Whether an object is there now.
    pub fn has(&self, kind: &str, name: &str) -> bool {
        let key = (kind.to_owned(), name.to_owned());
        self.state.borrow().objects.contains_key(&key)
    }

    /// Waits until `reached`, and says when the event came that did it.
    pub async fn until(
        &self,
        what: &str,
        mut reached: impl FnMut(&Delivered) -> bool,
    ) -> Result<Instant> {
        let mut state = self.state.clone();
        let mut seen = (0, None);
        let wait = state.wait_for(|state| {
            seen = (state.total(), state.at);
            reached(state)
        });
        let found = tokio::time::timeout(SOON, wait).await;
        let timely = found.map(|state| state.map(|state| state.at));
        match timely {
            Ok(at) => Ok(at?.unwrap_or_else(Instant::now)),
            Err(_) => anyhow::bail!("{what}: not within {SOON:?}; {} objects are there", seen.0),
        }
    }
}

/// One write that was seen.
#[derive(Clone, Debug)]
pub struct Write {
    /// Kind of the object.
    pub kind: String,
    /// `namespace/name`.
    pub name: String,
    /// Who wrote a field last.
    pub manager: String,
}

/// Counts the writes to every kind that a server lists.
pub struct Writes {
    seen: Arc<Mutex<Vec<Write>>>,
    _tasks: JoinSet<()>,
}

impl Writes {
    /// Begins to count; returns once every kind is watched.
    pub async fn start(client: &Client) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let discovery = Discovery::new(client.clone()).run().await?;
        let mut ready = Vec::new();
        for (resource, capabilities) in discovery
            .groups()
            .flat_map(|group| group.recommended_resources())
        {
            // Events are served twice.
            if !capabilities.supports_operation(verbs::WATCH)
                || !capabilities.supports_operation(verbs::LIST)
                || resource.group == "events.k8s.io"
            {
                continue;
            }
            debug_assert!(matches!(
                capabilities.scope,
                Scope::Cluster | Scope::Namespaced
            ));
            let api: Api<Metadata> = Api::all_with(client.clone(), &resource);
            let (listed, is_listed) = tokio::sync::oneshot::channel();
            ready.push((resource.kind.clone(), is_listed));
            tasks.spawn(count(api, resource.kind, Arc::clone(&seen), listed));
        }
        for (kind, is_listed) in ready {
            tokio::time::timeout(SOON, is_listed)
                .await
                .with_context(|| format!("{kind} is not listed"))??;
        }
        Ok(Self {
            seen,
            _tasks: tasks,
        })
    }

    /// The writes since the last call, Leases left out.
    pub fn take(&self) -> Vec<Write> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = std::mem::take(&mut *seen);
        all.retain(|write| write.kind != "Lease");
        all
    }

    /// Waits until nobody has written for `pause`.
    pub async fn settle(&self, pause: Duration) {
        let mut quiet_since = Instant::now();
        let deadline = quiet_since + SOON;
        while quiet_since.elapsed() < pause && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if !self.take().is_empty() {
                quiet_since = Instant::now();
            }
        }
    }
}

async fn count(
    api: Api<Metadata>,
    kind: String,
    seen: Arc<Mutex<Vec<Write>>>,
    listed: tokio::sync::oneshot::Sender<()>,
) {
    let mut listed = Some(listed);
    let mut events = watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitDone) => {
                if let Some(listed) = listed.take() {
                    let _ = listed.send(());
                }
            }
            Ok(Event::Apply(object) | Event::Delete(object)) => {
                let fields = object
                    .managed_fields()
                    .iter()
                    .max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
                let write = Write {
                    kind: kind.clone(),
                    name: format!(
                        "{}/{}",
                        object.namespace().unwrap_or_default(),
                        object.name_any()
                    ),
                    manager: fields
                        .and_then(|entry| entry.manager.clone())
                        .unwrap_or_default(),
                };
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(write);
            }
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Writes in words: how many of which kind, by whom, and one name.
pub fn summary(writes: &[Write]) -> String {
    let mut kinds: BTreeMap<(&str, &str), (usize, &str)> = BTreeMap::new();
    for write in writes {
        kinds
            .entry((&write.kind, &write.manager))
            .or_insert((0, &write.name))
            .0 += 1;
    }
    kinds
        .iter()
        .map(|((kind, manager), (count, name))| format!("{count} {kind} by {manager} ({name})"))
        .collect::<Vec<_>>()
        .join(", ")
}
