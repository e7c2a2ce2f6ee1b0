//! From the files of a commit to the objects they describe.
//!
//! [`select()`] chooses files, [`parse_file`] reads one (cache it by the id of
//! its blob), [`assemble`] puts them together. A commit with any problem is
//! delivered to nobody and prunes nothing: a broken file must not look like a
//! deleted one.

mod content;
mod ignore;
mod parse;
mod select;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kube::core::SelectorExt as _;
use serde_json::Value;

pub use content::Content;
pub use parse::{Document, FileProblem, ParsedFile, parse_file};
pub use select::{EntryKind, Selection, Skipped, select};

use crate::core::object::{Digest, ObjectId};
use crate::core::plan::Phase;

/// One object of a commit, as git has it.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// Identity as written (the namespace may still be forced).
    pub id: ObjectId,
    /// `apiVersion` as written.
    pub api_version: String,
    /// The object.
    pub content: Content,
    /// Digest of the object.
    pub digest: Digest,
    /// File, from the repository root.
    pub file: Arc<str>,
    /// Line of its document, from 1.
    pub line: usize,
}

impl fmt::Debug for Manifest {
    /// Leaves the object out: it may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({} {}:{})", self.id, self.file, self.line)
    }
}

/// What is wrong with the content of a commit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// File, from the repository root.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    /// `app/route.yaml:12: not valid YAML: …`, so that editors find it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// The content of a commit below one path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// Objects in the order in which they are applied.
    pub manifests: Vec<Manifest>,
    /// Why nothing of it may be delivered. Empty: good to go.
    pub problems: Vec<Problem>,
    /// Files that were left alone on purpose.
    pub skipped: Vec<Skipped>,
    /// Objects that the packageFilter left out.
    pub filtered: usize,
    /// Digest of the manifests; equal content has an equal digest, whatever
    /// files it stands in.
    pub digest: Option<Digest>,
}

/// `spec.packageFilter` of a Subscription, with `spec.name`, which filters only
/// beside it (ocm-apps §2.1).
#[derive(Clone, Debug, Default)]
pub struct PackageFilter {
    /// Exact `metadata.name`.
    pub name: Option<String>,
    /// Labels of the manifest.
    pub selector: Option<kube::core::Selector>,
    /// Annotations of the manifest, each exactly.
    pub annotations: BTreeMap<String, String>,
}

impl PackageFilter {
    fn admits(&self, manifest: &Manifest) -> bool {
        if self.name.is_none() && self.selector.is_none() && self.annotations.is_empty() {
            return true;
        }
        let object = manifest.content.value();
        let texts = |field: &str| -> BTreeMap<String, String> {
            object
                .get("metadata")
                .and_then(|metadata| metadata.get(field))
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        };
        if self
            .name
            .as_ref()
            .is_some_and(|name| *name != manifest.id.name)
        {
            return false;
        }
        if self
            .selector
            .as_ref()
            .is_some_and(|selector| !selector.matches(&texts("labels")))
        {
            return false;
        }
        let annotations = texts("annotations");
        self.annotations
            .iter()
            .all(|(key, value)| annotations.get(key) == Some(value))
    }
}

/// Puts the files of a commit together. `files` are the selected ones, in any
/// order; a selected file that is not among them counts as a problem.
#[must_use]
pub fn assemble(
    selection: &Selection,
    files: &[(String, Arc<ParsedFile>)],
    filter: &PackageFilter,
) -> Rendered {
    let mut rendered = Rendered {
        problems: selection.refusals.clone(),
        skipped: selection.skipped.clone(),
        ..Rendered::default()
    };
    let parsed: BTreeMap<&str, &Arc<ParsedFile>> = files
        .iter()
        .map(|(path, file)| (path.as_str(), file))
        .collect();
    let mut seen: BTreeMap<ObjectId, (Arc<str>, usize)> = BTreeMap::new();
    for path in &selection.files {
        let Some(file) = parsed.get(path.as_str()) else {
            rendered.problems.push(Problem {
                file: path.clone(),
                line: 1,
                message: "the file could not be read".into(),
            });
            continue;
        };
        rendered
            .problems
            .extend(file.problems.iter().map(|problem| Problem {
                file: path.clone(),
                line: problem.line,
                message: problem.message.clone(),
            }));
        let name: Arc<str> = path.as_str().into();
        for document in &file.documents {
            rendered.add(manifest(document, &name), filter, &mut seen);
        }
    }
    // Stable: within a phase the order of the files stays.
    rendered
        .manifests
        .sort_by_key(|manifest| Phase::of(&manifest.id));
    let mut digests: Vec<&Digest> = rendered
        .manifests
        .iter()
        .map(|manifest| &manifest.digest)
        .collect();
    digests.sort();
    rendered.digest = rendered
        .problems
        .is_empty()
        .then(|| Digest::combine(digests));
    rendered
}

fn manifest(document: &Document, file: &Arc<str>) -> Manifest {
    Manifest {
        id: document.id.clone(),
        api_version: document.api_version.clone(),
        content: document.content.clone(),
        digest: document.digest.clone(),
        file: file.clone(),
        line: document.line,
    }
}

