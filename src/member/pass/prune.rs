//! One object from the member.

use super::{Outcome, Pass};
use crate::core::delivery::Failure;
use crate::core::inventory::Entry;
use crate::core::object::ObjectId;
use crate::member::calls::{CallError, Deleted};
use crate::member::discovery::Resource;
use crate::member::failure;
use crate::member::observe::Row;

impl Pass {
    pub(super) async fn prune(&self, id: &ObjectId, entry: &Entry) -> Outcome {
        let outcome = self
            .try_prune(id, entry)
            .await
            .unwrap_or_else(Outcome::Failed);
        self.session.metrics.pruned(&outcome);
        outcome
    }

    async fn try_prune(&self, id: &ObjectId, entry: &Entry) -> Result<Outcome, Failure> {
        let fail = |error: CallError| failure::of_object(id, &error);
        let Some(resource) = self
            .session
            .discovery
            .find_any(&entry.api_version, id)
            .await
            .map_err(fail)?
        else {
            // A kind that is not served has no objects.
            return Ok(Outcome::Pruned);
        };
        let path = resource.path(&in_scope(id, &resource));
        if let Some(row) = self.rows.get(id) {
            match self.delete(&path, row).await {
                // Changed since the watch saw it: look at it first.
                Err(CallError::Answer { code: 409, .. }) => {}
                other => return other.map_err(fail),
            }
        }
        let live = match self.session.calls.metadata(&path).await {
            Ok(live) => Row::of_metadata(&live.metadata),
            Err(error) if error.is_not_found() => return Ok(Outcome::Pruned),
            Err(error) => return Err(fail(error)),
        };
        self.delete(&path, &live).await.map_err(fail)
    }

    /// Deletes exactly the object of the row, and only if it is ours and not
    /// exempted (ocm-apps §2.8, Pruning).
    async fn delete(&self, path: &str, row: &Row) -> Result<Outcome, CallError> {
        let ours = row.observed.hosted_by.as_deref() == Some(self.application.to_string().as_str());
        if !ours || row.do_not_delete {
            return Ok(Outcome::Released);
        }
        if row.observed.deleting {
            return Ok(Outcome::Deleting);
        }
        let version = Some(row.resource_version.as_str()).filter(|version| !version.is_empty());
        Ok(
            match self.session.calls.delete(path, &row.uid, version).await? {
                Deleted::Gone => Outcome::Pruned,
                Deleted::Waiting => Outcome::Deleting,
            },
        )
    }
}

/// The identity under the scope that the member knows.
fn in_scope(id: &ObjectId, resource: &Resource) -> ObjectId {
    ObjectId {
        namespace: id.namespace.clone().filter(|_| resource.namespaced),
        ..id.clone()
    }
}
