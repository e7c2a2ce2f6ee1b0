//! Reading the files of a tree and putting them together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::delivery::{Failure, FailureClass};
use crate::core::manifest::{
    self, EntryKind as Kind, PackageFilter, ParsedFile, Rendered, parse_file,
};
use crate::git::{EntryKind, ObjectId, RepositoryHandle, TreeSnapshot};
use crate::hub::failure::git_failure;

/// Name of the file that excludes others, read only from git-path itself.
const IGNORE_FILE: &str = ".kubernetesignore";
/// Problems that are listed in a message; all are counted.
const LISTED_PROBLEMS: usize = 5;

/// Parsed files by blob, kept while a commit in use names them.
#[derive(Default)]
pub(super) struct ParsedFiles {
    kept: HashMap<ObjectId, Arc<ParsedFile>>,
    used: HashMap<ObjectId, Arc<ParsedFile>>,
}

impl ParsedFiles {
    fn get(&mut self, blob: ObjectId) -> Option<Arc<ParsedFile>> {
        let file = self
            .used
            .get(&blob)
            .or_else(|| self.kept.get(&blob))
            .cloned()?;
        self.used.insert(blob, Arc::clone(&file));
        Some(file)
    }

    fn put(&mut self, blob: ObjectId, file: Arc<ParsedFile>) {
        self.used.insert(blob, file);
    }

    /// Ends a round over all paths of a commit. Files that two rounds did not
    /// use are dropped.
    pub(super) fn end_round(&mut self) {
        self.kept = std::mem::take(&mut self.used);
    }
}

/// Renders a tree. A problem in any file fails the whole: a broken file must
/// not look like a deleted one.
pub(super) async fn render(
    handle: &RepositoryHandle,
    tree: &TreeSnapshot,
    filter: &PackageFilter,
    parsed: &mut ParsedFiles,
) -> Result<Arc<Rendered>, Failure> {
    let ignore_path = match tree.path.as_str() {
        "" => IGNORE_FILE.to_owned(),
        path => format!("{path}/{IGNORE_FILE}"),
    };
    let ignore = match tree
        .entries
        .iter()
        .find(|entry| entry.path == ignore_path && entry.is_file())
    {
        Some(entry) => Some(
            handle
                .blob(entry.id)
                .await
                .map_err(|error| git_failure(&error))?,
        ),
        None => None,
    };
    let entries = tree
        .entries
        .iter()
        .map(|entry| (entry.path.as_str(), kind(&entry.kind)));
    let selection = manifest::select(&tree.path, entries, ignore.as_deref());
    let files = read(handle, tree, &selection.files, parsed).await?;
    let rendered = manifest::assemble(&selection, &files, filter);
    match problems(&rendered) {
        Some(failure) => Err(failure),
        None => Ok(Arc::new(rendered)),
    }
}

async fn read(
    handle: &RepositoryHandle,
    tree: &TreeSnapshot,
    selected: &[String],
    parsed: &mut ParsedFiles,
) -> Result<Vec<(String, Arc<ParsedFile>)>, Failure> {
    let blobs: HashMap<&str, ObjectId> = tree
        .entries
        .iter()
        .filter(|entry| entry.is_file())
        .map(|entry| (entry.path.as_str(), entry.id))
        .collect();
    let mut files = Vec::with_capacity(selected.len());
    let mut missing = Vec::new();
    for path in selected {
        let Some(blob) = blobs.get(path.as_str()) else {
            continue;
        };
        match parsed.get(*blob) {
            Some(file) => files.push((path.clone(), file)),
            None => missing.push((path.clone(), *blob)),
        }
    }
    let ids: Vec<ObjectId> = missing.iter().map(|(_, blob)| *blob).collect();
    if ids.is_empty() {
        return Ok(files);
    }
    let contents = handle
        .blobs(&ids)
        .await
        .map_err(|error| git_failure(&error))?;
    // Parsing is bounded but may take milliseconds: off the async threads.
    let fresh = tokio::task::spawn_blocking(move || {
        contents
            .iter()
            .map(|bytes| Arc::new(parse_file(bytes)))
            .collect::<Vec<_>>()
    })
    .await
    .map_err(|_| Failure {
        class: FailureClass::Transient,
        reason: "RenderInterrupted".into(),
        message: "reading the manifests was interrupted; it is tried again with the next commit or refresh".into(),
    })?;
    for ((path, blob), file) in missing.into_iter().zip(fresh) {
        parsed.put(blob, Arc::clone(&file));
        files.push((path, file));
    }
    Ok(files)
}

fn problems(rendered: &Rendered) -> Option<Failure> {
    if rendered.problems.is_empty() {
        return None;
    }
    let mut message = rendered
        .problems
        .iter()
        .take(LISTED_PROBLEMS)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    if rendered.problems.len() > LISTED_PROBLEMS {
        message.push_str(&format!(
            "; and {} more",
            rendered.problems.len() - LISTED_PROBLEMS
        ));
    }
    Some(Failure {
        class: FailureClass::Invalid,
        reason: "ManifestInvalid".into(),
        message,
    })
}

fn kind(kind: &EntryKind) -> Kind {
    match kind {
        EntryKind::File | EntryKind::Executable | EntryKind::LinkToFile { .. } => Kind::File,
        EntryKind::LinkToDirectory { .. } => Kind::DirectoryLink,
        EntryKind::BrokenLink { .. } => Kind::BrokenLink,
        EntryKind::Submodule => Kind::Submodule,
    }
}
