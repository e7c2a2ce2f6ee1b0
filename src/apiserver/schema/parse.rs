//! Reading OpenAPI v3 schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Additional, ListType, Pattern, Rules, Schema, SchemaError, Type};

/// Deeper schemas are refused: every walk over a schema recurses.
const MAX_DEPTH: usize = 100;

/// Parses the schema of a whole object.
pub(super) fn root(schema: &Value) -> Result<Schema, SchemaError> {
    let mut root = Reader {
        resolve: None,
        go_type: false,
    }
    .node(schema, "", 0)?;
    add_object_fields(&mut root);
    Ok(root)
}

/// Adds `apiVersion`, `kind` and `metadata`; constraints that a CRD puts on
/// `metadata.name` and `metadata.generateName` (all that it may say there) stay.
pub(super) fn add_object_fields(schema: &mut Schema) {
    let text = Arc::new(Schema {
        kind: Some(Type::String),
        ..Schema::default()
    });
    for name in ["apiVersion", "kind"] {
        schema
            .properties
            .entry(name.to_owned())
            .or_insert_with(|| Arc::clone(&text));
    }
    let written = schema.properties.remove("metadata");
    let mut metadata = super::builtin::object_meta();
    if let Some(written) = written.filter(|written| !written.properties.is_empty()) {
        let mut merged = Schema::clone(&metadata);
        for (name, child) in &written.properties {
            if let Some(known) = merged.properties.get(name)
                && child.rules.is_some()
            {
                let restricted = Schema {
                    rules: child.rules.clone(),
                    ..Schema::clone(known)
                };
                merged.properties.insert(name.clone(), Arc::new(restricted));
                merged.definition = None;
            }
        }
        metadata = Arc::new(merged);
    }
    schema.properties.insert("metadata".to_owned(), metadata);
}

/// A number as JSON, whole when it is whole.
pub(super) fn number_value(number: f64) -> Value {
    // Exact: every whole f64 below 2^53 fits an i64.
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        #[allow(clippy::cast_possible_truncation)]
        return Value::from(number as i64);
    }
    Value::from(number)
}

/// How a `$ref` is followed: the built-in kinds share definitions, CRDs have none.
pub(super) type Resolve<'a> = &'a dyn Fn(&str, usize) -> Result<Arc<Schema>, SchemaError>;

/// Reads nodes; `resolve` follows references.
pub(super) struct Reader<'a> {
    /// Follows a reference by its last path segment.
    pub(super) resolve: Option<Resolve<'a>>,
    /// What [`Schema::go_type`] of the nodes becomes.
    pub(super) go_type: bool,
}

