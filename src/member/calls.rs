//! Single calls to a member's API server, with a deadline, a bound on the
//! answer, and the lease asked before each write.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Longest time for one call, waiting for a permit not counted.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest answer to a call for one object or one page, in bytes.
const MAX_ANSWER: usize = 32 << 20;
const JSON: &str = "application/json";
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The server answered with an error.
    #[error("{message}")]
    Answer {
        /// HTTP status code.
        code: u16,
        /// Reason word of the Status, for example `AlreadyExists`; may be empty.
        reason: String,
        /// The server's sentence.
        message: String,
    },
    /// No answer, or none that could be read.
    #[error("the API server does not answer: {0}")]
    Unreachable(String),
    /// The answer is not what was asked for.
    #[error("the API server's answer cannot be read: {0}")]
    Unreadable(String),
    /// Another process leads now.
    #[error("this process does not lead any more, so it writes nothing")]
    NotLeading,
}

impl CallError {
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Answer { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }
}

/// What became of a DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deleted {
    /// The object is gone.
    Gone,
    /// It waits for finalizers.
    Waiting,
}

/// Calls of one member.
#[derive(Clone)]
pub(super) struct Calls {
    client: Client,
    permits: Arc<Semaphore>,
    may_write: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Calls {
    pub(super) fn new(
        client: Client,
        in_flight: usize,
        may_write: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        Self {
            client,
            permits: Arc::new(Semaphore::new(in_flight.max(1))),
            may_write,
        }
    }

    /// GET without a permit, for probes: a member full of writes still answers.
    pub(super) async fn probe(&self, path: &str, deadline: Duration) -> Result<Bytes, CallError> {
        let request = request(Method::GET, path, JSON, None, Bytes::new())?;
        within(deadline, self.exchange(request)).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        decode(
            &self
                .send(request(Method::GET, path, JSON, None, Bytes::new())?)
                .await?,
        )
    }

    /// The object's metadata; the rest stays on the server where it can.
    pub(super) async fn metadata(&self, path: &str) -> Result<DynamicObject, CallError> {
        decode(
            &self
                .send(request(Method::GET, path, METADATA, None, Bytes::new())?)
                .await?,
        )
    }

    /// Server-side apply. Forced: it is only called where ownership was settled.
    pub(super) async fn apply(
        &self,
        path: &str,
        manager: &str,
        body: Bytes,
    ) -> Result<DynamicObject, CallError> {
        let path = format!("{path}?fieldManager={manager}&force=true");
        self.write(request(
            Method::PATCH,
            &path,
            JSON,
            Some("application/apply-patch+yaml"),
            body,
        )?)
        .await
    }

    pub(super) async fn create(
        &self,
        path: &str,
        manager: &str,
        body: Bytes,
    ) -> Result<DynamicObject, CallError> {
        let path = format!("{path}?fieldManager={manager}");
        self.write(request(Method::POST, &path, JSON, Some(JSON), body)?)
            .await
    }

    /// PUT; the body carries the resource version that it replaces.
    pub(super) async fn replace(
        &self,
        path: &str,
        manager: &str,
        body: Bytes,
    ) -> Result<DynamicObject, CallError> {
        let path = format!("{path}?fieldManager={manager}");
        self.write(request(Method::PUT, &path, JSON, Some(JSON), body)?)
            .await
    }

    /// JSON patch of a list of operations.
    pub(super) async fn json_patch(
        &self,
        path: &str,
        manager: &str,
        operations: &Value,
    ) -> Result<DynamicObject, CallError> {
        let path = format!("{path}?fieldManager={manager}");
        let body = Bytes::from(operations.to_string());
        self.write(request(
            Method::PATCH,
            &path,
            METADATA,
            Some("application/json-patch+json"),
            body,
        )?)
        .await
    }

    /// DELETE with background propagation, only of that very object and, where
    /// given, only in that version.
    pub(super) async fn delete(
        &self,
        path: &str,
        uid: &str,
        version: Option<&str>,
    ) -> Result<Deleted, CallError> {
        let mut preconditions = json!({ "uid": uid });
        if let (Some(version), Some(map)) = (version, preconditions.as_object_mut()) {
            map.insert("resourceVersion".to_owned(), Value::from(version));
        }
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "propagationPolicy": "Background", "preconditions": preconditions,
        });
        let body = Bytes::from(options.to_string());
        match self
            .write::<Value>(request(Method::DELETE, path, JSON, Some(JSON), body)?)
            .await
        {
            // The object comes back while finalizers hold it, else a Status.
            Ok(answer)
                if answer
                    .pointer("/metadata/deletionTimestamp")
                    .is_some_and(Value::is_string) =>
            {
                let held = answer
                    .pointer("/metadata/finalizers")
                    .and_then(Value::as_array)
                    .is_some_and(|list| !list.is_empty());
                let graceful = answer
                    .pointer("/metadata/deletionGracePeriodSeconds")
                    .and_then(Value::as_i64)
                    .is_some_and(|s| s > 0);
                let namespace = answer.get("kind").and_then(Value::as_str) == Some("Namespace");
                Ok(if held || graceful || namespace {
                    Deleted::Waiting
                } else {
                    Deleted::Gone
                })
            }
            Ok(_) => Ok(Deleted::Gone),
            Err(error) if error.is_not_found() => Ok(Deleted::Gone),
            Err(error) => Err(error),
        }
    }

    async fn write<T: DeserializeOwned>(&self, request: Request<Body>) -> Result<T, CallError> {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| CallError::NotLeading)?;
        if !(self.may_write)() {
            return Err(CallError::NotLeading);
        }
        decode(&within(DEADLINE, self.exchange(request)).await?)
    }

    async fn send(&self, request: Request<Body>) -> Result<Bytes, CallError> {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| CallError::NotLeading)?;
        within(DEADLINE, self.exchange(request)).await
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Bytes, CallError> {
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| unreachable(error.as_ref()))?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |field: &str| {
            answer
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let message = match text("message") {
            message if message.is_empty() => format!("HTTP status {status}"),
            message => message,
        };
        Err(CallError::Answer {
            code: status.as_u16(),
            reason: text("reason"),
            message,
        })
    }
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> CallError {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    // The innermost cause says it best ("connection refused"); outer ones may
    // hold the URL with a path of someone's proxy.
    CallError::Unreachable(last.to_string().chars().take(300).collect())
}

fn request(
    method: Method,
    path: &str,
    accept: &str,
    content: Option<&str>,
    body: Bytes,
) -> Result<Request<Body>, CallError> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, accept);
    if let Some(content) = content {
        request = request.header(header::CONTENT_TYPE, content);
    }
    request
        .body(Body::from(body))
        .map_err(|error| CallError::Unreadable(format!("{path} is no request: {error}")))
}

async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    tokio::time::timeout(deadline, call)
        .await
        .unwrap_or_else(|_| {
            Err(CallError::Unreachable(format!(
                "no answer within {} s",
                deadline.as_secs()
            )))
        })
}

fn decode<T: DeserializeOwned>(body: &Bytes) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|error| CallError::Unreadable(error.to_string()))
}
