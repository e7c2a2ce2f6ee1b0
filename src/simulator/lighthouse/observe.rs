//! What is seen on one cluster, by watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::NamespacedName;
use crate::core::mesh::read::MANAGED_BY;
use crate::simulator::lighthouse::MADE_BY;
use crate::simulator::lighthouse::plan::Key;
use crate::simulator::submariner::{BROKER_NAMESPACE, KEEP_CONDITIONS};

/// Wait before a watch that failed (or whose kind is not served yet) is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Events that may wait for the collector of a cluster.
const QUEUE: usize = 256;
/// A burst of changes is gathered for this long.
const GATHER: Duration = Duration::from_millis(5);

/// A Service as an export needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Service {
    pub(super) kind: String,
    /// `None` when headless.
    pub(super) cluster_ip: Option<String>,
    pub(super) affinity: String,
    ports: Vec<Value>,
}

impl Service {
    pub(super) fn read(object: &Value) -> Self {
        let spec = &object["spec"];
        let text = |key: &str, default: &str| spec[key].as_str().unwrap_or(default).to_owned();
        Self {
            kind: text("type", "ClusterIP"),
            cluster_ip: spec["clusterIP"]
                .as_str()
                .filter(|ip| !ip.is_empty() && *ip != "None")
                .map(str::to_owned),
            affinity: text("sessionAffinity", "None"),
            ports: spec["ports"].as_array().cloned().unwrap_or_default(),
        }
    }

    pub(super) fn exportable(&self) -> bool {
        self.kind == "ClusterIP"
    }

    pub(super) fn headless(&self) -> bool {
        self.cluster_ip.is_none()
    }

    pub(super) fn ports_of_import(&self) -> Vec<Value> {
        self.ports_with(|port| {
            let mut out = json!({"port": port["port"], "protocol": port["protocol"].as_str().unwrap_or("TCP")});
            if let Some(name) = port["name"].as_str() {
                out["name"] = json!(name);
            }
            out
        })
    }

    pub(super) fn ports_of_slice(&self) -> Vec<Value> {
        self.ports_with(|port| {
            json!({
                "name": port["name"].as_str().unwrap_or_default(),
                "port": port["port"],
                "protocol": port["protocol"].as_str().unwrap_or("TCP"),
            })
        })
    }

    fn ports_with(&self, shape: impl Fn(&Value) -> Value) -> Vec<Value> {
        self.ports.iter().map(shape).collect()
    }
}

/// A ServiceExport.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Export {
    pub(super) created: Option<Timestamp>,
    pub(super) keep_conditions: bool,
    pub(super) conditions: Vec<Value>,
    /// Endpoints behind the Service, in the order of their slices.
    pub(super) backends: Vec<Value>,
}

/// What is seen on one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// Every kind was listed once.
    pub(super) complete: bool,
    pub(super) namespaces: BTreeSet<String>,
    pub(super) exports: BTreeMap<NamespacedName, Export>,
    /// Services behind exports.
    pub(super) services: BTreeMap<NamespacedName, Service>,
    /// Imports and slices that the simulator made, as they stand.
    pub(super) objects: BTreeMap<Key, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Namespace,
    Service,
    Slice,
    Export,
    Import,
}

const ON_MEMBERS: &[Kind] = &[
    Kind::Namespace,
    Kind::Service,
    Kind::Slice,
    Kind::Export,
    Kind::Import,
];
const ON_BROKER: &[Kind] = &[Kind::Slice, Kind::Import];

impl Kind {
    fn resource(self) -> ApiResource {
        let (group, version, kind) = match self {
            Self::Namespace => ("", "v1", "Namespace"),
            Self::Service => ("", "v1", "Service"),
            Self::Slice => ("discovery.k8s.io", "v1", "EndpointSlice"),
            Self::Export => ("multicluster.x-k8s.io", "v1alpha1", "ServiceExport"),
            Self::Import => ("multicluster.x-k8s.io", "v1alpha1", "ServiceImport"),
        };
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
    }
}

/// Objects of one kind, by namespace and name.
type Objects = BTreeMap<NamespacedName, Value>;

/// Watches a cluster and publishes what it sees, until `shutdown`.
pub(super) async fn observe(
    client: Client,
    broker: bool,
    seen: watch::Sender<Arc<Seen>>,
    wake: watch::Sender<()>,
    shutdown: CancellationToken,
) {
    let kinds = if broker { ON_BROKER } else { ON_MEMBERS };
    let (events, mut queue) = mpsc::channel(QUEUE);
    let mut watches = JoinSet::new();
    for kind in kinds {
        watches.spawn(watch_kind(client.clone(), *kind, broker, events.clone()));
    }
    drop(events);
    let mut stores: BTreeMap<Kind, Objects> = BTreeMap::new();
    let mut lists: BTreeMap<Kind, Objects> = BTreeMap::new();
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return,
            event = queue.recv() => event,
        };
        let Some(event) = event else { return };
        take(event, &mut stores, &mut lists);
        tokio::time::sleep(GATHER).await;
        while let Ok(event) = queue.try_recv() {
            take(event, &mut stores, &mut lists);
        }
        let now = gather(&stores, kinds);
        let changed = seen.send_if_modified(|current| {
            let changed = **current != now;
            if changed {
                *current = Arc::new(now);
            }
            changed
        });
        if changed {
            wake.send_replace(());
        }
    }
}

