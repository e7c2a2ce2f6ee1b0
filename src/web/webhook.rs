//! `POST /webhook`: reads the body within its bound and hands it to the sink
//! that the composition root gave. What a push means, and whether its
//! signature is right, the sink decides.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::BoxFuture;

use super::WebState;

/// Takes the headers and the exact bytes of a push (signatures cover bytes).
pub type WebhookSink =
    Arc<dyn Fn(HeaderMap, Bytes) -> BoxFuture<'static, WebhookAnswer> + Send + Sync>;

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// Understood; the fetch is under way. With one line for the sender's log.
    Accepted(String),
    /// Not a push that we read. With the reason.
    Malformed(String),
    /// Signature or token missing or wrong. Says nothing about which.
    Unauthorized,
    /// The queue is full; the sender should try again.
    Busy,
}

impl IntoResponse for WebhookAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Accepted(line) => (StatusCode::ACCEPTED, line + "\n").into_response(),
            Self::Malformed(reason) => (StatusCode::BAD_REQUEST, reason + "\n").into_response(),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "signature or token missing or wrong\n",
            )
                .into_response(),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                [("retry-after", "5")],
                "too many pushes are waiting, try again\n",
            )
                .into_response(),
        }
    }
}

/// The handler.
pub(crate) async fn receive(
    State(state): State<WebState>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let limit = state.options.webhook_body_limit;
    let body = match axum::body::to_bytes(body, limit).await {
        Ok(body) => body,
        Err(_) => {
            let text = format!("the body is cut or larger than {limit} bytes\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
        }
    };
    match &state.webhook {
        Some(sink) => sink(headers, body).await.into_response(),
        None => WebhookAnswer::Busy.into_response(),
    }
}
