//! GET: one object, a list in pages, or a watch.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::Inner;
use super::failure::Failure;
use super::query::Query;
use super::render::{Position, Renderer};
use super::resource::Resource;
use super::route::Target;
use super::store::{Snapshot, Stored};
use super::watch::Filter;

/// The selection of a list, a watch or a collection deletion.
pub(super) fn filter(
    resource: &Resource,
    target: &Target,
    query: &Query,
) -> Result<Filter, Failure> {
    if let Some(field) = query.fields.unsupported(&resource.selectable) {
        // The default conversion's words; kinds with fields of their own have others.
        let plain = resource.selectable.is_empty() && resource.custom.is_none();
        return Err(Failure::bad_request(
            match plain && !resource.group.is_empty() {
                true => format!(
                    "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                ),
                false => format!("field label not supported: {field}"),
            },
        ));
    }
    Ok(Filter {
        namespace: target.namespace.clone(),
        labels: query.labels.clone(),
        fields: query.fields.clone(),
    })
}

/// One object.
pub(super) fn get(
    inner: &Inner,
    resource: &Resource,
    target: &Target,
    name: &str,
) -> Result<Arc<Stored>, Failure> {
    let key = resource.key(target.namespace(), name);
    let found = inner.store.get(&key);
    found.ok_or_else(|| Failure::not_found(resource, name))
}

/// A list, or one page of it.
pub(super) fn list(
    inner: &Inner,
    resource: &Resource,
    target: &Target,
    query: &Query,
    renderer: &Renderer,
) -> Result<Bytes, Failure> {
    let filter = filter(resource, target, query)?;
    let from = query
        .continue_token
        .as_deref()
        .map(Token::parse)
        .transpose()?;
    let snapshot = snapshot(inner, resource, target, query, from.as_ref())?;
    let revision = snapshot.revision;
    let mut objects: Vec<Arc<Stored>> = snapshot
        .objects
        .into_iter()
        .filter(|object| {
            let place = (object.namespace.as_str(), object.name.as_str());
            from.as_ref()
                .is_none_or(|t| place > (t.namespace.as_str(), t.name.as_str()))
        })
        .filter(|object| filter.matches(object))
        .collect();
    let mut position = Position {
        revision,
        continue_token: None,
        remaining: None,
    };
    if let Some(limit) = query.limit
        && objects.len() > limit
    {
        // Not counted for a selection, as kube-apiserver would have to read it all.
        let selects = !(query.labels.is_empty() && query.fields.is_empty());
        position.remaining = (!selects).then(|| objects.len() - limit);
        objects.truncate(limit);
        position.continue_token = objects.last().map(|last| {
            Token {
                revision,
                namespace: last.namespace.clone(),
                name: last.name.clone(),
            }
            .to_text()
        });
    }
    Ok(renderer.list(&objects, &position))
}

/// The state that is listed: today's, or that of an earlier revision. All pages of a list show
/// the state of the first, so that a watch from its revision misses nothing.
fn snapshot(
    inner: &Inner,
    resource: &Resource,
    target: &Target,
    query: &Query,
    from: Option<&Token>,
) -> Result<Snapshot, Failure> {
    let (collection, namespace) = (&resource.collection, target.namespace.as_deref());
    if from.is_some() && query.resource_version.as_deref().is_some_and(|v| v != "0") {
        return Err(Failure::bad_request(
            "specifying resource version is not allowed when using continue",
        ));
    }
    if let Some(token) = from.filter(|token| token.revision > 0) {
        let past = inner.store.list_at(collection, namespace, token.revision);
        // kube-apiserver's way out: go on from the same place in today's state.
        let today = Token {
            revision: 0,
            ..token.clone()
        };
        return past.map_err(|_| Failure::continue_expired(&today.to_text()));
    }
    let wanted = query.resource_version.as_deref().map(version).transpose();
    let wanted =
        wanted.map_err(|why| Failure::bad_request(format!("invalid resource version: {why}")))?;
    let current = inner.store.revision();
    match wanted.filter(|wanted| *wanted > 0) {
        Some(wanted) if wanted > current => Err(Failure::too_new(wanted, current)),
        Some(wanted) if query.version_match.as_deref() == Some("Exact") => {
            let past = inner.store.list_at(collection, namespace, wanted);
            past.map_err(|_| {
                Failure::expired("The resourceVersion for the provided list is too old.")
            })
        }
        _ => Ok(inner.store.list(collection, namespace)),
    }
}

/// Reads a `resourceVersion`.
///
/// # Errors
/// Go's words for what is no number.
pub(super) fn version(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        )
    })
}

/// Where the next page begins: after this object. Revision 0 means today's state.
#[derive(Debug, Clone, PartialEq)]
struct Token {
    revision: u64,
    namespace: String,
    name: String,
}

impl Token {
    fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!(
            "{}\n{}\n{}",
            self.revision, self.namespace, self.name
        ))
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let read = || {
            let raw = URL_SAFE_NO_PAD.decode(text).ok()?;
            let raw = String::from_utf8(raw).ok()?;
            let mut parts = raw.splitn(3, '\n');
            Some(Self {
                revision: parts.next()?.parse().ok()?,
                namespace: parts.next()?.to_owned(),
                name: parts.next()?.to_owned(),
            })
        };
        read().ok_or_else(|| Failure::bad_request("continue key is not valid"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continue_token_comes_back() {
        let token = Token {
            revision: 7,
            namespace: "a".to_owned(),
            name: "b".to_owned(),
        };
        assert_eq!(Token::parse(&token.to_text()).unwrap(), token);
        assert!(Token::parse("%%").is_err());
    }
}
