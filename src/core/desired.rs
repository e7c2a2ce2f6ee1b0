//! From the objects of a commit to what a member is asked to hold: namespaces
//! settled, stamps put on, ownership decided (ocm-apps §2.8, §2.10).
//!
//! Nothing here depends on the cluster, so that one set serves them all.

mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

pub use scope::Scope;

use crate::api::apps::Subscription;
use crate::api::{
    ANNOTATION_CLUSTER_ADMIN as CLUSTER_ADMIN, ANNOTATION_CURRENT_NAMESPACE_SCOPED,
    ANNOTATION_HOSTING_SUBSCRIPTION as HOSTING, ANNOTATION_RECONCILE_OPTION as RECONCILE_OPTION,
    LABEL_APP as APP, LABEL_PART_OF as PART_OF, NamespacedName,
};
use crate::core::delivery::{Failure, FailureClass};
use crate::core::inventory::{LABEL_PART_OF as LABEL_APPLYSET, Stamp, applyset_id};
use crate::core::manifest::{Manifest, Rendered};
use crate::core::object::{Digest, ObjectId};
use crate::core::plan::Phase;

/// Annotation of RHACM's older agents, removed from what is delivered.
const MANAGED_CLUSTER: &str = "apps.open-cluster-management.io/managed-cluster";

/// How objects that exist already are treated (annotation `reconcile-option`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Ours are applied; an administrator's Subscription merges into foreign
    /// ones without owning them.
    #[default]
    Merge,
    /// As merge, but foreign ones become ours.
    MergeAndOwn,
    /// Ours are replaced whole: fields of others go too.
    Replace,
}

impl Ownership {
    /// Reads the annotation; anything unknown is merge, as in RHACM.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        match value.to_ascii_lowercase().as_str() {
            "mergeandown" => Self::MergeAndOwn,
            "replace" => Self::Replace,
            _ => Self::Merge,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::MergeAndOwn => "mergeAndOwn",
            Self::Replace => "replace",
        }
    }
}

/// What the Subscription adds to the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The Subscription.
    pub application: NamespacedName,
    /// Its labels, which flow down where a manifest has no such label.
    pub labels: BTreeMap<String, String>,
    /// How existing objects are treated.
    pub ownership: Ownership,
    /// Whether its namespace is labelled as that of a subscription-admin. Never
    /// read from an annotation that a tenant can write.
    pub admin: bool,
    /// Annotation `current-namespace-scoped`: force the namespace all the same.
    pub force_namespace: bool,
}

impl Owner {
    /// Reads a Subscription. `admin` comes from the label of its namespace.
    #[must_use]
    pub fn of(subscription: &Subscription, admin: bool) -> Self {
        let metadata = &subscription.metadata;
        let annotation = |key: &str| {
            metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(key))
                .map(String::as_str)
        };
        Self {
            application: NamespacedName::new(
                metadata.namespace.clone().unwrap_or_default(),
                metadata.name.clone().unwrap_or_default(),
            ),
            labels: metadata.labels.clone().unwrap_or_default(),
            ownership: annotation(RECONCILE_OPTION).map_or(Ownership::Merge, Ownership::parse),
            admin,
            force_namespace: annotation(ANNOTATION_CURRENT_NAMESPACE_SCOPED) == Some("true"),
        }
    }
}

/// Everything that makes a desired set.
#[derive(Clone, Copy, Debug)]
pub struct DesiredInput<'a> {
    /// The Subscription.
    pub owner: &'a Owner,
    /// The content, without problems.
    pub rendered: &'a Rendered,
    /// Identity of the hub.
    pub hub_id: &'a str,
    /// The commit.
    pub revision: &'a str,
    /// Order of this plan.
    pub stamp: Stamp,
}

/// One object as a member is asked to hold it.
#[derive(Clone, PartialEq)]
pub struct DesiredObject {
    /// Identity, namespace settled.
    pub id: ObjectId,
    /// `apiVersion` as git has it.
    pub api_version: String,
    /// Scope of its kind, as far as it is known on the hub.
    pub scope: Scope,
    /// JSON body, stamped. May be a Secret: never logged.
    pub body: Bytes,
    /// Digest of the body.
    pub digest: Digest,
}

impl fmt::Debug for DesiredObject {
    /// Leaves the body out: it may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DesiredObject({} {})", self.id, self.digest.short())
    }
}

/// An object that is not sent at all, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedObject {
    /// Identity.
    pub id: ObjectId,
    /// `apiVersion` as git has it.
    pub api_version: String,
    /// Why.
    pub failure: Failure,
}

