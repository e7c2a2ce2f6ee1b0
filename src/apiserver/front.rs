//! What stands before the handler for clients from outside: faults on
//! demand, then authentication.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header;
use http_body::Body as _;
use jiff::Timestamp;
use tokio::sync::watch;

use super::Inner;
use super::auth::Identity;
use super::failure::Failure;
use super::faults::{Fault, FaultSwitch};
use super::route::{self, Route};

/// Put into a request's extensions by the TLS listener when the client
/// showed a certificate of our CA. That CA signs no client but the
/// administrator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certified;

/// Lets known callers through; health and version are open to all, as in
/// kube-apiserver's default policy.
pub(super) async fn authenticate(
    State(inner): State<Arc<Inner>>,
    mut request: Request,
    next: Next,
) -> Response {
    match identify(&inner, &request) {
        // To answer as the caller would be to answer another question.
        Some(_) if impersonates(&request) => Failure::no_impersonation().into_response(),
        Some(identity) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        None => Failure::unauthorized().into_response(),
    }
}

fn impersonates(request: &Request) -> bool {
    let mut names = request.headers().keys();
    names.any(|name| name.as_str().starts_with("impersonate-"))
}

fn identify(inner: &Inner, request: &Request) -> Option<Identity> {
    if request.extensions().get::<Certified>().is_some() {
        return Some(Identity::admin());
    }
    let authorization = request.headers().get(header::AUTHORIZATION);
    if let Some(authorization) = authorization {
        let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        return bearer.then(|| super::tokens::whose(inner, token.trim(), Timestamp::now()))?;
    }
    let open = matches!(
        route::parse(request.uri().path()),
        Route::Health | Route::Version
    );
    open.then(|| Identity::of("system:anonymous", &["system:unauthenticated"]))
}

/// Applies the present fault to a request and to the stream it gets.
pub(super) async fn suffer(
    State(inner): State<Arc<Inner>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(refusal) = meet(&inner.faults).await {
        return refusal;
    }
    let response = next.run(request).await;
    // Only streams outlive the moment of the answer.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let changes = inner.faults.subscribe();
    response.map(|body| guard(body, changes))
}

async fn meet(faults: &FaultSwitch) -> Option<Response> {
    let mut changes = faults.subscribe();
    loop {
        let fault = *changes.borrow_and_update();
        match fault {
            Fault::Running => return None,
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                return None;
            }
            Fault::Refuse | Fault::Drop => {
                let message = "the server is currently unable to handle the request";
                return Some(Failure::unavailable(message).into_response());
            }
            // Until the switch is turned again, or the client gives up.
            Fault::BlackHole => changes.changed().await.ok()?,
        }
    }
}

fn guard(body: Body, changes: watch::Receiver<Fault>) -> Body {
    let state = (body.into_data_stream(), changes);
    Body::from_stream(futures::stream::unfold(
        state,
        |(mut data, mut changes)| async {
            loop {
                let fault = *changes.borrow_and_update();
                match fault {
                    Fault::Refuse | Fault::Drop => {
                        let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                        return Some((Err(axum::Error::new(cut)), (data, changes)));
                    }
                    Fault::BlackHole => changes.changed().await.ok()?,
                    Fault::Running | Fault::Delay(_) => {
                        tokio::select! {
                            chunk = data.next() => {
                                let chunk: Result<Bytes, axum::Error> = chunk?;
                                return Some((chunk, (data, changes)));
                            }
                            changed = changes.changed() => changed.ok()?,
                        }
                    }
                }
            }
        },
    ))
}
