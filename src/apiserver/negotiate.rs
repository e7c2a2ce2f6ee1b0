//! Which form of an answer the client wants, from its Accept header.

use super::failure::Failure;

/// The form of objects in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Whole objects.
    Object,
    /// `meta.k8s.io/v1 Table`, as `kubectl get` asks for.
    Table,
    /// `meta.k8s.io/v1 PartialObjectMetadata`.
    Metadata,
    /// Its list.
    MetadataList,
}

/// The form of a discovery document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discovery {
    Plain,
    /// `apidiscovery.k8s.io/v2` or `/v2beta1`; kubectl up to 1.29 knows only
    /// the latter.
    Aggregated(&'static str),
}

fn parameters(part: &str) -> (String, Vec<(String, String)>) {
    let mut pieces = part.split(';').map(str::trim);
    let media = pieces.next().unwrap_or_default().to_ascii_lowercase();
    let pairs = pieces.filter_map(|p| p.split_once('='));
    let pairs = pairs.map(|(k, v)| (k.trim().to_ascii_lowercase(), v.trim().to_owned()));
    (media, pairs.collect())
}

fn is_json(media: &str) -> bool {
    matches!(media, "application/json" | "application/*" | "*/*")
}

/// The first acceptable form. No header, or an empty one, means whole
/// objects in JSON.
pub(super) fn view(accept: Option<&str>) -> Result<View, Failure> {
    let accept = accept.map(str::trim).filter(|a| !a.is_empty());
    let Some(accept) = accept else {
        return Ok(View::Object);
    };
    for part in accept.split(',') {
        let (media, pairs) = parameters(part);
        if !is_json(&media) {
            continue;
        }
        let find = |name: &str| {
            pairs
                .iter()
                .find(|(k, _)| k == name)
                .map(|(_, v)| v.as_str())
        };
        match (find("as"), find("v"), find("g")) {
            (None, ..) => return Ok(View::Object),
            (Some("Table"), Some("v1"), Some("meta.k8s.io")) => return Ok(View::Table),
            (Some("PartialObjectMetadata"), Some("v1"), Some("meta.k8s.io")) => {
                return Ok(View::Metadata);
            }
            (Some("PartialObjectMetadataList"), Some("v1"), Some("meta.k8s.io")) => {
                return Ok(View::MetadataList);
            }
            _ => {}
        }
    }
    Err(Failure::not_acceptable(
        "only the following media types are accepted: application/json",
    ))
}

/// Whether an OpenAPI document in protobuf comes before one in JSON.
pub(super) fn wants_protobuf(accept: Option<&str>) -> bool {
    let mut parts = accept.unwrap_or_default().split(',').map(str::trim);
    let first = parts.find(|part| {
        part.contains("proto-openapi.spec.v2") || part.starts_with("application/json")
    });
    first.is_some_and(|part| part.contains("proto-openapi"))
}

/// The first acceptable form of `/api` and `/apis`.
pub(super) fn discovery(accept: Option<&str>) -> Discovery {
    for part in accept.unwrap_or_default().split(',') {
        let (media, pairs) = parameters(part);
        if !is_json(&media) {
            continue;
        }
        let find = |name: &str| {
            pairs
                .iter()
                .find(|(k, _)| k == name)
                .map(|(_, v)| v.as_str())
        };
        match (find("as"), find("v")) {
            (None, _) => return Discovery::Plain,
            (Some("APIGroupDiscoveryList"), Some("v2")) => return Discovery::Aggregated("v2"),
            (Some("APIGroupDiscoveryList"), Some("v2beta1")) => {
                return Discovery::Aggregated("v2beta1");
            }
            _ => {}
        }
    }
    Discovery::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_we_speak_wins() {
        let cases = [
            (None, View::Object),
            (Some(""), View::Object),
            (Some("*/*"), View::Object),
            (
                Some(
                    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                ),
                View::Table,
            ),
            (
                Some("application/vnd.kubernetes.protobuf,application/json"),
                View::Object,
            ),
            (
                Some("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
                View::MetadataList,
            ),
        ];
        for (accept, wanted) in cases {
            assert_eq!(view(accept).unwrap(), wanted, "{accept:?}");
        }
        assert_eq!(view(Some("text/html")).unwrap_err().code, 406);
    }

    #[test]
    fn old_clients_get_the_old_discovery() {
        let new = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        let old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(discovery(Some(new)), Discovery::Aggregated("v2"));
        assert_eq!(discovery(Some(old)), Discovery::Aggregated("v2beta1"));
        assert_eq!(discovery(None), Discovery::Plain);
    }
}
