//! How a value at some place merges: the schema as structured-merge-diff sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::path::PathElement;
use crate::apiserver::schema::{Additional, ListType, Schema, Type};

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum TypeRef<'a> {
    /// Not allowed here.
    Nothing,
    /// Anything; replaced as a whole.
    Untyped,
    /// Anything: objects merge by field, lists are replaced as a whole.
    Deduced,
    /// As the schema says.
    Schema {
        /// The node.
        node: &'a Schema,
        /// An ancestor preserves unknown fields.
        preserve: bool,
    },
}

/// What a type allows; a value picks its part by its JSON type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Atom<'a> {
    pub(super) scalar: Option<Scalar>,
    pub(super) list: Option<List<'a>>,
    pub(super) map: Option<Map<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Untyped,
    Numeric,
    Text,
    Boolean,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) relation: &'a ListType,
    pub(super) element: TypeRef<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Map<'a> {
    pub(super) atomic: bool,
    fields: Option<&'a BTreeMap<String, Arc<Schema>>>,
    preserve: bool,
    pub(super) element: TypeRef<'a>,
}

static ATOMIC: ListType = ListType::Atomic;

impl<'a> TypeRef<'a> {
    /// The type of a whole object.
    pub(super) fn root(schema: Option<&'a Schema>) -> Self {
        schema.map_or(Self::Deduced, |node| Self::Schema {
            node,
            preserve: false,
        })
    }

    /// Whether the schema names this value and says that it is replaced as a whole.
    pub(super) fn is_declared_atomic(self) -> bool {
        let Self::Schema { node, .. } = self else {
            return false;
        };
        match node.kind {
            Some(Type::Object) => node.map_atomic,
            Some(Type::Array) => node.list_type == ListType::Atomic,
            _ => false,
        }
    }

    /// What the type allows.
    pub(super) fn resolve(self) -> Atom<'a> {
        match self {
            Self::Nothing => Atom {
                scalar: None,
                list: None,
                map: None,
            },
            Self::Untyped => Self::anything(Self::Untyped, true),
            Self::Deduced => Self::anything(Self::Deduced, false),
            Self::Schema { node, preserve } => {
                // A shared definition does not inherit from where it is used.
                let inherited = preserve && node.definition.is_none();
                Self::resolve_schema(node, inherited || node.preserve_unknown)
            }
        }
    }

    fn anything(element: Self, atomic: bool) -> Atom<'a> {
        let map = Map {
            atomic,
            fields: None,
            preserve: false,
            element,
        };
        let list = List {
            relation: &ATOMIC,
            element: Self::Untyped,
        };
        Atom {
            scalar: Some(Scalar::Untyped),
            list: Some(list),
            map: Some(map),
        }
    }

    fn resolve_schema(node: &'a Schema, preserve: bool) -> Atom<'a> {
        let empty = Atom {
            scalar: None,
            list: None,
            map: None,
        };
        match node.kind {
            None => Atom {
                scalar: Some(Scalar::Untyped),
                list: Some(Self::list(node, preserve)),
                map: Some(Self::map(node, preserve)),
            },
            Some(Type::Object) => Atom {
                map: Some(Self::map(node, preserve)),
                ..empty
            },
            Some(Type::Array) => Atom {
                list: Some(Self::list(node, preserve)),
                ..empty
            },
            Some(Type::Integer | Type::Number) => Atom {
                scalar: Some(Scalar::Numeric),
                ..empty
            },
            Some(Type::Boolean) => Atom {
                scalar: Some(Scalar::Boolean),
                ..empty
            },
            Some(Type::String) => {
                let scalar = match node.format.as_deref() {
                    None | Some("" | "byte") => Scalar::Text,
                    Some(_) => Scalar::Untyped,
                };
                Atom {
                    scalar: Some(scalar),
                    ..empty
                }
            }
        }
    }

    fn list(node: &'a Schema, preserve: bool) -> List<'a> {
        let element = node
            .items
            .as_deref()
            .map_or(Self::Untyped, |node| Self::Schema { node, preserve });
        List {
            relation: &node.list_type,
            element,
        }
    }

    fn map(node: &'a Schema, preserve: bool) -> Map<'a> {
        let element = match &node.additional {
            Additional::Schema(node) => Self::Schema { node, preserve },
            Additional::Any => Self::Deduced,
            Additional::Forbidden => Self::Nothing,
            Additional::Unset if preserve || node.properties.is_empty() => Self::Deduced,
            Additional::Unset => Self::Nothing,
        };
        Map {
            atomic: node.map_atomic,
            fields: Some(&node.properties),
            preserve,
            element,
        }
    }
}

impl<'a> Map<'a> {
    /// Whether the schema names this field.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.fields.is_some_and(|fields| fields.contains_key(name))
    }

    /// Whether the field counts as there even when it is absent.
    pub(super) fn always_present(&self, name: &str) -> bool {
        let field = self.fields.and_then(|fields| fields.get(name));
        field.is_some_and(|field| field.always_present)
    }

    /// The type of the value at `name`.
    pub(super) fn child(&self, name: &str) -> TypeRef<'a> {
        self.fields
            .and_then(|fields| fields.get(name))
            .map_or(self.element, |node| TypeRef::Schema {
                node,
                preserve: self.preserve,
            })
    }
}

