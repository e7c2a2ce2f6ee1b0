//! DELETE: one object or a collection, with its options.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::collect::{self, Deleted, Propagation};
use super::decode;
use super::failure::{Cause, Failure};
use super::negotiate::View;
use super::query::{self, Query};
use super::render::{Position, Renderer};
use super::resource::Resource;
use super::write::Call;
use super::{answer, read};

/// How often a deletion is tried anew when others write at the same time.
const ATTEMPTS: usize = 20;

/// What a client asks of a deletion (`metav1.DeleteOptions`).
#[derive(Debug)]
pub(super) struct DeleteOptions {
    uid: Option<String>,
    resource_version: Option<String>,
    propagation: Propagation,
    dry_run: bool,
}

impl DeleteOptions {
    /// From the body, or from the query where there is no body.
    pub(super) fn read(
        query: &Query,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Self, Failure> {
        let options = match body.is_empty() {
            true => Value::Null,
            false => decode::object(content_type, body)?.value,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(kind) = text(&options["kind"]).filter(|kind| kind != "DeleteOptions") {
            let version = text(&options["apiVersion"]).unwrap_or_default();
            let message = format!("no kind \"{kind}\" is registered for version \"{version}\"");
            return Err(Failure::bad_request(message));
        }
        let policy = text(&options["propagationPolicy"]).or_else(|| query.propagation.clone());
        let orphan = options["orphanDependents"].as_bool();
        let mut causes = Vec::new();
        let mut refuse = |reason: &str, message: String| {
            causes.push(Cause {
                field: "propagationPolicy".to_owned(),
                reason: reason.to_owned(),
                message,
            });
        };
        if let (Some(policy), Some(_)) = (&policy, orphan) {
            refuse(
                "FieldValueInvalid",
                format!(
                    "Invalid value: \"{policy}\": orphanDependents and deletionPropagation cannot be both set"
                ),
            );
        }
        let propagation = match policy.as_deref() {
            Some("Orphan") => Propagation::Orphan,
            Some("Foreground") => Propagation::Foreground,
            None if orphan == Some(true) => Propagation::Orphan,
            None | Some("Background" | "") => Propagation::Background,
            Some(other) => {
                refuse(
                    "FieldValueNotSupported",
                    format!(
                        "Unsupported value: \"{other}\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
                    ),
                );
                Propagation::Background
            }
        };
        let dry: Vec<String> = options["dryRun"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(text)
            .collect();
        causes.extend(query::dry_run_fault(&dry));
        if !causes.is_empty() {
            return Err(Failure::invalid_options("DeleteOptions", &causes));
        }
        Ok(Self {
            uid: text(&options["preconditions"]["uid"]),
            resource_version: text(&options["preconditions"]["resourceVersion"]),
            propagation,
            dry_run: query.dry_run || !dry.is_empty(),
        })
    }
}

/// Deletes one object, or begins to.
pub(super) fn delete(
    call: &mut Call<'_>,
    name: &str,
    options: &DeleteOptions,
    renderer: &Renderer,
) -> Result<Response<Body>, Failure> {
    let key = call.key(name);
    for _ in 0..ATTEMPTS {
        let live = read::get(call.inner, &call.resource, call.target, name)?;
        let wrong = |what: &str, given: &str, found: &str, end: &str| {
            let why = format!(
                "the {what} in the precondition ({given}) does not match the {what} in record ({found}). The object might have been {end}"
            );
            Failure::kind_conflict(&call.resource, name, &why)
        };
        if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != live.uid) {
            return Err(wrong("UID", uid, &live.uid, "deleted and then recreated"));
        }
        let revision = live.revision.to_string();
        let given = options.resource_version.as_deref();
        if let Some(given) = given.filter(|given| *given != revision) {
            return Err(wrong("ResourceVersion", given, &revision, "modified"));
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

/// Deletes what the selectors leave of a collection.
pub(super) fn delete_collection(
    call: &mut Call<'_>,
    options: &DeleteOptions,
) -> Result<Response<Body>, Failure> {
    let filter = read::filter(&call.resource, call.target, call.query)?;
    if call.resource.is("", "namespaces") {
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
