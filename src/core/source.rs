//! What a Channel and a Subscription say about git, and what they ask for that
//! is not built yet.

use std::collections::BTreeMap;

use kube::core::Selector;

use crate::api::apps::{Channel, Subscription};
use crate::api::{
    ANNOTATION_GIT_BRANCH, ANNOTATION_GIT_DESIRED_COMMIT, ANNOTATION_GIT_PATH, ANNOTATION_GIT_TAG,
    ANNOTATION_GITHUB_BRANCH, ANNOTATION_GITHUB_PATH,
};
use crate::core::manifest::PackageFilter;

/// What is asked of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceReference {
    /// Whatever the remote's HEAD names.
    Head,
    /// A branch, without `refs/heads/`.
    Branch(String),
    /// A tag, without `refs/tags/`.
    Tag(String),
    /// A full commit id.
    Commit(String),
}

impl std::fmt::Display for SourceReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Head => f.write_str("HEAD"),
            Self::Branch(name) => f.write_str(name),
            Self::Tag(name) => write!(f, "tag {name}"),
            Self::Commit(id) => write!(f, "commit {}", id.get(..12).unwrap_or(id)),
        }
    }
}

/// Where a Subscription's content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// URL as the Channel has it; may hold user info, so redact it before showing.
    pub url: String,
    /// What is asked for.
    pub reference: SourceReference,
    /// Directory from the repository root, without slashes at its ends; empty
    /// for the root.
    pub path: String,
    /// Secret of the Channel's own namespace that holds the credential.
    pub secret: Option<String>,
    /// ConfigMap of the Channel's own namespace that holds the CA.
    pub config_map: Option<String>,
    /// Whether the server's certificate goes unverified.
    pub insecure_skip_verify: bool,
}

/// Why a Channel and Subscription name no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Only git is built.
    #[error(
        "channel type {0:?} is not supported, only Git and GitHub are; move the manifests to a git repository"
    )]
    ChannelType(String),
    /// The pathname is empty.
    #[error("the channel has no spec.pathname; set it to the URL of the repository")]
    NoPathname,
    /// The path leaves the repository.
    #[error("git-path {0:?} escapes the repository root; remove the .. from it")]
    PathEscapes(String),
    /// A commit id is not complete.
    #[error("git-desired-commit {0:?} is not a full commit id of 40 or 64 hex digits")]
    Commit(String),
    /// A Secret or ConfigMap of another namespace.
    #[error(
        "{field} names namespace {namespace:?}, but only objects of the channel's own namespace are read; copy it there"
    )]
    ForeignNamespace {
        /// `secretRef` or `configMapRef`.
        field: &'static str,
        /// The other namespace.
        namespace: String,
    },
    /// The package filter's selector is not valid.
    #[error("spec.packageFilter.labelSelector is not valid: {0}")]
    Selector(String),
}

/// Reads where the content comes from (ocm-apps §1.1, §2.2). git-desired-commit
/// wins over git-tag, that over a branch; of the aliases `github-` wins for the
/// path and `git-` for the branch, as in RHACM's agent.
///
/// # Errors
/// With the reason why there is no such source.
pub fn source_spec(
    channel: &Channel,
    subscription: &Subscription,
) -> Result<SourceSpec, SourceError> {
    let spec = &channel.spec;
    if !spec.type_.eq_ignore_ascii_case("git") && !spec.type_.eq_ignore_ascii_case("github") {
        return Err(SourceError::ChannelType(spec.type_.clone()));
    }
    if spec.pathname.trim().is_empty() {
        return Err(SourceError::NoPathname);
    }
    let annotations = Annotations(subscription.metadata.annotations.as_ref());
    let namespace = channel.metadata.namespace.as_deref().unwrap_or_default();
    let own = |field, reference: &Option<k8s_openapi::api::core::v1::ObjectReference>| {
        let Some(reference) = reference else {
            return Ok(None);
        };
        match reference
            .namespace
            .as_deref()
            .filter(|other| !other.is_empty() && *other != namespace)
        {
            Some(other) => Err(SourceError::ForeignNamespace {
                field,
                namespace: other.to_owned(),
            }),
            None => Ok(reference.name.clone().filter(|name| !name.is_empty())),
        }
    };
    Ok(SourceSpec {
        url: spec.pathname.trim().to_owned(),
        reference: reference(annotations)?,
        path: path(annotations)?,
        secret: own("secretRef", &spec.secret_ref)?,
        config_map: own("configMapRef", &spec.config_map_ref)?,
        insecure_skip_verify: spec.insecure_skip_verify.unwrap_or(false),
    })
}

#[derive(Clone, Copy)]
struct Annotations<'a>(Option<&'a BTreeMap<String, String>>);

