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
use super::store::Stored;
use super::watch::Filter;

/// The selection of a list, a watch or a collection deletion.
pub(super) fn filter(
    resource: &Resource,
    target: &Target,
    query: &Query,
) -> Result<Filter, Failure> {
    if let Some(field) = query.fields.unsupported(&resource.selectable) {
        return Err(Failure::bad_request(format!(
            "field label not supported: {field}"
        )));
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
    let snapshot = inner
        .store
        .list(&resource.collection, target.namespace.as_deref());
    // Later pages keep the first page's revision, so that a watch from it
    // sees every change made while paging.
    let wanted = query.resource_version.as_deref();
    let wanted: Option<u64> = wanted.and_then(|v| v.parse().ok());
    if let Some(wanted) = wanted.filter(|wanted| *wanted > snapshot.revision) {
        return Err(Failure::too_new(wanted, snapshot.revision));
    }
    let revision = from
        .as_ref()
        .map_or(snapshot.revision, |token| token.revision);
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
        position.remaining = Some(objects.len() - limit);
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

/// Where the next page begins: after this object.
#[derive(Debug, PartialEq)]
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
