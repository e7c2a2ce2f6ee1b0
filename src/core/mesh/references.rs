//! Names of exported services in manifests: the dependency graph of
//! applications across clusters.

use serde_json::Value;

use crate::api::NamespacedName;
use crate::core::fleet::ServiceReference;

/// What every such name ends with.
const ZONE: &str = ".svc.clusterset.local";
/// Strings longer than this are data, not configuration.
const STRING_LIMIT: usize = 256 * 1024;

/// Finds every `[CLUSTER.]SVC.NS.svc.clusterset.local` in the strings of a
/// manifest (values only), each with where it stands. Sorted, each once.
#[must_use]
pub fn references(manifest: &Value) -> Vec<ServiceReference> {
    let text = |pointer: &str| {
        manifest
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("?")
    };
    let object = format!("{} {}", text("/kind"), text("/metadata/name"));
    let mut found = Vec::new();
    walk(manifest, &object, &mut Vec::new(), &mut found);
    found.sort();
    found.dedup();
    found
}

/// A step on the way to a string.
#[derive(Clone)]
enum Step<'a> {
    Key(&'a str),
    /// An element of a list, with its `name` when it has one.
    Item(usize, Option<&'a str>),
}

fn walk<'a>(
    value: &'a Value,
    object: &str,
    path: &mut Vec<Step<'a>>,
    found: &mut Vec<ServiceReference>,
) {
    match value {
        Value::String(text) if text.len() <= STRING_LIMIT && text.contains(ZONE) => {
            let place = place(path);
            found.extend(names(text).map(|(service, cluster)| ServiceReference {
                service,
                cluster,
                from: format!("{object}, {place}"),
            }));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Item(index, item.get("name").and_then(Value::as_str)));
                walk(item, object, path, found);
                path.pop();
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                path.push(Step::Key(key));
                walk(item, object, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Where a string stands, in the words of its readers: `env NAME`, `data
/// KEY`, `annotation KEY`, else the path.
fn place(path: &[Step<'_>]) -> String {
    match path {
        [
            ..,
            Step::Key("env"),
            Step::Item(_, Some(name)),
            Step::Key("value"),
        ] => format!("env {name}"),
        [.., Step::Key("args" | "command"), Step::Item(..)] => "command line".to_owned(),
        [Step::Key("data" | "stringData"), Step::Key(key)] => format!("data {key}"),
        [.., Step::Key("annotations"), Step::Key(key)] => format!("annotation {key}"),
        _ => path
            .iter()
            .map(|step| match step {
                Step::Key(key) => (*key).to_owned(),
                Step::Item(_, Some(name)) => (*name).to_owned(),
                Step::Item(index, None) => index.to_string(),
            })
            .collect::<Vec<_>>()
            .join("."),
    }
}

/// Every name in a text. A per-pod name (`HOST.CLUSTER.SVC.NS`) and an SRV
/// name (`_port._tcp.SVC.NS`) count as references to their service.
fn names(text: &str) -> impl Iterator<Item = (NamespacedName, Option<String>)> {
    text.match_indices(ZONE).filter_map(|(end, _)| {
        let after = text[end + ZONE.len()..].chars().next();
        if after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return None;
        }
        let head = &text[..end];
        let start = head
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')))
            .map_or(0, |index| {
                index + head[index..].chars().next().map_or(1, char::len_utf8)
            });
        let mut labels = head[start..].rsplit('.');
        let namespace = label(labels.next()?)?;
        let service = label(labels.next()?)?;
        let cluster = labels.next().and_then(label);
        Some((NamespacedName::new(namespace, service), cluster))
    })
}

/// An RFC 1123 label in lower case; DNS names are read without regard to case.
fn label(text: &str) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= 63
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    fits.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn in_text(text: &str) -> Vec<String> {
        names(text)
            .map(|(service, cluster)| {
                format!(
                    "{}{service}",
                    cluster.map(|c| format!("{c}:")).unwrap_or_default()
                )
            })
            .collect()
    }

    #[test]
    fn names_are_found_in_any_text() {
        for (text, expected) in [
            (
                "redis-master.guestbook.svc.clusterset.local",
                vec!["guestbook/redis-master"],
            ),
            (
                "http://aws-sub1.nginx.default.svc.clusterset.local:8080/x",
                vec!["aws-sub1:default/nginx"],
            ),
            (
                "a.b.svc.clusterset.local,c.d.svc.clusterset.local.",
                vec!["b/a", "d/c"],
            ),
            ("_http._tcp.web.shop.svc.clusterset.local", vec!["shop/web"]),
            (
                "pod-0.east.db.shop.svc.clusterset.local",
                vec!["east:shop/db"],
            ),
            ("König.é.a.b.svc.clusterset.local", vec!["b/a"]),
            ("x.svc.clusterset.local", vec![]),
            ("a.b.svc.clusterset.localhost", vec![]),
            (".svc.clusterset.local", vec![]),
            ("a.b.svc.cluster.local", vec![]),
        ] {
            assert_eq!(in_text(text), expected, "{text}");
        }
    }

    #[test]
    fn the_place_is_said_in_the_readers_words() {
        let manifest = json!({
            "kind": "Deployment", "metadata": {"name": "frontend"},
            "spec": {"template": {"spec": {"containers": [{"name": "php", "args": ["--db", "x.y.svc.clusterset.local"], "env": [
                {"name": "REDIS_MASTER_SERVICE_HOST", "value": "redis-master.guestbook.svc.clusterset.local"},
            ]}]}}}
        });
        let found: Vec<String> = references(&manifest)
            .into_iter()
            .map(|found| found.from)
            .collect();
        assert_eq!(
            found,
            [
                "Deployment frontend, env REDIS_MASTER_SERVICE_HOST",
                "Deployment frontend, command line"
            ]
        );
        let config = json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"app.ini": "host = a.b.svc.clusterset.local\n"}});
        assert_eq!(references(&config)[0].from, "ConfigMap c, data app.ini");
    }
}
