//! The start of a session: what of this hub is on the member.

use std::sync::Arc;

use serde_json::Value;

use super::Task;
use crate::core::delivery::{ClusterDelivery, DeliveryPhase, Failure, PassCounts};
use crate::core::inventory::{Inventory, LABEL_HUB};
use crate::member::calls::CallError;
use crate::member::{failure, probe};

impl Task<'_> {
    /// Lists this hub's inventories, page by page, until it works.
    pub(super) async fn load_inventories(&mut self) {
        let mut attempts = 0;
        loop {
            match self.list_inventories().await {
                Ok(inventories) => {
                    for inventory in inventories {
                        let application = inventory.application.clone();
                        self.app(&application).inventory = Some(inventory);
                    }
                    return self.tell_inventories();
                }
                Err(error) => {
                    tracing::warn!(cluster = %self.ledger.cluster, %error, "cannot list inventories");
                    self.stop_all(&failure::of_call(&error));
                    self.nudge.notify_one();
                }
            }
            tokio::time::sleep(probe::backoff(
                self.options.retry_base,
                self.options.retry_max,
                attempts,
                self.ledger.cluster.as_str(),
            ))
            .await;
            attempts += 1;
        }
    }

    pub(super) async fn list_inventories(&self) -> Result<Vec<Inventory>, CallError> {
        let selector = format!("{LABEL_HUB}%3D{}", self.options.hub_id);
        let (mut inventories, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/configmaps?labelSelector={selector}&limit=500{token}");
            let page: Value = self.session.calls.get(&path).await?;
            for item in page
                .get("items")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                match Inventory::from_config_map(item) {
                    Ok(inventory) => inventories.push(inventory),
                    // Its application meets it again at its first write and says so.
                    Err(error) => {
                        tracing::error!(cluster = %self.ledger.cluster, %error, "inventory left alone")
                    }
                }
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(next) if !next.is_empty() => token = format!("&continue={next}"),
                _ => return Ok(inventories),
            }
        }
    }

    pub(super) fn tell_inventories(&self) {
        let present = self
            .apps
            .iter()
            .filter(|(_, app)| app.inventory.is_some())
            .map(|(name, _)| name.clone());
        self.ledger.set_inventories(present.collect());
    }

    pub(super) fn stop_all(&self, failure: &Failure) {
        for application in self.ledger.wishes().into_keys() {
            let delivery = self
                .ledger
                .delivery(&application)
                .map(Arc::unwrap_or_clone)
                .unwrap_or_else(|| ClusterDelivery {
                    cluster: self.ledger.cluster.clone(),
                    application: application.clone(),
                    revision: None,
                    recorded: None,
                    desired: None,
                    phase: DeliveryPhase::Pending,
                    objects: Vec::new(),
                    pruning: Vec::new(),
                    failure: None,
                    applied_at: None,
                    last_pass: PassCounts::default(),
                });
            self.ledger.set_delivery(ClusterDelivery {
                failure: Some(failure.clone()),
                ..delivery
            });
        }
    }
}
