//! What of an application is on a member: an ApplySet parent (KEP-3659) kept
//! on the member itself, as a ConfigMap in the Subscription's namespace.
//!
//! It holds every object that was or may have been written (the ids are
//! recorded before the write), so that nothing is ever lost, and the digest and
//! fingerprint of each, so that a restart writes nothing. Other tools list the
//! members of an ApplySet by the label `applyset.kubernetes.io/part-of`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::NamespacedName;
use crate::core::object::{Digest, ObjectId};

/// Label on the parent: identity of the set (KEP-3659).
pub const LABEL_ID: &str = "applyset.kubernetes.io/id";
/// Label on each object: identity of the set it belongs to (KEP-3659).
pub const LABEL_PART_OF: &str = "applyset.kubernetes.io/part-of";
/// Label on the parent: id of the hub that writes it. One LIST by this label
/// finds all applications of a hub on a member.
pub const LABEL_HUB: &str = "pilothouse.dev/hub";

const ANNOTATION_TOOLING: &str = "applyset.kubernetes.io/tooling";
const ANNOTATION_KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const ANNOTATION_NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
const ANNOTATION_APPLICATION: &str = "pilothouse.dev/application";
const ANNOTATION_REVISION: &str = "pilothouse.dev/revision";
const ANNOTATION_ORDER: &str = "pilothouse.dev/order";
const DATA_KEY: &str = "objects.json";
const TOOLING: &str = concat!("pilothouse/v", env!("CARGO_PKG_VERSION"));
/// Longest name of a ConfigMap.
const MAX_NAME: usize = 253;

/// Order of a write among all writes of a hub, leaders included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// `leaseTransitions` of the hub's Lease when the plan was made.
    pub transitions: u64,
    /// Counts the plans of one leader.
    pub counter: u64,
}

/// What is known of one object on the member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `apiVersion` under which it was written.
    #[serde(rename = "v")]
    pub api_version: String,
    /// [`Digest::short`] of the content that is in place; empty when the write
    /// was only intended.
    #[serde(rename = "d", default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Fingerprint of our field ownership after the write ([`fingerprint`]).
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Fields were merged into an object of someone else: never pruned.
    #[serde(rename = "merged", default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
}

/// The record of one application on one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The Subscription.
    pub application: NamespacedName,
    /// Id of the hub that wrote it.
    pub hub_id: String,
    /// Commit that was last brought here.
    pub revision: String,
    /// Order of the last write.
    pub stamp: Stamp,
    /// Objects by identity.
    pub entries: BTreeMap<ObjectId, Entry>,
    /// `resourceVersion` of the ConfigMap; `None` when it does not exist yet.
    pub resource_version: Option<String>,
    /// `uid` of the ConfigMap.
    pub uid: Option<String>,
}

/// Why a ConfigMap is no inventory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// A field is missing or not what it should be.
    #[error(
        "configmap {name} is not a readable inventory ({what}); restore it from a backup or delete it after checking the application's objects"
    )]
    Unreadable {
        /// `namespace/name`.
        name: String,
        /// What is missing.
        what: &'static str,
    },
}

/// Name of the ConfigMap of a Subscription; hashed where it would be too long.
#[must_use]
pub fn parent_name(subscription: &str) -> String {
    let name = format!("pilothouse-{subscription}");
    if name.len() <= MAX_NAME {
        return name;
    }
    let digest = Digest::of_bytes(subscription.as_bytes());
    let head: String = subscription.chars().take(200).collect();
    format!(
        "pilothouse-{}-{}",
        head.trim_end_matches(['.', '-']),
        digest.short()
    )
}

/// Identity of an application's ApplySet: KEP-3659's hash of the parent's
/// name, namespace, kind and group.
#[must_use]
pub fn applyset_id(application: &NamespacedName) -> String {
    let parent = format!(
        "{}.{}.ConfigMap.",
        parent_name(&application.name),
        application.namespace
    );
    format!(
        "applyset-{}-v1",
        URL_SAFE_NO_PAD.encode(Sha256::digest(parent.as_bytes()))
    )
}

/// Fingerprint of the fields that `manager` owns in a live object, from its
/// managedFields. It changes when another writer takes or resets one of them,
/// for every kind, even those without generation. `None`: we own nothing there.
#[must_use]
pub fn fingerprint(managed_fields: &Value, manager: &str) -> Option<String> {
    let entries: Vec<Value> = managed_fields
        .as_array()?
        .iter()
        .filter(|entry| entry.get("manager").and_then(Value::as_str) == Some(manager))
        .filter(|entry| entry.get("subresource").is_none())
        .map(|entry| {
            json!([
                entry.get("operation"),
                entry.get("apiVersion"),
                entry.get("fieldsV1")
            ])
        })
        .collect();
    if entries.is_empty() {
        return None;
    }
    Some(Digest::of(&Value::Array(entries)).short().to_owned())
}

