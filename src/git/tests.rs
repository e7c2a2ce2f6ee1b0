//! The shell as its callers use it, against real git servers on loopback.

use super::testing::{Origin, Server, fetcher};
use super::*;

const APP: &[(&str, &str)] = &[
    ("README.md", "hello"),
    ("app/a.yaml", "kind: A"),
    ("app/b.yml", "kind: B"),
    ("other/c.yaml", "kind: C"),
];

fn branch(name: &str) -> Reference {
    Reference::Branch(name.to_owned())
}

fn paths(snapshot: &TreeSnapshot) -> Vec<&str> {
    snapshot.entries.iter().map(|e| e.path.as_str()).collect()
}

/// The mirror directories of a fetcher's cache.
fn mirrors(cache: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(cache.path().join("git")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_dir()).collect()
}

/// The whole way over each transport: list, fetch, tree, blob, next commit.
async fn walk_through(handle: &RepositoryHandle, origin: &Origin) {
    let first = origin.commit("main", APP);
    let heads = handle.heads().await.unwrap();
    assert_eq!(heads.refs.get("refs/heads/main"), Some(&first));
    assert_eq!(heads.default_branch.as_deref(), Some("main"));
    let commit = handle.fetch(&branch("main")).await.unwrap();
    assert_eq!(commit.id, first);
    assert_eq!(commit.summary, "Change files");
    assert_eq!(commit.author, "Ada <ada@example.com>");
    assert_eq!(commit.branch.as_deref(), Some("main"));
    let app = handle.tree(first, "/app/").await.unwrap();
    assert_eq!(paths(&app), ["app/a.yaml", "app/b.yml"]);
    assert_eq!(app.entries[0].size, 7);
    let blob = handle.blob(app.entries[0].id).await.unwrap();
    assert_eq!(&blob[..], b"kind: A");

    let second = origin.commit(
        "main",
        &[
            ("app/a.yaml", "kind: A2"),
            ("app/b.yml", "kind: B"),
            ("other/c.yaml", "x: 1"),
        ],
    );
    let commit = handle.fetch(&Reference::Head).await.unwrap();
    assert_eq!(
        (commit.id, commit.branch.as_deref()),
        (second, Some("main"))
    );
    let newer = handle.tree(second, "app").await.unwrap();
    assert_ne!(newer.content, app.content);
    assert_eq!(newer.changed_since(&app), ["app/a.yaml"]);
    // The older commit stays readable.
    assert_eq!(handle.tree(first, "app").await.unwrap(), app);

    // A forced update, then a tag, then a commit by its id.
    origin.delete_branch("main");
    let third = origin.commit("main", &[("app/z.yaml", "kind: Z")]);
    assert_eq!(handle.fetch(&branch("main")).await.unwrap().id, third);
    origin.tag("v1", second);
    let tagged = handle
        .fetch(&Reference::Tag("v1".to_owned()))
        .await
        .unwrap();
    assert_eq!(tagged.id, second);
    let side = origin.commit("side", &[("app/side.yaml", "kind: S")]);
    let older = origin.commit("side", &[("app/side.yaml", "kind: S2")]);
    assert_ne!(side, older);
    let pinned = handle.fetch(&Reference::Commit(side)).await.unwrap();
    assert_eq!(pinned.id, side);
    assert_eq!(
        paths(&handle.tree(side, "").await.unwrap()),
        ["app/side.yaml"]
    );
}

#[tokio::test]
async fn local_repositories_are_served_where_allowed() {
    let origin = Origin::new();
    let (fetcher, _cache) = fetcher(|options| options.allow_local = true);
    let spec = RepositorySpec::anonymous(origin.file_url());
    walk_through(&fetcher.repository(&spec).unwrap(), &origin).await;
}

#[tokio::test]
async fn http_repositories_are_served() {
    let origin = Origin::new();
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let spec = RepositorySpec::anonymous(server.url());
    walk_through(&fetcher.repository(&spec).unwrap(), &origin).await;
}

#[tokio::test]
async fn https_repositories_are_served_with_the_channels_ca() {
    let origin = Origin::new();
    let server = Server::start_tls(&origin, false).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let ca = server.tls.as_ref().map(|tls| tls.ca.clone());
    let spec = RepositorySpec {
        url: server.url(),
        auth: Auth {
            ca_certs: ca,
            ..Auth::default()
        },
    };
    walk_through(&fetcher.repository(&spec).unwrap(), &origin).await;
}

