//! Watches of the kinds that were delivered to a member, as compact rows.
//!
//! Only objects with an ApplySet label are watched, and only the metadata of
//! kinds whose health does not need the body. What is kept of an object is a
//! row of a few hundred bytes.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta, TypeMeta};
use kube::core::metadata::ObjectMeta;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::mpsc;

use super::discovery::Resource;
use crate::api::{ANNOTATION_DO_NOT_DELETE, ANNOTATION_HOSTING_SUBSCRIPTION, FIELD_MANAGER};
use crate::core::delivery::Health;
use crate::core::health;
use crate::core::inventory::{LABEL_PART_OF, fingerprint};
use crate::core::object::{ObjectId, split_api_version};
use crate::core::plan::ObservedObject;

/// (group, kind).
pub(super) type Kind = (String, String);

/// What is kept of a live object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// `resourceVersion` as a number where it is one: a later one is newer.
    pub(super) version: u64,
    /// `resourceVersion` as it is.
    pub(super) resource_version: String,
    pub(super) uid: String,
    /// Value of the ApplySet label; empty when it has none.
    pub(super) applyset: Arc<str>,
    pub(super) observed: ObservedObject,
    pub(super) do_not_delete: bool,
    pub(super) health: Health,
    pub(super) health_message: String,
}

impl Row {
    /// A row from metadata alone: healthy once there, by the rules of its kind.
    pub(super) fn of_metadata(metadata: &ObjectMeta) -> Self {
        let annotation = |key: &str| metadata.annotations.as_ref()?.get(key).cloned();
        let label = |key: &str| metadata.labels.as_ref()?.get(key).map(String::as_str);
        let resource_version = metadata.resource_version.clone().unwrap_or_default();
        let managed = metadata
            .managed_fields
            .as_ref()
            .and_then(|fields| serde_json::to_value(fields).ok());
        let deleting = metadata.deletion_timestamp.is_some();
        Self {
            version: resource_version.parse().unwrap_or(0),
            resource_version,
            uid: metadata.uid.clone().unwrap_or_default(),
            applyset: label(LABEL_PART_OF).unwrap_or_default().into(),
            observed: ObservedObject {
                fingerprint: managed.and_then(|managed| fingerprint(&managed, FIELD_MANAGER)),
                hosted_by: annotation(ANNOTATION_HOSTING_SUBSCRIPTION),
                deleting,
            },
            do_not_delete: annotation(ANNOTATION_DO_NOT_DELETE).as_deref() == Some("true"),
            health: if deleting {
                Health::Progressing
            } else {
                Health::Healthy
            },
            health_message: if deleting {
                "being deleted".to_owned()
            } else {
                String::new()
            },
        }
    }

    /// A row from the whole object. `kind`: what was watched, because items of a list of a
    /// built-in kind do not name their own.
    pub(super) fn of_object(mut object: DynamicObject, kind: Option<&ApiResource>) -> Self {
        let mut row = Self::of_metadata(&object.metadata);
        if let Some(kind) = kind {
            object.types = Some(TypeMeta {
                api_version: kind.api_version.clone(),
                kind: kind.kind.clone(),
            });
        }
        object.metadata.managed_fields = None;
        if let Ok(value) = serde_json::to_value(&object) {
            (row.health, row.health_message) = health::assess(&value);
        }
        row
    }
}

/// What the watches tell the member's task.
#[derive(Debug)]
pub(super) enum Observation {
    /// The watch of a kind lists anew.
    Listing(Kind),
    /// An object is there.
    Row(ObjectId, Box<Row>),
    /// An object is gone; the version is that of its last state.
    Gone(ObjectId, u64),
    /// The watch of a kind has listed everything.
    Listed(Kind),
    /// The watch of a kind fails; it goes on trying.
    Troubled(Kind),
    /// A CustomResourceDefinition came, changed or went.
    Definition { group: String, gone: bool },
}

/// Watches one kind until the receiver is gone.
pub(super) async fn watch(client: Client, resource: Resource, out: mpsc::Sender<Observation>) {
    let (group, version) = split_api_version(&resource.api_version);
    let kind: Kind = (group.to_owned(), resource.kind.clone());
    let api_resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        plural: resource.plural.clone(),
    };
    if health::needs_body(group, &resource.kind) {
        let api = Api::<DynamicObject>::all_with(client, &api_resource);
        let of = api_resource.clone();
        let row = move |object: DynamicObject| Row::of_object(object, Some(&of));
        follow(api, kind, row, |object| &object.metadata, out).await;
    } else {
        let api = Api::<PartialObjectMeta<DynamicObject>>::all_with(client, &api_resource);
        let row = |object: PartialObjectMeta<DynamicObject>| Row::of_metadata(&object.metadata);
        follow(api, kind, row, |object| &object.metadata, out).await;
    }
}

async fn follow<K>(
    api: Api<K>,
    kind: Kind,
    row: impl Fn(K) -> Row,
    metadata: impl Fn(&K) -> &ObjectMeta,
    out: mpsc::Sender<Observation>,
) where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
    K::DynamicType: Clone,
{
    let config = Config::default().labels(LABEL_PART_OF);
    let mut events = watcher(api, config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let observation = match event {
            Ok(Event::Init) => Observation::Listing(kind.clone()),
            Ok(Event::InitDone) => Observation::Listed(kind.clone()),
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let id = id_of(&kind, metadata(&object));
                Observation::Row(id, Box::new(row(object)))
            }
            Ok(Event::Delete(object)) => {
                let metadata = metadata(&object);
                let version = metadata
                    .resource_version
                    .as_deref()
                    .and_then(|version| version.parse().ok());
                Observation::Gone(id_of(&kind, metadata), version.unwrap_or(u64::MAX))
            }
            Err(_) => Observation::Troubled(kind.clone()),
        };
        if out.send(observation).await.is_err() {
            return;
        }
    }
}

fn id_of(kind: &Kind, metadata: &ObjectMeta) -> ObjectId {
    ObjectId {
        group: kind.0.clone(),
        kind: kind.1.clone(),
        namespace: metadata
            .namespace
            .clone()
            .filter(|namespace| !namespace.is_empty()),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// Watches the CustomResourceDefinitions' metadata, to know when a kind comes
/// to be served. A member that does not let us is asked again by back-off.
pub(super) async fn watch_definitions(client: Client, out: mpsc::Sender<Observation>) {
    let api = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(client);
    let mut events = watcher(api, Config::default()).default_backoff().boxed();
    let mut first = true;
    while let Some(event) = events.next().await {
        let (definition, gone) = match event {
            Ok(Event::Apply(definition)) => (definition, false),
            // A later list stands for changes that were missed.
            Ok(Event::InitApply(definition)) if !first => (definition, false),
            Ok(Event::Delete(definition)) => (definition, true),
            Ok(Event::InitDone) => {
                first = false;
                continue;
            }
            _ if out.is_closed() => return,
            _ => continue,
        };
        // `plural.group`; the plural has no dot.
        let name = definition.metadata.name.unwrap_or_default();
        let group = name
            .split_once('.')
            .map_or(String::new(), |(_, group)| group.to_owned());
        if out
            .send(Observation::Definition { group, gone })
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Reads one object's row from the answer to a write.
pub(super) fn row_of_answer(object: DynamicObject, needs_body: bool) -> Row {
    if needs_body {
        Row::of_object(object, None)
    } else {
        Row::of_metadata(&object.metadata)
    }
}
