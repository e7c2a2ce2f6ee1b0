//! The listener for operators: liveness, readiness and metrics. It is open
//! from the start of the process, as standby and as leader.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Running;
use super::metrics::Readings;
use super::served::Served;
use crate::core::view::FleetView;
use crate::git::GitMetrics;
use crate::hub::context::Shared;
use crate::hub::lease::Leader;

/// What the operators' listener tells of this process.
#[derive(Clone)]
pub struct Operators {
    started: Timestamp,
    hub: Arc<OnceLock<Hub>>,
    acquired: Arc<AtomicBool>,
    leads: Arc<OnceLock<Leads>>,
}

struct Hub {
    served: Served,
    /// `None` where nobody else can lead.
    leader: Option<watch::Receiver<Leader>>,
}

struct Leads {
    views: watch::Receiver<Arc<FleetView>>,
    context: Shared,
    git: GitMetrics,
}

/// One line of `/readyz?verbose`: what is looked at, and what is wrong.
struct Check {
    name: &'static str,
    outcome: Result<String, String>,
}

impl Operators {
    /// A process that `started` and does not know its hub yet.
    #[must_use]
    pub fn new(started: Timestamp) -> Self {
        Self {
            started,
            hub: Arc::default(),
            acquired: Arc::default(),
            leads: Arc::default(),
        }
    }

    /// The hub's API, and who leads; `None` where nobody else can.
    pub fn connected(&self, client: Client, leader: Option<watch::Receiver<Leader>>) {
        // A second call tells nothing new.
        let _ = self.hub.set(Hub {
            served: Served::new(client),
            leader,
        });
    }

    /// From now on this process may write; it begins to list the hub's kinds.
    pub fn acquired(&self) {
        self.acquired.store(true, Ordering::Relaxed);
    }

    /// From now on this process leads; it does so until it ends.
    pub fn leads(&self, running: &Running) {
        // A second call tells nothing new.
        let _ = self.leads.set(Leads {
            views: running.views(),
            context: Arc::clone(running.context()),
            git: running.git().clone(),
        });
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router())
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    /// Watches that fail; a standby has none.
    fn problems(&self) -> Vec<String> {
        self.leads
            .get()
            .map(|leads| leads.context.stores.problems())
            .unwrap_or_default()
    }

    /// The text of `/metrics`. A standby has the same families, without values
    /// of the fleet.
    ///
    /// # Errors
    /// None that a string can give.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        let leads = self.leads.get();
        let view = leads
            .map(|leads| Arc::clone(&leads.views.borrow()))
            .unwrap_or_default();
        let context = leads.map(|leads| &leads.context);
        Readings {
            started: self.started,
            leader: leads.is_some(),
            failing_watches: self.problems().len(),
            view: &view,
            hub: context
                .map(|context| context.metrics.clone())
                .unwrap_or_default(),
            member: context
                .map(|context| context.pool.metrics().clone())
                .unwrap_or_default(),
            git: leads.map(|leads| leads.git.clone()).unwrap_or_default(),
        }
        .text()
    }

    async fn checks(&self) -> Vec<Check> {
        let Some(hub) = self.hub.get() else {
            return vec![Check {
                name: "hub",
                outcome: Err("not connected yet".to_owned()),
            }];
        };
        vec![
            Check {
                name: "lease",
                outcome: self.lease(hub),
            },
            Check {
                name: "crds",
                outcome: hub.served.all().await,
            },
            Check {
                name: "stores",
                outcome: self.stores(),
            },
        ]
    }

    /// A standby that knows the leader is ready: it takes over, and a rollout
    /// must not wait for it to lead.
    fn lease(&self, hub: &Hub) -> Result<String, String> {
        let Some(leader) = &hub.leader else {
            return Ok("not needed, nobody else can lead".to_owned());
        };
        if self.acquired.load(Ordering::Relaxed) {
            return Ok("held, this process leads".to_owned());
        }
        match leader.borrow().identity.as_str() {
            "" => Err("who leads is not known yet".to_owned()),
            identity => Ok(format!("known, {identity} leads")),
        }
    }

    fn stores(&self) -> Result<String, String> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        if self.leads.get().is_some() {
            Ok("synced".to_owned())
        } else if self.acquired.load(Ordering::Relaxed) {
            Err("the hub's kinds are still listed".to_owned())
        } else {
            Ok("not needed before this process leads".to_owned())
        }
    }
}