#[tokio::test]
async fn one_request_tells_that_nothing_is_new() {
    let origin = Origin::new();
    origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(server.url()))
        .unwrap();
    let first = handle.fetch(&branch("main")).await.unwrap();
    server.take_requests();
    assert_eq!(handle.fetch(&branch("main")).await.unwrap(), first);
    assert_eq!(server.take_requests(), ["GET /app.git/info/refs"]);
    // A commit that is here needs none.
    handle.fetch(&Reference::Commit(first.id)).await.unwrap();
    assert_eq!(server.take_requests(), Vec::<String>::new());
}

#[tokio::test]
async fn callers_that_wait_together_share_one_listing() {
    let origin = Origin::new();
    origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let spec = RepositorySpec::anonymous(server.url());
    let handle = fetcher.repository(&spec).unwrap();
    let again = fetcher.repository(&spec).unwrap();
    let all = futures::future::join_all((0..8).map(|at| {
        let handle = if at % 2 == 0 { &handle } else { &again };
        handle.heads()
    }));
    assert!(all.await.iter().all(Result::is_ok));
    // One in flight when most asked, and one for those that asked later.
    assert!(server.take_requests().len() <= 2);
}

#[tokio::test]
async fn a_repository_of_this_machine_is_refused_unless_allowed() {
    let origin = Origin::new();
    let (fetcher, _cache) = fetcher(|options| {
        options.git_config =
            GitConfig::none().with_instead_of("https://git.example.com/app.git", origin.file_url());
    });
    for url in [
        origin.file_url(),
        "https://git.example.com/app.git".to_owned(),
    ] {
        let refused = fetcher.repository(&RepositorySpec::anonymous(url));
        assert!(matches!(refused, Err(GitError::LocalRefused { .. })));
    }
}

#[tokio::test]
async fn instead_of_leads_an_https_url_to_a_local_mirror() {
    let origin = Origin::new();
    let id = origin.commit("main", APP);
    let (fetcher, _cache) = fetcher(|options| {
        options.allow_local = true;
        options.git_config = GitConfig::none().with_instead_of(
            "https://git.example.com/acm-demo-app.git",
            origin.file_url(),
        );
    });
    let spec = RepositorySpec::anonymous("https://git.example.com/acm-demo-app.git");
    let handle = fetcher.repository(&spec).unwrap();
    assert_eq!(handle.fetch(&branch("main")).await.unwrap().id, id);
}

#[tokio::test]
async fn lost_branches_and_emptied_repositories_are_errors() {
    let origin = Origin::new();
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(server.url()))
        .unwrap();
    let empty = handle.fetch(&branch("main")).await.unwrap_err();
    assert!(matches!(empty, GitError::EmptyRepository { .. }), "{empty}");
    let id = origin.commit("main", APP);
    origin.commit("side", APP);
    handle.fetch(&branch("main")).await.unwrap();
    origin.delete_branch("main");
    let gone = handle.fetch(&branch("main")).await.unwrap_err();
    assert!(matches!(gone, GitError::ReferenceNotFound { .. }), "{gone}");
    origin.delete_branch("side");
    let empty = handle.fetch(&branch("main")).await.unwrap_err();
    assert!(matches!(empty, GitError::EmptyRepository { .. }), "{empty}");
    assert_eq!(handle.tree(id, "app").await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn missing_repositories_commits_and_paths_are_named() {
    let origin = Origin::new();
    let id = origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|options| options.allow_local = true);
    for url in [
        server.url().replace("app.git", "none.git"),
        format!("{}-none", origin.file_url()),
        format!("file://{}", origin.dir.path().display()),
    ] {
        let handle = fetcher
            .repository(&RepositorySpec::anonymous(url.as_str()))
            .unwrap();
        let error = handle.heads().await.unwrap_err();
        assert!(
            matches!(error, GitError::RepositoryNotFound { .. }),
            "{url}: {error}"
        );
    }
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(server.url()))
        .unwrap();
    let unknown: ObjectId = "1234567890123456789012345678901234567890".parse().unwrap();
    let error = handle.fetch(&Reference::Commit(unknown)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound, "{error}");
    handle.fetch(&branch("main")).await.unwrap();
    let error = handle.tree(id, "app/none").await.unwrap_err();
    assert!(matches!(error, GitError::PathNotFound { .. }), "{error}");
    let error = handle.tree(unknown, "app").await.unwrap_err();
    assert!(matches!(error, GitError::MissingObject { .. }), "{error}");
}