impl Rendered {
    fn add(
        &mut self,
        manifest: Manifest,
        filter: &PackageFilter,
        seen: &mut BTreeMap<ObjectId, (Arc<str>, usize)>,
    ) {
        if !filter.admits(&manifest) {
            self.filtered += 1;
            return;
        }
        if let Some((file, line)) = seen.get(&manifest.id) {
            self.problems.push(Problem {
                file: manifest.file.to_string(),
                line: manifest.line,
                message: format!(
                    "{} is already in {file}:{line}; keep one of them",
                    manifest.id
                ),
            });
            return;
        }
        seen.insert(manifest.id.clone(), (manifest.file.clone(), manifest.line));
        self.manifests.push(manifest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(files: &[(&str, &str)], filter: &PackageFilter) -> Rendered {
        let selection = select(
            "",
            files.iter().map(|(path, _)| (*path, EntryKind::File)),
            None,
        );
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Arc::new(parse_file(text.as_bytes()))))
            .collect();
        assemble(&selection, &files, filter)
    }

    fn object(kind: &str, name: &str) -> String {
        let api_version = match kind {
            "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
            "Role" => "rbac.authorization.k8s.io/v1",
            _ => "v1",
        };
        format!(
            "apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {name}\n  labels: {{tier: {name}}}\n  annotations: {{a: b}}\n"
        )
    }

    #[test]
    fn objects_are_ordered_by_phase_even_within_one_file() {
        let text = ["ConfigMap", "Role", "Namespace", "CustomResourceDefinition"]
            .map(|kind| object(kind, "x"))
            .join("---\n");
        let rendered = render(&[("a.yaml", &text)], &PackageFilter::default());
        let kinds: Vec<_> = rendered
            .manifests
            .iter()
            .map(|m| m.id.kind.as_str())
            .collect();
        assert_eq!(
            kinds,
            ["Namespace", "CustomResourceDefinition", "Role", "ConfigMap"]
        );
    }

    #[test]
    fn a_broken_file_is_a_problem_with_file_and_line_and_the_digest_is_withheld() {
        let rendered = render(
            &[
                ("a.yaml", &object("ConfigMap", "x")),
                ("b/c.yaml", "kind: ["),
            ],
            &PackageFilter::default(),
        );
        assert_eq!(rendered.digest, None);
        assert!(
            rendered.problems[0].to_string().starts_with("b/c.yaml:1: "),
            "{:?}",
            rendered.problems
        );
    }

    #[test]
    fn the_same_object_twice_is_a_problem_that_names_both_places() {
        let text = object("ConfigMap", "x");
        let rendered = render(
            &[("a.yaml", &text), ("b.yaml", &text)],
            &PackageFilter::default(),
        );
        assert_eq!(rendered.problems.len(), 1);
        assert!(rendered.problems[0].message.contains("a.yaml:1"));
        assert_eq!(rendered.problems[0].file, "b.yaml");
    }

    #[test]
    fn moving_an_object_to_another_file_keeps_the_digest() {
        let (a, b) = (object("ConfigMap", "x"), object("ConfigMap", "z"));
        let one = render(&[("a.yaml", &a), ("b.yaml", &b)], &PackageFilter::default());
        let two = render(
            &[("z.yaml", &format!("{b}---\n{a}"))],
            &PackageFilter::default(),
        );
        assert_eq!(one.digest, two.digest);
        assert!(one.digest.is_some());
    }

    #[test]
    fn the_package_filter_selects_by_name_labels_and_annotations() {
        let (a, b) = (object("ConfigMap", "x"), object("ConfigMap", "z"));
        let cases: [(PackageFilter, &[&str]); 4] = [
            (
                PackageFilter {
                    name: Some("x".into()),
                    ..PackageFilter::default()
                },
                &["x"],
            ),
            (
                PackageFilter {
                    selector: Some(kube::core::Selector::from_iter([
                        kube::core::Expression::Equal("tier".into(), "z".into()),
                    ])),
                    ..PackageFilter::default()
                },
                &["z"],
            ),
            (
                PackageFilter {
                    annotations: [("a".into(), "b".into())].into(),
                    ..PackageFilter::default()
                },
                &["x", "z"],
            ),
            (
                PackageFilter {
                    annotations: [("a".into(), "c".into())].into(),
                    ..PackageFilter::default()
                },
                &[],
            ),
        ];
        for (filter, expected) in cases {
            let rendered = render(&[("a.yaml", &a), ("b.yaml", &b)], &filter);
            let names: Vec<_> = rendered
                .manifests
                .iter()
                .map(|m| m.id.name.as_str())
                .collect();
            assert_eq!(names, expected, "{filter:?}");
        }
    }

    #[test]
    fn a_selected_file_that_was_not_read_is_a_problem() {
        let selection = select("", [("a.yaml", EntryKind::File)], None);
        assert_eq!(
            assemble(&selection, &[], &PackageFilter::default())
                .problems
                .len(),
            1
        );
    }
}
