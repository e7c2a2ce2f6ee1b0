//! The v2 document in protobuf: the messages of gnostic's `OpenAPIv2.proto`,
//! as far as the documents here use them.

use serde_json::{Map, Value};

/// The `@` of the request's Accept is not legal in an answer.
pub(in crate::apiserver) const CONTENT_TYPE: &str =
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Encodes the document that [`super::v2()`] makes.
pub(in crate::apiserver) fn encode(document: &Value) -> Vec<u8> {
    let mut info = Message::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    let mut paths = Message::default();
    for (path, item) in entries(&document["paths"]) {
        paths.message(2, &named(path, &path_item(item)));
    }
    let mut definitions = Message::default();
    for (name, body) in entries(&document["definitions"]) {
        definitions.message(1, &named(name, &schema(body)));
    }
    let mut out = Message::default();
    out.text(1, &document["swagger"]);
    out.message(2, &info);
    out.message(8, &paths);
    out.message(9, &definitions);
    out.0
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A pair of name and value: `NamedPathItem`, `NamedSchema` and their like.
fn named(name: &str, value: &Message) -> Message {
    let mut out = Message::default();
    out.bytes(1, name.as_bytes());
    out.message(2, value);
    out
}

/// An `Any`: JSON is YAML.
fn any(value: &Value) -> Message {
    let mut out = Message::default();
    out.bytes(2, value.to_string().as_bytes());
    out
}

fn extensions(out: &mut Message, number: u32, value: &Value) {
    for (name, value) in entries(value).filter(|(name, _)| name.starts_with("x-")) {
        out.message(number, &named(name, &any(value)));
    }
}

const VERBS: &[(&str, u32)] = &[
    ("get", 2),
    ("put", 3),
    ("post", 4),
    ("delete", 5),
    ("patch", 8),
];

fn path_item(item: &Value) -> Message {
    let mut out = Message::default();
    for (verb, number) in VERBS {
        if let Some(found) = item.get(*verb) {
            out.message(*number, &operation(found));
        }
    }
    out
}

fn operation(value: &Value) -> Message {
    let mut out = Message::default();
    for parameter in items(&value["parameters"]) {
        out.message(8, &query_parameter(parameter));
    }
    let mut responses = Message::default();
    for (code, response) in entries(&value["responses"]) {
        let mut body = Message::default();
        body.text(1, &response["description"]);
        let mut item = Message::default();
        item.message(1, &schema(&response["schema"]));
        body.message(2, &item);
        let mut either = Message::default();
        either.message(1, &body);
        responses.message(1, &named(code, &either));
    }
    out.message(9, &responses);
    extensions(&mut out, 13, value);
    out
}

/// `ParametersItem` of `Parameter` of `NonBodyParameter`.
fn query_parameter(value: &Value) -> Message {
    let mut query = Message::default();
    query.text(2, &value["in"]);
    query.text(4, &value["name"]);
    query.text(6, &value["type"]);
    query.flag(20, &value["uniqueItems"]);
    let mut non_body = Message::default();
    non_body.message(3, &query);
    let mut parameter = Message::default();
    parameter.message(2, &non_body);
    let mut item = Message::default();
    item.message(1, &parameter);
    item
}

fn schema(value: &Value) -> Message {
    let mut out = Message::default();
    for (name, number) in [("$ref", 1), ("format", 2), ("title", 3), ("description", 4)] {
        out.text(number, &value[name]);
    }
    if let Some(default) = value.get("default") {
        out.message(5, &any(default));
    }
    for (name, number) in [("multipleOf", 6), ("maximum", 7), ("minimum", 9)] {
        out.double(number, &value[name]);
    }
    for (name, number) in [
        ("exclusiveMaximum", 8),
        ("exclusiveMinimum", 10),
        ("uniqueItems", 16),
    ] {
        out.flag(number, &value[name]);
    }
    for (name, number) in [
        ("maxLength", 11),
        ("minLength", 12),
        ("maxItems", 14),
        ("minItems", 15),
        ("maxProperties", 17),
        ("minProperties", 18),
    ] {
        out.count(number, &value[name]);
    }
    out.text(13, &value["pattern"]);
    for name in items(&value["required"]) {
        out.text(19, name);
    }
    for allowed in items(&value["enum"]) {
        out.message(20, &any(allowed));
    }
    children(&mut out, value);
    extensions(&mut out, 31, value);
    out
}

fn children(out: &mut Message, value: &Value) {
    match &value["additionalProperties"] {
        Value::Null => {}
        Value::Bool(_) => {
            let mut item = Message::default();
            item.flag(2, &value["additionalProperties"]);
            out.message(21, &item);
        }
        body => {
            let mut item = Message::default();
            item.message(1, &schema(body));
            out.message(21, &item);
        }
    }
    if value["type"].is_string() {
        let mut kind = Message::default();
        kind.text(1, &value["type"]);
        out.message(22, &kind);
    }
    if value["items"].is_object() {
        let mut item = Message::default();
        item.message(1, &schema(&value["items"]));
        out.message(23, &item);
    }
    if value["properties"].is_object() {
        let mut properties = Message::default();
        for (name, body) in entries(&value["properties"]) {
            properties.message(1, &named(name, &schema(body)));
        }
        out.message(25, &properties);
    }
}

/// A message as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn tag(&mut self, number: u32, wire: u64) {
        self.varint(u64::from(number) << 3 | wire);
    }

    fn bytes(&mut self, number: u32, value: &[u8]) {
        self.tag(number, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn message(&mut self, number: u32, value: &Self) {
        self.bytes(number, &value.0);
    }

    fn text(&mut self, number: u32, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(number, text.as_bytes());
        }
    }

    /// proto3 leaves out what is false or zero.
    fn flag(&mut self, number: u32, value: &Value) {
        if value == &Value::Bool(true) {
            self.tag(number, 0);
            self.varint(1);
        }
    }

    fn count(&mut self, number: u32, value: &Value) {
        if let Some(count) = value.as_u64().filter(|count| *count > 0) {
            self.tag(number, 0);
            self.varint(count);
        }
    }

    fn double(&mut self, number: u32, value: &Value) {
        if let Some(value) = value.as_f64() {
            self.tag(number, 1);
            self.0.extend(value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_written_by_field_numbers() {
        let written = schema(&json!({
            "type": "object", "description": "d", "required": ["a"],
            "properties": {"a": {"type": "integer", "minimum": 1}},
            "x-kubernetes-map-type": "atomic",
        }));
        let mut wanted = vec![4 << 3 | 2, 1, b'd'];
        // Numbers from 16 on take two bytes.
        wanted.extend([0x9a, 0x01, 1, b'a']);
        wanted.extend([0xb2, 0x01, 8, 1 << 3 | 2, 6]);
        wanted.extend(b"object");
        let mut property = vec![9 << 3 | 1];
        property.extend(1f64.to_le_bytes());
        property.extend([0xb2, 0x01, 9, 1 << 3 | 2, 7]);
        property.extend(b"integer");
        let mut pair = vec![1 << 3 | 2, 1, b'a', 2 << 3 | 2, 21];
        pair.extend(property);
        wanted.extend([0xca, 0x01, 28, 1 << 3 | 2, 26]);
        wanted.extend(pair);
        wanted.extend([0xfa, 0x01, 35, 1 << 3 | 2, 21]);
        wanted.extend(b"x-kubernetes-map-type");
        wanted.extend([2 << 3 | 2, 10, 2 << 3 | 2, 8]);
        wanted.extend(b"\"atomic\"");
        assert_eq!(written.0, wanted);
    }

    #[test]
    fn long_values_have_long_lengths() {
        let text = "x".repeat(300);
        let written = schema(&json!({ "format": text }));
        assert_eq!(written.0[..3], [2 << 3 | 2, 0xac, 0x02]);
        assert_eq!(written.0.len(), 303);
    }
}