impl Reader<'_> {
    /// Parses one node at `path` (dotted, for errors).
    pub(super) fn node(
        &self,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<Schema, SchemaError> {
        if depth > MAX_DEPTH {
            return Err(SchemaError::TooDeep {
                path: path.to_owned(),
                limit: MAX_DEPTH,
            });
        }
        let map = match value {
            Value::Object(map) => map,
            // JSON Schema's `true`: anything goes.
            Value::Bool(true) => {
                return Ok(Schema {
                    preserve_unknown: true,
                    ..Schema::default()
                });
            }
            _ => return Err(keyword(path, "schema", "an object")),
        };
        if let (Some(resolve), Some(Value::String(target))) = (self.resolve, map.get("$ref")) {
            let name = target.rsplit('/').next().unwrap_or_default();
            let mut schema = Schema::clone(&*resolve(name, depth + 1)?);
            if let Some(description) = map.get("description") {
                schema
                    .docs
                    .insert("description".to_owned(), description.clone());
            }
            return Ok(schema);
        }
        let mut schema = Schema {
            rules: self.rules(map, path, depth)?,
            go_type: self.go_type,
            ..Schema::default()
        };
        for (name, value) in map {
            self.keyword(&mut schema, name, value, path, depth)?;
        }
        list_type(map, path, &mut schema)?;
        if schema.embedded_resource {
            add_object_fields(&mut schema);
        }
        Ok(schema)
    }

    fn keyword(
        &self,
        schema: &mut Schema,
        name: &str,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(), SchemaError> {
        match name {
            "type" => schema.kind = Some(kind(value, path)?),
            "format" => schema.format = Some(text(value, path, name)?),
            "nullable" => schema.nullable = flag(value, path, name)?,
            "properties" => schema.properties = self.children(value, path, depth)?,
            "additionalProperties" => {
                schema.additional = match value {
                    Value::Bool(true) => Additional::Any,
                    Value::Bool(false) => Additional::Forbidden,
                    other => Additional::Schema(Arc::new(self.node(
                        other,
                        &format!("{path}[*]"),
                        depth + 1,
                    )?)),
                };
            }
            "items" => {
                let items = self.node(value, &format!("{path}[]"), depth + 1)?;
                schema.items = Some(Arc::new(items));
            }
            "required" => schema.required = texts(value, path, name)?,
            "default" => schema.default = Some(value.clone()),
            "x-kubernetes-map-type" => schema.map_atomic = value == "atomic",
            "x-kubernetes-preserve-unknown-fields" => {
                schema.preserve_unknown = flag(value, path, name)?;
            }
            "x-kubernetes-embedded-resource" => {
                schema.embedded_resource = flag(value, path, name)?;
            }
            "x-kubernetes-int-or-string" => schema.int_or_string = flag(value, path, name)?,
            "x-kubernetes-patch-merge-key" => {
                schema.patch_merge_key = Some(text(value, path, name)?);
            }
            "x-kubernetes-patch-strategy" => {
                let strategy = text(value, path, name)?;
                schema.patch_merge = strategy.split(',').any(|word| word == "merge");
                schema.patch_retain_keys = strategy.split(',').any(|word| word == "retainKeys");
            }
            "x-kubernetes-validations" => match value {
                Value::Array(rules) => schema.cel = rules.clone(),
                Value::Null => {}
                _ => return Err(keyword(path, name, "a list")),
            },
            "description"
            | "title"
            | "example"
            | "externalDocs"
            | "x-kubernetes-group-version-kind" => {
                schema.docs.insert(name.to_owned(), value.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn children(
        &self,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<BTreeMap<String, Arc<Schema>>, SchemaError> {
        let Value::Object(map) = value else {
            return Err(keyword(path, "properties", "an object"));
        };
        map.iter()
            .map(|(name, child)| {
                let node = self.node(child, &join(path, name), depth + 1)?;
                Ok((name.clone(), Arc::new(node)))
            })
            .collect()
    }

    fn rules(
        &self,
        map: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Option<Box<Rules>>, SchemaError> {
        let mut rules = Rules::default();
        for (name, value) in map {
            match name.as_str() {
                "enum" => match value {
                    Value::Array(values) => rules.one_of_values = Some(values.clone()),
                    _ => return Err(keyword(path, name, "a list")),
                },
                "pattern" => rules.pattern = Some(Pattern::new(&text(value, path, name)?)),
                "minimum" => rules.minimum = Some(number(value, path, name)?),
                "maximum" => rules.maximum = Some(number(value, path, name)?),
                "multipleOf" => rules.multiple_of = Some(number(value, path, name)?),
                "exclusiveMinimum" => rules.exclusive_minimum = flag(value, path, name)?,
                "exclusiveMaximum" => rules.exclusive_maximum = flag(value, path, name)?,
                "uniqueItems" => rules.unique_items = flag(value, path, name)?,
                "minLength" => rules.min_length = Some(count(value, path, name)?),
                "maxLength" => rules.max_length = Some(count(value, path, name)?),
                "minItems" => rules.min_items = Some(count(value, path, name)?),
                "maxItems" => rules.max_items = Some(count(value, path, name)?),
                "minProperties" => rules.min_properties = Some(count(value, path, name)?),
                "maxProperties" => rules.max_properties = Some(count(value, path, name)?),
                "allOf" => rules.all_of = self.group(value, path, name, depth)?,
                "anyOf" => rules.any_of = self.group(value, path, name, depth)?,
                "oneOf" => rules.one_of = self.group(value, path, name, depth)?,
                "not" => rules.not = Some(Arc::new(self.node(value, path, depth + 1)?)),
                _ => {}
            }
        }
        Ok((rules != Rules::default()).then(|| Box::new(rules)))
    }

    fn group(
        &self,
        value: &Value,
        path: &str,
        name: &str,
        depth: usize,
    ) -> Result<Vec<Arc<Schema>>, SchemaError> {
        let Value::Array(list) = value else {
            return Err(keyword(path, name, "a list of schemas"));
        };
        list.iter()
            .map(|node| Ok(Arc::new(self.node(node, path, depth + 1)?)))
            .collect()
    }
}

fn list_type(map: &Map<String, Value>, path: &str, schema: &mut Schema) -> Result<(), SchemaError> {
    let keys = map.get("x-kubernetes-list-map-keys");
    schema.list_type = match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("map") => {
            let keys = keys.ok_or_else(|| keyword(path, "x-kubernetes-list-map-keys", "a list"))?;
            ListType::Map(texts(keys, path, "x-kubernetes-list-map-keys")?)
        }
        Some("set") => ListType::Set,
        Some(_) => ListType::Atomic,
        // Without a list type, server-side apply goes by the patch strategy.
        None => match (&schema.patch_merge, &schema.patch_merge_key) {
            (true, Some(key)) => ListType::Map(vec![key.clone()]),
            (true, None) => ListType::Set,
            (false, _) => ListType::Atomic,
        },
    };
    Ok(())
}

fn kind(value: &Value, path: &str) -> Result<Type, SchemaError> {
    match value.as_str() {
        Some("object") => Ok(Type::Object),
        Some("array") => Ok(Type::Array),
        Some("string") => Ok(Type::String),
        Some("integer") => Ok(Type::Integer),
        Some("number") => Ok(Type::Number),
        Some("boolean") => Ok(Type::Boolean),
        _ => Err(keyword(
            path,
            "type",
            "object, array, string, integer, number or boolean",
        )),
    }
}

fn keyword(path: &str, keyword: &str, expected: &'static str) -> SchemaError {
    let path = if path.is_empty() { "the root" } else { path };
    SchemaError::Keyword {
        path: path.to_owned(),
        keyword: keyword.to_owned(),
        expected,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn text(value: &Value, path: &str, name: &str) -> Result<String, SchemaError> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| keyword(path, name, "a string"))
}

fn texts(value: &Value, path: &str, name: &str) -> Result<Vec<String>, SchemaError> {
    let Value::Array(list) = value else {
        return Err(keyword(path, name, "a list of strings"));
    };
    list.iter().map(|item| text(item, path, name)).collect()
}

fn flag(value: &Value, path: &str, name: &str) -> Result<bool, SchemaError> {
    value
        .as_bool()
        .ok_or_else(|| keyword(path, name, "true or false"))
}

fn number(value: &Value, path: &str, name: &str) -> Result<f64, SchemaError> {
    value
        .as_f64()
        .ok_or_else(|| keyword(path, name, "a number"))
}

fn count(value: &Value, path: &str, name: &str) -> Result<u64, SchemaError> {
    value
        .as_u64()
        .ok_or_else(|| keyword(path, name, "a whole number that is not negative"))
}