#[tokio::test]
async fn basic_credentials_are_sent_and_their_refusal_says_what_to_do() {
    let origin = Origin::new();
    let id = origin.commit("main", APP);
    let server = Server::start(&origin).await;
    // ada:t0ken
    server.behave(|b| b.authorization = Some("Basic YWRhOnQwa2Vu".to_owned()));
    let (fetcher, _cache) = fetcher(|_| {});
    let with = |user: &str, token: &str| RepositorySpec {
        url: server.url(),
        auth: Auth {
            credential: Credential::Basic {
                user: user.to_owned(),
                token: token.to_owned(),
            },
            ..Auth::default()
        },
    };
    let in_url = RepositorySpec::anonymous(server.url().replace("://", "://ada:t0ken@"));
    for spec in [with("ada", "t0ken"), in_url] {
        let handle = fetcher.repository(&spec).unwrap();
        assert_eq!(handle.fetch(&branch("main")).await.unwrap().id, id);
        assert!(!handle.url().contains("t0ken"));
    }
    for (spec, advice) in [
        (with("ada", "wr0ng"), "refused the credential"),
        (
            RepositorySpec::anonymous(server.url()),
            "wants a credential",
        ),
    ] {
        let handle = fetcher.repository(&spec).unwrap();
        let error = handle.fetch(&branch("main")).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Auth);
        assert!(error.to_string().contains(advice), "{error}");
        assert!(!format!("{error:?} {spec:?}").contains("wr0ng"));
    }
}

#[tokio::test]
async fn another_credential_does_not_see_what_was_fetched() {
    let origin = Origin::new();
    let id = origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let mut spec = RepositorySpec::anonymous(server.url());
    let handle = fetcher.repository(&spec).unwrap();
    handle.fetch(&branch("main")).await.unwrap();
    spec.auth.credential = Credential::Basic {
        user: "eve".to_owned(),
        token: "x".to_owned(),
    };
    let other = fetcher.repository(&spec).unwrap();
    let error = other.tree(id, "").await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Local, "{error}");
}

#[tokio::test]
async fn an_unknown_ca_is_refused_unless_verification_is_off() {
    let origin = Origin::new();
    let id = origin.commit("main", APP);
    let server = Server::start_tls(&origin, false).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let mut spec = RepositorySpec::anonymous(server.url());
    let strict = fetcher.repository(&spec).unwrap();
    let error = strict.fetch(&branch("main")).await.unwrap_err();
    assert!(matches!(error, GitError::Untrusted { .. }), "{error}");
    spec.auth.insecure_skip_verify = true;
    let lax = fetcher.repository(&spec).unwrap();
    assert_eq!(lax.fetch(&branch("main")).await.unwrap().id, id);
    // One insecure channel changes nothing for the others.
    assert!(strict.fetch(&branch("main")).await.is_err());
}

#[tokio::test]
async fn client_certificates_are_presented() {
    let origin = Origin::new();
    let id = origin.commit("main", APP);
    let server = Server::start_tls(&origin, true).await;
    let tls = server.tls.as_ref().unwrap();
    let (fetcher, _cache) = fetcher(|_| {});
    let mut spec = RepositorySpec::anonymous(server.url());
    spec.auth.ca_certs = Some(format!("# ours\n{}", tls.ca));
    let without = fetcher.repository(&spec).unwrap();
    let mut error = without.fetch(&branch("main")).await.unwrap_err();
    // Whether the alert is seen before the connection closes is a race.
    while error.class() != ErrorClass::Auth {
        assert!(error.to_string().contains("client certificate"), "{error}");
        error = without.fetch(&branch("main")).await.unwrap_err();
    }
    spec.auth.credential = Credential::ClientCertificate {
        cert: tls.client_cert.clone(),
        key: tls.client_key.clone(),
    };
    let with = fetcher.repository(&spec).unwrap();
    assert_eq!(with.fetch(&branch("main")).await.unwrap().id, id);
}

