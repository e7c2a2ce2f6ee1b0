//! The text of an object.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// An object as compact JSON. A tree of values takes some ten times the
/// memory, and content is looked into only when a commit brings it.
///
/// It may hold secrets, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Arc<str>);

impl Content {
    /// The object, to be read or changed.
    #[must_use]
    pub fn value(&self) -> Value {
        // Written by `From` below, so it is always JSON.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<&Value> for Content {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_is_not_printed() {
        let value = json!({
            "a": [1, -1, 0.1, 1e300, u64::MAX, i64::MIN, null, true],
            "b": {"é\u{7}\"": "hush"},
        });
        let content = Content::from(&value);
        assert_eq!(content.value(), value);
        assert!(!format!("{content:?}").contains("hush"));
    }
}
