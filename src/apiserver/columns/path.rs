//! kubectl's JSONPath dialect on a standard engine: paths begin with a dot,
//! and dots within a name are escaped with a backslash.

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// A path that was read once and is used for every row.
#[derive(Debug)]
pub(super) struct Path(JpQuery);

impl Path {
    /// `None` when the path cannot be read.
    pub(super) fn parse(path: &str) -> Option<Self> {
        parse_json_path(&standard(path)).ok().map(Self)
    }

    /// The first value found.
    pub(super) fn first(&self, object: &Value) -> Option<Value> {
        let found = js_path_process(&self.0, object).ok()?;
        found.into_iter().next().map(|hit| hit.val().clone())
    }
}

/// `.metadata.labels.a\.b/c[0]` to `$['metadata']['labels']['a.b/c'][0]`.
fn standard(path: &str) -> String {
    let path = path.trim().trim_start_matches('{').trim_end_matches('}');
    let mut out = String::from("$");
    let mut chars = path.trim_start_matches('$').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '.' if chars.peek() == Some(&'.') => out.push('.'),
            '.' if chars.peek() == Some(&'[') => {}
            '[' => {
                out.push('[');
                let (mut quote, mut depth) = (None, 1usize);
                for c in chars.by_ref() {
                    out.push(c);
                    match (quote, c) {
                        (None, '\'' | '"') => quote = Some(c),
                        (Some(open), c) if open == c => quote = None,
                        (None, '[') => depth += 1,
                        (None, ']') => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                let mut name = String::new();
                if c != '.' {
                    name.push(c);
                }
                while let Some(c) = chars.next_if(|c| !matches!(c, '.' | '[')) {
                    match c {
                        '\\' => name.extend(chars.next()),
                        c => name.push(c),
                    }
                }
                // A second dot of a descent stands before its name.
                if out.ends_with('.') {
                    out.push('.');
                }
                match name.as_str() {
                    "" => {}
                    "*" => out.push_str("[*]"),
                    _ => {
                        let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
                        out.push_str(&format!("['{quoted}']"));
                    }
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_of_real_definitions_find_their_values() {
        let object = json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "x"}},
            "spec": {"list": [{"a": 1}, {"a": 2}]},
            "status": {"conditions": [
                {"type": "Synced", "status": "False"},
                {"type": "Ready", "status": "True"},
            ]},
        });
        let cases = [
            (".spec.list[0].a", Some(json!(1))),
            (".spec.list[-1:].a", Some(json!(2))),
            (".spec.list[*].a", Some(json!(1))),
            (
                ".metadata.labels.app\\.kubernetes\\.io/name",
                Some(json!("x")),
            ),
            (
                ".metadata.labels['app.kubernetes.io/name']",
                Some(json!("x")),
            ),
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                Some(json!("True")),
            ),
            (".status.conditions[?(@.type=='Gone')].status", None),
            (".spec.nothing", None),
            ("..type", Some(json!("Synced"))),
            ("{.spec.list[1].a}", Some(json!(2))),
        ];
        for (path, wanted) in cases {
            let parsed = Path::parse(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(parsed.first(&object), wanted, "{path}");
        }
    }

    #[test]
    fn unreadable_paths_are_no_panic() {
        for path in ["", ".", "[", ".a[", "\\", "..", ".a[?("] {
            let _ = Path::parse(path);
        }
    }
}
