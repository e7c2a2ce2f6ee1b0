//! Reading JSON objects without a type for each.

use serde_json::Value;

/// The string at `pointer`; empty when absent.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The number at `pointer`; 0 when absent.
pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// The array at `pointer`; empty when absent.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Whether everything in `wanted` is in `current` too. `null` stands for
/// absent; arrays must be equal in length, their items contained.
pub(super) fn contains(current: &Value, wanted: &Value) -> bool {
    match (current, wanted) {
        (Value::Object(current), Value::Object(wanted)) => {
            wanted.iter().all(|(key, item)| match current.get(key) {
                Some(found) => contains(found, item),
                None => item.is_null(),
            })
        }
        (Value::Array(current), Value::Array(wanted)) => {
            current.len() == wanted.len() && current.iter().zip(wanted).all(|(c, w)| contains(c, w))
        }
        (current, wanted) => current == wanted,
    }
}

/// The letters of generated names (vowels and look-alikes left out, as in
/// Kubernetes).
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a: stable over processes and versions, so that a restarted simulator
/// finds its own pods again.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // FNV mixes its high bits poorly for short inputs.
    hash ^ (hash >> 29)
}

/// `hash` as `length` letters of a generated name.
pub(super) fn suffix(mut hash: u64, length: usize) -> String {
    let base = LETTERS.len() as u64;
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        let at = usize::try_from(hash % base).unwrap_or_default();
        text.push(char::from(LETTERS[at]));
        hash /= base;
    }
    text
}
