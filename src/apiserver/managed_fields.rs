//! Field ownership: server-side apply and the bookkeeping that other writes owe it.
//!
//! The rules are those of structured-merge-diff v6 and kube-apiserver. Everything is a pure
//! function of JSON values; the caller stores, prunes, defaults and validates.

use jiff::Timestamp;
use serde_json::Value;

use super::schema::Schema;
use entries::{Declared, Manager, Managers, Operation};
use path::PathElement;
use set::Set;
use typed::TypeRef;

mod check;
mod compare;
mod entries;
mod kept;
mod kubectl;
mod merge;
mod owners;
mod path;
mod remove;
mod set;
mod typed;

/// One field that somebody else owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager's name.
    pub manager: String,
    /// The field, as `.spec.replicas`.
    pub field: String,
    /// `conflict with "NAME" using apps/v1`, as in `details.causes[].message`.
    pub message: String,
    path: Vec<PathElement>,
}

/// Why an apply was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Fields owned by others (HTTP 409, causes `FieldManagerConflict`); the text is kube-apiserver's.
    #[error("{}", conflict_text(.0))]
    Conflicts(Vec<Conflict>),
    /// The applied object itself is at fault (HTTP 400); the text is kube-apiserver's.
    #[error("{message}")]
    BadObject {
        /// What is wrong.
        message: String,
    },
}

fn conflict_text(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!(
            "Apply failed with 1 conflict: {}: {}",
            only.message, only.field
        );
    }
    let mut lines = Vec::new();
    let mut last = "";
    for conflict in conflicts {
        if conflict.message != last {
            last = &conflict.message;
            lines.push(format!(
                "{}:",
                last.replacen("conflict with", "conflicts with", 1)
            ));
        }
        lines.push(format!("- {}", conflict.field));
    }
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        lines.join("\n")
    )
}

/// A server-side apply.
#[derive(Debug, Clone, Copy)]
pub struct ApplyRequest<'a> {
    /// The kind's schema; without one, objects merge by field and lists are replaced.
    pub schema: Option<&'a Schema>,
    /// The stored object; `None` creates.
    pub live: Option<&'a Value>,
    /// The object that was sent.
    pub applied: &'a Value,
    /// `fieldManager`.
    pub manager: &'a str,
    /// `apiVersion` of the request path, such as `apps/v1`.
    pub api_version: &'a str,
    /// Empty, or `status`.
    pub subresource: &'a str,
    /// The kind has a status subresource: a main write does not touch `status`, a status write
    /// touches nothing but `status`.
    pub status_subresource: bool,
    /// Take over fields that others own.
    pub force: bool,
    /// The time of the request.
    pub now: Timestamp,
}

/// Any other write: create, replace, patch.
#[derive(Debug, Clone)]
pub struct UpdateRequest<'a> {
    /// The kind's schema, as in [`ApplyRequest::schema`].
    pub schema: Option<&'a Schema>,
    /// The stored object; `None` creates.
    pub live: Option<&'a Value>,
    /// The object to be stored, pruned and defaulted.
    pub new: Value,
    /// `fieldManager`, or the first part of the user agent.
    pub manager: &'a str,
    /// `apiVersion` of the request path.
    pub api_version: &'a str,
    /// Empty, or `status`.
    pub subresource: &'a str,
    /// As in [`ApplyRequest::status_subresource`].
    pub status_subresource: bool,
    /// The time of the request.
    pub now: Timestamp,
}

/// Merges `applied` into `live` and returns the object to be stored, with `managedFields`.
/// The caller prunes, defaults and validates the result, then calls [`keep_times`].
///
/// # Errors
/// [`ApplyError::Conflicts`] unless `force`; [`ApplyError::BadObject`] when the applied object sets
/// `managedFields`, repeats a list key or does not fit the schema.
pub fn apply(request: &ApplyRequest<'_>) -> Result<Value, ApplyError> {
    check_applied(request)?;
    let type_ref = TypeRef::root(request.schema);
    let errors = check::check(request.applied, type_ref);
    if !errors.is_empty() {
        return Err(misfit(request, &errors));
    }
    let empty = identity(request.applied);
    let live = request.live.map_or_else(|| empty.clone(), without_managers);
    let merged = merge::merge(&live, request.applied, type_ref)
        .map_err(|errors| misfit(request, &errors))?;
    let ignored = kept::ignored_fields(
        request.schema,
        request.subresource,
        request.status_subresource,
    );
    let managers = match request.live.map(entries::read) {
        Some(Declared::Managers(managers)) => owners::reconciled(managers, type_ref),
        _ => before_first_apply(request, &empty, &live, &ignored),
    };
    let manager = Manager::new(
        request.manager,
        Operation::Apply,
        request.api_version,
        request.subresource,
    );
    let mut step = owners::Apply {
        live: &live,
        applied: request.applied,
        type_ref,
        manager: &manager,
        api_version: request.api_version,
        ignored: &ignored,
        force: request.force,
    };
    let outcome = step
        .run(merged.clone(), managers.clone())
        .or_else(|conflicts| {
            let allowed =
                kubectl::hand_over(request, &live, type_ref).ok_or_else(|| conflicts.clone())?;
            let others: Vec<_> = conflicts
                .into_iter()
                .filter(|conflict| !allowed.has(&conflict.path))
                .collect();
            if !others.is_empty() {
                return Err(others);
            }
            step.force = true;
            step.run(merged, managers)
        });
    let owners::Applied {
        mut object,
        mut managers,
    } = outcome.map_err(ApplyError::Conflicts)?;
    if path::compare_values(&object, &live).is_ne()
        && let Some(owned) = managers.get_mut(&manager)
    {
        owned.time = Some(request.now);
    }
    kubectl::renew_last_applied(request, &mut object);
    kept::keep_what_is_not_written(&mut object, request.live, &ignored);
    entries::write(&mut object, &managers);
    Ok(object)
}

