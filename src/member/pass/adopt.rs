//! Objects that RHACM's agent deployed become ours without being made anew.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::Pass;
use crate::api::FIELD_MANAGER;
use crate::core::adoption::handed_over;
use crate::core::delivery::{Failure, FailureClass};
use crate::core::object::ObjectId;
use crate::member::failure;

/// How often a newer version of the object is read and tried again.
const ATTEMPTS: u32 = 4;

impl Pass {
    /// Takes the deployer's share of an object that carries this application's
    /// annotation. Refused while RHACM's agent still has the application: it
    /// would write the object too, and delete it with its own Subscription.
    pub(super) async fn adopt(
        &self,
        id: &ObjectId,
        path: &str,
        mut live: DynamicObject,
    ) -> Result<(), Failure> {
        let calls = &self.session.calls;
        let mut attempt = 0;
        while let Some(operations) = handover(&live) {
            if attempt == 0 && self.agent_delivers().await {
                return Err(self.delivered_by_agent(id));
            }
            attempt += 1;
            live = match calls.json_patch(path, FIELD_MANAGER, &operations).await {
                Ok(_) => {
                    let application = &self.application;
                    tracing::info!(%application, object = %id, "goes on with what another deployed");
                    return Ok(());
                }
                // Someone wrote meanwhile, a controller its status for example.
                Err(error) if error.code() == Some(409) && attempt < ATTEMPTS => {
                    let read = calls.metadata(path).await;
                    read.map_err(|error| failure::of_object(id, &error))?
                }
                Err(error) => return Err(failure::of_object(id, &error)),
            };
        }
        Ok(())
    }

    /// Whether the agent's own copy of the Subscription is on the member. The
    /// hub's Subscription, where the member is the hub itself, is none: copies
    /// are marked as local. One that may not be read is taken for absent.
    async fn agent_delivers(&self) -> bool {
        let path = format!(
            "/apis/apps.open-cluster-management.io/v1/namespaces/{}/subscriptions/{}",
            self.application.namespace, self.application.name
        );
        let copy: Result<Value, _> = self.session.calls.get(&path).await;
        copy.is_ok_and(|copy| copy.pointer("/spec/placement/local") == Some(&Value::Bool(true)))
    }

    fn delivered_by_agent(&self, id: &ObjectId) -> Failure {
        let application = &self.application;
        Failure {
            class: FailureClass::Conflict,
            reason: "DeliveredByAgent".to_owned(),
            message: format!(
                "{id} is delivered by RHACM's agent on this cluster, which still has the Subscription {application}: take the add-on application-manager off this cluster, then delete Subscription and SubscriptionStatus {application} there; the objects stay and we go on with them"
            ),
        }
    }
}

/// The patch that takes what another deployer owns of an object of ours; only
/// of the version that was looked at.
fn handover(live: &DynamicObject) -> Option<Value> {
    let fields = serde_json::to_value(live.metadata.managed_fields.as_ref()?).ok()?;
    let fields = handed_over(&fields, FIELD_MANAGER)?;
    Some(json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": fields},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live.metadata.resource_version},
    ]))
}
