//! Protobuf bodies of kubectl's typed commands (`create namespace`,
//! `expose` …), decoded by tables. Since 1.32 kubectl sends nothing else for
//! them and takes no other answer than success; everything it applies from
//! files is JSON.

mod messages;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::object::time;
use messages::KINDS;
use wire::{Fields, Wire};

/// What a field holds. Go writes every non-pointer scalar, so a zero means
/// "absent" there; of a pointer (`…Set`) presence alone counts.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    TextSet,
    Int,
    IntSet,
    Bool,
    BoolSet,
    Time,
    /// A number or a text.
    IntOrString,
    /// A struct: absent when empty.
    Message(&'static [Field]),
    /// A pointer to a struct: `{}` when empty.
    MessageSet(&'static [Field]),
    /// A struct whose fields Go's JSON writes into the one around it.
    Inline(&'static [Field]),
    Quantity,
    /// A map with text keys.
    TextMap,
    /// Base64 in JSON.
    BytesMap,
    /// Quantities by name.
    QuantityMap,
    /// Read by nobody here: a status, which creation drops anyway.
    Skipped,
}

/// Number, JSON name, content, repeated.
type Field = (u32, &'static str, Holds, bool);

fn refuse(why: &str) -> Failure {
    Failure::unsupported_media_type(format!(
        "this server reads only a few kinds in protobuf ({why}); use kubectl apply -f or kubectl create -f, which send JSON"
    ))
}

fn broken() -> Failure {
    Failure::bad_request("the protobuf body is damaged")
}

/// Decodes a `k8s\0` envelope with a `runtime.Unknown` in it.
pub(super) fn decode(body: &[u8]) -> Result<Value, Failure> {
    let rest = body.strip_prefix(b"k8s\0").ok_or_else(broken)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields::new(rest) {
        match field.ok_or_else(broken)? {
            (1, Wire::Bytes(meta)) => {
                for field in Fields::new(meta) {
                    match field.ok_or_else(broken)? {
                        (1, Wire::Bytes(text)) => api_version = text_of(text)?,
                        (2, Wire::Bytes(text)) => kind = text_of(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let known = KINDS
        .iter()
        .find(|(v, k, _)| *v == api_version && *k == kind);
    let (_, _, fields) = known.ok_or_else(|| refuse(&format!("not {api_version} {kind}")))?;
    let mut object = message(fields, raw)?;
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    Ok(Value::Object(object))
}

fn text_of(bytes: &[u8]) -> Result<String, Failure> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken())
}

fn message(fields: &[Field], bytes: &[u8]) -> Result<Map<String, Value>, Failure> {
    let mut object = Map::new();
    for field in Fields::new(bytes) {
        let (number, wire) = field.ok_or_else(broken)?;
        let known = fields.iter().find(|(n, ..)| *n == number);
        // Dropping a field that somebody set would lose data in silence.
        let &(_, name, holds, repeated) =
            known.ok_or_else(|| refuse(&format!("field {number} is not known here")))?;
        if matches!(holds, Holds::TextMap | Holds::BytesMap | Holds::QuantityMap) {
            let (key, value) = entry(holds, wire)?;
            let map = object.entry(name).or_insert_with(|| json!({}));
            super::object::set(map, &key, value);
            continue;
        }
        if let (Holds::Inline(fields), Wire::Bytes(bytes)) = (holds, wire) {
            object.extend(message(fields, bytes)?);
            continue;
        }
        let value = value_of(holds, wire, repeated)?;
        match (value, repeated) {
            (None, _) => {}
            (Some(value), false) => {
                object.insert(name.to_owned(), value);
            }
            (Some(value), true) => {
                let list = object.entry(name).or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut() {
                    list.push(value);
                }
            }
        }
    }
    Ok(object)
}

/// `None` when Go's JSON would omit it.
fn value_of(holds: Holds, wire: Wire<'_>, repeated: bool) -> Result<Option<Value>, Failure> {
    let value = match (holds, wire) {
        (Holds::Text, Wire::Bytes(bytes)) => {
            let text = text_of(bytes)?;
            (repeated || !text.is_empty()).then(|| json!(text))
        }
        (Holds::TextSet, Wire::Bytes(bytes)) => Some(json!(text_of(bytes)?)),
        (Holds::Quantity, Wire::Bytes(bytes)) => Some(quantity(bytes)?),
        // Negative numbers are sign-extended to 64 bits on the wire.
        (Holds::Int, Wire::Number(n)) => (repeated || n != 0).then(|| json!(n.cast_signed())),
        (Holds::IntSet, Wire::Number(n)) => Some(json!(n.cast_signed())),
        (Holds::Bool, Wire::Number(n)) => (n != 0).then_some(Value::Bool(true)),
        (Holds::BoolSet, Wire::Number(n)) => Some(json!(n != 0)),
        (Holds::Time, Wire::Bytes(bytes)) => time_of(bytes)?,
        (Holds::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Holds::Message(fields), Wire::Bytes(bytes)) => {
            let object = message(fields, bytes)?;
            (repeated || !object.is_empty()).then_some(Value::Object(object))
        }
        (Holds::MessageSet(fields), Wire::Bytes(bytes)) => {
            Some(Value::Object(message(fields, bytes)?))
        }
        (Holds::Skipped, _) => None,
        _ => return Err(broken()),
    };
    Ok(value)
}

fn entry(holds: Holds, wire: Wire<'_>) -> Result<(String, Value), Failure> {
    let Wire::Bytes(bytes) = wire else {
        return Err(broken());
    };
    let (mut key, mut value) = (String::new(), &[][..]);
    for field in Fields::new(bytes) {
        match field.ok_or_else(broken)? {
            (1, Wire::Bytes(text)) => key = text_of(text)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => return Err(broken()),
        }
    }
    let value = match holds {
        Holds::BytesMap => json!(STANDARD.encode(value)),
        Holds::QuantityMap => quantity(value)?,
        _ => json!(text_of(value)?),
    };
    Ok((key, value))
}

fn quantity(bytes: &[u8]) -> Result<Value, Failure> {
    let mut fields = message(messages::QUANTITY, bytes)?;
    Ok(fields.remove("string").unwrap_or_else(|| json!("0")))
}

fn time_of(bytes: &[u8]) -> Result<Option<Value>, Failure> {
    let time_fields = message(messages::TIME, bytes)?;
    let seconds = time_fields.get("seconds").and_then(Value::as_i64);
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    // Go's zero time is long before 1970; it means "not set".
    let at = Timestamp::from_second(seconds).map_err(|_| broken())?;
    Ok((seconds > 0).then(|| json!(time(at))))
}

fn int_or_string(bytes: &[u8]) -> Result<Option<Value>, Failure> {
    let fields = message(messages::INT_OR_STRING, bytes)?;
    let is_text = fields.get("type").is_some();
    Ok(Some(match is_text {
        true => fields.get("text").cloned().unwrap_or_else(|| json!("")),
        false => fields.get("number").cloned().unwrap_or_else(|| json!(0)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(body.len()).unwrap()];
        out.extend(body);
        out
    }

    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &meta), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read_as_go_would_write_it_in_json() {
        // Go writes empty texts and an empty time, too.
        let meta = [field(1, b"a"), field(2, b""), field(8, b"")].concat();
        let data = [field(1, b"k"), field(2, b"v")].concat();
        let binary = [field(1, b"b"), field(2, &[0xff])].concat();
        let raw = [
            field(1, &meta),
            field(2, &data),
            field(3, &binary),
            vec![4 << 3, 0],
        ]
        .concat();
        assert_eq!(
            decode(&envelope("v1", "ConfigMap", &raw)).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
                "data": {"k": "v"}, "binaryData": {"b": "/w=="}, "immutable": false,
            })
        );
    }

    #[test]
    fn unknown_kinds_and_fields_are_refused_with_advice() {
        let unknown_kind = decode(&envelope("example.com/v1", "Widget", b"")).unwrap_err();
        let unknown_field = decode(&envelope("v1", "ConfigMap", &field(15, b"x"))).unwrap_err();
        for failure in [unknown_kind, unknown_field] {
            assert_eq!(failure.code, 415);
            assert!(failure.message.contains("kubectl apply -f"));
        }
    }

    #[test]
    fn damaged_bodies_are_no_panic() {
        let whole = envelope("v1", "ConfigMap", &field(1, &field(1, b"name")));
        for end in 0..whole.len() {
            let _ = decode(&whole[..end]);
        }
        assert!(decode(b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    }
}
