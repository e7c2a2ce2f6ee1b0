//! The scale subresource: `autoscaling/v1 Scale` over a workload's replicas.

use axum::body::Body;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::answer;
use super::decode;
use super::failure::{Cause, Failure};
use super::object::{meta_text, to_served};
use super::patch;
use super::read;
use super::resource::Resource;
use super::verbs::header_text;
use super::write::{Call, Intent, Part, Written};

/// The Scale of an object.
pub(super) fn of(resource: &Resource, object: &Value) -> Value {
    let meta = &object["metadata"];
    let mut shown = Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if !meta[field].is_null() {
            shown.insert(field.to_owned(), meta[field].clone());
        }
    }
    let number = |pointer: Option<&String>| {
        let found = pointer.and_then(|p| object.pointer(p));
        found.and_then(Value::as_i64).unwrap_or(0)
    };
    let scale = resource.scale.as_ref();
    let selector = match scale.and_then(|s| s.selector.as_ref()) {
        Some(pointer) => object
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned),
        None => object
            .pointer("/spec/selector/matchLabels")
            .and_then(Value::as_object)
            .map(|m| {
                let pairs = m
                    .iter()
                    .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
                pairs.collect::<Vec<_>>().join(",")
            }),
    };
    let mut status = json!({"replicas": number(scale.map(|s| &s.status_replicas))});
    if let Some(selector) = selector {
        status["selector"] = json!(selector);
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown,
        "spec": {"replicas": number(scale.map(|s| &s.spec_replicas))},
        "status": status,
    })
}

/// What is no Scale of this object, or asks for fewer than none.
fn check(call: &Call<'_>, wanted: &Value, name: &str) -> Result<(), Failure> {
    let kind = wanted["kind"].as_str().unwrap_or("Scale");
    if kind != "Scale" {
        return Err(Failure::bad_request(format!(
            "the kind in the data ({kind}) does not match the expected kind (Scale)"
        )));
    }
    let given = meta_text(wanted, "name");
    if !given.is_empty() && given != name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas >= 0 {
        return Ok(());
    }
    let cause = |field: &str, why: &str| Cause {
        field: field.to_owned(),
        reason: "FieldValueInvalid".to_owned(),
        message: format!("Invalid value: {replicas}: {why}"),
    };
    Err(match (&call.resource.custom, &call.resource.scale) {
        (Some(_), Some(scale)) => {
            let field = scale.spec_replicas.replace('/', ".");
            let cause = cause(&field, "should be a non-negative integer");
            Failure::invalid(&call.resource, name, &[cause])
        }
        _ => {
            let cause = cause("spec.replicas", "must be greater than or equal to 0");
            Failure::invalid_scale(name, &[cause])
        }
    })
}

/// PUT or PATCH of a Scale.
pub(super) fn write(
    call: &mut Call<'_>,
    parts: &Parts,
    body: &[u8],
) -> Result<Response<Body>, Failure> {
    let (Some(name), Some(scale)) = (call.target.name.clone(), call.resource.scale.clone()) else {
        return Err(Failure::method_not_allowed());
    };
    let content_type = header_text(parts, header::CONTENT_TYPE);
    let live = read::get(call.inner, &call.resource, call.target, &name)?;
    let mut served = live.value();
    to_served(&call.resource, &mut served);
    let current = of(&call.resource, &served);
    let wanted = match parts.method {
        Method::PUT => decode::object(content_type, body)?.value,
        Method::PATCH => match patch::read(&call.resource, content_type, body)? {
            patch::Body::Strategic(patch) => {
                let mut scale = current;
                json_patch::merge(&mut scale, &patch.value);
                scale
            }
            other => other.work_in(&call.resource, current)?.value,
        },
        _ => return Err(Failure::method_not_allowed()),
    };
    let version = meta_text(&wanted, "resourceVersion");
    if !version.is_empty() && version != live.revision.to_string() {
        return Err(Failure::modified(&call.resource, &name));
    }
    check(call, &wanted, &name)?;
    let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
    let mut value = live.value();
    match value.pointer_mut(&scale.spec_replicas) {
        Some(slot) => *slot = json!(replicas),
        None => {
            // Absent so far; its parent is `spec` in all sane definitions.
            if let Some((parent, field)) = scale.spec_replicas.rsplit_once('/')
                && let Some(map) = value.pointer_mut(parent).and_then(Value::as_object_mut)
            {
                map.insert(field.to_owned(), json!(replicas));
            }
        }
    }
    let written = call.update(&live, Intent::Update(value), Part::Scale)?;
    let object = match written.ok_or_else(|| Failure::modified(&call.resource, &name))? {
        Written::Stored(object) => object.value(),
        Written::Imagined(value) => value,
    };
    let scale = of(&call.resource, &object).to_string();
    Ok(answer::json(StatusCode::OK, scale))
}
