//! Request bodies to JSON values. JSON is read with its duplicate keys
//! noted, because `fieldValidation=Strict` must name them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::failure::Failure;
use super::protobuf;

/// Largest body, as in kube-apiserver.
pub(super) const BODY_LIMIT: usize = 3 << 20;

/// A body and what was wrong but tolerable in it.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) value: Value,
    /// Dotted paths of keys that came twice; the last one counts.
    pub(super) duplicates: Vec<String>,
}

/// The media type without parameters, lower-case; JSON when there is none,
/// because `kubectl create --raw` sends none.
pub(super) fn media_type(content_type: Option<&str>) -> String {
    let plain = content_type.unwrap_or_default().split(';').next();
    let plain = plain.unwrap_or_default().trim().to_ascii_lowercase();
    match plain.is_empty() {
        true => "application/json".to_owned(),
        false => plain,
    }
}

/// Decodes an object sent by POST or PUT.
pub(super) fn object(content_type: Option<&str>, body: &[u8]) -> Result<Decoded, Failure> {
    match media_type(content_type).as_str() {
        "application/json" => json(body),
        "application/yaml" => yaml(body),
        "application/vnd.kubernetes.protobuf" => Ok(Decoded {
            value: protobuf::decode(body)?,
            duplicates: Vec::new(),
        }),
        other => Err(Failure::unsupported_media_type(format!(
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf (got {other})"
        ))),
    }
}

/// Decodes JSON, noting duplicates.
pub(super) fn json(body: &[u8]) -> Result<Decoded, Failure> {
    let mut duplicates = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let seed = Noting {
        path: String::new(),
        duplicates: &mut duplicates,
    };
    let value = seed.deserialize(&mut reader).and_then(|value| {
        reader.end()?;
        Ok(value)
    });
    match value {
        Ok(value) => Ok(Decoded { value, duplicates }),
        Err(error) => Err(Failure::bad_request(format!(
            "couldn't get version/kind; json parse error: {error}"
        ))),
    }
}

/// Decodes the first document of a YAML body (JSON is YAML).
pub(super) fn yaml(body: &[u8]) -> Result<Decoded, Failure> {
    if body.first() == Some(&b'{')
        && let Ok(decoded) = json(body)
    {
        return Ok(decoded);
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| Failure::bad_request("error decoding YAML: not UTF-8"))?;
    let value = serde_yaml::from_str(text)
        .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?;
    Ok(Decoded {
        value,
        duplicates: Vec::new(),
    })
}

struct Noting<'a> {
    path: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Noting<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Noting<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let seed = Noting {
                path: format!("{}[{}]", self.path, list.len()),
                duplicates: self.duplicates,
            };
            match items.next_element_seed(seed)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = match self.path.is_empty() {
                true => key.clone(),
                false => format!("{}.{key}", self.path),
            };
            if map.contains_key(&key) && !self.duplicates.contains(&path) {
                self.duplicates.push(path.clone());
            }
            let seed = Noting {
                path,
                duplicates: self.duplicates,
            };
            let value = entries.next_value_seed(seed)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_are_named_and_the_last_counts() {
        let decoded = json(br#"{"a":{"b":1,"b":2},"c":[{"d":1,"d":3}]}"#).unwrap();
        assert_eq!(decoded.duplicates, ["a.b", "c[0].d"]);
        assert_eq!(decoded.value["a"]["b"], 2);
    }

    #[test]
    fn numbers_and_texts_survive() {
        let text = r#"{"a":18446744073709551615,"b":-3,"c":1.5,"d":"x\n","e":null,"f":[true]}"#;
        let decoded = json(text.as_bytes()).unwrap();
        let plain: Value = serde_json::from_str(text).unwrap();
        assert_eq!(decoded.value, plain);
    }

    #[test]
    fn garbage_is_a_bad_request() {
        for body in [&b"{"[..], b"{} x", b"\xff"] {
            assert_eq!(json(body).unwrap_err().code, 400);
        }
    }

    #[test]
    fn no_content_type_means_json() {
        assert_eq!(media_type(None), "application/json");
        assert_eq!(
            media_type(Some("Application/JSON; q=1")),
            "application/json"
        );
    }
}
