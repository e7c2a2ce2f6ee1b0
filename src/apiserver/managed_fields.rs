//! Field ownership: server-side apply and the bookkeeping that other writes owe it.
//!
//! The rules are those of structured-merge-diff v6 and kube-apiserver. Everything is a pure
//! function of JSON values; the caller stores, prunes, defaults and validates.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::schema::Schema;
use entries::{Declared, Manager, Managers, Operation};
use path::PathElement;
use set::Set;
use typed::TypeRef;

mod check;
mod compare;
mod entries;
mod merge;
mod owners;
mod path;
mod remove;
mod set;
mod typed;

/// The annotation of client-side apply.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manager name of `kubectl apply --server-side`.
const KUBECTL: &str = "kubectl";

/// Set by the server alone; what a client sends there is ignored.
const SYSTEM_METADATA: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "selfLink",
    "uid",
];

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
    let ignored = ignored_fields(
        request.schema,
        request.subresource,
        request.status_subresource,
    );
    let managers = match request.live.map(entries::read) {
        Some(Declared::Managers(managers)) => managers,
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
            let allowed = hand_over(request, &live, type_ref).ok_or_else(|| conflicts.clone())?;
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
    renew_last_applied(request, &mut object);
    keep_what_is_not_written(&mut object, request.live, &ignored);
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

/// What `kubectl apply --server-side` may take over without force: the fields that the
/// annotation of client-side apply proves to come from the same user, unchanged since.
fn hand_over(request: &ApplyRequest<'_>, live: &Value, type_ref: TypeRef<'_>) -> Option<Set> {
    if request.manager != KUBECTL {
        return None;
    }
    let text = live
        .get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?
        .as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last.get("apiVersion")?.as_str()? != request.api_version {
        return None;
    }
    let changes = compare::compare(&last, live, type_ref);
    let changed = changes
        .modified
        .union(&changes.added)
        .union(&changes.removed);
    Some(compare::field_set(&last, type_ref).difference(&changed))
}

/// Keeps the annotation of client-side apply in step with what kubectl applies server-side.
fn renew_last_applied(request: &ApplyRequest<'_>, object: &mut Value) {
    if request.manager != KUBECTL {
        return;
    }
    let annotation = object
        .pointer_mut("/metadata/annotations")
        .and_then(|all| all.get_mut(LAST_APPLIED));
    let Some(annotation) =
        annotation.filter(|text| text.as_str().is_some_and(|text| !text.is_empty()))
    else {
        return;
    };
    let mut applied = request.applied.clone();
    if let Some(Value::Object(all)) = applied.pointer_mut("/metadata/annotations") {
        all.remove(LAST_APPLIED);
    }
    *annotation = format!("{}\n", path::go_json(&applied)).into();
}

/// The fields that a write to this place leaves alone.
fn ignored_fields(schema: Option<&Schema>, subresource: &str, has_status: bool) -> Set {
    let built_in = schema.is_some_and(|schema| schema.go_type);
    match subresource {
        "" if has_status => Set::of_fields(&[&["status"]]),
        "status" if !built_in => Set::of_fields(&[&["metadata"], &["spec"]]),
        "status" => match schema.and_then(|schema| schema.definition.as_deref()) {
            Some("io.k8s.api.apps.v1.Deployment") => {
                Set::of_fields(&[&["spec"], &["metadata", "labels"]])
            }
            Some("io.k8s.api.core.v1.Pod") => Set::of_fields(&[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ]),
            _ => Set::of_fields(&[&["spec"]]),
        },
        _ => Set::default(),
    }
}

/// Puts ignored fields and the server's own metadata back as they were.
fn keep_what_is_not_written(object: &mut Value, live: Option<&Value>, ignored: &Set) {
    for path in ignored.paths() {
        let names: Vec<&str> = path
            .iter()
            .filter_map(|element| match element {
                PathElement::Field(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        // System metadata and identity are dealt with below; the rest of `metadata` is ignored
        // as a whole only by status writes of custom resources, which exist.
        restore(object, live, &names);
    }
    if live.is_some() {
        for name in SYSTEM_METADATA {
            restore(object, live, &["metadata", name]);
        }
    }
}

fn restore(object: &mut Value, live: Option<&Value>, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let old = path
        .iter()
        .try_fold(live.unwrap_or(&Value::Null), |value, name| value.get(*name));
    let mut parent = object;
    for name in parents {
        let Some(map) = parent.as_object_mut() else {
            return;
        };
        if old.is_none() && !map.contains_key(*name) {
            return;
        }
        parent = map
            .entry(*name)
            .or_insert_with(|| Value::Object(Map::new()));
    }
    let Some(map) = parent.as_object_mut() else {
        return;
    };
    match old {
        Some(old) => {
            map.insert((*last).to_owned(), old.clone());
        }
        None => {
            map.remove(*last);
        }
    }
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
    let ignored = ignored_fields(
        request.schema,
        request.subresource,
        request.status_subresource,
    );
    let mut object = without_managers(&request.new);
    let written = object.clone();
    keep_what_is_not_written(&mut object, request.live, &ignored);
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
    let mut managers = owners::updated(
        managers.unwrap_or_default(),
        &live,
        &written,
        TypeRef::root(request.schema),
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
mod replay;
#[cfg(test)]
mod tests;
