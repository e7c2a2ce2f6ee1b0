//! The dashboard, its JSON twins and the webhook.
//!
//! Server-rendered pages that are complete without script, live by
//! server-sent events, with a strict content security policy. The shell reads
//! one [`FleetView`] and never holds a Kubernetes client: what it can show is
//! what the view holds.

pub mod access;
mod assets;
mod cuts;
mod filters;
mod frame;
mod headers;
mod live;
mod login;
mod pages;
mod refusals;
mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use self::access::Access;
use self::cuts::Cuts;
pub use self::webhook::{WebhookAnswer, WebhookSink};
use crate::core::view::FleetView;

/// What the web shell needs.
#[derive(Clone)]
pub struct WebState {
    view: watch::Receiver<Arc<FleetView>>,
    webhook: Option<WebhookSink>,
    shutdown: CancellationToken,
    options: WebOptions,
    live: Arc<Semaphore>,
    access: Access,
    cuts: Arc<Cuts>,
}

impl WebState {
    /// `view` is the latest read model; when its sender goes away, live
    /// streams end. `webhook` takes pushes; without it they are answered 503.
    /// `shutdown` ends the live streams, so that a graceful stop can finish.
    /// `access` says who may look; pushes and the pages' own files are open.
    #[must_use]
    pub fn new(
        view: watch::Receiver<Arc<FleetView>>,
        webhook: Option<WebhookSink>,
        shutdown: CancellationToken,
        options: WebOptions,
        access: Access,
    ) -> Self {
        let live = Arc::new(Semaphore::new(options.live_clients));
        Self {
            view,
            webhook,
            shutdown,
            options,
            live,
            access,
            cuts: Arc::default(),
        }
    }
}

/// Bounds of the web shell.
#[derive(Clone, Copy, Debug)]
pub struct WebOptions {
    /// Largest body of a push, in bytes. GitHub sends up to 25 MiB, but a
    /// push of more than 8 MiB carries nothing that we read.
    pub webhook_body_limit: usize,
    /// Open pages that may follow the fleet at once.
    pub live_clients: usize,
    /// Requests worked on at once; the others wait within `timeout`.
    pub concurrency: usize,
    /// Time for one request (live streams excepted).
    pub timeout: Duration,
    /// Which Host headers are answered (the webhook excepted).
    pub hosts: Hosts,
    /// The clock of ages.
    pub clock: fn() -> Timestamp,
}

impl Default for WebOptions {
    fn default() -> Self {
        Self {
            webhook_body_limit: 8 << 20,
            live_clients: 256,
            concurrency: 64,
            timeout: Duration::from_secs(10),
            hosts: Hosts::Any,
            clock: Timestamp::now,
        }
    }
}

impl WebOptions {
    /// The defaults for a listener: on loopback, foreign Host names are
    /// refused (DNS rebinding); elsewhere the operator's proxy decides.
    #[must_use]
    pub fn for_listener(address: SocketAddr) -> Self {
        let hosts = if address.ip().is_loopback() {
            Hosts::Loopback
        } else {
            Hosts::Any
        };
        Self {
            hosts,
            ..Self::default()
        }
    }
}

/// Which Host headers are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// `localhost` and IP addresses.
    Loopback,
    /// Every name.
    Any,
}

/// Every route of the listener for people.
pub fn router(state: WebState) -> Router {
    let options = state.options;
    let referrer = headers::Referrer::of(&state.access);
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, options.timeout);
    let answers = pages::routes()
        .merge(sign_in())
        .route("/-/static/{name}", get(assets::serve))
        .route(
            "/favicon.ico",
            get(|| async {
                (
                    StatusCode::PERMANENT_REDIRECT,
                    [(header::LOCATION, assets::LINKS.favicon.clone())],
                )
            }),
        )
        .layer(CompressionLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(options.concurrency))
        .layer(timeout);
    let people = answers
        .route("/live", get(live::follow))
        .layer(middleware::from_fn_with_state(
            options.hosts,
            headers::own_host,
        ));
    // A push may be slow to arrive; its body is bounded, and so is its time.
    let pushes = Router::new()
        .route("/webhook", post(webhook::receive))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            options.timeout,
        ))
        .layer(GlobalConcurrencyLimitLayer::new(options.concurrency));
    people
        .merge(pushes)
        .layer(middleware::from_fn_with_state(referrer, headers::secure))
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http())
        .with_state(state)
}

/// Largest form of the login page, in bytes: a token and a path.
const LOGIN_BODY: usize = 16 << 10;

fn sign_in() -> Router<WebState> {
    Router::new()
        .route("/login", get(login::show).post(login::enter))
        .route("/logout", post(login::leave))
        .layer(DefaultBodyLimit::max(LOGIN_BODY))
}