/// 503 with what is missing; with `?verbose` each check, as kube-apiserver has it.
async fn readyz(State(operators): State<Operators>, RawQuery(query): RawQuery) -> Response {
    let checks = operators.checks().await;
    let ready = checks.iter().all(|check| check.outcome.is_ok());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose = query.is_some_and(|query| query.split('&').any(|key| key.starts_with("verbose")));
    if ready && !verbose {
        return (status, "ok\n").into_response();
    }
    let mut text = String::new();
    for Check { name, outcome } in &checks {
        // Writing to a string cannot fail.
        let _ = match outcome {
            Ok(how) => writeln!(text, "[+]{name} ok: {how}"),
            Err(why) => writeln!(text, "[-]{name} failed: {why}"),
        };
    }
    let verdict = if ready { "passed" } else { "failed" };
    let _ = writeln!(text, "readyz check {verdict}");
    (status, text).into_response()
}

async fn metrics(State(operators): State<Operators>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match operators.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;
    use crate::api::crds;
    use http_body_util::BodyExt as _;
    use kube::client::Body;

    /// A hub that serves every kind of ours but `missing`.
    fn hub(missing: &'static str) -> Client {
        let service = tower::service_fn(move |request: http::Request<Body>| async move {
            let path = request.uri().path();
            let kinds: Vec<serde_json::Value> = crds::all()
                .unwrap()
                .into_iter()
                .filter(|crd| crd.spec.names.plural != missing)
                .filter(|crd| {
                    let version = &crd.spec.versions[0].name;
                    path == format!("/apis/{}/{version}", crd.spec.group)
                })
                .map(|crd| {
                    serde_json::json!({
                        "name": crd.spec.names.plural, "kind": crd.spec.names.kind,
                        "singularName": "", "namespaced": true, "verbs": [],
                    })
                })
                .collect();
            let list = serde_json::json!({
                "kind": "APIResourceList", "apiVersion": "v1",
                "groupVersion": "x", "resources": kinds,
            });
            Ok::<_, kube::Error>(http::Response::new(Body::from(
                list.to_string().into_bytes(),
            )))
        });
        Client::new(service, "default")
    }

    async fn ask(operators: &Operators) -> (StatusCode, String) {
        let answer = readyz(
            State(operators.clone()),
            RawQuery(Some("verbose".to_owned())),
        )
        .await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    fn operators() -> Operators {
        Operators::new(Timestamp::from_second(7).unwrap())
    }

    #[test]
    fn standby_says_that_it_does_not_lead() {
        let text = operators().metrics().unwrap();
        assert!(text.contains("pilothouse_leader 0\n"), "{text}");
    }

    #[tokio::test]
    async fn standby_is_ready_once_it_knows_who_leads() {
        let operators = operators();
        let (status, text) = ask(&operators).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
        let (sender, leader) = watch::channel(Leader::default());
        operators.connected(hub(""), Some(leader));
        let (status, text) = ask(&operators).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("[-]lease failed: who leads"), "{text}");
        sender.send_replace(Leader {
            identity: "pod-a".into(),
            address: None,
        });
        let (status, text) = ask(&operators).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        assert!(text.contains("pod-a leads"), "{text}");
    }

    #[tokio::test]
    async fn leader_is_not_ready_before_its_stores_are_synced() {
        let operators = operators();
        operators.connected(hub(""), None);
        assert_eq!(ask(&operators).await.0, StatusCode::OK);
        operators.acquired();
        let (status, text) = ask(&operators).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("[-]stores failed"), "{text}");
    }

    #[tokio::test]
    async fn a_kind_that_the_hub_does_not_serve_is_named() {
        let operators = operators();
        operators.connected(hub("placementrules"), None);
        let (status, text) = ask(&operators).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            text.contains("placementrules.apps.open-cluster-management.io"),
            "{text}"
        );
        assert!(!text.contains("subscriptions.apps"), "{text}");
    }
}
