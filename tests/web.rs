//! Every route of the dashboard over the made-up fleet: markup that people and
//! screen readers can use, JSON twins, live fragments, headers, bounds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use pilothouse::core::view::{Address, Facts, FleetView, Query, Scope, Visible, example};
use pilothouse::web::access::{Access, Asked, Presented, Reader, Refusal, TrustedProxy};
use pilothouse::web::{Hosts, WebOptions, WebState, WebhookAnswer, WebhookSink, router};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const PAGES: [&str; 15] = [
    "/",
    "/clusters",
    "/clusters/edge-3",
    "/clusters/edge-4",
    "/cables",
    "/cables/aws-sub2/edge-3",
    "/applications",
    "/applications/guestbook/guestbook-app",
    "/applications/metrics/node-exporter",
    "/services",
    "/services/guestbook/redis-slave",
    "/placements",
    "/placements/placementrule/guestbook/guestbook-pr",
    "/activity",
    "/search?q=redis",
];

fn now() -> Timestamp {
    "2026-11-25T01:42:07Z".parse().unwrap()
}

struct Site {
    views: watch::Sender<Arc<FleetView>>,
    shutdown: CancellationToken,
    router: axum::Router,
}

fn options() -> WebOptions {
    WebOptions {
        clock: now,
        ..WebOptions::default()
    }
}

fn site_with(facts: Facts, webhook: Option<WebhookSink>, options: WebOptions) -> Site {
    site_asking(facts, webhook, options, Access::Open)
}

fn site_asking(
    facts: Facts,
    webhook: Option<WebhookSink>,
    options: WebOptions,
    access: Access,
) -> Site {
    let (views, view) = watch::channel(Arc::new(FleetView::build(facts)));
    let shutdown = CancellationToken::new();
    let state = WebState::new(view, webhook, shutdown.clone(), options, access);
    Site {
        views,
        shutdown,
        router: router(state),
    }
}

fn site() -> Site {
    site_with(example::facts(now()), None, options())
}

impl Site {
    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        let response = self
            .send(Request::get(path).body(Body::empty()).unwrap())
            .await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), 8 << 20)
            .await
            .unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// A start tag with its attributes, or an end tag, or text.
#[derive(Debug)]
enum Token<'a> {
    Open(&'a str, Vec<(&'a str, &'a str)>),
    Close(&'a str),
    Text,
}

/// Reads the markup that our templates write: quoted attributes, no comments.
fn tokens(html: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        if at > 0 {
            tokens.push(Token::Text);
        }
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = rest[at + 1..end].trim_end_matches('/');
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            tokens.push(Token::Close(name));
        } else if !tag.starts_with('!') {
            let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
            tokens.push(Token::Open(name, attributes_of(attributes)));
        }
    }
    tokens
}

fn attributes_of(mut text: &str) -> Vec<(&str, &str)> {
    let mut attributes = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return attributes;
        }
        let end = text
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(text.len());
        let name = &text[..end];
        text = &text[end..];
        if let Some(value) = text.strip_prefix("=\"") {
            let close = value.find('"').expect("a value ends");
            attributes.push((name, &value[..close]));
            text = &value[close + 1..];
        } else {
            assert!(!text.starts_with('='), "unquoted value of {name}");
            attributes.push((name, ""));
        }
    }
}

fn attribute<'a>(attributes: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| *value)
}

const VOID: [&str; 7] = ["meta", "link", "input", "br", "use", "path", "rect"];

