//! Requests to resources: method, subresource and body to reads and writes.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;

use super::auth::Identity;
use super::decode;
use super::deletion::{DeleteOptions, delete, delete_collection};
use super::failure::Failure;
use super::negotiate::{self, View};
use super::object;
use super::patch;
use super::query::Query;
use super::render::Renderer;
use super::resource::{self, Resource};
use super::route::Target;
use super::write::{Call, Intent, Part, Written};
use super::{Inner, answer, read, reviews, scale, watch};

/// How often a patch is worked in anew when others write at the same time.
const PATCH_ATTEMPTS: usize = 20;

/// A text header.
pub(super) fn header_text(parts: &Parts, name: header::HeaderName) -> Option<&str> {
    parts.headers.get(name)?.to_str().ok()
}

/// Answers one request to a resource path.
pub(super) async fn handle(
    inner: &Arc<Inner>,
    identity: &Identity,
    mut target: Target,
    parts: Parts,
    body: Body,
) -> Result<Response<Body>, Failure> {
    let mut query = Query::parse(&parts.uri)?;
    if target.watches {
        query.watch = true;
        if let Some(name) = target.name.take() {
            query.fields.only(&name);
        }
    }
    if reviews::is_review(&target) {
        let body = read_body(body).await?;
        return reviews::handle(inner, identity, &target, &parts, &body);
    }
    let registry = inner.served.now();
    let found = registry.find(&target.group, &target.version, &target.plural);
    let resource = found.ok_or_else(|| match resource::is_builtin_group(&target.group) {
        true => Failure::unknown_path(),
        false => Failure::no_page(),
    })?;
    check_scope(&resource, &target, &parts.method)?;
    let view = negotiate::view(header_text(&parts, header::ACCEPT))?;
    check_form(&resource, &target, &query, view, &parts.method)?;
    let renderer = Renderer::new(Arc::clone(&resource), view, query.include_object.clone());
    if parts.method == Method::GET {
        return get(inner, &resource, &target, &query, renderer);
    }
    check_write(&query, &parts)?;
    let body = read_body(body).await?;
    let mut call = Call {
        inner,
        manager: manager(&query, &parts),
        resource,
        target: &target,
        query: &query,
        now: Timestamp::now(),
        patched: false,
        warnings: Vec::new(),
    };
    let result = match target.subresource.as_deref() {
        Some("scale") => scale::write(&mut call, &parts, &body),
        _ => write(&mut call, &parts, &body, &renderer),
    };
    // Whatever was written, also by a cascade, is on disk before the answer.
    let committed = inner.store.committed(inner.store.revision()).await;
    committed.map_err(|error| Failure::internal(error.to_string()))?;
    let mut response = result?;
    if let Some(custom) = &call.resource.custom {
        call.warnings.extend(custom.deprecation.clone());
    }
    answer::warn(&mut response, &call.warnings);
    Ok(response)
}

/// A list is no single object, and a Table shows its objects in one of three ways.
fn check_form(
    resource: &Resource,
    target: &Target,
    query: &Query,
    view: View,
    method: &Method,
) -> Result<(), Failure> {
    let lists = target.name.is_none() && method == Method::GET && !query.watch;
    match (view, query.include_object.as_deref()) {
        (View::Table, Some("" | "Metadata" | "Object" | "None") | None) => Ok(()),
        (View::Table, Some(other)) => Err(Failure::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": must be 'Metadata', 'Object', 'None', or empty"
        ))),
        (View::Metadata, _) if lists => {
            let kind = match (&resource.custom, resource.group.split('.').next()) {
                (Some(_), _) => "unstructured.UnstructuredList".to_owned(),
                (None, Some("") | None) => format!("core.{}", resource.list_kind),
                (None, Some(group)) => format!("{group}.{}", resource.list_kind),
            };
            Err(Failure::not_acceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{kind})"
            )))
        }
        _ => Ok(()),
    }
}

fn check_write(query: &Query, parts: &Parts) -> Result<(), Failure> {
    let content_type = decode::media_type(header_text(parts, header::CONTENT_TYPE));
    match parts.method {
        Method::POST => query.check_write("CreateOptions", false),
        Method::PUT => query.check_write("UpdateOptions", false),
        Method::PATCH => query.check_write("PatchOptions", patch::is_apply(&content_type)),
        Method::DELETE => query.check_write("DeleteOptions", false),
        _ => Ok(()),
    }
}