#[tokio::test]
async fn faults_of_a_server_are_told_apart() {
    let origin = Origin::new();
    origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|options| {
        options.timeout = std::time::Duration::from_secs(1);
    });
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(server.url()))
        .unwrap();
    for (status, class) in [
        (503, ErrorClass::Transient),
        (429, ErrorClass::Transient),
        (403, ErrorClass::Auth),
        (404, ErrorClass::NotFound),
        (200, ErrorClass::Invalid),
        (400, ErrorClass::Invalid),
    ] {
        server.behave(|b| b.status = Some(status));
        let error = handle.fetch(&branch("main")).await.unwrap_err();
        assert_eq!(error.class(), class, "{status}: {error}");
    }
    server.behave(|b| (b.status, b.cut) = (None, Some(120)));
    let error = handle.fetch(&branch("main")).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
    server.behave(|b| (b.cut, b.hang) = (None, true));
    let error = handle.fetch(&branch("main")).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Timeout, "{error}");
    server.behave(|b| b.hang = false);
    handle.fetch(&branch("main")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_down_is_transient() {
    let origin = Origin::new();
    let server = Server::start(&origin).await;
    let url = server.url();
    drop(server);
    let (fetcher, _cache) = fetcher(|_| {});
    let handle = fetcher.repository(&RepositorySpec::anonymous(url)).unwrap();
    let error = handle.heads().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
}

#[tokio::test]
async fn redirects_on_the_host_are_followed_and_others_are_named() {
    let origin = Origin::new();
    let id = origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let base = server.url().replace("/app.git", "");
    let (fetcher, _cache) = fetcher(|_| {});
    let old = RepositorySpec::anonymous(format!("{base}/old/app.git"));
    let handle = fetcher.repository(&old).unwrap();
    server.behave(|b| b.moved_to = Some(base.clone()));
    assert_eq!(handle.fetch(&branch("main")).await.unwrap().id, id);
    server.behave(|b| b.moved_to = Some(base.replace("localhost", "127.0.0.1")));
    let error = handle.fetch(&branch("main")).await.unwrap_err();
    assert!(matches!(error, GitError::Redirected { .. }), "{error}");
}

#[tokio::test]
async fn a_repository_over_the_limit_is_refused_on_the_way() {
    let origin = Origin::new();
    // Does not compress: each line differs.
    let text: String = (0..40_000u64)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    origin.commit("main", &[("big.yaml", &text)]);
    let server = Server::start(&origin).await;
    for url in [server.url(), origin.file_url()] {
        let (fetcher, _cache) = fetcher(|options| {
            options.max_repo_bytes = 64 << 10;
            options.allow_local = true;
        });
        let handle = fetcher.repository(&RepositorySpec::anonymous(url)).unwrap();
        let error = handle.fetch(&branch("main")).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::TooLarge, "{error}");
    }
}

#[tokio::test]
async fn a_damaged_mirror_is_built_anew() {
    let origin = Origin::new();
    let id = origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, cache) = fetcher(|_| {});
    let spec = RepositorySpec::anonymous(server.url());
    fetcher
        .repository(&spec)
        .unwrap()
        .fetch(&branch("main"))
        .await
        .unwrap();
    let mirrors = mirrors(&cache);
    assert_eq!(mirrors.len(), 1);
    std::fs::write(mirrors[0].join("HEAD"), "nonsense").unwrap();
    let handle = fetcher.repository(&spec).unwrap();
    assert_eq!(handle.fetch(&branch("main")).await.unwrap().id, id);
    assert_eq!(handle.tree(id, "app").await.unwrap().entries.len(), 2);
}

/// Waits until the watcher's state satisfies `wanted`.
async fn until(watcher: &Watcher, wanted: impl FnMut(&RefState) -> bool) -> RefState {
    let mut states = watcher.subscribe();
    let waiting = states.wait_for(wanted);
    let limit = std::time::Duration::from_secs(20);
    let found = tokio::time::timeout(limit, waiting).await;
    found.expect("in time").expect("the watcher lives").clone()
}

fn at(id: ObjectId) -> impl FnMut(&RefState) -> bool {
    move |state| state.error.is_none() && state.commit.as_ref().is_some_and(|c| c.id == id)
}

const NEVER: PollOptions = PollOptions { interval: None };
const OFTEN: PollOptions = PollOptions {
    interval: Some(std::time::Duration::from_millis(20)),
};

#[tokio::test]
async fn a_watcher_sees_new_commits_by_polling() {
    let origin = Origin::new();
    let first = origin.commit("main", APP);
    let (fetcher, _cache) = fetcher(|options| options.allow_local = true);
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(origin.file_url()))
        .unwrap();
    let watcher = handle.watch(branch("main"), OFTEN);
    until(&watcher, at(first)).await;
    let second = origin.commit("main", &[("app/a.yaml", "kind: A2")]);
    until(&watcher, at(second)).await;
}

#[tokio::test]
async fn a_watcher_without_an_interval_looks_when_triggered() {
    let origin = Origin::new();
    let first = origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(server.url()))
        .unwrap();
    let watcher = handle.watch(branch("main"), NEVER);
    until(&watcher, at(first)).await;
    let second = origin.commit("main", &[("app/a.yaml", "kind: A2")]);
    watcher.trigger();
    until(&watcher, at(second)).await;
    assert!(watcher.state().checked_at.is_some());
}

