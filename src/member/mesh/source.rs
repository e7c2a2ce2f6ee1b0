//! Where facts come from: one watch per kind, the definitions that say which
//! kinds are served, and the Services behind exports.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::api::NamespacedName;
use crate::core::mesh::observation::{
    BrokerFacts, ClusterFacts, EndpointObject, ExportFacts, GatewayFacts, ImportFacts, MeshKind,
    RouteAgentFacts, ServiceFacts, SliceFacts, SubmarinerFacts,
};
use crate::core::mesh::read;
use crate::member::mesh::collect::Exported;

/// First and last wait before a failed watch is started again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Last wait of the one kind that every cluster serves: when it is read again
/// the others do not wait any longer.
const PILOT_BACK_OFF: Duration = Duration::from_secs(4);
/// A kind that is not served is asked for again after this long, should the
/// definitions not be readable.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// A definition that just appeared may need a moment until it is served.
const SETTLE: Duration = Duration::from_millis(250);
/// Services behind exports are read again this often: a Service that is
/// deleted or changes its type shows in no other object.
const SERVICES_AGAIN: Duration = Duration::from_secs(30);
/// Every read of a Service ends within this.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Names of the definitions that are there, as `gateways.submariner.io`.
pub(super) type Served = BTreeSet<String>;

/// A fact about one object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact {
    Submariner(SubmarinerFacts),
    Broker(BrokerFacts),
    Gateway(GatewayFacts),
    Endpoint(EndpointObject),
    Cluster(ClusterFacts),
    RouteAgent(RouteAgentFacts),
    Export(ExportFacts),
    Import(ImportFacts),
    Slice(SliceFacts),
    Namespace,
}

/// What a source has to say.
#[derive(Debug)]
pub(super) enum News {
    /// All objects of a kind.
    All(MeshKind, Vec<(NamespacedName, Fact)>),
    /// One object came or changed.
    One(MeshKind, NamespacedName, Box<Fact>),
    /// One object went.
    Gone(MeshKind, NamespacedName),
    /// The kind is not served.
    NotServed(MeshKind),
    /// Reading the kind failed.
    Failed(MeshKind, String),
    /// A Service behind an export.
    Service(NamespacedName, Option<ServiceFacts>),
}

pub(super) fn resource(kind: MeshKind) -> ApiResource {
    let (group, version, name) = match kind {
        MeshKind::Submariner => ("submariner.io", "v1alpha1", "Submariner"),
        MeshKind::Broker => ("submariner.io", "v1alpha1", "Broker"),
        MeshKind::Gateway => ("submariner.io", "v1", "Gateway"),
        MeshKind::Endpoint => ("submariner.io", "v1", "Endpoint"),
        MeshKind::Cluster => ("submariner.io", "v1", "Cluster"),
        MeshKind::RouteAgent => ("submariner.io", "v1", "RouteAgent"),
        MeshKind::ServiceExport => ("multicluster.x-k8s.io", "v1alpha1", "ServiceExport"),
        MeshKind::ServiceImport => ("multicluster.x-k8s.io", "v1alpha1", "ServiceImport"),
        MeshKind::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice"),
        MeshKind::Namespace => ("", "v1", "Namespace"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, name))
}

/// Labels that a kind is selected by.
pub(super) fn selector(kind: MeshKind) -> Option<String> {
    (kind == MeshKind::EndpointSlice)
        .then(|| format!("{}={}", read::MANAGED_BY.0, read::MANAGED_BY.1))
}

/// The fact that an object states; `None` when it states none.
pub(super) fn fact(kind: MeshKind, object: &Value) -> Option<Fact> {
    Some(match kind {
        MeshKind::Submariner => Fact::Submariner(read::submariner(object)),
        MeshKind::Broker => Fact::Broker(read::broker(object)),
        MeshKind::Gateway => Fact::Gateway(read::gateway(object)),
        MeshKind::Endpoint => Fact::Endpoint(read::endpoint(object)),
        MeshKind::Cluster => Fact::Cluster(read::cluster(object)),
        MeshKind::RouteAgent => Fact::RouteAgent(read::route_agent(object)),
        MeshKind::ServiceExport => Fact::Export(read::export(object)),
        MeshKind::ServiceImport => Fact::Import(read::import(object)),
        MeshKind::EndpointSlice => Fact::Slice(read::slice(object)?),
        MeshKind::Namespace => {
            // A namespace that is going takes no new import.
            if object.pointer("/metadata/deletionTimestamp").is_some() {
                return None;
            }
            Fact::Namespace
        }
    })
}

/// One line without line breaks, bounded: what is shown of a failure.
pub(super) fn brief(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let message = source.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = source.source();
    }
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(240)
        .collect();
    line.trim_end_matches('.').to_owned()
}