async fn watch_kind(
    client: Client,
    kind: Kind,
    broker: bool,
    events: mpsc::Sender<(Kind, Event<DynamicObject>)>,
) {
    let resource = kind.resource();
    let api: Api<DynamicObject> = if broker {
        Api::namespaced_with(client, BROKER_NAMESPACE, &resource)
    } else {
        Api::all_with(client, &resource)
    };
    let mut stream = watcher::watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                if events.send((kind, event)).await.is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

fn take(
    (kind, event): (Kind, Event<DynamicObject>),
    stores: &mut BTreeMap<Kind, Objects>,
    lists: &mut BTreeMap<Kind, Objects>,
) {
    match event {
        Event::Init => drop(lists.insert(kind, Objects::new())),
        Event::InitApply(object) => {
            let (name, value) = plain(object);
            lists.entry(kind).or_default().insert(name, value);
        }
        Event::InitDone => drop(stores.insert(kind, lists.remove(&kind).unwrap_or_default())),
        Event::Apply(object) => {
            let (name, value) = plain(object);
            stores.entry(kind).or_default().insert(name, value);
        }
        Event::Delete(object) => {
            let (name, _) = plain(object);
            stores.entry(kind).or_default().remove(&name);
        }
    }
}

fn plain(mut object: DynamicObject) -> (NamespacedName, Value) {
    object.metadata.managed_fields = None;
    let name = NamespacedName::new(object.namespace().unwrap_or_default(), object.name_any());
    (name, serde_json::to_value(object).unwrap_or_default())
}

fn gather(stores: &BTreeMap<Kind, Objects>, kinds: &[Kind]) -> Seen {
    let empty = Objects::new();
    let store = |kind| stores.get(&kind).unwrap_or(&empty);
    let exports: BTreeMap<NamespacedName, Export> = store(Kind::Export)
        .iter()
        .filter(|(_, object)| !deleting(object))
        .map(|(name, object)| (name.clone(), export(name, object, store(Kind::Slice))))
        .collect();
    Seen {
        complete: kinds.iter().all(|kind| stores.contains_key(kind)),
        namespaces: store(Kind::Namespace)
            .iter()
            .filter(|(_, object)| !deleting(object))
            .map(|(name, _)| name.name.clone())
            .collect(),
        services: store(Kind::Service)
            .iter()
            .filter(|(name, object)| exports.contains_key(name) && !deleting(object))
            .map(|(name, object)| (name.clone(), Service::read(object)))
            .collect(),
        exports,
        objects: [
            ("ServiceImport", Kind::Import),
            ("EndpointSlice", Kind::Slice),
        ]
        .into_iter()
        .flat_map(|(kind, from)| {
            store(from)
                .iter()
                .filter(|(_, object)| object["metadata"]["labels"][MADE_BY.0] == MADE_BY.1)
                .map(move |(name, object)| {
                    (
                        (kind, name.namespace.clone(), name.name.clone()),
                        object.clone(),
                    )
                })
        })
        .collect(),
    }
}

fn deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

fn export(name: &NamespacedName, object: &Value, slices: &Objects) -> Export {
    let backends = slices
        .iter()
        .filter(|(slice, object)| {
            let labels = &object["metadata"]["labels"];
            slice.namespace == name.namespace
                && labels["kubernetes.io/service-name"] == name.name.as_str()
                && labels[MANAGED_BY.0] != MANAGED_BY.1
        })
        .flat_map(|(_, object)| object["endpoints"].as_array().into_iter().flatten())
        .map(|endpoint| {
            let ready = endpoint["conditions"]["ready"].as_bool().unwrap_or(true);
            let mut backend =
                json!({"addresses": endpoint["addresses"], "conditions": {"ready": ready}});
            if let Some(hostname) = endpoint["hostname"].as_str() {
                backend["hostname"] = json!(hostname);
            }
            backend
        })
        .collect();
    Export {
        created: object["metadata"]["creationTimestamp"]
            .as_str()
            .and_then(|text| text.parse().ok()),
        keep_conditions: object["metadata"]["annotations"][KEEP_CONDITIONS] == "true",
        conditions: object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default(),
        backends,
    }
}
