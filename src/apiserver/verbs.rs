//! Requests to resources: method, subresource and body to reads and writes.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::auth::Identity;
use super::collect::{self, Deleted, Propagation};
use super::decode;
use super::failure::Failure;
use super::negotiate::{self, View};
use super::object;
use super::patch;
use super::query::Query;
use super::render::{Position, Renderer};
use super::resource::Resource;
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
    target: Target,
    parts: Parts,
    body: Body,
) -> Result<Response<Body>, Failure> {
    let query = Query::parse(&parts.uri)?;
    if reviews::is_review(&target) {
        let body = read_body(body).await?;
        return reviews::handle(inner, identity, &target, &parts, &body);
    }
    let registry = inner.served.now();
    let resource = registry
        .find(&target.group, &target.version, &target.plural)
        .ok_or_else(Failure::unknown_path)?;
    check_scope(&resource, &target, &parts.method)?;
    let view = negotiate::view(header_text(&parts, header::ACCEPT))?;
    let renderer = Renderer::new(Arc::clone(&resource), view, query.include_object.clone());
    if parts.method == Method::GET {
        return get(inner, &resource, &target, &query, renderer);
    }
    let body = read_body(body).await?;
    let mut call = Call {
        inner,
        manager: manager(&query, &parts),
        resource,
        target: &target,
        query: &query,
        now: Timestamp::now(),
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
    if !known {
        return Err(Failure::unknown_path());
    }
    let needs_namespace = target.name.is_some() || method == Method::POST;
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
    if applies && call.query.field_manager.is_none() {
        return Err(Failure::unprocessable(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    if !applies && call.query.force {
        return Err(Failure::unprocessable(
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
        ));
    }
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

#[derive(Debug)]
struct DeleteOptions {
    uid: Option<String>,
    resource_version: Option<String>,
    propagation: Propagation,
    dry_run: bool,
}

impl DeleteOptions {
    fn read(query: &Query, content_type: Option<&str>, body: &[u8]) -> Result<Self, Failure> {
        let options = match body.is_empty() {
            true => Value::Null,
            false => decode::object(content_type, body)?.value,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let policy = text(&options["propagationPolicy"]).or_else(|| query.propagation.clone());
        let propagation = match policy.as_deref() {
            Some("Orphan") => Propagation::Orphan,
            Some("Foreground") => Propagation::Foreground,
            None | Some("Background" | "") => match options["orphanDependents"].as_bool() {
                Some(true) => Propagation::Orphan,
                _ => Propagation::Background,
            },
            Some(other) => {
                return Err(Failure::unprocessable(format!(
                    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"{other}\": supported values: \"Background\", \"Foreground\", \"Orphan\""
                )));
            }
        };
        let dry = options["dryRun"].as_array().is_some_and(|d| !d.is_empty());
        Ok(Self {
            uid: text(&options["preconditions"]["uid"]),
            resource_version: text(&options["preconditions"]["resourceVersion"]),
            propagation,
            dry_run: query.dry_run || dry,
        })
    }
}

fn delete(
    call: &mut Call<'_>,
    name: &str,
    options: &DeleteOptions,
    renderer: &Renderer,
) -> Result<Response<Body>, Failure> {
    let key = call.key(name);
    for _ in 0..PATCH_ATTEMPTS {
        let live = read::get(call.inner, &call.resource, call.target, name)?;
        let wrong = |what: &str, given: &str, found: &str| {
            let why = format!(
                "Precondition failed: {what} in precondition: {given}, {what} in object meta: {found}"
            );
            Failure::conflict(&call.resource, name, &why)
        };
        if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != live.uid) {
            return Err(wrong("UID", uid, &live.uid));
        }
        let revision = live.revision.to_string();
        if let Some(given) = options
            .resource_version
            .as_deref()
            .filter(|v| *v != revision)
        {
            return Err(wrong("ResourceVersion", given, &revision));
        }
        if ["default", "kube-system", "kube-public"].contains(&name)
            && call.resource.is("", "namespaces")
        {
            return Err(Failure::forbidden(
                &call.resource,
                name,
                "this namespace may not be deleted",
            ));
        }
        if options.dry_run {
            return Ok(success(&call.resource, name, &live.uid));
        }
        let expect = Some(live.revision);
        let Some(deleted) =
            collect::delete(call.inner, &key, expect, options.propagation, call.now)
        else {
            continue;
        };
        return Ok(match deleted {
            Deleted::Gone(last) if !shows_deleted(&call.resource) => {
                success(&call.resource, name, &last.uid)
            }
            Deleted::Gone(object) | Deleted::Waiting(object) => {
                answer::json(StatusCode::OK, renderer.object(&object))
            }
        });
    }
    Err(Failure::modified(&call.resource, name))
}

/// Whether a deletion answers with the object as it was: Services are stored
/// with `ReturnDeletedObject`, and a namespace only begins to end.
fn shows_deleted(resource: &Resource) -> bool {
    resource.is("", "namespaces") || resource.is("", "services")
}

fn success(resource: &Resource, name: &str, uid: &str) -> Response<Body> {
    let mut details = json!({"name": name, "kind": resource.plural, "uid": uid});
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "details": details,
    });
    answer::json(StatusCode::OK, status.to_string())
}

fn delete_collection(
    call: &mut Call<'_>,
    options: &DeleteOptions,
) -> Result<Response<Body>, Failure> {
    let filter = read::filter(&call.resource, call.target, call.query)?;
    if call.resource.is("", "namespaces") || call.resource.is("", "services") {
        return Err(Failure::method_not_allowed());
    }
    let namespace = call.target.namespace.as_deref();
    let snapshot = call.inner.store.list(&call.resource.collection, namespace);
    let mut gone = Vec::new();
    for object in snapshot.objects.iter().filter(|o| filter.matches(o)) {
        if !options.dry_run {
            let key = call.resource.key(&object.namespace, &object.name);
            collect::delete(call.inner, &key, None, options.propagation, call.now);
        }
        gone.push(Arc::clone(object));
    }
    let position = Position {
        revision: call.inner.store.revision(),
        continue_token: None,
        remaining: None,
    };
    // Tables of deletions are of no use to anyone; kubectl asks for JSON.
    let plain = Renderer::new(Arc::clone(&call.resource), View::Object, None);
    Ok(answer::json(StatusCode::OK, plain.list(&gone, &position)))
}