/// What members are asked to hold for one application at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredSet {
    /// The Subscription.
    pub application: NamespacedName,
    /// How existing objects are treated.
    pub ownership: Ownership,
    /// Whether foreign and cluster-scoped objects may be touched.
    pub admin: bool,
    /// Identity of the hub.
    pub hub_id: String,
    /// The commit.
    pub revision: String,
    /// Order of this plan.
    pub stamp: Stamp,
    /// Value of the label `applyset.kubernetes.io/part-of`.
    pub applyset_id: String,
    /// Objects in the order in which they are applied.
    pub objects: Vec<Arc<DesiredObject>>,
    /// Objects that are refused before any member is asked.
    pub refused: Vec<RefusedObject>,
    /// Digest of objects and refusals: equal when there is nothing to do.
    pub digest: Digest,
}

/// Why no desired set can be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DesiredError {
    /// The content has problems; delivering the rest would prune what broke.
    #[error("{count} problem(s) in the content, the first is {first}; fix and push")]
    Content {
        /// How many.
        count: usize,
        /// The first one, with file and line.
        first: String,
    },
}

/// Makes the set of objects that members are asked to hold.
///
/// # Errors
/// When the content has problems: it must not be delivered in part.
pub fn desired_set(input: DesiredInput<'_>) -> Result<Arc<DesiredSet>, DesiredError> {
    if let Some(first) = input.rendered.problems.first() {
        return Err(DesiredError::Content {
            count: input.rendered.problems.len(),
            first: first.to_string(),
        });
    }
    let defined = scope::defined_scopes(&input.rendered.manifests);
    let stamps = Stamps::new(input.owner);
    let (mut objects, mut refused, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for manifest in &input.rendered.manifests {
        let scope = scope::scope_of(&manifest.id, &defined);
        let id = settled_id(manifest, scope, input.owner);
        let object = manifest.content.value();
        let refusal = refusal(manifest, &object, scope, input.owner)
            .or_else(|| duplicate(&id, manifest, &mut seen));
        match refusal {
            Some(failure) => refused.push(RefusedObject {
                id,
                api_version: manifest.api_version.clone(),
                failure,
            }),
            None => objects.push(Arc::new(stamps.stamp(manifest, object, id, scope))),
        }
    }
    // The settled namespace does not move an object between phases.
    objects.sort_by_key(|object| Phase::of(&object.id));
    let refusals = Digest::of_bytes(format!("{refused:?}").as_bytes());
    let header =
        Digest::of_bytes(format!("{:?} {}", input.owner.ownership, input.owner.admin).as_bytes());
    let digest = Digest::combine(
        objects
            .iter()
            .map(|object| &object.digest)
            .chain([&refusals, &header]),
    );
    Ok(Arc::new(DesiredSet {
        application: input.owner.application.clone(),
        ownership: input.owner.ownership,
        admin: input.owner.admin,
        hub_id: input.hub_id.to_owned(),
        revision: input.revision.to_owned(),
        stamp: input.stamp,
        applyset_id: stamps.applyset_id,
        objects,
        refused,
        digest,
    }))
}

/// The namespace table of ocm-apps §2.8. An unknown kind is taken as
/// namespaced; the member corrects it by its discovery.
fn settled_id(manifest: &Manifest, scope: Scope, owner: &Owner) -> ObjectId {
    let keeps_own = owner.admin && !owner.force_namespace;
    let namespace = match (scope, &manifest.id.namespace) {
        (Scope::Cluster, _) => None,
        (_, Some(namespace)) if keeps_own => Some(namespace.clone()),
        _ => Some(owner.application.namespace.clone()),
    };
    ObjectId {
        namespace,
        ..manifest.id.clone()
    }
}

fn refusal(manifest: &Manifest, object: &Value, scope: Scope, owner: &Owner) -> Option<Failure> {
    let invalid = |reason: &str, message: String| {
        Some(Failure {
            class: FailureClass::Invalid,
            reason: reason.into(),
            message,
        })
    };
    let (id, owner_name) = (&manifest.id, &owner.application);
    if let Some(hosting) = object
        .pointer("/metadata/annotations")
        .and_then(|a| a.get(HOSTING))
        .and_then(Value::as_str)
        && hosting != owner_name.to_string()
    {
        return invalid(
            "OwnedByOthers",
            format!(
                "Obj {id} exists and owned by others: {}:{} carries {HOSTING}: {hosting}; remove the annotation from the file",
                manifest.file, manifest.line
            ),
        );
    }
    if owner.admin {
        return None;
    }
    if id.group == "policy.open-cluster-management.io" {
        return invalid(
            "NotSubscriptionAdmin",
            format!(
                "not deployed by a subscription admin. the resource apiVersion: {} kind: {} is not deployed",
                manifest.api_version, id.kind
            ),
        );
    }
    if scope == Scope::Cluster {
        return invalid(
            "NotSubscriptionAdmin",
            cluster_scoped_message(id, owner_name),
        );
    }
    None
}

/// The sentence for a cluster-scoped object of a tenant; the member uses it too
/// when only its discovery knows the scope.
#[must_use]
pub fn cluster_scoped_message(id: &ObjectId, application: &NamespacedName) -> String {
    format!(
        "{} {} is cluster-scoped, and {application} is not the Subscription of a subscription admin; move it to one in a namespace labelled pilothouse.dev/subscription-admin=true",
        id.kind, id.name
    )
}

fn duplicate(id: &ObjectId, manifest: &Manifest, seen: &mut BTreeSet<ObjectId>) -> Option<Failure> {
    if seen.insert(id.clone()) {
        return None;
    }
    Some(Failure {
        class: FailureClass::Invalid,
        reason: "DuplicateObject".into(),
        message: format!(
            "{}:{} is {id} once more, since its namespace is that of the Subscription; rename one of them",
            manifest.file, manifest.line
        ),
    })
}

/// What is put on every object (ocm-apps §2.8, "Stamped on every deployed resource").
struct Stamps<'a> {
    owner: &'a Owner,
    labels: BTreeMap<String, String>,
    part_of: String,
    hosting: String,
    applyset_id: String,
}

