//! The pages: one function from an address to a rendered page, its fragments
//! or its JSON twin, all of the same structs.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde::Serialize;

use super::access::Seen;
use super::frame::{Frame, TWINS};
use super::{WebState, filters, refusals};
use crate::core::object::Digest;
use crate::core::view::{Address, FleetView, Page, Query};

/// Patterns of the pages, for the router; [`Address::parse`] reads the path.
const PATTERNS: [&str; 13] = [
    "/",
    "/clusters",
    "/clusters/{name}",
    "/cables",
    "/cables/{from}/{to}",
    "/applications",
    "/applications/{namespace}/{name}",
    "/services",
    "/services/{namespace}/{name}",
    "/placements",
    "/placements/{kind}/{namespace}/{name}",
    "/activity",
    "/search",
];

/// Name and markup of each live block of a page.
pub(crate) type Fragments = Vec<(&'static str, String)>;

/// Declares the template of a page and how its live blocks are rendered.
macro_rules! pages {
    ($($name:ident, $model:ty, $path:literal, [$($block:literal => $as_block:ident),*];)*) => {$(
        #[derive(Template)]
        #[template(path = $path, blocks = ["hub", "foot" $(, $block)*])]
        struct $name<'a> {
            frame: &'a Frame,
            page: &'a $model,
        }

        impl $name<'_> {
            fn fragments(&self) -> askama::Result<Fragments> {
                Ok(vec![
                    ("hub", self.as_hub().render()?),
                    ("foot", self.as_foot().render()?),
                    $(($block, self.$as_block().render()?),)*
                ])
            }
        }
    )*};
}

use crate::core::view::{
    activity, application, cable, cluster, overview, placement, search, service,
};

pages! {
    Overview, overview::OverviewPage, "pages/overview.html", ["head" => as_head, "figures" => as_figures, "needs" => as_needs, "cables" => as_cables, "applications" => as_applications, "activity" => as_activity];
    Clusters, cluster::ClustersPage, "pages/clusters.html", ["head" => as_head, "rows" => as_rows];
    Cluster, cluster::ClusterPage, "pages/cluster.html", ["head" => as_head, "trouble" => as_trouble, "applications" => as_applications, "facts" => as_facts, "errors" => as_errors, "cables" => as_cables, "conditions" => as_conditions, "activity" => as_activity];
    Cables, cable::CablesPage, "pages/cables.html", ["head" => as_head, "matrix" => as_matrix, "findings" => as_findings, "connections" => as_connections, "history" => as_history];
    Cable, cable::CablePage, "pages/cable.html", ["head" => as_head, "directions" => as_directions, "findings" => as_findings, "services" => as_services, "history" => as_history];
    Applications, application::ApplicationsPage, "pages/applications.html", ["head" => as_head, "rows" => as_rows];
    Application, application::ApplicationPage, "pages/application.html", ["head" => as_head, "stages" => as_stages, "errors" => as_errors, "heat" => as_heat, "verdicts" => as_verdicts, "reaches" => as_reaches, "history" => as_history, "activity" => as_activity];
    Services, service::ServicesPage, "pages/services.html", ["head" => as_head, "rows" => as_rows];
    Service, service::ServicePage, "pages/service.html", ["head" => as_head, "ladder" => as_ladder, "dns" => as_dns, "exports" => as_exports, "users" => as_users, "history" => as_history];
    Placements, placement::PlacementsPage, "pages/placements.html", ["rows" => as_rows];
    Placement, placement::PlacementPage, "pages/placement.html", ["head" => as_head, "verdicts" => as_verdicts];
    Activity, activity::ActivityPage, "pages/activity.html", ["rows" => as_rows];
    Search, search::SearchPage, "pages/search.html", ["hits" => as_hits];
}

