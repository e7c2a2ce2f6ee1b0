//! One object to the member.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use kube::core::DynamicObject;
use serde_json::Value;

use super::{Outcome, Pass};
use crate::api::{ANNOTATION_HOSTING_SUBSCRIPTION, FIELD_MANAGER};
use crate::core::delivery::{Failure, FailureClass};
use crate::core::desired::{
    DesiredObject, DesiredSet, Ownership, cluster_scoped_message, unowned_body,
};
use crate::core::health::needs_body;
use crate::core::inventory::Entry;
use crate::core::object::{Digest, ObjectId};
use crate::core::plan::ApplyAction;
use crate::member::calls::CallError;
use crate::member::discovery::Resource;
use crate::member::failure;
use crate::member::observe::row_of_answer;

/// Longest name of a field manager.
const MAX_MANAGER: usize = 128;

/// Whose an existing object is.
enum Owner {
    /// Ours, or nobody's because it is not there.
    Ours,
    /// Someone else's; fields are merged in without owning it.
    Merge,
}

impl Pass {
    pub(super) async fn apply(&self, action: &ApplyAction, fresh: &BTreeSet<String>) -> Outcome {
        let began = Instant::now();
        let outcome = self
            .try_apply(action, fresh)
            .await
            .unwrap_or_else(Outcome::Failed);
        self.session.metrics.applied(&outcome, began.elapsed());
        outcome
    }

    async fn try_apply(
        &self,
        action: &ApplyAction,
        fresh: &BTreeSet<String>,
    ) -> Result<Outcome, Failure> {
        let object = &action.object;
        let id = &object.id;
        let Some(desired) = &self.desired else {
            return Err(Failure {
                class: FailureClass::Invalid,
                reason: "NotDesired".into(),
                message: format!("{id} is not wished for"),
            });
        };
        let resource = self
            .session
            .discovery
            .find(&object.api_version, &id.kind)
            .await
            .map_err(|error| failure::of_object(id, &error))?
            .ok_or_else(|| failure::not_served(id, &object.api_version))?;
        let body = self.scoped_body(object, &resource, desired)?;
        let path = resource.path(id);
        let was_merged = self
            .inventory
            .as_ref()
            .and_then(|inventory| inventory.entries.get(id))
            .is_some_and(|entry| entry.merged);
        let owner = if action.reason.needs_owner_check() && !is_fresh(id, fresh) {
            self.owner(id, &path, desired).await?
        } else if was_merged {
            Owner::Merge
        } else {
            Owner::Ours
        };
        let merged = matches!(owner, Owner::Merge);
        let answer = match owner {
            Owner::Merge => {
                let body = unowned_body(&body).unwrap_or(body);
                self.session
                    .calls
                    .apply(
                        &path,
                        &merge_manager(&self.application.namespace, &self.application.name),
                        body,
                    )
                    .await
            }
            Owner::Ours if desired.ownership == Ownership::Replace && is_replaceable(id) => {
                self.replace(&path, body).await
            }
            Owner::Ours => self.session.calls.apply(&path, FIELD_MANAGER, body).await,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(self.refused(object, &error).await),
        };
        let row = row_of_answer(answer, needs_body(&id.group, &id.kind));
        let entry = Entry {
            api_version: object.api_version.clone(),
            digest: object.digest.short().to_owned(),
            fingerprint: if merged {
                None
            } else {
                row.observed.fingerprint.clone()
            },
            merged,
        };
        Ok(Outcome::Applied {
            row: Box::new(row),
            entry,
            reason: action.reason,
        })
    }