impl<'a> Stamps<'a> {
    /// RHACM's hub gives a Subscription the label `app` (its name, if absent)
    /// and `app.kubernetes.io/part-of` (the value of `app`).
    fn new(owner: &'a Owner) -> Self {
        let mut labels = owner.labels.clone();
        let app = labels
            .entry(APP.to_owned())
            .or_insert_with(|| label_value(&owner.application.name))
            .clone();
        let part_of = labels.entry(PART_OF.to_owned()).or_insert(app).clone();
        Self {
            owner,
            labels,
            part_of,
            hosting: owner.application.to_string(),
            applyset_id: applyset_id(&owner.application),
        }
    }

    fn stamp(
        &self,
        manifest: &Manifest,
        mut object: Value,
        id: ObjectId,
        scope: Scope,
    ) -> DesiredObject {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            match &id.namespace {
                Some(namespace) => {
                    metadata.insert("namespace".to_owned(), Value::from(namespace.as_str()))
                }
                None => metadata.remove("namespace"),
            };
            self.stamp_metadata(metadata);
        }
        let body = object.to_string();
        DesiredObject {
            id,
            api_version: manifest.api_version.clone(),
            scope,
            digest: Digest::of_bytes(body.as_bytes()),
            body: Bytes::from(body),
        }
    }

    fn stamp_metadata(&self, metadata: &mut Map<String, Value>) {
        if let Some(labels) = child(metadata, "labels") {
            for (key, value) in &self.labels {
                labels
                    .entry(key.clone())
                    .or_insert_with(|| Value::from(value.as_str()));
            }
            labels.insert(PART_OF.to_owned(), Value::from(self.part_of.as_str()));
            labels.insert(
                LABEL_APPLYSET.to_owned(),
                Value::from(self.applyset_id.as_str()),
            );
        }
        if let Some(annotations) = child(metadata, "annotations") {
            annotations.remove(MANAGED_CLUSTER);
            annotations.insert(HOSTING.to_owned(), Value::from(self.hosting.as_str()));
            annotations.insert(
                RECONCILE_OPTION.to_owned(),
                Value::from(self.owner.ownership.as_str()),
            );
            if self.owner.admin {
                annotations.insert(CLUSTER_ADMIN.to_owned(), Value::from("true"));
            } else {
                annotations.remove(CLUSTER_ADMIN);
            }
        }
    }
}

/// The stamped body without what says that the object is ours: for merging
/// into an object of someone else (reconcile-option merge, subscription admin).
#[must_use]
pub fn unowned_body(body: &[u8]) -> Option<Bytes> {
    let mut object: Value = serde_json::from_slice(body).ok()?;
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    for (field, keys) in [
        (
            "annotations",
            [HOSTING, RECONCILE_OPTION, CLUSTER_ADMIN].as_slice(),
        ),
        ("labels", &[LABEL_APPLYSET]),
    ] {
        if let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) {
            for key in keys {
                map.remove(*key);
            }
        }
    }
    Some(Bytes::from(object.to_string()))
}

fn child<'m>(
    metadata: &'m mut Map<String, Value>,
    field: &str,
) -> Option<&'m mut Map<String, Value>> {
    metadata
        .entry(field)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
}

/// A Subscription's name may be longer than a label value (63).
fn label_value(name: &str) -> String {
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['.', '-', '_']).to_owned()
}

#[cfg(test)]
mod tests;
