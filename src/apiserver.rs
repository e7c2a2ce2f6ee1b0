//! The embedded Kubernetes API server: the ground for the demo, the edge hub
//! and the tests.
//!
//! It is not the product. It serves what kubectl and kube-rs ask for and no
//! more: no webhooks, no aggregation, no exec, and RBAC is stored but not
//! enforced. Where a behaviour is written down here, kube-apiserver is the
//! judge of it.
//!
//! A request goes through `listen` → `front` → `dispatch` → `verbs` →
//! `write` or `read` → `store`.

mod answer;
mod auth;
mod collect;
mod columns;
mod crd;
mod decode;
mod deletion;
mod discovery;
mod dispatch;
mod durable;
mod failure;
pub mod faults;
mod front;
mod kinds;
mod kubeconfig;
mod listen;
pub mod managed_fields;
mod negotiate;
mod object;
mod openapi;
pub mod options;
mod patch;
mod pki;
mod protobuf;
mod query;
mod read;
mod registry;
mod render;
mod resource;
mod reviews;
mod route;
mod scale;
pub mod schema;
mod selector;
mod store;
pub mod strategic;
mod tokens;
mod verbs;
mod watch;
mod write;

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub use faults::{Fault, FaultSwitch};
pub use options::Options;

use auth::{Identity, Tokens};
use durable::Durable;
use pki::Pki;
use registry::Served;
use store::{Expect, Key, Store};

/// Why a server could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data directory could not be read or written.
    #[error("cannot use {path}; check that it exists and is writable")]
    DataDir {
        /// The directory or the file in it.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The object database is damaged, locked by another process, or the
    /// disk failed.
    #[error("cannot open the object database {path}; another server may be using it")]
    Database {
        /// The file.
        path: String,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The service range is not one.
    #[error("{cidr:?} is not an IPv4 range like 172.31.0.0/16 with a prefix from 8 to 30")]
    ServiceCidr {
        /// What was given.
        cidr: String,
    },
    /// Certificates, tokens or first objects could not be made.
    #[error("cannot set up the API server ({what})")]
    Setup {
        /// What failed.
        what: String,
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

/// The store on disk takes no more: no write is acknowledged from then on, and
/// reads may show what is not on disk. As etcd does, end the process; what was
/// acknowledged is there when it starts again.
#[derive(Debug, thiserror::Error)]
#[error("the API server {name} cannot go on, and nothing that it acknowledged is lost")]
pub struct StoreBroken {
    name: String,
    #[source]
    source: durable::DurableError,
}

/// One API server. Cheap to clone: all clones serve the same objects.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    faults: FaultSwitch,
    store: Store,
    served: Served,
    tokens: Tokens,
    pki: Pki,
    services: kinds::Range,
    /// Ends all watches.
    closing: CancellationToken,
}

impl Inner {
    fn namespace(&self, name: &str) -> Option<Value> {
        let key = Key {
            collection: resource::collection("", "namespaces"),
            namespace: String::new(),
            name: name.to_owned(),
        };
        self.store.get(&key).map(|found| found.value())
    }

    /// Makes the namespaces that every cluster has.
    fn seed(&self) -> Result<(), failure::Failure> {
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            if self.namespace(name).is_some() {
                continue;
            }
            let key = Key {
                collection: resource::collection("", "namespaces"),
                namespace: String::new(),
                name: name.to_owned(),
            };
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {
                    "name": name, "uid": object::uid()?,
                    "creationTimestamp": object::time(Timestamp::now()),
                    "labels": {"kubernetes.io/metadata.name": name},
                },
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            });
            // Nobody else writes before the server is open.
            let _ = self.store.put(&key, Expect::Absent, object);
        }
        Ok(())
    }
}

impl Server {
    /// Opens the store (creating it when absent) and the built-in namespaces.
    ///
    /// # Errors
    /// When the data directory cannot be used or holds something else.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let services = kinds::Range::parse(&options.service_cidr);
        let services = services.ok_or_else(|| OpenError::ServiceCidr {
            cidr: options.service_cidr.clone(),
        })?;
        let setup = |failure: failure::Failure| OpenError::Setup {
            what: failure.message,
        };
        let store = open_store(&options)?;
        let pki = Pki::open(
            options.data_dir.as_deref(),
            &options.name,
            &options.server_names,
        )?;
        let inner = Inner {
            faults: FaultSwitch::default(),
            served: Served::new(&store),
            store,
            tokens: Tokens::new(pki.admin_token.clone(), pki.token_key),
            pki,
            services,
            closing: CancellationToken::new(),
            options,
        };
        inner.seed().map_err(setup)?;
        collect::resume(&inner, Timestamp::now());
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    fn router(&self) -> Router {
        Router::new()
            .fallback(dispatch::handle)
            .with_state(Arc::clone(&self.inner))
    }

    /// An in-process client with administrator rights that no [`Fault`]
    /// touches: the cluster's own components. Call it inside a tokio runtime.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        let router = self.router().layer(Extension(Identity::admin()));
        kube::Client::new(router, "default")
    }

    /// An in-process administrator client that suffers the [`Fault`]s like
    /// any client from outside. Call it inside a tokio runtime.
    #[must_use]
    pub fn outside_client(&self) -> kube::Client {
        let router = self
            .router()
            .layer(Extension(Identity::admin()))
            .layer(from_fn_with_state(Arc::clone(&self.inner), front::suffer));
        let faults = self.inner.faults.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (router, faults) = (router.clone(), faults.clone());
            async move {
                if faults.get() == Fault::Drop {
                    return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
                }
                let Ok(response) = router.oneshot(request).await;
                Ok(response)
            }
        });
        kube::Client::new(service, "default")
    }

    /// The router with authentication and faults on, as the TLS listener
    /// serves it.
    pub fn client_as_router(&self) -> Router {
        let inner = &self.inner;
        self.router()
            .layer(from_fn_with_state(Arc::clone(inner), front::authenticate))
            .layer(from_fn_with_state(Arc::clone(inner), front::suffer))
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
        let config = listen::config(&self.inner.pki)?;
        let router = self.client_as_router();
        let faults = self.inner.faults.clone();
        let closing = self.inner.closing.clone();
        listen::serve(listener, config, router, faults, shutdown, closing).await;
        Ok(())
    }

    /// Ends when the store on disk takes no more; never for one in memory.
    pub async fn broken(&self) -> StoreBroken {
        StoreBroken {
            name: self.inner.options.name.clone(),
            source: self.inner.store.failed().await,
        }
    }

    /// An administrator's kubeconfig for `server_url` (for example
    /// `https://127.0.0.1:6443`): YAML with the CA, a client certificate and
    /// a token inline. It is a credential: write it with mode 0600, log it
    /// never.
    #[must_use]
    pub fn kubeconfig(&self, server_url: &str) -> String {
        kubeconfig::admin(&self.inner.pki, &self.inner.options.name, server_url)
    }
}

fn open_store(options: &Options) -> Result<Store, OpenError> {
    let Some(dir) = &options.data_dir else {
        return Store::open(None, options.watch_history).map_err(|error| OpenError::Setup {
            what: error.to_string(),
        });
    };
    std::fs::create_dir_all(dir).map_err(|source| OpenError::DataDir {
        path: dir.display().to_string(),
        source,
    })?;
    let path = dir.join("objects.redb");
    let open = || Store::open(Some(Durable::open(&path)?), options.watch_history);
    open().map_err(|error| OpenError::Database {
        path: path.display().to_string(),
        source: error.into(),
    })
}
