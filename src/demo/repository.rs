//! The demo's application repository: the guestbook example, carried in the
//! binary.

use std::path::Path;

use git2::{Repository, RepositoryInitOptions, Signature};

use super::DemoError;

/// Where Channels of the example say that it is.
pub(super) const PUBLIC_BASE: &str = "https://git.example.com/";
/// Name of the repository's directory.
pub(super) const NAME: &str = "acm-demo-app.git";

macro_rules! example {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../examples/guestbook/", $path)))),*]
    };
}

/// All files of the example, by their path in the repository.
pub(super) const FILES: &[(&str, &str)] = example![
    "README.md",
    "guestbook-app/acm-resources/application.yaml",
    "guestbook-app/acm-resources/channel.yaml",
    "guestbook-app/acm-resources/kustomization.yaml",
    "guestbook-app/acm-resources/namespace.yaml",
    "guestbook-app/acm-resources/placementrule.yaml",
    "guestbook-app/acm-resources/subscription.yaml",
    "guestbook-app/guestbook/deployment.yaml",
    "guestbook-app/guestbook/route.yaml",
    "guestbook-app/guestbook/service.yaml",
    "redis-master-app/acm-resources/application.yaml",
    "redis-master-app/acm-resources/channel.yaml",
    "redis-master-app/acm-resources/kustomization.yaml",
    "redis-master-app/acm-resources/placementrule.yaml",
    "redis-master-app/acm-resources/subscription.yaml",
    "redis-master-app/redis-master/deployment.yaml",
    "redis-master-app/redis-master/service.yaml",
    "redis-master-app/redis-master/serviceexport.yaml",
    "redis-slave-app/acm-resources/application.yaml",
    "redis-slave-app/acm-resources/channel.yaml",
    "redis-slave-app/acm-resources/kustomization.yaml",
    "redis-slave-app/acm-resources/namespace.yaml",
    "redis-slave-app/acm-resources/placementrule.yaml",
    "redis-slave-app/acm-resources/subscription.yaml",
    "redis-slave-app/redis-slave/deployment.yaml",
    "redis-slave-app/redis-slave/service.yaml",
    "redis-slave-app/redis-slave/serviceexport.yaml",
];

/// Makes the bare repository at `path`, unless there is one with a commit:
/// that one is the user's.
///
/// # Errors
/// When it cannot be written, or something else is there.
pub(super) fn ensure(path: &Path) -> Result<(), DemoError> {
    let failed = |error: git2::Error| {
        let what = format!("cannot make the git repository {}", path.display());
        DemoError::part(what, error)
    };
    if let Ok(found) = Repository::open_bare(path)
        && found.refname_to_id("refs/heads/main").is_ok()
    {
        return Ok(());
    }
    let mut options = RepositoryInitOptions::new();
    options.bare(true).mkpath(true).initial_head("main");
    let repository = Repository::init_opts(path, &options).map_err(failed)?;
    first_commit(&repository).map_err(failed)
}

fn first_commit(repository: &Repository) -> Result<(), git2::Error> {
    let mut index = git2::Index::new()?;
    for (path, text) in FILES {
        let entry = git2::IndexEntry {
            ctime: git2::IndexTime::new(0, 0),
            mtime: git2::IndexTime::new(0, 0),
            dev: 0,
            ino: 0,
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            file_size: 0,
            id: repository.blob(text.as_bytes())?,
            flags: 0,
            flags_extended: 0,
            path: path.as_bytes().to_vec(),
        };
        index.add(&entry)?;
    }
    let tree = repository.find_tree(index.write_tree_to(repository)?)?;
    let author = Signature::now("Pilothouse demo", "demo@pilothouse.invalid")?;
    repository.commit(
        Some("refs/heads/main"),
        &author,
        &author,
        "Guestbook with redis over two clusters",
        &tree,
        &[],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn files_below(dir: &Path, root: &Path, into: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files_below(&path, root, into);
            } else {
                into.insert(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }

    #[test]
    fn the_whole_example_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/guestbook");
        let mut on_disk = BTreeSet::new();
        files_below(&root, &root, &mut on_disk);
        let carried: BTreeSet<PathBuf> = FILES.iter().map(|(path, _)| path.into()).collect();
        assert_eq!(carried, on_disk);
    }

    #[test]
    fn the_repository_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        ensure(&path).unwrap();
        let made = Repository::open_bare(&path).unwrap();
        let first = made.refname_to_id("refs/heads/main").unwrap();
        let tree = made.find_commit(first).unwrap().tree().unwrap();
        let found = tree.get_path(Path::new("guestbook-app/guestbook/route.yaml"));
        assert!(found.is_ok());
        assert_eq!(made.head().unwrap().name().unwrap(), "refs/heads/main");
        ensure(&path).unwrap();
        assert_eq!(made.refname_to_id("refs/heads/main").unwrap(), first);
    }
}
