//! HTTP clients for a member's API server.
//!
//! kube's own stack speaks HTTP/1.1, has no read timeout and retries for
//! minutes; a fleet needs one HTTP/2 connection a member, a deadline on every
//! call and few, short retries. Watches have a connection of their own, since a
//! burst of writes on the same connection delays their events.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Client;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, ConfigExt};
use tower::retry::RetryLayer;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

use super::credential::{CredentialError, MemberCredential};

/// Longest time to make a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time from sending a request to the head of its answer. A watch
/// answers its head at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle HTTP/2 connections are pinged: load balancers cut them silently.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// A ping that is not answered this long ends the connection.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The credential cannot be used.
    #[error("the credential cannot be used")]
    Credential(#[source] CredentialError),
    /// TLS or headers could not be set up from it.
    #[error("cannot set up TLS for {server}; check the CA, certificate and key of the kubeconfig")]
    Tls {
        /// Server without user info.
        server: String,
        /// What was refused.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Clients of one member.
#[derive(Clone)]
pub struct MemberClient {
    /// For reads and writes.
    pub calls: Client,
    /// For watches.
    pub watches: Client,
}

impl MemberClient {
    /// Clients for a credential. Connections are made when they are first used.
    ///
    /// # Errors
    /// When the credential's data cannot be used.
    pub async fn connect(credential: &MemberCredential) -> Result<Self, ConnectError> {
        let config = credential
            .config()
            .await
            .map_err(ConnectError::Credential)?;
        Self::of_config(&config)
    }

    /// Clients for a configuration that is trusted.
    ///
    /// # Errors
    /// When TLS or headers cannot be set up from it.
    pub(super) fn of_config(config: &kube::Config) -> Result<Self, ConnectError> {
        let client = || {
            stack(config).map_err(|source| ConnectError::Tls {
                server: shown(&config.cluster_url),
                source: Box::new(source),
            })
        };
        Ok(Self {
            calls: client()?,
            watches: client()?,
        })
    }

    /// A member in this process.
    #[must_use]
    pub fn from_client(client: Client) -> Self {
        Self {
            calls: client.clone(),
            watches: client,
        }
    }
}

/// A server's URL without user info.
fn shown(url: &http::Uri) -> String {
    let host = url.authority().map(|authority| authority.as_str());
    let host = host.map_or("", |host| host.rsplit_once('@').map_or(host, |(_, h)| h));
    format!("{}://{host}", url.scheme_str().unwrap_or("https"))
}

/// One HTTP/2 connection (HTTP/1.1 where the server knows no other), with
/// deadlines and at most three short retries of refused requests (429, 503, 504).
fn stack(config: &kube::Config) -> Result<Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .http2_adaptive_window(true)
        .build::<_, Body>(connector);
    // The bounds are constants that the policy accepts; without it calls just fail at once.
    let retry = RetryPolicy::new(Duration::from_millis(100), Duration::from_secs(2), 3, true)
        .ok()
        .map(RetryLayer::new);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .option_layer(retry)
        .layer(TimeoutLayer::new(ANSWER_TIMEOUT))
        .map_err(BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
