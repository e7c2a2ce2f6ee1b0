//! The one handler behind the router: path to answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::auth::Identity;
use super::failure::Failure;
use super::negotiate::{self, Discovery};
use super::registry::Registry;
use super::route::{self, Route};
use super::verbs::{self, header_text};
use super::{Inner, answer, discovery, openapi, resource};

/// Answers any request; the identity was put into the extensions by the
/// layer in front.
pub(super) async fn handle(
    State(inner): State<Arc<Inner>>,
    request: Request<Body>,
) -> Response<Body> {
    match respond(&inner, request).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

async fn respond(inner: &Arc<Inner>, request: Request<Body>) -> Result<Response<Body>, Failure> {
    let (parts, body) = request.into_parts();
    let route = route::parse(parts.uri.path());
    let identity = parts.extensions.get::<Identity>().cloned();
    let identity = identity.ok_or_else(Failure::unauthorized)?;
    if let Route::Resource(target) = route {
        return verbs::handle(inner, &identity, target, parts, body).await;
    }
    if parts.method != Method::GET {
        return Err(Failure::method_not_allowed());
    }
    let accept = header_text(&parts, header::ACCEPT);
    let registry = inner.served.now();
    match route {
        Route::Version => Ok(document(&version())),
        Route::Health => Ok(answer::typed(
            StatusCode::OK,
            "text/plain; charset=utf-8",
            "ok",
        )),
        Route::CoreVersions => {
            let form = negotiate::discovery(accept);
            Ok(discovered(&discovery::core_versions(&registry, form), form))
        }
        Route::Groups => {
            let form = negotiate::discovery(accept);
            Ok(discovered(&discovery::groups(&registry, form), form))
        }
        Route::Group(group) => {
            let found = discovery::group(&registry, &group);
            found.map(|d| document(&d)).ok_or_else(Failure::no_page)
        }
        Route::GroupVersion(group, version) => {
            let found = discovery::resources(&registry, &group, &version);
            found
                .map(|d| document(&d))
                .ok_or_else(|| match resource::is_builtin_group(&group) {
                    true => Failure::unknown_path(),
                    false => Failure::no_page(),
                })
        }
        Route::OpenApiV3 => Ok(document(&openapi::index(&registry))),
        Route::OpenApiV3Document(group, version) => {
            let found = openapi::document(&registry, &group, &version);
            found.map(|d| document(&d)).ok_or_else(Failure::no_page)
        }
        Route::OpenApiV2 => Ok(older_document(&registry, accept)),
        Route::Resource(_) | Route::Unknown => Err(Failure::no_page()),
    }
}

fn document(value: &Value) -> Response<Body> {
    answer::json(StatusCode::OK, value.to_string())
}

/// kubectl 1.28 and older ask for protobuf, everybody else for JSON.
fn older_document(registry: &Registry, accept: Option<&str>) -> Response<Body> {
    let [json, protobuf] = registry.openapi_v2();
    match negotiate::wants_protobuf(accept) {
        true => answer::typed(StatusCode::OK, openapi::V2_PROTOBUF, protobuf.clone()),
        false => answer::json(StatusCode::OK, json.clone()),
    }
}

/// The content type must name the version that was chosen.
fn discovered(value: &Value, form: Discovery) -> Response<Body> {
    let content_type = match form {
        Discovery::Plain => "application/json",
        Discovery::Aggregated("v2") => {
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        }
        Discovery::Aggregated(_) => {
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
        }
    };
    let mut response = answer::typed(StatusCode::OK, content_type, value.to_string());
    let vary = http::HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

/// What `/version` says: the Kubernetes release whose API this is.
fn version() -> Value {
    json!({
        "major": "1", "minor": "33",
        "gitVersion": openapi::VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