impl<'a> List<'a> {
    pub(super) fn is_atomic(&self) -> bool {
        *self.relation == ListType::Atomic
    }

    /// How `item` is told apart from its siblings.
    ///
    /// # Errors
    /// In structured-merge-diff's words, when the item cannot be told apart.
    pub(super) fn element_of(&self, item: &Value) -> Result<PathElement, String> {
        match self.relation {
            ListType::Atomic => Err("invalid indexing of non-associative list".to_owned()),
            ListType::Set => match item {
                Value::Object(_) => {
                    Err("associative list without keys has an element that's a map type".to_owned())
                }
                Value::Array(_) => {
                    Err("not supported: associative list with lists as elements".to_owned())
                }
                Value::Null => Err(
                    "associative list without keys has an element that's an explicit null"
                        .to_owned(),
                ),
                scalar => Ok(PathElement::Value(scalar.clone())),
            },
            ListType::Map(keys) => self.key_of(keys, item),
        }
    }

    fn key_of(&self, keys: &[String], item: &Value) -> Result<PathElement, String> {
        let map = match item {
            Value::Object(map) => map,
            Value::Null => {
                return Err("associative list with keys may not have a null element".to_owned());
            }
            _ => {
                return Err("associative list with keys may not have non-map elements".to_owned());
            }
        };
        let mut fields = Vec::new();
        for key in keys {
            if let Some(value) = map.get(key) {
                fields.push((key.clone(), value.clone()));
            } else if let Some(default) = self.key_default(key) {
                fields.push((key.clone(), default));
            }
        }
        if fields.is_empty() && !keys.is_empty() {
            let keys: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and \
                 doesn't have default values for any key fields)",
                keys.join(" ")
            ));
        }
        Ok(PathElement::key(fields))
    }

    fn key_default(&self, key: &str) -> Option<Value> {
        let TypeRef::Schema { node, .. } = self.element else {
            return None;
        };
        let field = node.properties.get(key)?;
        if let Some(default) = &field.default {
            return Some(default.clone());
        }
        // Go types: an absent field is its zero value.
        match field.kind {
            Some(Type::String) if field.go_type => Some("".into()),
            Some(Type::Integer | Type::Number) if field.go_type => Some(0.into()),
            _ => None,
        }
    }
}

impl Atom<'_> {
    /// Keeps the part that fits the value's JSON type, when there is one.
    pub(super) fn deduce(self, value: Option<&Value>) -> Self {
        let none = Self {
            scalar: None,
            list: None,
            map: None,
        };
        match value {
            Some(Value::Object(_)) if self.map.is_some() => Self {
                map: self.map,
                ..none
            },
            Some(Value::Array(_)) if self.list.is_some() => Self {
                list: self.list,
                ..none
            },
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if self.scalar.is_some() => {
                Self {
                    scalar: self.scalar,
                    ..none
                }
            }
            _ => self,
        }
    }

    /// Whether both have the same parts (they come from one type, so that makes them equal).
    pub(super) fn same_parts(&self, other: &Self) -> bool {
        self.scalar.is_some() == other.scalar.is_some()
            && self.list.is_some() == other.list.is_some()
            && self.map.is_some() == other.map.is_some()
    }
}

/// Checks a scalar; `null` and absence always pass.
pub(super) fn check_scalar(scalar: Scalar, value: Option<&Value>, prefix: &str) -> Option<String> {
    let value = value.filter(|value| !value.is_null())?;
    let (fits, expected, got) = match scalar {
        Scalar::Numeric => (
            value.is_number(),
            "numeric (int or float)",
            go_type(value).to_owned(),
        ),
        Scalar::Text => (value.is_string(), "string", go_syntax(value)),
        Scalar::Boolean => (value.is_boolean(), "boolean", describe(value)),
        Scalar::Untyped => (
            !value.is_object() && !value.is_array(),
            "any scalar",
            describe(value),
        ),
    };
    (!fits).then(|| format!("{prefix}expected {expected}, got {got}"))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "map[string]interface {}",
        Value::Array(_) => "[]interface {}",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::Null => "<nil>",
    }
}

/// As Go's `%#v` prints the value; containers by their type alone.
fn go_syntax(value: &Value) -> String {
    let inner = match value {
        Value::Object(_) | Value::Array(_) => go_type(value).to_owned(),
        scalar => scalar.to_string(),
    };
    format!("&value.valueUnstructured{{Value:{inner}}}")
}

/// As Go's `%v` prints the value; containers by their type alone.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => format!("&{{{}}}", go_type(value)),
        Value::String(text) => format!("&{{{text}}}"),
        scalar => format!("&{{{scalar}}}"),
    }
}