async fn read_body(body: Body) -> Result<Bytes, Failure> {
    let read = axum::body::to_bytes(body, decode::BODY_LIMIT).await;
    read.map_err(|error| {
        use std::error::Error as _;
        let too_long = error
            .source()
            .is_some_and(|s| s.is::<http_body_util::LengthLimitError>());
        match too_long {
            true => Failure::too_large(decode::BODY_LIMIT),
            false => Failure::bad_request(format!("cannot read the body: {error}")),
        }
    })
}

fn manager(query: &Query, parts: &Parts) -> String {
    if let Some(manager) = &query.field_manager {
        return manager.clone();
    }
    let agent = header_text(parts, header::USER_AGENT).unwrap_or_default();
    let word: String = agent
        .split('/')
        .next()
        .unwrap_or_default()
        .chars()
        .take(128)
        .collect();
    match word.is_empty() {
        true => "unknown".to_owned(),
        false => word,
    }
}

/// A path must fit the resource's scope, and its subresource exist.
fn check_scope(resource: &Resource, target: &Target, method: &Method) -> Result<(), Failure> {
    if !resource.namespaced && target.namespace.is_some() {
        return Err(Failure::unknown_path());
    }
    let known = match target.subresource.as_deref() {
        None => true,
        Some("status") => resource.status,
        Some("scale") => resource.scale.is_some(),
        Some("finalize") => resource.is("", "namespaces"),
        Some(_) => false,
    };
    if let (false, Some(_), Some(name)) = (known, &resource.custom, &target.name) {
        return Err(Failure::not_found(resource, name));
    }
    if !known {
        return Err(Failure::unknown_path());
    }
    let needs_namespace =
        target.name.is_some() || method == Method::POST || method == Method::DELETE;
    if resource.namespaced && target.namespace.is_none() && needs_namespace {
        return Err(match method {
            &Method::GET => Failure::unknown_path(),
            _ => Failure::method_not_allowed(),
        });
    }
    Ok(())
}

fn get(
    inner: &Arc<Inner>,
    resource: &Arc<Resource>,
    target: &Target,
    query: &Query,
    renderer: Renderer,
) -> Result<Response<Body>, Failure> {
    let Some(name) = &target.name else {
        query.check_list()?;
        if query.watch {
            let filter = read::filter(resource, target, query)?;
            let collection = Arc::clone(&resource.collection);
            let stream = watch::start(inner, collection, filter, renderer, query)?;
            let mut response = answer::json(StatusCode::OK, Bytes::new());
            *response.body_mut() = Body::from_stream(stream);
            return Ok(response);
        }
        let list = read::list(inner, resource, target, query, &renderer)?;
        return Ok(answer::json(StatusCode::OK, list));
    };
    if let Some(version) = &query.resource_version {
        read::version(version).map_err(Failure::untyped)?;
    }
    let object = read::get(inner, resource, target, name)?;
    if target.subresource.as_deref() == Some("scale") {
        let scale = scale::of(resource, &object.value());
        return Ok(answer::json(StatusCode::OK, scale.to_string()));
    }
    Ok(answer::json(StatusCode::OK, renderer.object(&object)))
}

