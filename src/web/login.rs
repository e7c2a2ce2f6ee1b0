//! The login page: a token of the hub's API becomes a cookie of this browser.
//!
//! The cookie holds the token itself, so that any replica knows it and none
//! keeps it. Scripts cannot read it (HttpOnly), other sites cannot send it
//! (SameSite=Strict), and where the browser speaks https it is never sent
//! without (Secure, `__Host-`). Nothing here changes the fleet.

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::access::{Access, Presented, Refusal, Token};
use super::{WebState, refusals};

const PLAIN: &str = "pilothouse";
const SECURE: &str = "__Host-pilothouse";
/// Browsers drop cookies of more than 4,096 bytes, name and attributes included.
const LONGEST: usize = 3_900;

/// Where to go after the login, and why it is asked for.
#[derive(Deserialize, Default)]
pub(crate) struct Wanted {
    #[serde(default)]
    to: String,
    again: Option<String>,
}

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Given {
    token: String,
    #[serde(default)]
    to: String,
}

/// The token of the cookie. Over https only the cookie that https set counts:
/// the other one a neighbour on plain http could have planted.
pub(super) fn cookie(headers: &HeaderMap) -> Option<Token> {
    let named = |name: &str| {
        let lines = headers.get_all(header::COOKIE).iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, token)| Token::parse(token))
    };
    named(SECURE).or_else(|| (!over_https(headers)).then(|| named(PLAIN))?)
}

/// Whether the browser speaks https, as the proxy that ends it says. A wrong
/// answer keeps a browser out; it lets nobody in.
fn over_https(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(',').next())
        .is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// A path of this site; everything else leads to the overview.
fn within(to: &str) -> &str {
    let own = to.starts_with('/')
        && !to.starts_with("//")
        && !to.starts_with("/login")
        && to
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if own { to } else { "/" }
}

/// Whether a form was sent from one of our own pages. `Sec-Fetch-Site` is the
/// browser's word and cannot be forged by a page; on plain http browsers leave
/// it out, and `Origin` must name this host.
fn from_own_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text("origin").and_then(|origin| origin.split_once("://"));
    match (origin, text("host")) {
        (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

fn foreign() -> Response {
    (
        StatusCode::FORBIDDEN,
        "this form was not sent from a page of this dashboard\n",
    )
        .into_response()
}

/// `GET /login`.
pub(crate) async fn show(State(state): State<WebState>, Query(wanted): Query<Wanted>) -> Response {
    if matches!(state.access, Access::Open) {
        return Redirect::to("/").into_response();
    }
    let problem = wanted
        .again
        .is_some()
        .then_some("The token is not accepted any more. Sign in again.");
    refusals::login(StatusCode::OK, within(&wanted.to), problem)
}

/// `POST /login`.
pub(crate) async fn enter(
    State(state): State<WebState>,
    headers: HeaderMap,
    Form(given): Form<Given>,
) -> Response {
    if !from_own_page(&headers) {
        return foreign();
    }
    let to = within(&given.to);
    let again = |status, problem: &str| refusals::login(status, to, Some(problem));
    let text = given.token.trim();
    if text.len() > LONGEST {
        let problem = "The token is too long for a cookie. Send it as Authorization: Bearer, or let a proxy sign you in.";
        return again(StatusCode::BAD_REQUEST, problem);
    }
    let Some(token) = Token::parse(text) else {
        return again(StatusCode::BAD_REQUEST, "This is not a token.");
    };
    let presented = Presented::Token(token.clone());
    match state.seen_by(Some(&presented)).await {
        Ok(_) => with_cookie(
            Redirect::to(to).into_response(),
            &headers,
            token.reveal(),
            "",
        ),
        Err(Refusal::Unknown) => again(
            StatusCode::UNAUTHORIZED,
            "The hub does not know this token, or it has expired.",
        ),
        Err(Refusal::Unavailable(sentence)) => again(StatusCode::SERVICE_UNAVAILABLE, &sentence),
    }
}

/// `POST /logout`.
pub(crate) async fn leave(headers: HeaderMap) -> Response {
    if !from_own_page(&headers) {
        return foreign();
    }
    with_cookie(
        Redirect::to("/login").into_response(),
        &headers,
        "",
        "; Max-Age=0",
    )
}

fn with_cookie(mut response: Response, headers: &HeaderMap, token: &str, more: &str) -> Response {
    let (name, secure) = if over_https(headers) {
        (SECURE, "; Secure")
    } else {
        (PLAIN, "")
    };
    let cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    if let Ok(mut value) = HeaderValue::from_str(&cookie) {
        // Kept out of logs of headers.
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn only_paths_of_this_site_are_gone_to() {
        for (to, expected) in [
            ("/clusters?q=a", "/clusters?q=a"),
            ("//evil.example.com", "/"),
            ("/\\evil.example.com", "/"),
            ("https://evil.example.com", "/"),
            ("/login?to=/", "/"),
            ("/a\r\nb", "/"),
            ("", "/"),
        ] {
            assert_eq!(within(to), expected, "{to:?}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        for (pairs, own) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "http://a"),
                    ("host", "a"),
                ],
                false,
            ),
            (&[("origin", "http://hub:8080"), ("host", "hub:8080")], true),
            (&[("origin", "http://evil"), ("host", "hub:8080")], false),
            (&[("origin", "null"), ("host", "hub:8080")], false),
            (&[("host", "hub:8080")], false),
        ] {
            assert_eq!(from_own_page(&headers(pairs)), own, "{pairs:?}");
        }
    }

    #[test]
    fn over_https_only_the_secure_cookie_counts() {
        for (pairs, token) in [
            (&[("cookie", "a=b; pilothouse=one")][..], Some("one")),
            (
                &[("cookie", "pilothouse=one; __Host-pilothouse=two")],
                Some("two"),
            ),
            (
                &[("cookie", "pilothouse=one"), ("x-forwarded-proto", "https")],
                None,
            ),
            (&[("cookie", "other=one")], None),
            (&[("cookie", "pilothouse=")], None),
        ] {
            let found = cookie(&headers(pairs));
            assert_eq!(found.as_ref().map(Token::reveal), token, "{pairs:?}");
        }
    }
}