    /// The body for the scope that the member knows: a kind that the hub took
    /// for namespaced may be cluster-scoped, which is not for tenants.
    fn scoped_body(
        &self,
        object: &DesiredObject,
        resource: &Resource,
        desired: &DesiredSet,
    ) -> Result<Bytes, Failure> {
        if resource.namespaced || object.id.namespace.is_none() {
            return Ok(object.body.clone());
        }
        if !desired.admin {
            return Err(Failure {
                class: FailureClass::Invalid,
                reason: "NotSubscriptionAdmin".into(),
                message: cluster_scoped_message(&object.id, &self.application),
            });
        }
        let mut value: Value = serde_json::from_slice(&object.body).unwrap_or_default();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("namespace");
        }
        Ok(Bytes::from(value.to_string()))
    }

    /// Whose the object is, by the table of ocm-apps §2.8. An object without
    /// the annotation is someone else's.
    async fn owner(
        &self,
        id: &ObjectId,
        path: &str,
        desired: &DesiredSet,
    ) -> Result<Owner, Failure> {
        let live = match self.session.calls.metadata(path).await {
            Ok(live) => live,
            Err(error) if error.is_not_found() => return Ok(Owner::Ours),
            Err(error) => return Err(failure::of_object(id, &error)),
        };
        if live.metadata.deletion_timestamp.is_some() {
            return Err(Failure {
                class: FailureClass::Waiting,
                reason: "BeingDeleted".into(),
                message: format!(
                    "{id} is being deleted on this cluster; it is made again when it is gone"
                ),
            });
        }
        let hosted_by = live
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(ANNOTATION_HOSTING_SUBSCRIPTION));
        match hosted_by {
            Some(owner) if *owner == self.application.to_string() => {
                self.adopt(id, path, live).await?;
                Ok(Owner::Ours)
            }
            _ if desired.admin && desired.ownership == Ownership::Merge => Ok(Owner::Merge),
            _ if desired.admin => Ok(Owner::Ours),
            owner => Err(failure::foreign(id, owner.map(String::as_str))),
        }
    }

    /// PUT over the live version; created by apply when there is none.
    async fn replace(&self, path: &str, body: Bytes) -> Result<DynamicObject, CallError> {
        let calls = &self.session.calls;
        let live = match calls.metadata(path).await {
            Ok(live) => live,
            Err(error) if error.is_not_found() => {
                return calls.apply(path, FIELD_MANAGER, body).await;
            }
            Err(error) => return Err(error),
        };
        let mut value: Value = serde_json::from_slice(&body)
            .map_err(|error| CallError::Unreadable(error.to_string()))?;
        if let (Some(metadata), Some(version)) = (
            value.get_mut("metadata").and_then(Value::as_object_mut),
            live.metadata.resource_version,
        ) {
            metadata.insert("resourceVersion".to_owned(), Value::String(version));
        }
        calls
            .replace(path, FIELD_MANAGER, Bytes::from(value.to_string()))
            .await
    }

    async fn refused(&self, object: &DesiredObject, error: &CallError) -> Failure {
        if error.is_not_found() {
            // Either the namespace went, or the kind is not served any more.
            if let (Some(namespace), true) = (
                &object.id.namespace,
                error.to_string().contains("namespaces "),
            ) {
                self.session.unlearn(namespace);
                return failure::of_object(&object.id, error);
            }
            self.session.discovery.forget(&object.api_version).await;
            return failure::not_served(&object.id, &object.api_version);
        }
        failure::of_object(&object.id, error)
    }
}

/// In a namespace that was made a moment ago only its own controllers have
/// been; everything else needs no look before it is written.
fn is_fresh(id: &ObjectId, fresh: &BTreeSet<String>) -> bool {
    let by_controllers = match id.kind.as_str() {
        "ServiceAccount" | "RoleBinding" => true,
        "ConfigMap" => matches!(
            id.name.as_str(),
            "kube-root-ca.crt" | "openshift-service-ca.crt"
        ),
        _ => false,
    };
    !by_controllers
        && id
            .namespace
            .as_ref()
            .is_some_and(|namespace| fresh.contains(namespace))
}

/// RHACM patches these even under replace: they hold what the cluster allots.
fn is_replaceable(id: &ObjectId) -> bool {
    !(id.group.is_empty() && matches!(id.kind.as_str(), "Service" | "ServiceAccount" | "Namespace"))
}

/// Field manager for fields merged into a foreign object: one a Subscription,
/// so that two of them do not undo each other.
fn merge_manager(namespace: &str, name: &str) -> String {
    let manager = format!("{FIELD_MANAGER}-{namespace}-{name}");
    if manager.len() <= MAX_MANAGER {
        return manager;
    }
    format!(
        "{FIELD_MANAGER}-{}",
        Digest::of_bytes(manager.as_bytes()).short()
    )
}