/// Runs `$body` with `$template` bound to the template of the page.
macro_rules! with_template {
    ($page:expr, $frame:expr, |$template:ident| $body:expr) => {
        match $page {
            Page::Overview(page) => {
                let $template = Overview {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Clusters(page) => {
                let $template = Clusters {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Cluster(page) => {
                let $template = Cluster {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Cables(page) => {
                let $template = Cables {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Cable(page) => {
                let $template = Cable {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Applications(page) => {
                let $template = Applications {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Application(page) => {
                let $template = Application {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Services(page) => {
                let $template = Services {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Service(page) => {
                let $template = Service {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Placements(page) => {
                let $template = Placements {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Placement(page) => {
                let $template = Placement {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Activity(page) => {
                let $template = Activity {
                    frame: $frame,
                    page,
                };
                $body
            }
            Page::Search(page) => {
                let $template = Search {
                    frame: $frame,
                    page,
                };
                $body
            }
        }
    };
}

/// The JSON twin of a page.
#[derive(Serialize)]
struct Twin<'a> {
    /// Path of the page.
    address: &'a Address,
    /// When the facts were gathered.
    observed_at: Option<Timestamp>,
    /// The very struct that the page is rendered from.
    page: &'a Page,
}

/// Routes of the pages and of their twins.
pub(crate) fn routes() -> Router<WebState> {
    let mut router = Router::new();
    for pattern in PATTERNS {
        let twin = format!("{TWINS}{}", pattern.trim_end_matches('/'));
        router = router.route(pattern, get(page)).route(&twin, get(json));
    }
    router
        .route(&format!("{TWINS}/"), get(json))
        .fallback(refusals::missing)
        .method_not_allowed_fallback(refusals::not_allowed)
}

fn query_of(text: Option<&str>) -> Query {
    let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(
        &format!("/?{}", text.unwrap_or_default())
            .parse::<Uri>()
            .unwrap_or_default(),
    )
    .map_or_else(
        |_| Vec::new(),
        |query: axum::extract::Query<Vec<(String, String)>>| query.0,
    );
    Query::read(
        pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    )
}

/// The live blocks of the page at `target` (path and query); `None` when it
/// is no page or its thing is gone.
pub(crate) fn fragments(view: &FleetView, target: &str, now: Timestamp) -> Option<Fragments> {
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let (address, query) = (Address::parse(path)?, query_of(query));
    let page = view.page(&address, &query)?;
    let frame = Frame::new(view, "", Some(&address), &query, now);
    let rendered = with_template!(&page, &frame, |template| template.fragments());
    rendered
        .inspect_err(|error| tracing::error!(%error, %address, "a fragment did not render"))
        .ok()
}

async fn page(State(state): State<WebState>, seen: Seen, uri: Uri, headers: HeaderMap) -> Response {
    let (now, query) = ((state.options.clock)(), query_of(uri.query()));
    let Some(address) = Address::parse(uri.path()) else {
        return refusals::not_found(&seen, uri.path(), now);
    };
    if let Some(right) = refusals::missing_right(&seen, &address) {
        return refusals::denied(&seen, &address, &right, now);
    }
    let Some(page) = seen.view.page(&address, &query) else {
        return refusals::not_found(&seen, uri.path(), now);
    };
    let frame = Frame::new(&seen.view, &page.title(), Some(&address), &query, now)
        .read_by(seen.reader.as_ref());
    match with_template!(&page, &frame, |template| template.render()) {
        Ok(html) => tagged(html.into_bytes(), "text/html; charset=utf-8", &headers),
        Err(error) => {
            tracing::error!(%error, %address, "a page did not render");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn json(seen: Seen, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().strip_prefix(TWINS).unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    let address = Address::parse(path);
    if let Some(right) = address
        .as_ref()
        .and_then(|address| refusals::missing_right(&seen, address))
    {
        let body = serde_json::json!({"error": refusals::sentence_of(&seen, &right)});
        return (StatusCode::FORBIDDEN, axum::Json(body)).into_response();
    }
    let query = query_of(uri.query());
    let found = address.and_then(|address| Some((seen.view.page(&address, &query)?, address)));
    let Some((page, address)) = found else {
        let body = serde_json::json!({"error": format!("there is no {path}")});
        return (StatusCode::NOT_FOUND, axum::Json(body)).into_response();
    };
    let twin = Twin {
        address: &address,
        observed_at: seen.view.observed_at(),
        page: &page,
    };
    match serde_json::to_vec(&twin) {
        Ok(body) => tagged(body, "application/json", &headers),
        Err(error) => {
            tracing::error!(%error, %address, "a page did not serialise");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A body with its digest as ETag; 304 when the reader has it already.
fn tagged(body: Vec<u8>, kind: &'static str, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", Digest::of_bytes(&body).short());
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], body).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