#[tokio::test]
async fn a_trigger_that_names_a_commit_waits_for_the_server_to_know_it() {
    let origin = Origin::new();
    let first = origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(server.url()))
        .unwrap();
    let watcher = handle.watch(branch("main"), NEVER);
    until(&watcher, at(first)).await;
    server.take_requests();
    // Prepared elsewhere; the branch moves only after the look began.
    let second = origin.commit("side", &[("app/a.yaml", "kind: A2")]);
    watcher.trigger_expecting(second);
    let mut looked = 0;
    while looked == 0 {
        tokio::task::yield_now().await;
        looked += server.take_requests().len();
    }
    origin.move_branch("main", second);
    until(&watcher, at(second)).await;
}

#[tokio::test]
async fn a_failing_look_keeps_the_commit_and_a_trigger_skips_the_back_off() {
    let origin = Origin::new();
    let first = origin.commit("main", APP);
    let server = Server::start(&origin).await;
    let (fetcher, _cache) = fetcher(|_| {});
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(server.url()))
        .unwrap();
    let hourly = PollOptions {
        interval: Some(std::time::Duration::from_secs(3600)),
    };
    let watcher = handle.watch(branch("main"), hourly);
    until(&watcher, at(first)).await;
    server.behave(|b| b.status = Some(503));
    watcher.trigger();
    let failed = until(&watcher, |state| state.error.is_some()).await;
    assert_eq!(failed.commit.map(|commit| commit.id), Some(first));
    server.behave(|b| b.status = None);
    watcher.trigger();
    until(&watcher, at(first)).await;
}

#[tokio::test]
async fn equal_watchers_share_a_task_which_ends_with_the_last() {
    let origin = Origin::new();
    let first = origin.commit("main", APP);
    let (fetcher, _cache) = fetcher(|options| options.allow_local = true);
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(origin.file_url()))
        .unwrap();
    let one = handle.watch(branch("main"), NEVER);
    until(&one, at(first)).await;
    let two = handle.watch(branch("main"), NEVER);
    // It begins with what the first has found.
    assert_eq!(two.state().commit.map(|commit| commit.id), Some(first));
    let mut states = one.subscribe();
    drop(one);
    assert!(states.has_changed().is_ok());
    drop(two);
    let limit = std::time::Duration::from_secs(20);
    let ended = tokio::time::timeout(limit, async { while states.changed().await.is_ok() {} });
    ended.await.expect("the task ends");
}

#[tokio::test]
async fn many_fetches_leave_few_packs_and_lose_nothing() {
    let origin = Origin::new();
    let (fetcher, cache) = fetcher(|options| options.allow_local = true);
    let handle = fetcher
        .repository(&RepositorySpec::anonymous(origin.file_url()))
        .unwrap();
    let mut commits = Vec::new();
    for n in 0..60 {
        let text = format!("kind: K{n}");
        commits.push(origin.commit("main", &[("app/a.yaml", &text)]));
        handle.fetch(&branch("main")).await.unwrap();
    }
    let mirror = mirrors(&cache).remove(0);
    let packs = std::fs::read_dir(mirror.join("objects/pack")).unwrap();
    assert!(packs.count() < 60, "packs are merged");
    for (n, commit) in commits.iter().enumerate() {
        let app = handle.tree(*commit, "app").await.unwrap();
        let blob = handle.blob(app.entries[0].id).await.unwrap();
        assert_eq!(blob, format!("kind: K{n}"));
    }
}

#[tokio::test]
async fn sweeping_removes_only_mirrors_that_nobody_uses() {
    let origin = Origin::new();
    origin.commit("main", APP);
    let (fetcher, cache) = fetcher(|options| options.allow_local = true);
    let spec = RepositorySpec::anonymous(origin.file_url());
    let handle = fetcher.repository(&spec).unwrap();
    handle.fetch(&branch("main")).await.unwrap();
    let foreign = cache.path().join("git/foreign.git");
    std::fs::create_dir(&foreign).unwrap();
    let unused_for = std::time::Duration::ZERO;
    assert_eq!(fetcher.sweep(unused_for), 0, "it is in use");
    drop(handle);
    assert_eq!(
        fetcher.sweep(std::time::Duration::from_secs(60)),
        0,
        "it is young"
    );
    assert_eq!(fetcher.sweep(unused_for), 1);
    assert_eq!(mirrors(&cache), [foreign], "what is not ours stays");
}
