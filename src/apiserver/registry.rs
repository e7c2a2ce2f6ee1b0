//! Which resources are served at this moment: the built-in table plus what
//! the stored CustomResourceDefinitions define. Readers take a snapshot; a
//! change of a definition publishes a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::crd;
use super::openapi;
use super::resource::{self, Resource};
use super::store::Store;

/// A snapshot of everything that is served.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// In discovery order.
    resources: Vec<Arc<Resource>>,
    index: BTreeMap<(String, String, String), Arc<Resource>>,
    /// Per definition name: its revision and resources, to be taken over
    /// when it did not change.
    definitions: BTreeMap<String, (u64, Vec<Arc<Resource>>)>,
    /// Written when somebody asks: most never do, and it is large.
    openapi_v2: OnceLock<[Bytes; 2]>,
}

impl Registry {
    fn build(store: &Store, old: &Self) -> Self {
        let builtin: Vec<Arc<Resource>> = match old.resources.is_empty() {
            true => resource::builtin().into_iter().map(Arc::new).collect(),
            false => {
                let rows = old.resources.iter().filter(|r| r.custom.is_none());
                rows.cloned().collect()
            }
        };
        let mut registry = Self::default();
        for resource in builtin {
            registry.add(resource);
        }
        for object in store.list(&crd::collection(), None).objects {
            let resources = match old.definitions.get(&object.name) {
                Some((revision, resources)) if *revision == object.revision => resources.clone(),
                _ => crd::resources(&object),
            };
            for resource in &resources {
                registry.add(Arc::clone(resource));
            }
            let entry = (object.revision, resources);
            registry.definitions.insert(object.name.clone(), entry);
        }
        registry
    }

    fn add(&mut self, resource: Arc<Resource>) {
        let place = (
            resource.group.clone(),
            resource.version.clone(),
            resource.plural.clone(),
        );
        self.index.insert(place, Arc::clone(&resource));
        self.resources.push(resource);
    }

    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let place = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.index.get(&place).cloned()
    }

    /// Groups in discovery order with their versions, the preferred first.
    pub(super) fn groups(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for resource in &self.resources {
            let at = groups
                .iter()
                .position(|(group, _)| *group == resource.group);
            let versions = match at {
                Some(at) => &mut groups[at].1,
                None => {
                    groups.push((&resource.group, Vec::new()));
                    match groups.last_mut() {
                        Some((_, versions)) => versions,
                        None => continue,
                    }
                }
            };
            if !versions.contains(&resource.version.as_str()) {
                versions.push(&resource.version);
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        }
        groups
    }

    /// The OpenAPI v2 document of everything that is served, in JSON and in
    /// protobuf.
    pub(super) fn openapi_v2(&self) -> &[Bytes; 2] {
        self.openapi_v2.get_or_init(|| {
            let document = openapi::v2(self);
            let protobuf = openapi::v2_to_protobuf(&document);
            [document.to_string().into(), protobuf.into()]
        })
    }

    /// Resources of one group and version, in discovery order.
    pub(super) fn of_version(&self, group: &str, version: &str) -> Vec<&Arc<Resource>> {
        let fits = |r: &&Arc<Resource>| r.group == group && r.version == version;
        self.resources.iter().filter(fits).collect()
    }
}

/// Kubernetes' version order: GA before beta before alpha, higher first.
fn priority(version: &str) -> (u8, u32, u32) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        let (major, stage) = rest.split_at(end.unwrap_or(rest.len()));
        let major = major.parse().ok()?;
        for (word, rank) in [("alpha", 1), ("beta", 2)] {
            if let Some(minor) = stage.strip_prefix(word) {
                return Some((rank, major, minor.parse().ok()?));
            }
        }
        stage.is_empty().then_some((3, major, 0))
    };
    parse().unwrap_or((0, 0, 0))
}

/// The registry that is served now.
pub(super) struct Served(ArcSwap<Registry>);

impl Served {
    pub(super) fn new(store: &Store) -> Self {
        let registry = Registry::build(store, &Registry::default());
        Self(ArcSwap::from_pointee(registry))
    }

    pub(super) fn now(&self) -> Arc<Registry> {
        self.0.load_full()
    }

    /// Reads the definitions again. Two callers at once both end with the
    /// newest state, because each reads the store after its own write.
    pub(super) fn refresh(&self, store: &Store) {
        self.0.rcu(|old| Arc::new(Registry::build(store, old)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let mut versions = ["v1alpha1", "v2", "v1beta2", "v1", "v1beta1", "odd"];
        versions.sort_by_key(|v| std::cmp::Reverse(priority(v)));
        assert_eq!(
            versions,
            ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "odd"]
        );
    }

    #[test]
    fn built_in_resources_are_found() {
        let store = Store::open(None, 1).unwrap();
        let served = Served::new(&store).now();
        let found = served.find("apps", "v1", "deployments").unwrap();
        assert_eq!(found.kind, "Deployment");
        assert!(served.find("apps", "v2", "deployments").is_none());
        assert_eq!(served.groups()[0], ("", vec!["v1"]));
    }
}