impl Inventory {
    /// An empty record for an application that is not on the member yet.
    #[must_use]
    pub fn new(application: NamespacedName, hub_id: &str) -> Self {
        Self {
            application,
            hub_id: hub_id.to_owned(),
            revision: String::new(),
            stamp: Stamp::default(),
            entries: BTreeMap::new(),
            resource_version: None,
            uid: None,
        }
    }

    /// The ConfigMap, complete, as it is written. It carries the resource
    /// version it was read at, so that a write over a newer one is refused.
    #[must_use]
    pub fn to_config_map(&self) -> Value {
        let kinds: BTreeSet<String> = self.entries.keys().map(ObjectId::group_kind).collect();
        let namespaces: BTreeSet<&str> = self
            .entries
            .keys()
            .filter_map(|id| id.namespace.as_deref())
            .filter(|namespace| *namespace != self.application.namespace)
            .collect();
        let mut config_map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": parent_name(&self.application.name),
                "namespace": self.application.namespace,
                "labels": {
                    LABEL_ID: applyset_id(&self.application),
                    LABEL_HUB: self.hub_id,
                },
                "annotations": {
                    ANNOTATION_TOOLING: TOOLING,
                    ANNOTATION_KINDS: join(kinds.iter().map(String::as_str)),
                    ANNOTATION_NAMESPACES: join(namespaces),
                    ANNOTATION_APPLICATION: self.application.to_string(),
                    ANNOTATION_REVISION: self.revision,
                    ANNOTATION_ORDER: format!("{}.{}", self.stamp.transitions, self.stamp.counter),
                },
            },
            "data": { DATA_KEY: self.entries_text() },
        });
        for (field, value) in [
            ("resourceVersion", &self.resource_version),
            ("uid", &self.uid),
        ] {
            if let (Some(value), Some(metadata)) = (
                value,
                config_map
                    .get_mut("metadata")
                    .and_then(Value::as_object_mut),
            ) {
                metadata.insert(field.to_owned(), Value::String(value.clone()));
            }
        }
        config_map
    }

    fn entries_text(&self) -> String {
        let map: BTreeMap<String, &Entry> = self
            .entries
            .iter()
            .map(|(id, entry)| (key_of(id), entry))
            .collect();
        // One object a line: people read it with kubectl.
        let lines: Vec<String> = map
            .iter()
            .map(|(key, entry)| format!("{}: {}", Value::from(key.as_str()), json!(entry)))
            .collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// Reads a ConfigMap of a member. Its content is trusted as far as members
    /// are: it can make us delete only objects that also carry our annotation.
    ///
    /// # Errors
    /// When it was not written by this program, or was damaged.
    pub fn from_config_map(config_map: &Value) -> Result<Self, InventoryError> {
        let text = |pointer: &str| config_map.pointer(pointer).and_then(Value::as_str);
        let annotation = |name: &str| {
            config_map
                .get("metadata")?
                .get("annotations")?
                .get(name)?
                .as_str()
        };
        let label = |name: &str| {
            config_map
                .get("metadata")?
                .get("labels")?
                .get(name)?
                .as_str()
        };
        let name = format!(
            "{}/{}",
            text("/metadata/namespace").unwrap_or("?"),
            text("/metadata/name").unwrap_or("?")
        );
        let unreadable = |what| InventoryError::Unreadable {
            name: name.clone(),
            what,
        };
        let application = annotation(ANNOTATION_APPLICATION)
            .and_then(|application| application.split_once('/'))
            .map(|(namespace, name)| NamespacedName {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
            .ok_or_else(|| unreadable("annotation pilothouse.dev/application is missing"))?;
        let (transitions, counter) = annotation(ANNOTATION_ORDER)
            .and_then(|order| order.split_once('.'))
            .and_then(|(transitions, counter)| {
                Some((transitions.parse().ok()?, counter.parse().ok()?))
            })
            .ok_or_else(|| unreadable("annotation pilothouse.dev/order is missing"))?;
        let data = config_map
            .get("data")
            .and_then(|data| data.get(DATA_KEY))
            .and_then(Value::as_str);
        let entries: BTreeMap<String, Entry> = data
            .and_then(|data| serde_json::from_str(data).ok())
            .ok_or_else(|| unreadable("data objects.json is missing or no JSON"))?;
        let entries = entries
            .into_iter()
            .map(|(key, entry)| Some((id_of(&key)?, entry)))
            .collect::<Option<_>>()
            .ok_or_else(|| unreadable("a key of objects.json is no object identity"))?;
        Ok(Self {
            application,
            hub_id: label(LABEL_HUB).unwrap_or_default().to_owned(),
            revision: annotation(ANNOTATION_REVISION)
                .unwrap_or_default()
                .to_owned(),
            stamp: Stamp {
                transitions,
                counter,
            },
            entries,
            resource_version: text("/metadata/resourceVersion").map(str::to_owned),
            uid: text("/metadata/uid").map(str::to_owned),
        })
    }
}

fn join<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(",")
}

/// `Deployment.apps/guestbook/frontend`; the namespace is empty for
/// cluster-scoped objects. Neither kinds nor names hold a slash.
fn key_of(id: &ObjectId) -> String {
    format!(
        "{}/{}/{}",
        id.group_kind(),
        id.namespace.as_deref().unwrap_or_default(),
        id.name
    )
}

fn id_of(key: &str) -> Option<ObjectId> {
    let mut parts = key.splitn(3, '/');
    let (group_kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (kind, group) = group_kind.split_once('.').unwrap_or((group_kind, ""));
    Some(ObjectId {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application() -> NamespacedName {
        NamespacedName {
            namespace: "guestbook".into(),
            name: "web".into(),
        }
    }

    fn id(group: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectId {
        ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
        }
    }

    fn inventory() -> Inventory {
        let entry = Entry {
            api_version: "apps/v1".into(),
            digest: "abc".into(),
            fingerprint: Some("f".into()),
            merged: false,
        };
        let intended = Entry {
            api_version: "v1".into(),
            ..Entry::default()
        };
        Inventory {
            revision: "c0ffee".into(),
            stamp: Stamp {
                transitions: 3,
                counter: 14,
            },
            entries: [
                (id("apps", "Deployment", Some("guestbook"), "web"), entry),
                (id("", "Service", Some("other"), "web"), intended.clone()),
                (
                    id("rbac.authorization.k8s.io", "ClusterRole", None, "system:x"),
                    Entry {
                        merged: true,
                        ..intended
                    },
                ),
            ]
            .into(),
            resource_version: Some("7".into()),
            uid: Some("u".into()),
            ..Inventory::new(application(), "hub-1")
        }
    }

    #[test]
    fn a_config_map_gives_back_what_was_written() {
        let written = inventory();
        assert_eq!(
            Inventory::from_config_map(&written.to_config_map()).unwrap(),
            written
        );
    }

    #[test]
    fn the_parent_says_what_kep_3659_asks_for() {
        let config_map = inventory().to_config_map();
        let metadata = &config_map["metadata"];
        assert_eq!(metadata["name"], "pilothouse-web");
        assert_eq!(
            metadata["annotations"]["applyset.kubernetes.io/contains-group-kinds"],
            "ClusterRole.rbac.authorization.k8s.io,Deployment.apps,Service"
        );
        assert_eq!(
            metadata["annotations"]["applyset.kubernetes.io/additional-namespaces"],
            "other"
        );
        assert_eq!(
            metadata["labels"][LABEL_ID],
            applyset_id(&application()).as_str()
        );
    }

    #[test]
    fn the_id_is_the_hash_of_name_namespace_kind_and_group() {
        // printf 'pilothouse-web.guestbook.ConfigMap.' | sha256sum | xxd -r -p | base64url
        let id = applyset_id(&application());
        assert!(id.starts_with("applyset-") && id.ends_with("-v1"), "{id}");
        assert_eq!(id.len(), 55);
        let expected =
            URL_SAFE_NO_PAD.encode(Sha256::digest(b"pilothouse-web.guestbook.ConfigMap."));
        assert_eq!(id, format!("applyset-{expected}-v1"));
    }

    #[test]
    fn long_names_are_hashed_and_stay_different() {
        let (a, b) = ("x".repeat(252) + "a", "x".repeat(252) + "b");
        assert!(parent_name(&a).len() <= 253);
        assert_ne!(parent_name(&a), parent_name(&b));
    }

    #[test]
    fn a_damaged_config_map_is_an_error_and_not_an_empty_inventory() {
        for field in ["/data", "/metadata/annotations"] {
            let mut config_map = inventory().to_config_map();
            *config_map.pointer_mut(field).unwrap() = json!({});
            assert!(Inventory::from_config_map(&config_map).is_err(), "{field}");
        }
    }

    #[test]
    fn the_fingerprint_is_that_of_our_own_fields() {
        let ours = |fields: Value| json!([{"manager": "pilothouse", "operation": "Apply", "apiVersion": "v1", "time": "t1", "fieldsV1": fields}]);
        let a = fingerprint(&ours(json!({"f:data": {"f:a": {}}})), "pilothouse");
        let mut with_other = ours(json!({"f:data": {"f:a": {}}}));
        with_other[0]["time"] = json!("t2");
        with_other.as_array_mut().unwrap().push(json!({"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:b": {}}}}));
        assert!(a.is_some());
        assert_eq!(fingerprint(&with_other, "pilothouse"), a);
        assert_ne!(fingerprint(&ours(json!({"f:data": {}})), "pilothouse"), a);
        assert_eq!(fingerprint(&json!([]), "pilothouse"), None);
    }
}
