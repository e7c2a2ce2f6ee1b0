//! Which kinds a member serves, and under which path.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Mutex;

use super::calls::{CallError, Calls};
use crate::core::object::ObjectId;

/// A kind as a member serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// `apiVersion`.
    pub(super) api_version: String,
    /// Kind.
    pub(super) kind: String,
    /// Plural name in paths.
    pub(super) plural: String,
    /// Whether objects live in namespaces.
    pub(super) namespaced: bool,
}

impl Resource {
    /// Path of the collection, over all namespaces when `namespace` is `None`.
    pub(super) fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        match namespace {
            Some(namespace) if self.namespaced => {
                format!(
                    "{root}/{}/namespaces/{namespace}/{}",
                    self.api_version, self.plural
                )
            }
            _ => format!("{root}/{}/{}", self.api_version, self.plural),
        }
    }

    /// Path of one object.
    pub(super) fn path(&self, id: &ObjectId) -> String {
        format!(
            "{}/{}",
            self.collection(id.namespace.as_deref()),
            escape(&id.name)
        )
    }
}

/// Names of RBAC objects may hold what a path may not (`system:a b%`).
fn escape(name: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The kinds of one member, asked for as they are needed. Only what is served
/// is remembered: what is not may be served the next moment.
#[derive(Clone)]
pub(super) struct Discovery {
    calls: Calls,
    known: Arc<Mutex<BTreeMap<String, Arc<Vec<Resource>>>>>,
}

impl Discovery {
    pub(super) fn new(calls: Calls) -> Self {
        Self {
            calls,
            known: Arc::default(),
        }
    }

    /// The kind under its very version; `None` when it is not served.
    pub(super) async fn find(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Resource>, CallError> {
        // One question at a time: a hundred objects of a kind ask once.
        let mut known = self.known.lock().await;
        let pick =
            |list: &Vec<Resource>| list.iter().find(|resource| resource.kind == kind).cloned();
        if let Some(found) = known.get(api_version).and_then(|list| pick(list)) {
            return Ok(Some(found));
        }
        let list = Arc::new(self.list(api_version).await?);
        let found = pick(&list);
        known.insert(api_version.to_owned(), list);
        Ok(found)
    }

    /// The kind under any version that is served: for deleting what was
    /// written under a version that is gone.
    pub(super) async fn find_any(
        &self,
        api_version: &str,
        id: &ObjectId,
    ) -> Result<Option<Resource>, CallError> {
        if let Some(found) = self.find(api_version, &id.kind).await? {
            return Ok(Some(found));
        }
        if id.group.is_empty() {
            return Ok(None);
        }
        let group: Value = match self.calls.get(&format!("/apis/{}", id.group)).await {
            Ok(group) => group,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let versions = group.get("versions").and_then(Value::as_array);
        for version in versions
            .into_iter()
            .flatten()
            .filter_map(|version| version.get("groupVersion")?.as_str())
        {
            if let Some(found) = self.find(version, &id.kind).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Asks again next time: the server said that it does not know a path.
    pub(super) async fn forget(&self, api_version: &str) {
        self.known.lock().await.remove(api_version);
    }

    async fn list(&self, api_version: &str) -> Result<Vec<Resource>, CallError> {
        let root = if api_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        let list: Value = match self.calls.get(&format!("{root}/{api_version}")).await {
            Ok(list) => list,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let text = |resource: &Value, field: &str| Some(resource.get(field)?.as_str()?.to_owned());
        let resource = |entry: &Value| {
            let plural = text(entry, "name").filter(|name| !name.contains('/'))?;
            Some(Resource {
                api_version: api_version.to_owned(),
                kind: text(entry, "kind")?,
                plural,
                namespaced: entry.get("namespaced")?.as_bool()?,
            })
        };
        Ok(list
            .get("resources")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(resource)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_kubernetes() {
        let resource = |api_version: &str, plural: &str, namespaced| Resource {
            api_version: api_version.into(),
            kind: "X".into(),
            plural: plural.into(),
            namespaced,
        };
        let id = |namespace: Option<&str>, name: &str| ObjectId {
            group: String::new(),
            kind: "X".into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
        };
        for (resource, id, path) in [
            (
                resource("v1", "configmaps", true),
                id(Some("n"), "a"),
                "/api/v1/namespaces/n/configmaps/a",
            ),
            (
                resource("apps/v1", "deployments", true),
                id(Some("n"), "a"),
                "/apis/apps/v1/namespaces/n/deployments/a",
            ),
            (
                resource("e.com/v1", "widgets", false),
                id(Some("n"), "a"),
                "/apis/e.com/v1/widgets/a",
            ),
            (
                resource("rbac.authorization.k8s.io/v1", "clusterroles", false),
                id(None, "system:a/b"),
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2Fb",
            ),
        ] {
            assert_eq!(resource.path(&id), path);
        }
    }
}
