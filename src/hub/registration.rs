//! Joining a cluster to the hub and letting it leave: the ManagedCluster, its
//! namespace and its credential Secret. Used by `cluster join` and the demo.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::cluster::ManagedCluster;
use crate::api::{ANNOTATION_CREDENTIAL, ClusterName, LABEL_CLUSTER_SET, LABEL_CREDENTIAL};
use crate::member::credential::{CredentialError, MemberCredential};

/// Field manager of what a registration writes.
const MANAGER: &str = "pilothouse-registration";
/// Name of the credential Secret in the cluster's namespace.
pub const CREDENTIAL_SECRET: &str = "pilothouse-credential";
/// Annotation of that Secret: `true` when the hub renews the token in it.
pub const ANNOTATION_RENEWED: &str = "pilothouse.dev/credential-renewed";
/// Label of a cluster's namespace, as OCM sets it.
const LABEL_NAMESPACE_OF: &str = "cluster.open-cluster-management.io/managedCluster";
/// Deadline of one call.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What is to be registered.
#[derive(Debug)]
pub struct Registration<'a> {
    /// Its name on the hub.
    pub cluster: &'a ClusterName,
    /// How the hub reaches it.
    pub credential: &'a MemberCredential,
    /// Whether the hub renews the credential's token before it ends: for
    /// tokens of the account that [`crate::member::credential::agent`] makes.
    pub renewed: bool,
    /// The exclusive cluster set that it joins.
    pub set: Option<&'a str>,
    /// More labels of the ManagedCluster.
    pub labels: &'a BTreeMap<String, String>,
}

/// Why a registration failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The credential cannot be stored.
    #[error("the credential of {cluster} cannot be stored")]
    Credential {
        /// The cluster.
        cluster: String,
        /// Why.
        #[source]
        source: CredentialError,
    },
    /// The hub refused a step.
    #[error("the hub does not {step}; check your rights there, then run it again")]
    Refused {
        /// What was about to be done.
        step: String,
        /// What the hub said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The hub did not answer.
    #[error("the hub does not {step} within 15 s; run it again")]
    Late {
        /// What was about to be done.
        step: String,
    },
}

impl RegistrationError {
    /// Whether somebody wrote the object meanwhile.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { source, .. }
            if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 409))
    }
}

/// Registers a cluster, or brings its registration up to date: doing it twice
/// changes nothing. The ManagedCluster comes last, so that the hub finds the
/// credential when it looks.
///
/// # Errors
/// When the hub refuses a step. The steps before it stay.
pub async fn join(hub: &Client, registration: &Registration<'_>) -> Result<(), RegistrationError> {
    let name = registration.cluster.as_str();
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {LABEL_NAMESPACE_OF: name}},
    });
    apply::<Namespace>(&Api::all(hub.clone()), name, &namespace).await?;
    let stored = Stored {
        renewed: registration.renewed,
        version: None,
    };
    store(hub, registration.cluster, registration.credential, &stored).await?;
    let mut labels = registration.labels.clone();
    if let Some(set) = registration.set {
        labels.insert(LABEL_CLUSTER_SET.to_owned(), set.to_owned());
    }
    let cluster = json!({
        "apiVersion": "cluster.open-cluster-management.io/v1", "kind": "ManagedCluster",
        "metadata": {
            "name": name, "labels": labels,
            "annotations": {ANNOTATION_CREDENTIAL: CREDENTIAL_SECRET},
        },
        "spec": {
            "hubAcceptsClient": true,
            "managedClusterClientConfigs": [{"url": registration.credential.server()}],
        },
    });
    apply::<ManagedCluster>(&Api::all(hub.clone()), name, &cluster).await
}

/// How a credential is stored.
#[derive(Clone, Debug, Default)]
struct Stored {
    /// Whether the hub renews it.
    renewed: bool,
    /// `resourceVersion` of the Secret that it replaces; whatever is there when `None`.
    version: Option<String>,
}

/// Writes a cluster's credential Secret.
///
/// # Errors
/// When the hub refuses, for example because it is not at that version (409).
async fn store(
    hub: &Client,
    cluster: &ClusterName,
    credential: &MemberCredential,
    how: &Stored,
) -> Result<(), RegistrationError> {
    let name = cluster.as_str();
    let kubeconfig = credential
        .to_yaml()
        .map_err(|source| RegistrationError::Credential {
            cluster: name.to_owned(),
            source,
        })?;
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": CREDENTIAL_SECRET, "namespace": name,
            "labels": {LABEL_CREDENTIAL: "true"},
        },
        "data": {"kubeconfig": STANDARD.encode(kubeconfig)},
    });
    if how.renewed {
        secret["metadata"]["annotations"] = json!({ANNOTATION_RENEWED: "true"});
    }
    if let Some(version) = &how.version {
        secret["metadata"]["resourceVersion"] = json!(version);
    }
    let secrets = Api::namespaced(hub.clone(), name);
    apply::<Secret>(&secrets, CREDENTIAL_SECRET, &secret).await
}

