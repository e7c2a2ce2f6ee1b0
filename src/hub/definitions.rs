//! Installing the CustomResourceDefinitions that a hub needs.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};

use crate::api::crds::{CrdError, all};

/// How long a definition may take to be served.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Why the definitions are not there.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// A defect of this build.
    #[error(transparent)]
    Generated(#[from] CrdError),
    /// The API refused one.
    #[error(
        "cannot apply the definition {name}; it takes the right to write customresourcedefinitions"
    )]
    Refused {
        /// Its name.
        name: String,
        /// What the API said.
        #[source]
        source: Box<kube::Error>,
    },
    /// One was not established in time.
    #[error("the definition {name} was not established within {} seconds", ESTABLISHED.as_secs())]
    Late {
        /// Its name.
        name: String,
    },
}

/// Applies the definitions and waits until all are served. Doing it again
/// changes nothing.
///
/// # Errors
/// When one is refused, or does not come to be served.
pub async fn install(client: &Client) -> Result<(), DefinitionError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply("pilothouse-definitions").force();
    let definitions = all()?;
    for definition in &definitions {
        let name = definition.name_any();
        api.patch(&name, &params, &Patch::Apply(definition))
            .await
            .map_err(|source| DefinitionError::Refused {
                name,
                source: Box::new(source),
            })?;
    }
    for definition in &definitions {
        let name = definition.name_any();
        let served = await_condition(api.clone(), &name, is_crd_established());
        if !matches!(tokio::time::timeout(ESTABLISHED, served).await, Ok(Ok(_))) {
            return Err(DefinitionError::Late { name });
        }
    }
    Ok(())
}