fn balanced(path: &str, tokens: &[Token<'_>]) {
    let mut open: Vec<&str> = Vec::new();
    for token in tokens {
        match token {
            Token::Open(name, _) if !VOID.contains(name) => open.push(name),
            Token::Close(name) => assert_eq!(open.pop(), Some(*name), "{path}: </{name}>"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{path}: left open: {open:?}");
}

fn accessible(path: &str, html: &str, tokens: &[Token<'_>]) {
    let opened = |wanted: &str| {
        tokens
            .iter()
            .filter_map(|token| match token {
                Token::Open(name, attributes) if *name == wanted => Some(attributes.as_slice()),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(opened("h1").len(), 1, "{path}: one h1");
    assert_eq!(attribute(opened("html")[0], "lang"), Some("en"), "{path}");
    for landmark in ["main", "footer"] {
        assert_eq!(opened(landmark).len(), 1, "{path}: {landmark}");
    }
    assert!(
        !opened("nav").is_empty() && !opened("header").is_empty(),
        "{path}"
    );
    assert_eq!(
        attribute(opened("a")[0], "href"),
        Some("#main"),
        "{path}: skip link first"
    );
    for table in 0..opened("table").len() {
        let part = html
            .split("<table")
            .nth(table + 1)
            .unwrap()
            .split("</table>")
            .next()
            .unwrap();
        assert!(
            part.contains("<caption"),
            "{path}: a table without a caption"
        );
    }
    for heading in opened("th") {
        assert!(
            attribute(heading, "scope").is_some(),
            "{path}: th without scope"
        );
    }
    let mut level = 1;
    for token in tokens {
        if let Token::Open(name @ ("h1" | "h2" | "h3" | "h4"), _) = token {
            let next = name[1..].parse::<i32>().unwrap();
            assert!(next <= level + 1, "{path}: heading jumps to {name}");
            level = next;
        }
    }
    for input in opened("input") {
        let labelled =
            attribute(input, "id").is_some_and(|id| html.contains(&format!("for=\"{id}\"")));
        assert!(
            labelled || attribute(input, "name") == Some("q"),
            "{path}: input without label"
        );
    }
    let ids: Vec<&str> = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Open(_, attributes) => attribute(attributes, "id"),
            _ => None,
        })
        .collect();
    assert_eq!(
        ids.len(),
        ids.iter().collect::<BTreeSet<_>>().len(),
        "{path}: ids {ids:?}"
    );
}

fn inert(path: &str, tokens: &[Token<'_>]) {
    for (index, token) in tokens.iter().enumerate() {
        let Token::Open(name, attributes) = token else {
            continue;
        };
        assert_ne!(*name, "style", "{path}: inline style");
        for (key, value) in attributes {
            assert!(
                *key != "style" && !key.starts_with("on"),
                "{path}: {key} on {name}"
            );
            if ["href", "src", "action"].contains(key) {
                assert!(
                    value.starts_with('/') && !value.starts_with("//") || value.starts_with('#'),
                    "{path}: {value}"
                );
            }
        }
        if *name == "script" {
            assert!(
                attribute(attributes, "src").is_some(),
                "{path}: inline script"
            );
            assert!(
                matches!(tokens[index + 1], Token::Close("script")),
                "{path}: script with text"
            );
        }
    }
}

fn links(tokens: &[Token<'_>]) -> BTreeSet<String> {
    let links = tokens.iter().filter_map(|token| match token {
        Token::Open(_, attributes) => {
            attribute(attributes, "href").or(attribute(attributes, "src"))
        }
        _ => None,
    });
    links
        .filter(|link| link.starts_with('/'))
        .map(|link| link.replace("&amp;", "&").replace("&#38;", "&"))
        .map(|link| link.split('#').next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn every_page_is_sound_markup_without_inline_code() {
    let site = site();
    for path in PAGES.into_iter().chain(["/no/such/page"]) {
        let (status, headers, html) = site.get(path).await;
        let expected = if path == "/no/such/page" { 404 } else { 200 };
        assert_eq!(status, expected, "{path}");
        assert_eq!(
            headers[header::CONTENT_TYPE],
            "text/html; charset=utf-8",
            "{path}"
        );
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        let tokens = tokens(&html);
        balanced(path, &tokens);
        accessible(path, &html, &tokens);
        inert(path, &tokens);
    }
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let site = site();
    let mut found = BTreeSet::new();
    for path in PAGES {
        let (.., html) = site.get(path).await;
        found.extend(links(&tokens(&html)));
    }
    assert!(found.len() > 40, "{found:?}");
    for link in found {
        let (status, ..) = site.get(&link).await;
        assert_eq!(status, StatusCode::OK, "{link}");
    }
}

#[tokio::test]
async fn every_state_has_a_word_beside_its_icon() {
    let site = site();
    let (.., html) = site.get("/applications").await;
    for word in [
        "OutOfSync",
        "Missing",
        "Healthy",
        "Synced",
        "Degraded",
        "Connected",
    ] {
        assert!(html.contains(&format!("</svg>{word}</span>")), "{word}");
    }
}

#[tokio::test]
async fn json_twins_hold_the_structs_of_the_pages() {
    let site = site();
    let view = site.views.borrow().clone();
    for path in PAGES {
        let (status, headers, body) = site
            .get(&format!("/api/v1{}", path.trim_end_matches('/')))
            .await;
        assert_eq!(
            (status, headers[header::CONTENT_TYPE].as_bytes()),
            (StatusCode::OK, &b"application/json"[..]),
            "{path}"
        );
        let (plain, query) = path.split_once("?q=").unwrap_or((path, ""));
        let address = Address::parse(plain).unwrap();
        let page = view.page(&address, &Query::read([("q", query)])).unwrap();
        let twin: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(twin["page"], serde_json::to_value(&page).unwrap(), "{path}");
        assert_eq!(twin["address"], plain);
    }
    let (status, _, body) = site.get("/api/v1/clusters/nothing").await;
    assert_eq!(
        (status, body.contains("\"error\"")),
        (StatusCode::NOT_FOUND, true)
    );
}

#[tokio::test]
async fn every_answer_carries_the_policy_of_its_type() {
    let site = site();
    let style = links(&tokens(&site.get("/").await.2))
        .into_iter()
        .find(|link| link.ends_with(".css"))
        .unwrap();
    for (path, policy) in [
        ("/", "script-src 'self'"),
        ("/no/such/page", "script-src 'self'"),
        (
            "/api/v1",
            "default-src 'none'; base-uri 'none'; form-action 'none'",
        ),
        (style.as_str(), "sandbox"),
    ] {
        let (_, headers, _) = site.get(path).await;
        let csp = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            csp.starts_with("default-src 'none'") && csp.contains(policy),
            "{path}: {csp}"
        );
        assert!(!csp.contains("unsafe"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
    }
    let (_, headers, _) = site.get(&style).await;
    assert!(
        headers[header::CACHE_CONTROL]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
}

#[tokio::test]
async fn a_reader_who_has_the_page_is_told_so() {
    let site = site();
    let (_, headers, _) = site.get("/clusters").await;
    let request = Request::get("/clusters").header(header::IF_NONE_MATCH, &headers[header::ETAG]);
    let response = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn pages_are_compressed_when_asked() {
    let request = Request::get("/").header(header::ACCEPT_ENCODING, "gzip");
    let response = site().send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
}

#[tokio::test]
async fn what_people_type_is_never_markup() {
    let site = site();
    let (.., html) = site
        .get("/search?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27")
        .await;
    assert!(!html.contains("<script>alert"), "{html}");
    let mut facts = example::facts(now());
    let fleet = Arc::make_mut(&mut facts.fleet);
    for entry in &mut fleet.activity {
        entry.message = "<img src=x onerror=alert(1)> `</code><b>`".into();
    }
    for subscription in fleet.subscriptions.values_mut() {
        subscription.source.path = Some("\"><i onload=x>".into());
    }
    let site = site_with(facts, None, options());
    for path in PAGES {
        let (.., html) = site.get(path).await;
        assert!(
            !html.contains("<img") && !html.contains("<i ") && !html.contains("</code><b>"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_are_only_read() {
    let site = site();
    for path in ["/", "/clusters", "/api/v1/clusters"] {
        let response = site
            .send(Request::post(path).body(Body::empty()).unwrap())
            .await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

#[tokio::test]
async fn a_foreign_name_does_not_reach_a_loopback_listener() {
    let options = WebOptions {
        hosts: Hosts::Loopback,
        ..options()
    };
    let site = site_with(example::facts(now()), None, options);
    for (host, expected) in [("localhost:8080", 200), ("evil.example.com", 421)] {
        let request = Request::get("/").header(header::HOST, host);
        let response = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), expected, "{host}");
    }
}

/// The events that have arrived when `enough` is content, within 10 s.
async fn events(body: &mut axum::body::BodyDataStream, enough: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let read = async {
        while !enough(&text) {
            match body.next().await {
                Some(chunk) => text.push_str(&String::from_utf8_lossy(&chunk.unwrap())),
                None => break,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .expect("events arrive");
    text
}

async fn follow(site: &Site, page: &str) -> Response<Body> {
    let page = pilothouse::core::view::address::encode(page);
    let request = Request::get(format!("/live?page={page}"))
        .body(Body::empty())
        .unwrap();
    site.send(request).await
}

#[tokio::test]
async fn a_live_page_gets_its_blocks_and_then_only_what_changed() {
    let site = site();
    let response = follow(&site, "/cables").await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let mut body = response.into_body().into_data_stream();
    let first = events(&mut body, |text| text.contains("event: history")).await;
    for name in ["hub", "foot", "head", "matrix", "findings", "connections"] {
        assert!(first.contains(&format!("event: {name}\n")), "{name}");
    }
    let mut facts = example::facts(now());
    let mesh = Arc::make_mut(&mut facts.mesh);
    for cable in &mut mesh.cables {
        cable.backward.state = pilothouse::core::mesh::CableState::Connected;
        cable.forward.state = pilothouse::core::mesh::CableState::Connected;
    }
    facts.generation = 2;
    site.views.send_replace(Arc::new(FleetView::build(facts)));
    let second = events(&mut body, |text| text.contains("event: announce")).await;
    assert!(
        second.contains("event: matrix\n") && second.contains("id: 2"),
        "{second}"
    );
    assert!(
        !second.contains("event: history\n") && !second.contains("event: hub\n"),
        "{second}"
    );
}

#[tokio::test]
async fn a_live_stream_ends_on_shutdown_and_knows_its_pages() {
    let site = site();
    assert_eq!(
        follow(&site, "/clusters/nothing").await.status(),
        StatusCode::NOT_FOUND
    );
    let mut body = follow(&site, "/").await.into_body().into_data_stream();
    events(&mut body, |text| text.contains("event: activity")).await;
    site.shutdown.cancel();
    let rest = tokio::time::timeout(Duration::from_secs(5), body.collect::<Vec<_>>()).await;
    assert!(rest.is_ok(), "the stream is still open");
}

#[tokio::test]
async fn a_page_whose_thing_is_gone_says_so_live() {
    let site = site();
    let mut body = follow(&site, "/clusters/edge-4")
        .await
        .into_body()
        .into_data_stream();
    events(&mut body, |text| text.contains("event: activity")).await;
    let mut facts = example::facts(now());
    Arc::make_mut(&mut facts.fleet)
        .clusters
        .retain(|name, _| name.as_str() != "edge-4");
    site.views.send_replace(Arc::new(FleetView::build(facts)));
    events(&mut body, |text| text.contains("event: gone")).await;
}

#[tokio::test]
async fn too_many_followers_are_asked_to_come_back() {
    let options = WebOptions {
        live_clients: 1,
        ..options()
    };
    let site = site_with(example::facts(now()), None, options);
    let first = follow(&site, "/").await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = follow(&site, "/").await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(second.headers().contains_key(header::RETRY_AFTER));
    drop(first);
    assert_eq!(follow(&site, "/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_push_reaches_the_sink_byte_by_byte() {
    let sink: WebhookSink = Arc::new(|headers, body| {
        async move {
            match (
                headers.get("x-token").map(|token| token.as_bytes()),
                &body[..],
            ) {
                (Some(b"right"), b"{\"a\": 1}\r\n") => {
                    WebhookAnswer::Accepted("fetching main".into())
                }
                (Some(b"right"), b"full") => WebhookAnswer::Busy,
                (Some(b"right"), _) => WebhookAnswer::Malformed("not a push".into()),
                _ => WebhookAnswer::Unauthorized,
            }
        }
        .boxed()
    });
    let options = WebOptions {
        webhook_body_limit: 1_000,
        ..options()
    };
    let site = site_with(Facts::default(), Some(sink), options);
    for (token, body, expected) in [
        ("right", "{\"a\": 1}\r\n".to_owned(), 202),
        ("right", "x".to_owned(), 400),
        ("wrong", "x".to_owned(), 401),
        ("right", "x".repeat(1_001), 413),
        ("right", "full".to_owned(), 503),
    ] {
        let request = Request::post("/webhook")
            .header("x-token", token)
            .body(Body::from(body))
            .unwrap();
        assert_eq!(
            site.send(request).await.status(),
            expected,
            "{token} {expected}"
        );
    }
}

#[tokio::test]
async fn pages_stay_small_at_a_thousand_clusters() {
    let site = site_with(example::large(now(), 1_000, 200), None, options());
    for path in [
        "/",
        "/clusters",
        "/clusters?page=20",
        "/applications",
        "/applications/team-00/application-000",
        "/clusters/cluster-0000",
        "/cables",
        "/search?q=cluster",
    ] {
        let (status, _, html) = site.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(html.len() <= 60_000, "{path}: {} bytes", html.len());
    }
}

#[tokio::test]
async fn a_list_can_be_walked_by_its_links() {
    let site = site_with(example::large(now(), 120, 1), None, options());
    let (.., html) = site.get("/clusters?q=cluster&sort=name").await;
    assert!(
        html.contains("page 1 of 3")
            && html.contains("cluster-0049")
            && !html.contains("cluster-0050")
    );
    let next = links(&tokens(&html))
        .into_iter()
        .find(|link| link.contains("page=2"))
        .unwrap();
    let (.., html) = site.get(&next).await;
    assert!(
        html.contains("page 2 of 3")
            && html.contains("cluster-0050")
            && html.contains("value=\"cluster\"")
    );
}

fn only(names: &[&str]) -> Scope {
    Scope::Only(names.iter().map(|name| (*name).to_owned()).collect())
}

/// `admin` reads everything, `dev` the guestbook and one cluster, `nobody`
/// nothing; `down` finds no API. Other tokens are unknown; a proxied user has
/// the rights of the token of that name.
fn asked(proxy: Option<TrustedProxy>) -> Asked {
    let authoriser: pilothouse::web::access::Authoriser = Arc::new(|presented, _| {
        let name = match presented {
            Presented::Token(token) => token.reveal().to_owned(),
            Presented::Proxied { user, groups } => {
                assert_eq!(groups, ["dev"]);
                user
            }
        };
        let visible = match name.as_str() {
            "admin" => Ok(Visible::all()),
            "dev" => Ok(Visible {
                clusters: only(&["aws-sub2"]),
                applications: only(&["guestbook"]),
                ..Visible::default()
            }),
            "nobody" => Ok(Visible::default()),
            "down" => Err(Refusal::Unavailable("The API is away.".into())),
            _ => Err(Refusal::Unknown),
        };
        async move {
            Ok(Reader {
                name: format!("user-{name}"),
                visible: Arc::new(visible?),
            })
        }
        .boxed()
    });
    Asked { authoriser, proxy }
}

fn guarded(proxy: Option<TrustedProxy>) -> Site {
    let access = Access::Asked(asked(proxy));
    site_asking(example::facts(now()), None, options(), access)
}

async fn text(response: Response<Body>) -> String {
    let body = axum::body::to_bytes(response.into_body(), 8 << 20).await;
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

fn get_as(path: &str, name: header::HeaderName, value: &str) -> Request<Body> {
    let request = Request::get(path).header(name, value);
    request.body(Body::empty()).unwrap()
}

fn bearer(path: &str, token: &str) -> Request<Body> {
    get_as(path, header::AUTHORIZATION, &format!("Bearer {token}"))
}

#[tokio::test]
async fn who_is_not_known_sees_nothing_but_the_login() {
    let site = guarded(None);
    let style = links(&tokens(&site.get("/login").await.2))
        .into_iter()
        .find(|link| link.ends_with(".css"))
        .unwrap();
    for path in PAGES.into_iter().chain(["/no/such/page"]) {
        let (status, headers, body) = site.get(path).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{path}");
        let to = pilothouse::core::view::address::encode(path);
        assert_eq!(headers[header::LOCATION], format!("/login?to={to}"));
        assert!(body.is_empty(), "{path}");
        let (status, headers, _) = site.get(&format!("/api/v1{path}")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(headers.contains_key(header::WWW_AUTHENTICATE));
    }
    assert_eq!(follow(&site, "/").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(site.get(&style).await.0, StatusCode::OK);
    let push = Request::post("/webhook").body(Body::empty()).unwrap();
    let status = site.send(push).await.status();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "no sink, but open");
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_told_from_none_and_from_an_api_that_is_away() {
    let site = guarded(None);
    for (path, token, status) in [
        ("/", "wrong", 401),
        ("/api/v1", "wrong", 401),
        ("/", "down", 503),
        ("/api/v1", "down", 503),
        ("/", "admin", 200),
    ] {
        let response = site.send(bearer(path, token)).await;
        assert_eq!(response.status(), status, "{path} {token}");
        assert!(!text(response).await.contains("wrong"), "{path} {token}");
    }
    let expired = get_as("/clusters", header::COOKIE, "pilothouse=wrong");
    let response = site.send(expired).await;
    assert_eq!(
        response.headers()[header::LOCATION],
        "/login?to=%2Fclusters&again=1"
    );
}

#[tokio::test]
async fn pages_and_twins_show_what_the_reader_may_read() {
    let site = guarded(None);
    for (path, admin, dev, nobody) in [
        ("/", 200, 200, 403),
        ("/clusters", 200, 200, 403),
        ("/clusters/aws-sub2", 200, 200, 403),
        ("/clusters/edge-3", 200, 403, 403),
        ("/clusters/nothing", 404, 403, 403),
        ("/cables/aws-sub2/edge-3", 200, 403, 403),
        ("/applications/guestbook/guestbook-app", 200, 200, 403),
        ("/applications/metrics/node-exporter", 200, 403, 403),
        ("/placements", 200, 403, 403),
        ("/search?q=edge-3", 200, 200, 403),
        ("/no/such/page", 404, 404, 404),
    ] {
        for (token, status) in [("admin", admin), ("dev", dev), ("nobody", nobody)] {
            for prefix in ["", "/api/v1"] {
                let path = format!("{prefix}{path}");
                let response = site.send(bearer(&path, token)).await;
                assert_eq!(response.status(), status, "{path} {token}");
                let text = text(response).await;
                if token == "dev" && status == 200 && !path.contains("search") {
                    assert!(!text.contains("edge-3"), "{path}: {text}");
                    assert!(!text.contains("node-exporter"), "{path}: {text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_denied_page_names_the_right_and_is_sound_markup() {
    let site = guarded(None);
    let html = text(site.send(bearer("/clusters/edge-3", "dev")).await).await;
    assert!(
        html.contains(
            "user-dev may not get managedclusters.cluster.open-cluster-management.io edge-3"
        ),
        "{html}"
    );
    let tokens = tokens(&html);
    balanced("denied", &tokens);
    accessible("denied", &html, &tokens);
    inert("denied", &tokens);
}

#[tokio::test]
async fn the_login_page_is_sound_markup() {
    let site = guarded(None);
    let (status, headers, html) = site.get("/login?to=%2Fclusters&again=1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["referrer-policy"], "same-origin");
    let tokens = tokens(&html);
    balanced("login", &tokens);
    accessible("login", &html, &tokens);
    inert("login", &tokens);
    assert!(html.contains("value=\"/clusters\"") && html.contains("not accepted any more"));
}

fn form(path: &str, body: &'static str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::HOST, "hub:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn a_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let site = guarded(None);
    let own = ("origin", "http://hub:8080");
    for (body, headers, status, cookie) in [
        (
            "token=dev&to=%2Fclusters",
            vec![own],
            303,
            Some("pilothouse=dev; Path=/; HttpOnly; SameSite=Strict"),
        ),
        (
            "token=+dev%0A",
            vec![own, ("x-forwarded-proto", "https")],
            303,
            Some("__Host-pilothouse=dev; Path=/; HttpOnly; SameSite=Strict; Secure"),
        ),
        ("token=wrong", vec![own], 401, None),
        ("token=a+b", vec![own], 400, None),
        ("token=down", vec![own], 503, None),
        ("token=dev", vec![], 403, None),
        ("token=dev", vec![("origin", "http://evil")], 403, None),
        (
            "token=dev",
            vec![("sec-fetch-site", "cross-site"), own],
            403,
            None,
        ),
    ] {
        let response = site.send(form("/login", body, &headers)).await;
        assert_eq!(response.status(), status, "{body} {headers:?}");
        let set = response.headers().get(header::SET_COOKIE);
        assert_eq!(
            set.map(|set| set.to_str().unwrap()),
            cookie,
            "{body} {headers:?}"
        );
        if body.contains("to=") {
            assert_eq!(response.headers()[header::LOCATION], "/clusters");
        }
    }
    let page = site
        .send(get_as("/", header::COOKIE, "pilothouse=dev"))
        .await;
    let html = text(page).await;
    assert!(html.contains("<b>user-dev</b>") && html.contains("action=\"/logout\""));
    let out = site.send(form("/logout", "", &[own])).await;
    let cookie = out.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("pilothouse=; ") && cookie.ends_with("Max-Age=0"));
    let foreign = site.send(form("/logout", "", &[])).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_trusted_proxy_names_the_reader_and_nobody_else_does() {
    use axum::extract::ConnectInfo;
    let proxy = TrustedProxy {
        from: vec!["10.0.0.5".parse().unwrap()],
        user: header::HeaderName::from_static("x-remote-user"),
        group: header::HeaderName::from_static("x-remote-group"),
    };
    let site = guarded(Some(proxy));
    for (peer, status) in [("10.0.0.5:1", 200), ("10.0.0.6:1", 401)] {
        let mut request = get_as(
            "/api/v1/clusters/aws-sub2",
            header::HeaderName::from_static("x-remote-user"),
            "dev",
        );
        request
            .headers_mut()
            .insert("x-remote-group", header::HeaderValue::from_static("dev"));
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        assert_eq!(site.send(request).await.status(), status, "{peer}");
    }
}

#[tokio::test]
async fn a_followed_page_is_cut_and_ends_with_the_token() {
    let dev = AtomicBool::new(true);
    let dev = Arc::new(dev);
    let inner = asked(None).authoriser;
    let allowed = Arc::clone(&dev);
    let authoriser: pilothouse::web::access::Authoriser = Arc::new(move |presented, view| {
        if allowed.load(Ordering::SeqCst) {
            inner(presented, view)
        } else {
            async { Err(Refusal::Unknown) }.boxed()
        }
    });
    let asked = Asked {
        authoriser,
        proxy: None,
    };
    let site = site_asking(example::facts(now()), None, options(), Access::Asked(asked));
    let response = site.send(bearer("/live?page=%2Fclusters", "dev")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    let first = events(&mut body, |text| text.contains("event: rows")).await;
    assert!(
        first.contains("aws-sub2") && !first.contains("edge-3"),
        "{first}"
    );
    dev.store(false, Ordering::SeqCst);
    let mut facts = example::facts(now());
    facts.generation = 2;
    site.views.send_replace(Arc::new(FleetView::build(facts)));
    events(&mut body, |text| text.contains("event: gone")).await;
}