fn write(
    call: &mut Call<'_>,
    parts: &Parts,
    body: &[u8],
    renderer: &Renderer,
) -> Result<Response<Body>, Failure> {
    let part = match call.target.subresource.as_deref() {
        Some("status") => Part::Status,
        Some("finalize") => Part::Finalize,
        _ => Part::Main,
    };
    let content_type = header_text(parts, header::CONTENT_TYPE);
    let name = call.target.name.clone();
    match (parts.method.clone(), name) {
        (Method::POST, None) => {
            let decoded = decode::object(content_type, body)?;
            let value = call.admit(decoded, false)?;
            let written = call.create(Intent::Update(value))?;
            Ok(show(StatusCode::CREATED, renderer, written))
        }
        (Method::PUT, Some(name)) => {
            let decoded = decode::object(content_type, body)?;
            let value = call.admit(decoded, false)?;
            replace(call, &name, value, part, renderer)
        }
        (Method::PATCH, Some(name)) => {
            let patch = patch::read(&call.resource, content_type, body)?;
            work_in(call, &name, &patch, part, renderer)
        }
        (Method::DELETE, Some(name)) if part == Part::Main => {
            let options = DeleteOptions::read(call.query, content_type, body)?;
            delete(call, &name, &options, renderer)
        }
        (Method::DELETE, None) => {
            let options = DeleteOptions::read(call.query, content_type, body)?;
            delete_collection(call, &options)
        }
        (method, Some(_)) if part != Part::Main && call.resource.custom.is_some() => {
            let verb = match method {
                Method::POST => "create",
                _ => "delete",
            };
            Err(Failure::unsupported_verb(&call.resource, verb))
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

fn show(code: StatusCode, renderer: &Renderer, written: Written) -> Response<Body> {
    let body = match written {
        Written::Stored(object) => renderer.object(&object),
        Written::Imagined(value) => renderer.value(value),
    };
    answer::json(code, body)
}

fn replace(
    call: &mut Call<'_>,
    name: &str,
    value: Value,
    part: Part,
    renderer: &Renderer,
) -> Result<Response<Body>, Failure> {
    let versioned = !object::meta_text(&value, "resourceVersion").is_empty();
    for _ in 0..PATCH_ATTEMPTS {
        let live = match read::get(call.inner, &call.resource, call.target, name) {
            Err(failure) if failure.reason == "NotFound" && creates(call, part, versioned) => {
                match call.create(Intent::Update(value.clone())) {
                    Err(failure) if failure.reason == "AlreadyExists" => continue,
                    created => return Ok(show(StatusCode::CREATED, renderer, created?)),
                }
            }
            live => live?,
        };
        if !versioned && call.resource.custom.is_some() {
            return Err(unversioned(&call.resource, name));
        }
        if let Some(written) = call.update(&live, Intent::Update(value.clone()), part)? {
            return Ok(show(StatusCode::OK, renderer, written));
        }
    }
    Err(Failure::modified(&call.resource, name))
}

/// Whether a PUT makes a missing object: the storage of Services allows that
/// (`AllowCreateOnUpdate`), not with a version to compare.
fn creates(call: &Call<'_>, part: Part, versioned: bool) -> bool {
    part == Part::Main && !versioned && call.resource.is("", "services")
}

/// Custom resources may only be replaced at a version (`AllowUnconditionalUpdate`).
fn unversioned(resource: &Resource, name: &str) -> Failure {
    Failure::invalid(
        resource,
        name,
        &[super::failure::Cause {
            field: "metadata.resourceVersion".to_owned(),
            reason: "FieldValueInvalid".to_owned(),
            message: "Invalid value: 0: must be specified for an update".to_owned(),
        }],
    )
}

fn work_in(
    call: &mut Call<'_>,
    name: &str,
    patch: &patch::Body,
    part: Part,
    renderer: &Renderer,
) -> Result<Response<Body>, Failure> {
    let applies = matches!(patch, patch::Body::Apply(_));
    call.patched = !applies;
    for _ in 0..PATCH_ATTEMPTS {
        let live = read::get(call.inner, &call.resource, call.target, name);
        let warned = call.warnings.len();
        let live = match live {
            Err(_) if applies && part == Part::Main => {
                let value = admit(call, patch.work_in(&call.resource, Value::Null)?, true)?;
                match call.create(Intent::Apply(value)) {
                    Err(failure) if failure.reason == "AlreadyExists" && !call.query.dry_run => {
                        call.warnings.truncate(warned);
                        continue;
                    }
                    created => return Ok(show(StatusCode::CREATED, renderer, created?)),
                }
            }
            live => live?,
        };
        let mut served = live.value();
        object::to_served(&call.resource, &mut served);
        let value = admit(call, patch.work_in(&call.resource, served)?, applies)?;
        let intent = match applies {
            true => Intent::Apply(value),
            false => Intent::Update(value),
        };
        if let Some(written) = call.update(&live, intent, part)? {
            return Ok(show(StatusCode::OK, renderer, written));
        }
        call.warnings.truncate(warned);
    }
    Err(Failure::modified(&call.resource, name))
}

/// An apply names its type itself; kube-apiserver insists.
fn admit(call: &mut Call<'_>, decoded: decode::Decoded, applies: bool) -> Result<Value, Failure> {
    if applies && (!decoded.value["kind"].is_string() || !decoded.value["apiVersion"].is_string()) {
        return Err(Failure::bad_request(
            "invalid object type: apiVersion and kind must be set in an applied object",
        ));
    }
    call.admit(decoded, applies)
}