fn is_not_served(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

/// Watches one kind for ever; ends when nobody listens.
pub(super) async fn watch_kind(
    client: Client,
    kind: MeshKind,
    mut served: watch::Receiver<Served>,
    recovered: watch::Sender<()>,
    events: mpsc::Sender<News>,
) {
    let longest = if kind == MeshKind::Namespace {
        PILOT_BACK_OFF
    } else {
        BACK_OFF.1
    };
    let mut again = recovered.subscribe();
    let resource = resource(kind);
    let definition = format!("{}.{}", resource.plural, resource.group);
    let mut wait = BACK_OFF.0;
    let mut failures = 0_u32;
    loop {
        let ended = if kind == MeshKind::Namespace {
            let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
            let stream = watcher::watcher(api, config(kind)).boxed();
            follow(kind, stream, &events, &mut failures, &recovered).await
        } else {
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let stream = watcher::watcher(api, config(kind)).boxed();
            follow(kind, stream, &events, &mut failures, &recovered).await
        };
        let Some(error) = ended else { return };
        if failures == 0 {
            wait = BACK_OFF.0;
        }
        if is_not_served(&error) {
            failures = 0;
            if events.send(News::NotServed(kind)).await.is_err() {
                return;
            }
            let defined = served.borrow_and_update().contains(&definition);
            if defined {
                tokio::time::sleep(SETTLE).await;
            } else {
                appears(&mut served, &definition).await;
            }
            continue;
        }
        failures += 1;
        // One broken stream is routine; a second failure in a row is news.
        if failures > 1
            && events
                .send(News::Failed(kind, brief(&error)))
                .await
                .is_err()
        {
            return;
        }
        again.mark_unchanged();
        // Waits, or is told that the cluster answers again.
        let _ = tokio::time::timeout(wait, again.changed()).await;
        wait = (wait * 2).min(longest);
    }
}

/// Waits until the definition is there, or it is time to ask again anyway.
async fn appears(served: &mut watch::Receiver<Served>, definition: &str) {
    let there = async {
        served
            .wait_for(|names| names.contains(definition))
            .await
            .is_ok()
    };
    if let Ok(false) = tokio::time::timeout(ASK_AGAIN, there).await {
        // Nobody watches definitions any more.
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

fn config(kind: MeshKind) -> watcher::Config {
    let config = watcher::Config::default();
    match selector(kind) {
        Some(labels) => config.labels(&labels),
        None => config,
    }
}

/// Passes on what a stream says until it fails; `None` when nobody listens.
async fn follow<K>(
    kind: MeshKind,
    mut stream: impl futures::Stream<Item = watcher::Result<Event<K>>> + Unpin,
    events: &mpsc::Sender<News>,
    failures: &mut u32,
    recovered: &watch::Sender<()>,
) -> Option<watcher::Error>
where
    K: serde::Serialize + ResourceExt,
{
    let mut list: Vec<(NamespacedName, Fact)> = Vec::new();
    while let Some(event) = stream.next().await {
        let news = match event {
            Ok(Event::Init) => {
                list.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                if let (name, Some(fact)) = facts(kind, object) {
                    list.push((name, fact));
                }
                continue;
            }
            Ok(Event::InitDone) => {
                if std::mem::take(failures) > 1 {
                    recovered.send_replace(());
                }
                News::All(kind, std::mem::take(&mut list))
            }
            Ok(Event::Apply(object)) => match facts(kind, object) {
                (name, Some(fact)) => News::One(kind, name, Box::new(fact)),
                (name, None) => News::Gone(kind, name),
            },
            Ok(Event::Delete(object)) => News::Gone(kind, facts(kind, object).0),
            Err(error) => return Some(error),
        };
        if events.send(news).await.is_err() {
            return None;
        }
    }
    None
}

fn facts<K: serde::Serialize + ResourceExt>(
    kind: MeshKind,
    mut object: K,
) -> (NamespacedName, Option<Fact>) {
    object.managed_fields_mut().clear();
    let name = NamespacedName::new(object.namespace().unwrap_or_default(), object.name_any());
    let value = serde_json::to_value(&object).ok();
    (name, value.and_then(|value| fact(kind, &value)))
}

/// Keeps the set of definitions of Submariner and the MCS API, by metadata.
pub(super) async fn watch_definitions(client: Client, served: watch::Sender<Served>) {
    let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client);
    let mut wait = BACK_OFF.0;
    loop {
        let mut stream = watcher::watcher(api.clone(), watcher::Config::default()).boxed();
        let mut list = Served::new();
        let of_ours = |name: &str| {
            name.ends_with(".submariner.io") || name.ends_with(".multicluster.x-k8s.io")
        };
        while let Some(Ok(event)) = stream.next().await {
            wait = BACK_OFF.0;
            match event {
                Event::Init => list.clear(),
                Event::InitApply(definition) => {
                    list.extend(Some(definition.name_any()).filter(|name| of_ours(name)));
                }
                Event::InitDone => drop(served.send_replace(std::mem::take(&mut list))),
                Event::Apply(definition) => {
                    let name = definition.name_any();
                    if of_ours(&name) {
                        served.send_if_modified(|names| names.insert(name));
                    }
                }
                Event::Delete(definition) => {
                    let name = definition.name_any();
                    served.send_if_modified(|names| names.remove(&name));
                }
            }
        }
        if served.is_closed() {
            return;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BACK_OFF.1);
    }
}

/// Reads the Services behind exports: when the exports change, and now and then.
pub(super) async fn read_services(
    client: Client,
    mut exported: watch::Receiver<Exported>,
    events: mpsc::Sender<News>,
) {
    loop {
        let names = exported.borrow_and_update().names.clone();
        for name in names {
            if let Ok(facts) = service(&client, &name).await
                && events.send(News::Service(name, facts)).await.is_err()
            {
                return;
            }
        }
        tokio::select! {
            changed = exported.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(SERVICES_AGAIN) => {}
        }
    }
}

/// One Service; `None` when it does not exist.
pub(super) async fn service(
    client: &Client,
    name: &NamespacedName,
) -> Result<Option<ServiceFacts>, kube::Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &name.namespace, &resource);
    let read = tokio::time::timeout(READ_TIMEOUT, api.get_opt(&name.name)).await;
    let object = read.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))?;
    Ok(object
        .and_then(|object| serde_json::to_value(object).ok())
        .map(|object| read::service(&object)))
}