/// Puts a new token, which the hub renews, into the place of a joined
/// cluster's credential; `version` is the `resourceVersion` of what it replaces.
///
/// # Errors
/// When the hub refuses, for example because somebody replaced it meanwhile.
pub async fn replace(
    hub: &Client,
    cluster: &ClusterName,
    credential: &MemberCredential,
    version: Option<&str>,
) -> Result<(), RegistrationError> {
    let how = Stored {
        renewed: true,
        version: version.map(str::to_owned),
    };
    store(hub, cluster, credential, &how).await
}

/// Takes a cluster off the hub: its ManagedCluster and the credential Secret
/// that [`join`] wrote. Its namespace stays, as other things may be in it;
/// so does everything on the cluster itself. What is gone already is as good.
///
/// # Errors
/// When the hub refuses.
pub async fn leave(hub: &Client, cluster: &ClusterName) -> Result<(), RegistrationError> {
    let name = cluster.as_str();
    delete::<ManagedCluster>(&Api::all(hub.clone()), name).await?;
    delete::<Secret>(&Api::namespaced(hub.clone(), name), CREDENTIAL_SECRET).await
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value) -> Result<(), RegistrationError>
where
    K: Clone + DeserializeOwned + Serialize + std::fmt::Debug + Resource<DynamicType = ()>,
{
    let params = PatchParams::apply(MANAGER).force();
    let step = format!("take the {} {name}", K::kind(&()));
    within(step, api.patch(name, &params, &Patch::Apply(object))).await
}

async fn delete<K>(api: &Api<K>, name: &str) -> Result<(), RegistrationError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug + Resource<DynamicType = ()>,
{
    let step = format!("delete the {} {name}", K::kind(&()));
    let params = DeleteParams::default();
    let gone = async {
        match api.delete(name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    };
    within(step, gone).await
}

async fn within<T>(
    step: String,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<(), RegistrationError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(RegistrationError::Refused {
            step,
            source: Box::new(error),
        }),
        Err(_) => Err(RegistrationError::Late { step }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::crds;
    use crate::apiserver::{Options, Server};
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    use kube::ResourceExt as _;

    async fn hub() -> Client {
        let client = Server::open(Options::in_memory("hub")).unwrap().client();
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in crds::all().unwrap() {
            api.create(&Default::default(), &crd).await.unwrap();
        }
        client
    }

    #[tokio::test]
    async fn a_cluster_joins_once_and_leaves() {
        let member = Server::open(Options::in_memory("one")).unwrap();
        let kubeconfig = member.kubeconfig("https://127.0.0.1:6443");
        let credential = MemberCredential::from_kubeconfig(kubeconfig.as_bytes(), None).unwrap();
        let hub = hub().await;
        let name = ClusterName::from("one");
        let labels = BTreeMap::from([("environment".to_owned(), "test".to_owned())]);
        let registration = Registration {
            cluster: &name,
            credential: &credential,
            renewed: false,
            set: Some("submariner"),
            labels: &labels,
        };
        let clusters: Api<ManagedCluster> = Api::all(hub.clone());
        join(&hub, &registration).await.unwrap();
        let first = clusters.get("one").await.unwrap();
        join(&hub, &registration).await.unwrap();
        let second = clusters.get("one").await.unwrap();
        assert_eq!(first.resource_version(), second.resource_version());
        assert!(second.spec.hub_accepts_client);
        assert_eq!(second.labels()[LABEL_CLUSTER_SET], "submariner");
        assert_eq!(second.labels()["environment"], "test");
        let secrets: Api<Secret> = Api::namespaced(hub.clone(), "one");
        let secret = secrets.get(CREDENTIAL_SECRET).await.unwrap();
        let stored = &secret.data.unwrap()["kubeconfig"].0;
        let stored = MemberCredential::from_kubeconfig(stored, None).unwrap();
        assert_eq!(stored.server(), "https://127.0.0.1:6443");

        for _ in 0..2 {
            leave(&hub, &name).await.unwrap();
        }
        assert!(clusters.get_opt("one").await.unwrap().is_none());
        assert!(secrets.get_opt(CREDENTIAL_SECRET).await.unwrap().is_none());
    }
}
