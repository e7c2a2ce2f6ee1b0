//! What a process that waits for leadership answers: who leads, and pushes of
//! a git server handed on to the leader, so that it fetches at once whichever
//! process the push reached.
//!
//! The leader checks the signature: a standby reads no Secret.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::hub::lease::Leader;

/// Marks a push that was handed on, so that two standbys that each take the
/// other for the leader do not play ball.
const HANDED_ON: HeaderName = HeaderName::from_static("x-pilothouse-handed-on");
/// Largest push, as the dashboard's webhook takes it.
const MAX_PUSH: usize = 8 << 20;
/// Largest answer of the leader that is passed back.
const MAX_ANSWER: usize = 64 << 10;
/// Time for the leader's answer.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Standby {
    leader: watch::Receiver<Leader>,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

/// Answers on `listener` until `leading`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    leader: watch::Receiver<Leader>,
    leading: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/webhook", post(hand_on))
        .fallback(say)
        .with_state(Standby {
            leader,
            client: Client::builder(TokioExecutor::new()).build_http(),
        });
    axum::serve(listener, router)
        .with_graceful_shutdown(leading.cancelled_owned())
        .await
}

/// Who leads, in words. 503: a proxy in front asks another process.
async fn say(State(standby): State<Standby>) -> Response {
    let leader = standby.leader.borrow().clone();
    let text = match (leader.identity.as_str(), &leader.address) {
        ("", _) => "this process is a standby; it does not know yet who leads\n".to_owned(),
        (identity, None) => format!("this process is a standby; {identity} leads\n"),
        (identity, Some(address)) => {
            format!("this process is a standby; {identity} leads: {address}\n")
        }
    };
    busy(text)
}

fn busy(text: String) -> Response {
    let headers = [
        (header::RETRY_AFTER, "2"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
}

/// Hands a push on as it came: signatures cover its exact bytes.
async fn hand_on(State(standby): State<Standby>, request: Request) -> Response {
    let address = standby.leader.borrow().address.clone();
    let target = address
        .filter(|address| address.starts_with("http://"))
        .and_then(|address| format!("{address}/webhook").parse::<Uri>().ok());
    let Some(target) = target.filter(|_| !request.headers().contains_key(&HANDED_ON)) else {
        return busy("this process is a standby and knows no leader to hand the push to\n".into());
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_PUSH).await else {
        let text = format!("the body is cut or larger than {MAX_PUSH} bytes\n");
        return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
    };
    let mut onward = http::Request::new(Full::new(body));
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = target;
    *onward.headers_mut() = parts.headers;
    for hop in [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::EXPECT,
    ] {
        onward.headers_mut().remove(hop);
    }
    onward
        .headers_mut()
        .insert(HANDED_ON, header::HeaderValue::from_static("1"));
    match tokio::time::timeout(DEADLINE, answer(&standby, onward)).await {
        Ok(Some(response)) => response,
        Ok(None) | Err(_) => busy("the leader does not answer\n".into()),
    }
}

async fn answer(standby: &Standby, onward: http::Request<Full<bytes::Bytes>>) -> Option<Response> {
    let answer = standby.client.request(onward).await.ok()?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER)
        .collect()
        .await
        .ok()?
        .to_bytes();
    Some((status, Body::from(body)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderMap;

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        (listener, address)
    }

    async fn standby(leader: Leader) -> (String, watch::Sender<Leader>) {
        let (listener, address) = listen().await;
        let (sender, receiver) = watch::channel(leader);
        tokio::spawn(serve(listener, receiver, CancellationToken::new()));
        (address, sender)
    }

    async fn send(method: &str, url: &str, body: &'static str) -> (StatusCode, String) {
        let client: Client<_, Full<bytes::Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let request = http::Request::builder()
            .method(method)
            .uri(url)
            .header("x-hub-signature-256", "sha256=abc")
            .body(Full::from(body))
            .unwrap();
        let answer = client.request(request).await.unwrap();
        let status = answer.status();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&text).into_owned())
    }

    #[tokio::test]
    async fn a_push_reaches_the_leader_as_it_came() {
        let (listener, leader) = listen().await;
        let echo = |headers: HeaderMap, body: String| async move {
            let signature = headers["x-hub-signature-256"].to_str().unwrap_or_default();
            (StatusCode::ACCEPTED, format!("{signature} {body}"))
        };
        let router = Router::new().route("/webhook", post(echo));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let (address, _sender) = standby(Leader {
            identity: "a".into(),
            address: Some(leader),
        })
        .await;
        let (status, text) = send("POST", &format!("{address}/webhook"), "{\"ref\":1}").await;
        assert_eq!(status, StatusCode::ACCEPTED);
        assert_eq!(text, "sha256=abc {\"ref\":1}");
    }

    #[tokio::test]
    async fn a_page_says_who_leads() {
        let (address, sender) = standby(Leader::default()).await;
        let (status, text) = send("GET", &address, "").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("does not know yet"), "{text}");
        sender.send_replace(Leader {
            identity: "pod-a".into(),
            address: Some("http://10.0.0.7:8080".into()),
        });
        let (_, text) = send("GET", &address, "").await;
        assert!(text.contains("pod-a leads: http://10.0.0.7:8080"), "{text}");
    }

    #[tokio::test]
    async fn two_standbys_do_not_hand_a_push_to_and_fro() {
        let (address, sender) = standby(Leader::default()).await;
        let (status, _) = send("POST", &format!("{address}/webhook"), "{}").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        sender.send_replace(Leader {
            identity: "itself".into(),
            address: Some(address.clone()),
        });
        let (status, text) = send("POST", &format!("{address}/webhook"), "{}").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("knows no leader"), "{text}");
    }
}
