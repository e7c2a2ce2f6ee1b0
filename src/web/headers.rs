//! Security headers, by content type, and the check of the Host header.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Hosts;
use super::access::Access;

/// Pages: own style, own script, own images, own stream; nothing else.
const PAGE: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// Everything that is not a page loads nothing at all.
const DATA: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";
/// Pictures: no script, so that opening the file itself is harmless.
const PICTURE: &str = "default-src 'none'; style-src 'none'; frame-ancestors 'none'; sandbox";

/// The policy for a content type.
fn policy(content_type: &str) -> &'static str {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "text/html" => PAGE,
        "image/svg+xml" => PICTURE,
        _ => DATA,
    }
}

/// What a browser tells a site that a page links to. Forms are sent with
/// `Origin: null` under `no-referrer`, so where there is a form to sign in, our
/// own site is told and no other.
#[derive(Clone, Copy)]
pub(crate) struct Referrer(&'static str);

impl Referrer {
    pub(crate) fn of(access: &Access) -> Self {
        Self(match access {
            Access::Open => "no-referrer",
            Access::Asked(_) => "same-origin",
        })
    }
}

/// Adds the headers that every answer carries.
pub(crate) async fn secure(
    State(referrer): State<Referrer>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let csp = HeaderValue::from_static(policy(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, csp);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", referrer.0),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses a foreign Host name on a loopback listener: a web page elsewhere
/// that rebinds its own name to 127.0.0.1 would otherwise read the dashboard.
pub(crate) async fn own_host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    if hosts == Hosts::Loopback && !names_loopback(&request) {
        return (
            StatusCode::MISDIRECTED_REQUEST,
            "this listener answers to localhost and IP addresses only\n",
        )
            .into_response();
    }
    next.run(request).await
}

fn names_loopback(request: &Request) -> bool {
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .or_else(|| host(request.headers()));
    let Some(authority) = authority else {
        return true;
    };
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority.as_str(),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

fn host(headers: &HeaderMap) -> Option<String> {
    headers
        .get(header::HOST)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_type_has_its_policy() {
        for (kind, expected) in [
            ("text/html; charset=utf-8", PAGE),
            ("application/json", DATA),
            ("text/event-stream", DATA),
            ("image/svg+xml", PICTURE),
            ("", DATA),
        ] {
            assert_eq!(policy(kind), expected, "{kind}");
        }
        assert!(!PAGE.contains("unsafe") && PAGE.starts_with("default-src 'none'"));
    }

    #[test]
    fn only_addresses_and_localhost_name_a_loopback_listener() {
        for (name, expected) in [
            ("localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("demo.localhost", true),
            ("evil.example.com:8080", false),
            ("localhost.example.com", false),
        ] {
            let request = Request::builder()
                .uri("/")
                .header("host", name)
                .body(axum::body::Body::empty())
                .unwrap();
            assert_eq!(names_loopback(&request), expected, "{name}");
        }
    }
}
