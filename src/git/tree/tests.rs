use super::*;
use crate::git::testing::Origin;

fn list(origin: &Origin, commit: ObjectId, path: &str) -> Result<TreeSnapshot, GitError> {
    list_within(origin, commit, path, &TreeLimits::default())
}

fn list_within(
    origin: &Origin,
    commit: ObjectId,
    path: &str,
    limits: &TreeLimits,
) -> Result<TreeSnapshot, GitError> {
    let mut cache = SnapshotCache::default();
    snapshot(origin.git(), commit, path, limits, &mut cache).map(|found| (*found).clone())
}

fn kind_of(snapshot: &TreeSnapshot, path: &str) -> EntryKind {
    let entry = snapshot.entries.iter().find(|entry| entry.path == path);
    entry.unwrap().kind.clone()
}

#[test]
fn paths_are_found_however_they_are_written() {
    let origin = Origin::new();
    let commit = origin.commit("main", &[("a/b/c.yaml", "x"), ("a/d.yaml", "y")]);
    for (path, at, count) in [
        ("", "", 2),
        (".", "", 2),
        ("/", "", 2),
        ("a", "a", 2),
        ("./a//b/", "a/b", 1),
        ("a/d.yaml", "a/d.yaml", 1),
    ] {
        let found = list(&origin, commit, path).unwrap();
        assert_eq!(
            (found.path.as_str(), found.entries.len()),
            (at, count),
            "{path:?}"
        );
    }
}

#[test]
fn dot_dot_escapes_even_where_it_would_stay_inside() {
    let origin = Origin::new();
    let commit = origin.commit("main", &[("a/b.yaml", "x")]);
    for path in ["..", "../etc", "a/../../etc", "a/../a"] {
        let error = list(&origin, commit, path).unwrap_err();
        assert!(
            error.to_string().contains("escapes the repository root"),
            "{error}"
        );
    }
}

#[test]
fn entries_come_in_the_order_of_a_walk() {
    let origin = Origin::new();
    let files = ["a-b.yaml", "a/z.yaml", "a.yaml", "b/a.yaml"].map(|path| (path, "x"));
    let commit = origin.commit("main", &files);
    let found = list(&origin, commit, "").unwrap();
    let paths: Vec<_> = found.entries.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["a/z.yaml", "a-b.yaml", "a.yaml", "b/a.yaml"]);
}

#[test]
fn links_inside_the_repository_are_followed_to_files() {
    let origin = Origin::new();
    let commit = origin.commit(
        "main",
        &[
            ("shared/config.yaml", "shared"),
            ("app/config.yaml", "->../shared/config.yaml"),
            ("app/twice.yaml", "->config.yaml"),
            ("app/dir", "->../shared"),
            ("app/broken", "->nowhere.yaml"),
            ("app/loop", "->loop"),
            ("current", "->app"),
        ],
    );
    let found = list(&origin, commit, "current").unwrap();
    assert_eq!(found.path, "app");
    let target = "shared/config.yaml".to_owned();
    let to_file = EntryKind::LinkToFile { target };
    assert_eq!(kind_of(&found, "app/config.yaml"), to_file);
    assert_eq!(kind_of(&found, "app/twice.yaml"), to_file);
    let target = "shared".to_owned();
    assert_eq!(
        kind_of(&found, "app/dir"),
        EntryKind::LinkToDirectory { target }
    );
    assert!(matches!(
        kind_of(&found, "app/broken"),
        EntryKind::BrokenLink { .. }
    ));
    assert!(matches!(
        kind_of(&found, "app/loop"),
        EntryKind::BrokenLink { .. }
    ));
    let link = found
        .entries
        .iter()
        .find(|e| e.path == "app/twice.yaml")
        .unwrap();
    let content = blobs(origin.git(), &[link.id], &TreeLimits::default()).unwrap();
    assert_eq!(&content[0][..], b"shared");
}

#[test]
fn a_change_behind_a_link_changes_the_content() {
    let origin = Origin::new();
    let link = ("app/config.yaml", "->../shared/config.yaml");
    let one = origin.commit("main", &[link, ("shared/config.yaml", "1")]);
    let two = origin.commit("main", &[link, ("shared/config.yaml", "2")]);
    let (one, two) = (
        list(&origin, one, "app").unwrap(),
        list(&origin, two, "app").unwrap(),
    );
    assert_eq!(one.tree, two.tree);
    assert_ne!(one.content, two.content);
    assert_eq!(two.changed_since(&one), ["app/config.yaml"]);
}

