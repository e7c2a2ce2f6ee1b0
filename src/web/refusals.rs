//! Answers other than the page that was asked for: not there, not allowed,
//! not known, not to be had now.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;

use super::WebState;
use super::access::Seen;
use super::assets::{LINKS, Links};
use super::filters;
use super::frame::{Frame, TWINS};
use crate::core::view::address::{SECTIONS, encode};
use crate::core::view::{Address, FleetView, Query};

/// A page that tells what went wrong and where to go on.
#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage<'a> {
    frame: &'a Frame,
    heading: &'a str,
    sentence: &'a str,
    links: Vec<(String, String)>,
}

/// The page that asks for a token. It shows nothing of the fleet.
#[derive(Template)]
#[template(path = "pages/login.html")]
struct LoginPage<'a> {
    links: &'static Links,
    to: &'a str,
    problem: Option<&'a str>,
    version: &'static str,
}

fn error_page(status: StatusCode, page: &ErrorPage<'_>) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page of an error did not render");
            status.into_response()
        }
    }
}

fn json_error(status: StatusCode, error: &str) -> Response {
    (status, axum::Json(serde_json::json!({"error": error}))).into_response()
}

/// The page that asks for a token, and what was wrong with the last one.
pub(super) fn login(status: StatusCode, to: &str, problem: Option<&str>) -> Response {
    let page = LoginPage {
        links: &LINKS,
        to,
        problem,
        version: env!("CARGO_PKG_VERSION"),
    };
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the login page did not render");
            status.into_response()
        }
    }
}

/// A path that no page has.
pub(super) async fn missing(
    State(state): State<WebState>,
    seen: Seen,
    request: Request,
) -> Response {
    not_found(&seen, request.uri().path(), (state.options.clock)())
}

/// A method that no page has.
pub(super) async fn not_allowed() -> Response {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        "pages are only read; state changes through the Kubernetes API\n",
    )
        .into_response()
}

/// The hub's API cannot be asked who it is.
pub(super) fn unavailable(state: &WebState, path: &str, sentence: &str) -> Response {
    let retry = [(header::RETRY_AFTER, "5")];
    if path.starts_with(TWINS) || path == "/live" {
        return (retry, json_error(StatusCode::SERVICE_UNAVAILABLE, sentence)).into_response();
    }
    let nothing = FleetView::default();
    let now = (state.options.clock)();
    let frame = Frame::new(&nothing, "Not now", None, &Query::default(), now);
    let page = ErrorPage {
        frame: &frame,
        heading: "Not now",
        sentence,
        links: vec![("Try again".to_owned(), "/".to_owned())],
    };
    (retry, error_page(StatusCode::SERVICE_UNAVAILABLE, &page)).into_response()
}

/// The right that the reader lacks for a page.
pub(super) fn missing_right(seen: &Seen, address: &Address) -> Option<String> {
    seen.reader.as_ref()?.visible.missing(address)
}

/// Who may not do what.
pub(super) fn sentence_of(seen: &Seen, right: &str) -> String {
    let name = seen.reader.as_ref().map_or("", |reader| &reader.name);
    format!("{name} may not {right}; ask who keeps the hub for that right")
}

/// A page that the reader has no right to.
pub(super) fn denied(seen: &Seen, address: &Address, right: &str, now: Timestamp) -> Response {
    let section = address.section();
    let frame = Frame::new(
        &seen.view,
        "Not allowed",
        Some(&section),
        &Query::default(),
        now,
    )
    .read_by(seen.reader.as_ref());
    let sentence = sentence_of(seen, right) + ".";
    let page = ErrorPage {
        frame: &frame,
        heading: "Not allowed",
        sentence: &sentence,
        links: vec![("Overview".to_owned(), "/".to_owned())],
    };
    error_page(StatusCode::FORBIDDEN, &page)
}

/// A page whose thing is not there.
pub(super) fn not_found(seen: &Seen, path: &str, now: Timestamp) -> Response {
    if path.starts_with(TWINS) {
        return json_error(StatusCode::NOT_FOUND, &format!("there is no {path}"));
    }
    let section = Address::parse(path).map(|address| address.section());
    let last = path.rsplit('/').next().unwrap_or_default();
    let mut links = vec![("Overview".to_owned(), "/".to_owned())];
    if let Some((section, name)) = SECTIONS
        .iter()
        .find(|(address, _)| Some(address) == section.as_ref())
    {
        links.insert(
            0,
            (format!("All {}", name.to_lowercase()), section.to_string()),
        );
    }
    links.push((
        format!("Search for “{last}”"),
        format!("/search?q={}", encode(last)),
    ));
    let frame = Frame::new(
        &seen.view,
        "Not found",
        section.as_ref(),
        &Query::default(),
        now,
    )
    .read_by(seen.reader.as_ref());
    let sentence = format!("There is no {path}. It may have been deleted, or it was never there.");
    let page = ErrorPage {
        frame: &frame,
        heading: "Not found",
        sentence: &sentence,
        links,
    };
    error_page(StatusCode::NOT_FOUND, &page)
}
