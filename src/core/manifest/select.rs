//! Which files below a Subscription's path are manifests (ocm-apps §2.7).

use std::collections::BTreeSet;

use super::Problem;
use super::ignore::Ignore;

/// What an entry of the tree is, as far as selection cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file, or a symbolic link to a file of the same repository.
    File,
    /// A symbolic link to a directory: a walk does not follow it.
    DirectoryLink,
    /// A symbolic link that leads nowhere or out of the repository.
    BrokenLink,
    /// A submodule, whose content is not here.
    Submodule,
}

/// A file that is left alone, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Path from the repository root.
    pub path: String,
    /// Why, in a few words.
    pub reason: String,
}

/// The files to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Paths from the repository root, in the order of a walk.
    pub files: Vec<String>,
    /// What stands in the way of delivering anything from here.
    pub refusals: Vec<Problem>,
    /// Files that one could take for manifests and that are left alone.
    pub skipped: Vec<Skipped>,
}

/// Chooses the manifests among `entries` (paths from the repository root, with
/// `root`, the Subscription's path, as their prefix). `ignore` is the content of
/// `.kubernetesignore` at `root`.
///
/// Directories that hold a kustomization or a chart are refused, never read as
/// plain manifests: patches and bases would be applied as objects.
#[must_use]
pub fn select<'a>(
    root: &str,
    entries: impl IntoIterator<Item = (&'a str, EntryKind)>,
    ignore: Option<&[u8]>,
) -> Selection {
    let root = root.trim_matches('/');
    let ignore = Ignore::parse(ignore.unwrap_or_default());
    let mut selection = Selection::default();
    let mut refused = BTreeSet::new();
    for (path, kind) in entries {
        let Some(below) = below(root, path) else {
            continue;
        };
        // RHACM skips by string prefix: `.github/` and `.gitlab-ci.yml` too.
        if below.starts_with(".git") {
            continue;
        }
        let manifest = is_yaml(path);
        if ignore.matches(path) {
            if manifest {
                selection.skip(path, "listed in .kubernetesignore");
            }
            continue;
        }
        if let Some(tool) = build_tool(path) {
            let directory = path
                .rsplit_once('/')
                .map_or(".", |(directory, _)| directory);
            if refused.insert(directory.to_owned()) {
                selection.refuse(path, format!(
                    "directory {directory} holds {tool}, which is not supported; render it into plain YAML, point git-path elsewhere, or list it in .kubernetesignore"
                ));
            }
            continue;
        }
        selection.add(path, below, kind, manifest);
    }
    selection
}

impl Selection {
    fn add(&mut self, path: &str, below: &str, kind: EntryKind, manifest: bool) {
        match kind {
            EntryKind::Submodule => self.refuse(
                path,
                "this is a submodule, whose files are not read; copy them or list it in .kubernetesignore".into(),
            ),
            EntryKind::BrokenLink if manifest => self.refuse(
                path,
                "this symbolic link leads nowhere inside the repository; replace it by the file".into(),
            ),
            EntryKind::DirectoryLink => self.skip(path, "symbolic link to a directory"),
            EntryKind::File if manifest && (below.starts_with("prehook") || below.starts_with("posthook")) => {
                self.skip(path, "hooks are not supported");
            }
            EntryKind::File if manifest => self.files.push(path.to_owned()),
            EntryKind::File | EntryKind::BrokenLink => {}
        }
    }

    fn skip(&mut self, path: &str, reason: &str) {
        self.skipped.push(Skipped {
            path: path.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn refuse(&mut self, path: &str, message: String) {
        self.refusals.push(Problem {
            file: path.to_owned(),
            line: 1,
            message,
        });
    }
}

fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    if root.is_empty() || path == root {
        return Some(path);
    }
    path.strip_prefix(root)?.strip_prefix('/')
}

fn is_yaml(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| {
        extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
    })
}

fn build_tool(path: &str) -> Option<&'static str> {
    match path.rsplit_once('/').map_or(path, |(_, name)| name) {
        "kustomization.yaml" | "kustomization.yml" | "Kustomization" => Some("a kustomization"),
        "Chart.yaml" => Some("a Helm chart"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(root: &str, paths: &[&str], ignore: Option<&str>) -> Selection {
        select(
            root,
            paths.iter().map(|path| (*path, EntryKind::File)),
            ignore.map(str::as_bytes),
        )
    }

    #[test]
    fn yaml_below_the_path_is_chosen_in_order() {
        let chosen = files(
            "app",
            &[
                "app/a.yaml",
                "app/b.YML",
                "app/c.json",
                "app/.github/x.yaml",
                "app/.gitlab-ci.yml",
                "app/d/e.yml",
                "apple/f.yaml",
            ],
            None,
        );
        assert_eq!(chosen.files, ["app/a.yaml", "app/b.YML", "app/d/e.yml"]);
    }

    #[test]
    fn kustomizations_and_charts_are_refused_by_directory() {
        for name in [
            "kustomization.yaml",
            "kustomization.yml",
            "Kustomization",
            "Chart.yaml",
        ] {
            let path = format!("app/base/{name}");
            let chosen = files("app", &["app/a.yaml", &path], None);
            assert_eq!(chosen.refusals.len(), 1, "{name}");
            assert!(
                chosen.refusals[0].message.contains("app/base"),
                "{:?}",
                chosen.refusals
            );
        }
    }

    #[test]
    fn hooks_are_left_alone_and_said() {
        let chosen = files(
            "app",
            &[
                "app/prehook-x.yaml",
                "app/posthook/y.yaml",
                "app/z/prehook.yaml",
            ],
            None,
        );
        assert_eq!(chosen.files, ["app/z/prehook.yaml"]);
        assert_eq!(chosen.skipped.len(), 2);
    }

    #[test]
    fn ignore_with_a_negated_pattern_selects_exactly_that_file() {
        let chosen = files(
            "app",
            &[
                "app/a.yaml",
                "app/sample-deployment.yaml",
                "app/x/kustomization.yaml",
            ],
            Some("# all but one\n*\n!sample-deployment.yaml\n"),
        );
        assert_eq!(chosen.files, ["app/sample-deployment.yaml"]);
        assert_eq!(chosen.refusals, vec![]);
    }

    #[test]
    fn links_and_submodules_never_vanish_in_silence() {
        let chosen = select(
            "",
            [
                ("a.yaml", EntryKind::BrokenLink),
                ("b", EntryKind::Submodule),
                ("c", EntryKind::DirectoryLink),
                ("README", EntryKind::BrokenLink),
            ],
            None,
        );
        assert_eq!(chosen.refusals.len(), 2);
        assert_eq!(chosen.skipped.len(), 1);
    }
}