impl<'a> Annotations<'a> {
    /// The first of `keys` that is set to something.
    fn first(self, keys: &[&str]) -> Option<&'a str> {
        keys.iter()
            .find_map(|key| Some(self.0?.get(*key)?.trim()).filter(|value| !value.is_empty()))
    }
}

fn reference(annotations: Annotations<'_>) -> Result<SourceReference, SourceError> {
    if let Some(commit) = annotations.first(&[ANNOTATION_GIT_DESIRED_COMMIT]) {
        if matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(SourceReference::Commit(commit.to_ascii_lowercase()));
        }
        return Err(SourceError::Commit(commit.chars().take(80).collect()));
    }
    if let Some(tag) = annotations.first(&[ANNOTATION_GIT_TAG]) {
        return Ok(SourceReference::Tag(
            tag.trim_start_matches("refs/tags/").to_owned(),
        ));
    }
    Ok(
        match annotations.first(&[ANNOTATION_GIT_BRANCH, ANNOTATION_GITHUB_BRANCH]) {
            Some(branch) => {
                SourceReference::Branch(branch.trim_start_matches("refs/heads/").to_owned())
            }
            None => SourceReference::Head,
        },
    )
}

fn path(annotations: Annotations<'_>) -> Result<String, SourceError> {
    let path = annotations
        .first(&[ANNOTATION_GITHUB_PATH, ANNOTATION_GIT_PATH])
        .unwrap_or_default();
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(SourceError::PathEscapes(path.chars().take(200).collect())),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Reads `spec.packageFilter`. `spec.name` filters only beside it.
///
/// # Errors
/// When the label selector is not valid.
pub fn package_filter(subscription: &Subscription) -> Result<PackageFilter, SourceError> {
    let Some(filter) = &subscription.spec.package_filter else {
        return Ok(PackageFilter::default());
    };
    let selector = match &filter.label_selector {
        Some(selector) => Some(
            Selector::try_from(selector.clone())
                .map_err(|error| SourceError::Selector(error.to_string()))?,
        ),
        None => None,
    };
    Ok(PackageFilter {
        name: subscription
            .spec
            .name
            .clone()
            .filter(|name| !name.is_empty()),
        selector,
        annotations: filter.annotations.clone().unwrap_or_default(),
    })
}

/// Names the fields and annotations that a Subscription uses and that are not
/// built yet. While there is one, nothing is delivered on a guess.
#[must_use]
pub fn unsupported(subscription: &Subscription) -> Vec<String> {
    let spec = &subscription.spec;
    let filter = spec.package_filter.as_ref();
    let list = |value: &Option<serde_json::Value>| {
        value.as_ref().is_some_and(|value| {
            !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
        })
    };
    let kinds = |value: &Option<Vec<crate::api::apps::KindList>>| {
        value.as_ref().is_some_and(|list| !list.is_empty())
    };
    let local = spec
        .placement
        .as_ref()
        .and_then(|placement| placement.local)
        == Some(true);
    [
        (
            "spec.secondaryChannel",
            spec.secondary_channel
                .as_ref()
                .is_some_and(|channel| !channel.is_empty()),
        ),
        ("spec.packageOverrides", list(&spec.package_overrides)),
        ("spec.overrides", list(&spec.overrides)),
        ("spec.timewindow", list(&spec.timewindow)),
        ("spec.hooksecretref", spec.hooksecretref.is_some()),
        ("spec.allow", kinds(&spec.allow)),
        ("spec.deny", kinds(&spec.deny)),
        ("spec.placement.local", local),
        (
            "spec.packageFilter.version",
            filter
                .and_then(|filter| filter.version.as_ref())
                .is_some_and(|version| !version.is_empty()),
        ),
        (
            "spec.packageFilter.filterRef",
            filter.is_some_and(|filter| list(&filter.filter_ref)),
        ),
        (
            "spec.watchHelmNamespaceScopedResources",
            spec.watch_helm_namespace_scoped_resources == Some(true),
        ),
    ]
    .into_iter()
    .filter(|(_, used)| *used)
    .map(|(field, _)| field.to_owned())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn channel(spec: Value) -> Channel {
        serde_json::from_value(json!({"apiVersion": "apps.open-cluster-management.io/v1", "kind": "Channel", "metadata": {"name": "c", "namespace": "n"}, "spec": spec})).unwrap()
    }

    fn subscription(annotations: Value, spec: Value) -> Subscription {
        serde_json::from_value(json!({"apiVersion": "apps.open-cluster-management.io/v1", "kind": "Subscription", "metadata": {"name": "s", "namespace": "n", "annotations": annotations}, "spec": spec})).unwrap()
    }

    fn git() -> Channel {
        channel(json!({"type": "Git", "pathname": "https://git.example.com/a.git"}))
    }

    fn annotated(pairs: &[(&str, &str)]) -> Subscription {
        let map: BTreeMap<String, &str> = pairs
            .iter()
            .map(|(key, value)| (format!("apps.open-cluster-management.io/{key}"), *value))
            .collect();
        subscription(json!(map), json!({"channel": "n/c"}))
    }

    #[test]
    fn git_and_github_in_any_case_and_nothing_else() {
        for (kind, ok) in [
            ("Git", true),
            ("github", true),
            ("GitHub", true),
            ("HelmRepo", false),
            ("ObjectBucket", false),
            ("Namespace", false),
        ] {
            let spec = source_spec(
                &channel(json!({"type": kind, "pathname": "https://x/y"})),
                &annotated(&[]),
            );
            assert_eq!(spec.is_ok(), ok, "{kind}");
        }
        assert_eq!(
            source_spec(&channel(json!({"type": "Git"})), &annotated(&[])),
            Err(SourceError::NoPathname)
        );
    }

    #[test]
    fn references_have_their_precedence() {
        let commit = "a".repeat(40);
        for (pairs, expected) in [
            (vec![], SourceReference::Head),
            (
                vec![("github-branch", "main")],
                SourceReference::Branch("main".into()),
            ),
            (
                vec![("github-branch", "old"), ("git-branch", "refs/heads/new")],
                SourceReference::Branch("new".into()),
            ),
            (
                vec![("git-branch", "main"), ("git-tag", "v1")],
                SourceReference::Tag("v1".into()),
            ),
            (
                vec![("git-tag", "v1"), ("git-desired-commit", commit.as_str())],
                SourceReference::Commit(commit.clone()),
            ),
        ] {
            assert_eq!(
                source_spec(&git(), &annotated(&pairs)).map(|spec| spec.reference),
                Ok(expected),
                "{pairs:?}"
            );
        }
        assert_eq!(
            source_spec(&git(), &annotated(&[("git-desired-commit", "abc")])),
            Err(SourceError::Commit("abc".into()))
        );
    }

    #[test]
    fn paths_are_cleaned_and_stay_inside() {
        for (pairs, expected) in [
            (vec![], Ok("".to_owned())),
            (vec![("git-path", "/a//./b/")], Ok("a/b".to_owned())),
            (
                vec![("git-path", "a"), ("github-path", "b")],
                Ok("b".to_owned()),
            ),
            (
                vec![("git-path", "a/../../b")],
                Err(SourceError::PathEscapes("a/../../b".into())),
            ),
        ] {
            assert_eq!(
                source_spec(&git(), &annotated(&pairs)).map(|spec| spec.path),
                expected,
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn secrets_come_only_from_the_channels_namespace() {
        let with = |namespace: &str| {
            channel(
                json!({"type": "Git", "pathname": "https://x/y", "secretRef": {"name": "s", "namespace": namespace}}),
            )
        };
        assert_eq!(
            source_spec(&with("n"), &annotated(&[])).map(|spec| spec.secret),
            Ok(Some("s".into()))
        );
        assert!(matches!(
            source_spec(&with("other"), &annotated(&[])),
            Err(SourceError::ForeignNamespace { .. })
        ));
    }

    #[test]
    fn fields_not_built_yet_are_named() {
        for (spec, expected) in [
            (
                json!({"channel": "n/c", "name": "x", "packageFilter": {"annotations": {"a": "b"}}, "overrides": []}),
                vec![],
            ),
            (
                json!({"overrides": [{"clusterName": "/"}], "timewindow": {"windowtype": "active"}}),
                vec!["spec.overrides", "spec.timewindow"],
            ),
            (
                json!({"packageOverrides": [{"packageName": "x"}], "placement": {"local": true}}),
                vec!["spec.packageOverrides", "spec.placement.local"],
            ),
            (
                json!({"secondaryChannel": "n/d", "allow": [{"apiVersion": "v1", "kinds": ["*"]}], "packageFilter": {"version": "1.x"}}),
                vec![
                    "spec.secondaryChannel",
                    "spec.allow",
                    "spec.packageFilter.version",
                ],
            ),
        ] {
            assert_eq!(
                unsupported(&subscription(json!({}), spec.clone())),
                expected,
                "{spec}"
            );
        }
    }

    #[test]
    fn the_name_filters_only_beside_a_package_filter() {
        let alone = package_filter(&subscription(json!({}), json!({"name": "x"}))).unwrap();
        assert_eq!(alone.name, None);
        let both = package_filter(&subscription(
            json!({}),
            json!({"name": "x", "packageFilter": {"labelSelector": {"matchLabels": {"a": "b"}}}}),
        ))
        .unwrap();
        assert_eq!(both.name.as_deref(), Some("x"));
        assert!(both.selector.is_some());
    }
}
