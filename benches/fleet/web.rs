//! A small HTTP client: one kept connection to each server.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The client.
pub struct Web(Client<HttpConnector, Full<Bytes>>);

impl Web {
    /// A client without connections yet.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Posts JSON with one more header; the text of the answer.
    pub async fn post(&self, url: &str, header: &str, value: &str, body: &Value) -> Result<String> {
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .header(header, value)
            .body(Full::new(Bytes::from(body.to_string())))?;
        let response = self.0.request(request).await.context("webhook")?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Whether a GET is answered with success.
    pub async fn succeeds(&self, url: &str) -> Result<bool> {
        let request = http::Request::get(url).body(Full::default())?;
        let response = self.0.request(request).await;
        // It may not listen yet.
        Ok(response.is_ok_and(|response| response.status().is_success()))
    }
}
