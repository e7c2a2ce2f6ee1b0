//! The path of a request, taken apart.

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz` and what is below them.
    Health,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`
    GroupVersion(String, String),
    /// `/openapi/v2`
    OpenApiV2,
    /// `/openapi/v3`
    OpenApiV3,
    /// `/openapi/v3/api/v1` or `/openapi/v3/apis/GROUP/VERSION`
    OpenApiV3Document(String, String),
    /// A collection, an object or a subresource.
    Resource(Target),
    /// Nothing that is served.
    Unknown,
}

/// A path into a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    pub(super) plural: String,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    /// The old form of a watch: `watch` before the resource.
    pub(super) watches: bool,
}

impl Target {
    /// The namespace, empty when the path has none.
    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

/// Reads a path; percent escapes within a segment are resolved.
pub(super) fn parse(path: &str) -> Route {
    // kube-apiserver takes a path apart after resolving its escapes.
    let path = unescape(path);
    if path.contains("//") && (path.starts_with("/api/") || path.starts_with("/apis/")) {
        // An empty segment names a resource that there is not.
        return Route::Resource(Target {
            version: "v1".to_owned(),
            ..Target::default()
        });
    }
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    match segments.as_slice() {
        ["version"] => Route::Version,
        ["healthz" | "livez" | "readyz", ..] => Route::Health,
        ["openapi", "v2"] => Route::OpenApiV2,
        ["openapi", "v3"] => Route::OpenApiV3,
        ["openapi", "v3", "api", version] => {
            Route::OpenApiV3Document(String::new(), (*version).to_owned())
        }
        ["openapi", "v3", "apis", group, version] => {
            Route::OpenApiV3Document((*group).to_owned(), (*version).to_owned())
        }
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["apis", group] => Route::Group((*group).to_owned()),
        ["api", version] => Route::GroupVersion(String::new(), (*version).to_owned()),
        ["apis", group, version] => Route::GroupVersion((*group).to_owned(), (*version).to_owned()),
        ["api", version, rest @ ..] => resource("", version, rest),
        ["apis", group, version, rest @ ..] => resource(group, version, rest),
        _ => Route::Unknown,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let mut target = Target {
        group: group.to_owned(),
        version: version.to_owned(),
        ..Target::default()
    };
    let rest = match rest {
        ["watch", watched @ ..] if !watched.is_empty() => {
            target.watches = true;
            watched
        }
        rest => rest,
    };
    let object = match rest {
        // The namespace itself, its status and finalize.
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => rest,
        ["namespaces", namespace, object @ ..] => {
            target.namespace = Some((*namespace).to_owned());
            object
        }
        object => object,
    };
    let (plural, name, subresource) = match object {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some(*name), None),
        [plural, name, subresource] => (*plural, Some(*name), Some(*subresource)),
        _ => return Route::Unknown,
    };
    target.plural = plural.to_owned();
    target.name = name.map(str::to_owned);
    target.subresource = subresource.map(str::to_owned);
    Route::Resource(target)
}

fn unescape(segment: &str) -> String {
    if !segment.contains('%') {
        return segment.to_owned();
    }
    let hex = |byte: u8| (byte as char).to_digit(16);
    let raw = segment.as_bytes();
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let pair = (
            raw.get(at + 1).copied().and_then(hex),
            raw.get(at + 2).copied().and_then(hex),
        );
        if raw[at] == b'%'
            && let (Some(high), Some(low)) = pair
            && let Ok(byte) = u8::try_from(high * 16 + low)
        {
            out.push(byte);
            at += 3;
        } else {
            out.push(raw[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Target {
        match parse(path) {
            Route::Resource(target) => target,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn resource_paths_are_taken_apart() {
        let cases = [
            (
                "/api/v1/namespaces",
                "",
                "v1",
                None,
                "namespaces",
                None,
                None,
            ),
            (
                "/api/v1/namespaces/a",
                "",
                "v1",
                None,
                "namespaces",
                Some("a"),
                None,
            ),
            (
                "/api/v1/namespaces/a/status",
                "",
                "v1",
                None,
                "namespaces",
                Some("a"),
                Some("status"),
            ),
            (
                "/api/v1/namespaces/a/pods",
                "",
                "v1",
                Some("a"),
                "pods",
                None,
                None,
            ),
            ("/api/v1/pods", "", "v1", None, "pods", None, None),
            (
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "apps",
                "v1",
                Some("a"),
                "deployments",
                Some("d"),
                Some("scale"),
            ),
            (
                "/apis/g.io/v1/things/system%3Ax",
                "g.io",
                "v1",
                None,
                "things",
                Some("system:x"),
                None,
            ),
        ];
        for (path, group, version, namespace, plural, name, sub) in cases {
            let got = target(path);
            assert_eq!(got.group, group, "{path}");
            assert_eq!(got.version, version, "{path}");
            assert_eq!(got.namespace.as_deref(), namespace, "{path}");
            assert_eq!(got.plural, plural, "{path}");
            assert_eq!(got.name.as_deref(), name, "{path}");
            assert_eq!(got.subresource.as_deref(), sub, "{path}");
        }
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(unescape("a%zz%4"), "a%zz%4");
        assert_eq!(unescape("%41%"), "A%");
    }
}