#[test]
fn a_change_elsewhere_leaves_the_content() {
    let origin = Origin::new();
    let one = origin.commit("main", &[("a/x.yaml", "1"), ("b/y.yaml", "1")]);
    let two = origin.commit("main", &[("a/x.yaml", "1"), ("b/y.yaml", "2")]);
    assert_eq!(
        list(&origin, one, "a").unwrap(),
        list(&origin, two, "a").unwrap()
    );
    assert_ne!(
        list(&origin, one, "b").unwrap().content,
        list(&origin, two, "b").unwrap().content
    );
}

#[test]
fn links_out_of_the_repository_are_refused_by_name() {
    for target in ["/etc/passwd", "../../etc/passwd", "../app/../../x"] {
        let origin = Origin::new();
        let content = format!("->{target}");
        let commit = origin.commit("main", &[("app/x.yaml", "x"), ("app/l.yaml", &content)]);
        let error = list(&origin, commit, "app").unwrap_err();
        assert!(
            matches!(error, GitError::LinkEscapes { .. }),
            "{target}: {error}"
        );
        assert!(error.to_string().contains("app/l.yaml"), "{error}");
    }
}

#[test]
fn files_and_sums_over_the_limits_are_refused_by_name() {
    let origin = Origin::new();
    let files = [
        ("a.yaml", "0123456789"),
        ("b.YML", "0123456789"),
        ("c.png", "0123456789abc"),
    ];
    let commit = origin.commit("main", &files);
    let limits = |file_bytes, entries, manifest_bytes| TreeLimits {
        file_bytes,
        entries,
        manifest_bytes,
    };
    assert!(list_within(&origin, commit, "", &limits(10, 3, 20)).is_ok());
    for (limits, part) in [
        (limits(9, 3, 20), "a.yaml"),
        (limits(10, 2, 20), "number of files"),
        (limits(10, 3, 19), "YAML"),
    ] {
        let error = list_within(&origin, commit, "", &limits).unwrap_err();
        assert!(matches!(error, GitError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let found = list(&origin, commit, "").unwrap();
    let image = found.entries.iter().find(|e| e.path == "c.png").unwrap();
    assert!(blobs(origin.git(), &[image.id], &limits(10, 3, 20)).is_err());
}

#[test]
fn a_tree_of_a_billion_directories_is_refused_in_time() {
    let origin = Origin::new();
    let git = origin.git();
    let mut tree = git.treebuilder(None).unwrap().write().unwrap();
    for _ in 0..9 {
        let mut builder = git.treebuilder(None).unwrap();
        for name in 0..10 {
            builder.insert(format!("d{name}"), tree, 0o040_000).unwrap();
        }
        tree = builder.write().unwrap();
    }
    let commit = origin.commit_tree("main", tree, "bomb");
    let limits = TreeLimits {
        entries: 1000,
        ..TreeLimits::default()
    };
    let error = list_within(&origin, commit, "", &limits).unwrap_err();
    assert!(matches!(error, GitError::TooLarge { .. }), "{error}");
}

#[test]
fn submodules_are_noted() {
    let origin = Origin::new();
    let git = origin.git();
    let mut builder = git.treebuilder(None).unwrap();
    let elsewhere = git2::Oid::from_str("1234567890123456789012345678901234567890").unwrap();
    builder.insert("vendor", elsewhere, 0o160_000).unwrap();
    let commit = origin.commit_tree("main", builder.write().unwrap(), "submodule");
    let found = list(&origin, commit, "").unwrap();
    assert_eq!(kind_of(&found, "vendor"), EntryKind::Submodule);
    assert!(!found.entries[0].is_file());
}

#[test]
fn equal_trees_are_listed_once_unless_links_are_involved() {
    let origin = Origin::new();
    let link = ("b/l.yaml", "->../c.yaml");
    let one = origin.commit("main", &[("a/x.yaml", "1"), link, ("c.yaml", "1")]);
    let two = origin.commit("main", &[("a/x.yaml", "1"), link, ("c.yaml", "2")]);
    let mut cache = SnapshotCache::default();
    let mut list = |commit, path| {
        snapshot(
            origin.git(),
            commit,
            path,
            &TreeLimits::default(),
            &mut cache,
        )
        .unwrap()
    };
    assert!(Arc::ptr_eq(&list(one, "a"), &list(two, "a")));
    assert_ne!(list(one, "b"), list(two, "b"));
}
