//! Discovery in its three forms: aggregated v2 and v2beta1, and the plain
//! documents that older clients and kube-rs walk through.

use serde_json::{Value, json};

use super::negotiate::Discovery;
use super::registry::Registry;
use super::resource::Resource;
use super::reviews::REVIEWS;

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const SUB_VERBS: [&str; 3] = ["get", "patch", "update"];

/// `/api`
pub(super) fn core_versions(registry: &Registry, form: Discovery) -> Value {
    match form {
        Discovery::Plain => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        Discovery::Aggregated(version) => aggregated(registry, version, true),
    }
}

/// `/apis`
pub(super) fn groups(registry: &Registry, form: Discovery) -> Value {
    match form {
        Discovery::Plain => {
            let groups: Vec<Value> = all_groups(registry)
                .iter()
                .filter(|(group, _)| !group.is_empty())
                .map(|(group, versions)| group_entry(group, versions))
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        Discovery::Aggregated(version) => aggregated(registry, version, false),
    }
}

/// Groups of stored resources and of reviews.
fn all_groups(registry: &Registry) -> Vec<(&str, Vec<&str>)> {
    let mut groups = registry.groups();
    for (group, ..) in REVIEWS {
        if !groups.iter().any(|(known, _)| known == group) {
            groups.push((group, vec!["v1"]));
        }
    }
    groups
}

fn group_entry(group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|v| json!({"groupVersion": format!("{group}/{v}"), "version": v}))
        .collect();
    json!({
        "name": group, "versions": versions,
        "preferredVersion": versions.first().cloned().unwrap_or(Value::Null),
    })
}

/// `/apis/GROUP`
pub(super) fn group(registry: &Registry, group: &str) -> Option<Value> {
    let groups = all_groups(registry);
    let (_, versions) = groups.iter().find(|(g, _)| *g == group && !g.is_empty())?;
    let mut entry = group_entry(group, versions);
    entry["kind"] = json!("APIGroup");
    entry["apiVersion"] = json!("v1");
    Some(entry)
}

fn reviews_of(
    group: &str,
    version: &str,
) -> Vec<&'static (&'static str, &'static str, &'static str, bool)> {
    let fits = |row: &&(&str, &str, &str, bool)| row.0 == group && version == "v1";
    REVIEWS.iter().filter(fits).collect()
}

/// `/api/v1` or `/apis/GROUP/VERSION`
pub(super) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let served = registry.of_version(group, version);
    let reviews = reviews_of(group, version);
    if served.is_empty() && reviews.is_empty() {
        return None;
    }
    let mut list: Vec<Value> = served.iter().flat_map(|r| plain_entries(r)).collect();
    list.extend(reviews.iter().map(|(_, kind, plural, namespaced)| {
        json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced,
            "kind": kind, "verbs": ["create"],
        })
    }));
    let mut document = json!({
        "kind": "APIResourceList",
        "groupVersion": super::resource::api_version(group, version),
        "resources": list,
    });
    // The core group's document is of no version itself.
    if !group.is_empty() {
        document["apiVersion"] = json!("v1");
    }
    Some(document)
}

fn subresources(resource: &Resource) -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let own = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let mut list = Vec::new();
    if resource.status {
        list.push(("status", own.clone(), SUB_VERBS.to_vec()));
    }
    if resource.scale.is_some() {
        let kind = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        list.push(("scale", kind, SUB_VERBS.to_vec()));
    }
    if resource.is("", "namespaces") {
        list.push(("finalize", own, vec!["update"]));
    }
    if resource.is("", "serviceaccounts") {
        let kind =
            json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"});
        list.push(("token", kind, vec!["create"]));
    }
    list
}

fn verbs(resource: &Resource) -> Vec<&'static str> {
    let no_collection = resource.is("", "namespaces") || resource.is("", "services");
    let fits = |verb: &&str| !no_collection || *verb != "deletecollection";
    VERBS.into_iter().filter(fits).collect()
}

fn plain_entries(resource: &Resource) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural, "singularName": resource.singular,
        "namespaced": resource.namespaced, "kind": resource.kind,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let mut list = vec![entry];
    for (name, kind, verbs) in subresources(resource) {
        let mut sub = json!({
            "name": format!("{}/{name}", resource.plural), "singularName": "",
            "namespaced": resource.namespaced, "kind": kind["kind"], "verbs": verbs,
        });
        if kind["group"] != resource.group.as_str() {
            sub["group"] = kind["group"].clone();
            sub["version"] = kind["version"].clone();
        }
        list.push(sub);
    }
    list
}

fn aggregated(registry: &Registry, discovery: &str, core: bool) -> Value {
    let items: Vec<Value> = all_groups(registry)
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .into_iter()
                .map(|version| aggregated_version(registry, group, version))
                .collect();
            let metadata = match core {
                true => json!({"creationTimestamp": null}),
                false => json!({"name": group, "creationTimestamp": null}),
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{discovery}"),
        "metadata": {}, "items": items,
    })
}

fn scope(namespaced: bool) -> &'static str {
    match namespaced {
        true => "Namespaced",
        false => "Cluster",
    }
}

fn aggregated_version(registry: &Registry, group: &str, version: &str) -> Value {
    let served = registry.of_version(group, version);
    let mut list: Vec<Value> = served.iter().map(|r| aggregated_entry(r)).collect();
    for (_, kind, plural, namespaced) in reviews_of(group, version) {
        list.push(json!({
            "resource": plural, "scope": scope(*namespaced),
            "responseKind": {"group": group, "version": version, "kind": kind},
            "singularResource": kind.to_lowercase(), "verbs": ["create"],
        }));
    }
    json!({"version": version, "freshness": "Current", "resources": list})
}

fn aggregated_entry(resource: &Resource) -> Value {
    let mut entry = json!({
        "resource": resource.plural, "scope": scope(resource.namespaced),
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "singularResource": resource.singular, "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subs: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|(name, kind, verbs)| {
            json!({"subresource": name, "responseKind": kind, "verbs": verbs})
        })
        .collect();
    if !subs.is_empty() {
        entry["subresources"] = json!(subs);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::super::registry::Served;
    use super::super::store::Store;
    use super::*;

    fn registry() -> std::sync::Arc<Registry> {
        Served::new(&Store::open(None, 1).unwrap()).now()
    }

    #[test]
    fn the_plain_and_the_aggregated_form_name_the_same_resources() {
        let registry = registry();
        let tree = groups(&registry, Discovery::Aggregated("v2"));
        for group in tree["items"].as_array().unwrap() {
            let name = group["metadata"]["name"].as_str().unwrap();
            for version in group["versions"].as_array().unwrap() {
                let plain = resources(&registry, name, version["version"].as_str().unwrap());
                let plain = plain.unwrap();
                let plain = plain["resources"].as_array().unwrap().iter();
                let plain = plain.map(|r| r["name"].as_str().unwrap());
                let plain: Vec<&str> = plain.filter(|n| !n.contains('/')).collect();
                let tree = version["resources"].as_array().unwrap().iter();
                let tree: Vec<&str> = tree.map(|r| r["resource"].as_str().unwrap()).collect();
                assert_eq!(plain, tree);
            }
        }
    }

    #[test]
    fn the_answer_names_the_version_that_was_asked_for() {
        let tree = core_versions(&registry(), Discovery::Aggregated("v2beta1"));
        assert_eq!(tree["apiVersion"], "apidiscovery.k8s.io/v2beta1");
        let get_all = tree.to_string();
        assert!(get_all.contains("\"categories\":[\"all\"]"));
    }
}