fn bad(message: String) -> ApplyError {
    ApplyError::BadObject { message }
}

fn check_applied(request: &ApplyRequest<'_>) -> Result<(), ApplyError> {
    let field = |pointer: &str| request.applied.pointer(pointer).unwrap_or(&Value::Null);
    if !request.applied.is_object() {
        return Err(bad("the applied object must be an object".to_owned()));
    }
    if field("/apiVersion").as_str() != Some(request.api_version) {
        return Err(bad(format!(
            "invalid object type: {}",
            kind_text(request.applied)
        )));
    }
    if !field("/metadata/managedFields").is_null() {
        return Err(bad("metadata.managedFields must be nil".to_owned()));
    }
    Ok(())
}

fn misfit(request: &ApplyRequest<'_>, errors: &[String]) -> ApplyError {
    let text = |pointer: &str| {
        request
            .applied
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let errors = match errors {
        [only] => only.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    bad(format!(
        "failed to create typed patch object ({}/{}; {}): {errors}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        kind_text(request.applied),
    ))
}

/// Group, version and kind as Go prints them: `apps/v1, Kind=Deployment`, `/v1, Kind=Service`.
fn kind_text(object: &Value) -> String {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = text("apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{slash}{version}, Kind={}", text("kind"))
}

/// An object of the same kind with nothing in it.
fn identity(object: &Value) -> Value {
    let keep = |name: &str| {
        object
            .get(name)
            .map(|value| (name.to_owned(), value.clone()))
    };
    Value::Object(
        ["apiVersion", "kind"]
            .into_iter()
            .filter_map(keep)
            .collect(),
    )
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    object
}

/// An object that nobody tracks becomes the property of `before-first-apply`.
fn before_first_apply(
    request: &ApplyRequest<'_>,
    empty: &Value,
    live: &Value,
    ignored: &Set,
) -> Managers {
    if request.live.is_none() {
        return Managers::new();
    }
    let manager = Manager::new(
        "before-first-apply",
        Operation::Update,
        request.api_version,
        request.subresource,
    );
    let type_ref = TypeRef::root(request.schema);
    let writer = (&manager, request.api_version);
    owners::updated(
        Managers::new(),
        empty,
        live,
        type_ref,
        ignored,
        writer,
        request.now,
    )
}

/// Returns `new` with `managedFields` brought up to date: the manager owns what it changed, the
/// others lose what was changed or removed.
#[must_use]
pub fn update(request: UpdateRequest<'_>) -> Value {
    let declared = match request.subresource {
        "" => entries::read(&request.new),
        // A subresource cannot change who owns what.
        _ => Declared::Nothing,
    };
    let managers = match declared {
        Declared::Managers(managers) => Some(managers),
        Declared::Reset => None,
        Declared::Nothing => match request.live.map(entries::read) {
            Some(Declared::Managers(managers)) => Some(managers),
            _ => None,
        },
    };
    let ignored = kept::ignored_fields(
        request.schema,
        request.subresource,
        request.status_subresource,
    );
    let mut object = without_managers(&request.new);
    let written = object.clone();
    kept::keep_what_is_not_written(&mut object, request.live, &ignored);
    if managers.is_none() && request.live.is_some() {
        return object;
    }
    let live = request
        .live
        .map_or_else(|| identity(&object), without_managers);
    let manager = Manager::new(
        request.manager,
        Operation::Update,
        request.api_version,
        request.subresource,
    );
    let type_ref = TypeRef::root(request.schema);
    let mut managers = owners::updated(
        owners::reconciled(managers.unwrap_or_default(), type_ref),
        &live,
        &written,
        type_ref,
        &ignored,
        (&manager, request.api_version),
        request.now,
    );
    entries::cap_updaters(&mut managers);
    entries::write(&mut object, &managers);
    object
}

/// Call with the final object just before it is stored: when nothing but the times in
/// `managedFields` differs from `live`, the old times are kept, so that a write that changes
/// nothing is seen to change nothing.
pub fn keep_times(live: &Value, new: &mut Value) {
    let entries = |object: &Value| {
        let list = object
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let timeless = |mut list: Vec<Value>| {
        for entry in list.iter_mut().filter_map(Value::as_object_mut) {
            entry.remove("time");
        }
        list
    };
    let old = entries(live);
    if !old.is_empty()
        && timeless(old.clone()) == timeless(entries(new))
        && without_managers(live) == without_managers(new)
        && let Some(Value::Object(metadata)) = new.get_mut("metadata")
    {
        metadata.insert("managedFields".to_owned(), Value::Array(old));
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;
