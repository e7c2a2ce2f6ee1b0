//! Whether the hub serves the kinds that the product works with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::crds;

/// Kinds that were served are looked at again after this time.
const LASTS: Duration = Duration::from_secs(60);
/// Kinds that were missing. Whoever asks more often gets the last answer.
const RETRY: Duration = Duration::from_secs(2);
/// Longest time for one look; probes wait a few seconds.
const DEADLINE: Duration = Duration::from_millis(800);

/// The hub's discovery, asked at most every two seconds.
pub(super) struct Served {
    client: Client,
    last: Mutex<Option<(Instant, Result<String, String>)>>,
}

impl Served {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            last: Mutex::new(None),
        }
    }

    /// Names what is not served. A hub that does not answer proves nothing:
    /// what was found before stands.
    pub(super) async fn all(&self) -> Result<String, String> {
        let mut last = self.last.lock().await;
        if let Some((at, verdict)) = last.as_ref() {
            let fresh = if verdict.is_ok() { LASTS } else { RETRY };
            if at.elapsed() < fresh {
                return verdict.clone();
            }
        }
        let looked = match tokio::time::timeout(DEADLINE, self.look()).await {
            Ok(Ok(missing)) if missing.is_empty() => Ok("served".to_owned()),
            Ok(Ok(missing)) => Err(format!(
                "not served: {}; apply deploy/crds",
                missing.join(", ")
            )),
            Ok(Err(_)) | Err(_) => match last.take() {
                Some((_, verdict)) => verdict,
                None => Err("the hub's API does not answer".to_owned()),
            },
        };
        *last = Some((Instant::now(), looked.clone()));
        looked
    }

    async fn look(&self) -> Result<Vec<String>, kube::Error> {
        let mut wanted = BTreeMap::<String, Vec<(String, String)>>::new();
        // The definitions are part of this build; a defect shows in its tests.
        for crd in crds::all().unwrap_or_default() {
            let name = crd.metadata.name.unwrap_or_default();
            for version in crd.spec.versions {
                wanted
                    .entry(format!("{}/{}", crd.spec.group, version.name))
                    .or_default()
                    .push((crd.spec.names.plural.clone(), name.clone()));
            }
        }
        let looks = wanted.into_iter().map(|(version, kinds)| async move {
            let served: BTreeSet<String> =
                match self.client.list_api_group_resources(&version).await {
                    Ok(list) => list.resources.into_iter().map(|kind| kind.name).collect(),
                    Err(kube::Error::Api(status)) if status.code == 404 => BTreeSet::new(),
                    Err(error) => return Err(error),
                };
            let missing = kinds
                .into_iter()
                .filter(|(plural, _)| !served.contains(plural));
            Ok(missing.map(|(_, name)| name).collect::<Vec<_>>())
        });
        let missing = futures::future::try_join_all(looks).await?;
        Ok(missing.into_iter().flatten().collect())
    }
}
