//! Structural schemas: what a kind's fields are, and how they merge.
//!
//! One tree serves pruning, defaulting, validation, server-side apply, strategic merge and
//! the OpenAPI documents. It comes from a CRD (`from_openapi`) or, for built-in kinds, from
//! the API types of `k8s-openapi` completed by a table of merge keys (`builtin`). Everything
//! here is pure; the input schemas are written by users and are never trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

mod builtin;
mod defaults;
mod openapi;
mod parse;
mod prune;
mod validate;

pub use defaults::{apply_defaults, drop_unset};
pub use prune::prune;
pub use validate::{FieldError, Reason, validate};

/// The JSON type a schema node names; `None` in [`Schema::kind`] means any type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// A JSON string.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
}

impl Type {
    /// The word OpenAPI uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// How a list merges (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListType {
    /// Replaced as a whole (also the default when nothing is said).
    #[default]
    Atomic,
    /// A set of scalars.
    Set,
    /// Items told apart by these key fields (`x-kubernetes-list-map-keys`).
    Map(Vec<String>),
}

/// What keys beside `properties` an object may hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Additional {
    /// `additionalProperties` is absent.
    #[default]
    Unset,
    /// `additionalProperties: false`.
    Forbidden,
    /// `additionalProperties: true`.
    Any,
    /// Every other key has this schema.
    Schema(Arc<Schema>),
}

/// A regular expression of a schema, compiled once. Go's syntax is RE2's, and so, but for rare
/// forms, is ours: an expression that does not compile here lets everything pass.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Option<regex::Regex>,
}

impl Pattern {
    /// Compiles an expression.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            regex: regex::Regex::new(text).ok(),
        }
    }

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether any part of `value` matches.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.regex
            .as_ref()
            .is_none_or(|regex| regex.is_match(value))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Bounds and value rules of one node (the part that only validation reads).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// Allowed values.
    pub one_of_values: Option<Vec<Value>>,
    /// Regular expression, unanchored.
    pub pattern: Option<Pattern>,
    /// Smallest number.
    pub minimum: Option<f64>,
    /// Largest number.
    pub maximum: Option<f64>,
    /// `minimum` itself is excluded.
    pub exclusive_minimum: bool,
    /// `maximum` itself is excluded.
    pub exclusive_maximum: bool,
    /// The number must be a multiple of this.
    pub multiple_of: Option<f64>,
    /// Shortest string, in characters.
    pub min_length: Option<u64>,
    /// Longest string, in characters.
    pub max_length: Option<u64>,
    /// Fewest list items.
    pub min_items: Option<u64>,
    /// Most list items.
    pub max_items: Option<u64>,
    /// All items differ.
    pub unique_items: bool,
    /// Fewest object keys.
    pub min_properties: Option<u64>,
    /// Most object keys.
    pub max_properties: Option<u64>,
    /// All must hold.
    pub all_of: Vec<Arc<Schema>>,
    /// At least one must hold.
    pub any_of: Vec<Arc<Schema>>,
    /// Exactly one must hold.
    pub one_of: Vec<Arc<Schema>>,
    /// Must not hold.
    pub not: Option<Arc<Schema>>,
}

/// One node of a structural schema. Children are shared, so a clone is cheap.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schema {
    /// The JSON type, or `None` for any.
    pub kind: Option<Type>,
    /// `format`, such as `int32` or `date-time`.
    pub format: Option<String>,
    /// `null` is a legal value.
    pub nullable: bool,
    /// Known object fields.
    pub properties: BTreeMap<String, Arc<Schema>>,
    /// Other object keys.
    pub additional: Additional,
    /// Schema of list items.
    pub items: Option<Arc<Schema>>,
    /// Fields that must be present.
    pub required: Vec<String>,
    /// Value filled in when the field is absent.
    pub default: Option<Value>,
    /// How a list merges.
    pub list_type: ListType,
    /// `x-kubernetes-map-type: atomic`: the object is replaced as a whole.
    pub map_atomic: bool,
    /// `x-kubernetes-preserve-unknown-fields: true`.
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource: true`.
    pub embedded_resource: bool,
    /// `x-kubernetes-int-or-string: true`.
    pub int_or_string: bool,
    /// `x-kubernetes-patch-merge-key` of a list, for strategic merge.
    pub patch_merge_key: Option<String>,
    /// `x-kubernetes-patch-strategy` contains `merge`.
    pub patch_merge: bool,
    /// `x-kubernetes-patch-strategy` contains `retainKeys`.
    pub patch_retain_keys: bool,
    /// Decoded into Go structs by kube-apiserver, so `null` means absent (built-in kinds).
    pub go_type: bool,
    /// This field is never absent to kube-apiserver, only empty (structs by value in Go).
    pub always_present: bool,
    /// Name of the shared definition this node is, for `$ref`s in OpenAPI documents.
    pub definition: Option<Arc<str>>,
    /// Bounds and value rules; `None` when there are none.
    pub rules: Option<Box<Rules>>,
    /// `x-kubernetes-validations` (CEL rules), as written.
    pub cel: Vec<Value>,
    /// Keywords that are only passed on to the OpenAPI documents, such as `description`.
    pub docs: Map<String, Value>,
}

/// Why a schema was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// A keyword has a value of the wrong shape.
    #[error("schema at {path}: {keyword} must be {expected}")]
    Keyword {
        /// Where in the schema, as dotted fields.
        path: String,
        /// The keyword.
        keyword: String,
        /// What was expected there.
        expected: &'static str,
    },
    /// The schema is nested too deeply to be walked safely.
    #[error("schema at {path}: nested deeper than {limit} levels; flatten it")]
    TooDeep {
        /// Where in the schema.
        path: String,
        /// The limit.
        limit: usize,
    },
}

impl Schema {
    /// Reads the `openAPIV3Schema` of a CRD version. The three fields every object has
    /// (`apiVersion`, `kind`, `metadata`) are added at the root, as kube-apiserver does.
    ///
    /// # Errors
    /// [`SchemaError`] when a keyword has the wrong shape or the nesting is unreasonable.
    pub fn from_openapi(schema: &Value) -> Result<Self, SchemaError> {
        parse::root(schema)
    }

    /// The schema of a built-in kind (`group` is empty for core), or `None` when the kind is
    /// not one of those served. Built once per kind, then shared.
    #[must_use]
    pub fn builtin(group: &str, version: &str, kind: &str) -> Option<Arc<Self>> {
        builtin::lookup(group, version, kind)
    }

    /// The OpenAPI v3 form. Nodes with a [`Schema::definition`] become `$ref`s to
    /// `#/components/schemas/NAME`, and their own form is put into `components` under that name.
    pub fn to_openapi(&self, components: &mut BTreeMap<String, Value>) -> Value {
        openapi::render(self, components)
    }
}
