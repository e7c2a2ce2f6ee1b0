//! Reads a cluster once, for the command line.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt};

use crate::api::NamespacedName;
use crate::core::mesh::MeshObservation;
use crate::core::mesh::beat::Pulse;
use crate::core::mesh::observation::{MeshKind, Reading};
use crate::core::mesh::tables::Component;
use crate::member::mesh::collect::put;
use crate::member::mesh::source::{brief, fact, resource, selector, service};

/// Every list ends within this.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing of the cluster could be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the cluster: {message}")]
pub struct ReadError {
    message: String,
}

/// What one look at a cluster found.
#[derive(Clone, Debug, Default)]
pub struct Once {
    /// Facts, with the beat judged from one look: a stamp of this minute counts.
    pub observation: MeshObservation,
    /// Submariner's DaemonSets and Deployments.
    pub components: Vec<Component>,
}

/// Reads everything that `show` needs, each kind by itself: one that fails is
/// noted in the observation and hides none of the others.
///
/// # Errors
/// When nothing at all could be read.
pub async fn read(client: &Client, now: Timestamp) -> Result<Once, ReadError> {
    let mut observation = MeshObservation::default();
    let lists =
        join_all(MeshKind::ALL.map(|kind| async move { (kind, list(client, kind).await) })).await;
    for (kind, listed) in lists {
        let reading = match listed {
            Ok(objects) => {
                for object in objects {
                    add(&mut observation, kind, object);
                }
                Reading::Current
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Reading::NotServed,
            Err(error) => Reading::Failing {
                since: now,
                message: brief(&error),
            },
        };
        observation.readings.insert(kind, reading);
    }
    if let Some(message) = all_failing(&observation) {
        return Err(ReadError { message });
    }
    for gateway in &mut observation.gateways {
        if let Some(stamp) = &gateway.stamp {
            gateway.beat = Pulse::first(stamp, now).judge(now);
        }
    }
    let exported: Vec<NamespacedName> = observation
        .exports
        .iter()
        .map(|export| export.service.clone())
        .collect();
    for name in exported {
        if let Ok(facts) = service(client, &name).await {
            observation.services.insert(name, facts);
        }
    }
    let components = components(client, &observation).await;
    Ok(Once {
        observation,
        components,
    })
}

async fn list(client: &Client, kind: MeshKind) -> Result<Vec<DynamicObject>, kube::Error> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
    let params = match selector(kind) {
        Some(labels) => ListParams::default().labels(&labels),
        None => ListParams::default(),
    };
    let listed = within(api.list(&params)).await?;
    Ok(listed.items)
}

async fn within<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    match tokio::time::timeout(LIST_TIMEOUT, call).await {
        Ok(result) => result,
        Err(_) => Err(kube::Error::Service(
            format!("no answer in {} s", LIST_TIMEOUT.as_secs()).into(),
        )),
    }
}

fn add(observation: &mut MeshObservation, kind: MeshKind, object: DynamicObject) {
    let name = NamespacedName::new(object.namespace().unwrap_or_default(), object.name_any());
    if let Some(fact) = serde_json::to_value(object)
        .ok()
        .and_then(|value| fact(kind, &value))
    {
        put(observation, &name, &fact);
    }
}

fn all_failing(observation: &MeshObservation) -> Option<String> {
    let mut message = None;
    for reading in observation.readings.values() {
        match reading {
            Reading::Failing { message: text, .. } => message = Some(text.clone()),
            _ => return None,
        }
    }
    message
}

/// Versions as the API shows them: images of Submariner's workloads. RUNNING
/// is known for the gateway only, which reports it (subctl reads the others
/// inside pods).
async fn components(client: &Client, observation: &MeshObservation) -> Vec<Component> {
    let Some(submariner) = observation.submariners.first() else {
        return Vec::new();
    };
    let namespace = submariner.namespace.as_str();
    let all = ListParams::default();
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let mut found: Vec<Component> = Vec::new();
    if let Ok(list) = within(sets.list(&all)).await {
        found.extend(
            list.items
                .iter()
                .filter_map(|set| component(&set.name_any(), &set.spec.as_ref()?.template)),
        );
    }
    if let Ok(list) = within(deployments.list(&all)).await {
        found.extend(list.items.iter().filter_map(|deployment| {
            component(&deployment.name_any(), &deployment.spec.as_ref()?.template)
        }));
    }
    let running = observation
        .gateways
        .iter()
        .find(|gateway| gateway.is_active())
        .map(|gateway| gateway.version.clone())
        .filter(|version| !version.is_empty());
    for component in found
        .iter_mut()
        .filter(|component| component.component == "submariner-gateway")
    {
        component.running.clone_from(&running);
    }
    if found.is_empty() {
        // No workloads to be seen: what the resource asks for.
        found.push(Component {
            component: "submariner".to_owned(),
            repository: submariner.repository.clone(),
            configured: submariner.version.clone(),
            running,
            arch: None,
        });
    }
    found.sort();
    found
}

fn component(name: &str, template: &PodTemplateSpec) -> Option<Component> {
    let image = template.spec.as_ref()?.containers.first()?.image.clone()?;
    let (repository, configured) = split_image(&image);
    name.starts_with("submariner").then(|| Component {
        component: name.to_owned(),
        repository,
        configured,
        running: None,
        arch: None,
    })
}

/// `quay.io/submariner/submariner-gateway:0.8.1` as repository without the
/// image's own name, and tag (or digest).
fn split_image(image: &str) -> (String, String) {
    let (path, version) = match image.split_once('@') {
        Some((path, digest)) => (path, digest),
        None => match image.rsplit_once(':') {
            // A colon before a slash belongs to the registry's port.
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (image, "latest"),
        },
    };
    let repository = path
        .rsplit_once('/')
        .map_or("", |(repository, _)| repository);
    (repository.to_owned(), version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_split_as_subctl_does() {
        for (image, repository, version) in [
            (
                "quay.io/submariner/submariner-gateway:0.8.1",
                "quay.io/submariner",
                "0.8.1",
            ),
            ("localhost:5000/gateway", "localhost:5000", "latest"),
            ("r.io/a/b@sha256:00", "r.io/a", "sha256:00"),
            ("nginx", "", "latest"),
        ] {
            assert_eq!(
                split_image(image),
                (repository.to_owned(), version.to_owned()),
                "{image}"
            );
        }
    }
}
