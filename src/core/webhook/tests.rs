use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::*;

const AFTER: &str = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c";
const ZEROS: &str = "0000000000000000000000000000000000000000";
const SECRET: &str = "It's a Secret to Everybody";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

fn signature(body: &[u8], secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let digest = mac.chain_update(body).finalize().into_bytes();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn github(reference: &str, after: &str) -> Vec<u8> {
    json!({
        "ref": reference, "before": ZEROS, "after": after, "deleted": after == ZEROS,
        "repository": {
            "id": 1, "name": "demo-app", "full_name": "acme/demo-app",
            "html_url": "https://github.com/acme/demo-app",
            "clone_url": "https://github.com/acme/demo-app.git",
            "ssh_url": "git@github.com:acme/demo-app.git",
            "git_url": "git://github.com/acme/demo-app.git",
            "url": "https://api.github.com/repos/acme/demo-app"
        },
        "pusher": { "name": "ada", "email": "ada@example.com" },
        "commits": [{ "id": after, "modified": ["app/a.yaml"] }]
    })
    .to_string()
    .into_bytes()
}

fn gitlab(kind: &str) -> Vec<u8> {
    json!({
        "object_kind": kind, "event_name": kind, "before": ZEROS, "after": AFTER,
        "ref": "refs/heads/main", "checkout_sha": AFTER, "project_id": 15,
        "project": {
            "name": "Demo", "web_url": "https://gitlab.example.com/acme/demo-app",
            "git_ssh_url": "git@gitlab.example.com:acme/demo-app.git",
            "git_http_url": "https://gitlab.example.com/acme/demo-app.git"
        },
        "total_commits_count": 1
    })
    .to_string()
    .into_bytes()
}

fn gitea() -> Vec<u8> {
    json!({
        "ref": "refs/heads/main", "before": ZEROS, "after": AFTER,
        "repository": {
            "full_name": "acme/demo-app",
            "html_url": "https://git.example.com/acme/demo-app",
            "ssh_url": "ssh://git@git.example.com:2222/acme/demo-app.git",
            "clone_url": "https://git.example.com/acme/demo-app.git"
        }
    })
    .to_string()
    .into_bytes()
}

fn bitbucket_cloud() -> Vec<u8> {
    json!({
        "repository": {
            "full_name": "acme/demo-app",
            "links": {
                "html": { "href": "https://bitbucket.org/acme/demo-app" },
                "self": { "href": "https://api.bitbucket.org/2.0/repositories/acme/demo-app" }
            }
        },
        "push": { "changes": [
            { "old": null, "new": { "type": "branch", "name": "main", "target": { "hash": AFTER } } },
            { "old": { "type": "branch", "name": "gone", "target": { "hash": AFTER } }, "new": null },
            { "new": { "type": "tag", "name": "v1", "target": { "hash": AFTER } } }
        ] }
    })
    .to_string()
    .into_bytes()
}

fn bitbucket_server() -> Vec<u8> {
    json!({
        "eventKey": "repo:refs_changed",
        "repository": { "slug": "demo-app", "name": "Demo App", "project": { "key": "ACME" } },
        "changes": [{
            "ref": { "id": "refs/heads/main", "displayId": "main", "type": "BRANCH" },
            "refId": "refs/heads/main", "fromHash": ZEROS, "toHash": AFTER, "type": "UPDATE"
        }]
    })
    .to_string()
    .into_bytes()
}

fn push(headers_of: &[(&str, &str)], body: &[u8]) -> PushEvent {
    match Delivery::parse(&headers(headers_of), body).unwrap().event {
        Event::Push(push) => push,
        Event::Ignored { name } => panic!("{name} was ignored"),
    }
}

#[test]
fn each_servers_push_names_repository_branch_and_commit() {
    let cloud = [("X-Event-Key", "repo:push"), ("X-Hook-UUID", "1")];
    let server = [("X-Event-Key", "repo:refs_changed")];
    let forgejo = [
        ("X-Forgejo-Event", "push"),
        ("X-Gitea-Event", "push"),
        ("X-GitHub-Event", "push"),
    ];
    for (headers, body, provider, url) in [
        (
            &[("X-GitHub-Event", "push")][..],
            github("refs/heads/main", AFTER),
            Provider::GitHub,
            "https://github.com/acme/demo-app.git",
        ),
        (
            &[("X-Gitlab-Event", "Push Hook")],
            gitlab("push"),
            Provider::GitLab,
            "https://gitlab.example.com/acme/demo-app.git",
        ),
        (
            &[("X-Gitlab-Event", "System Hook")],
            gitlab("push"),
            Provider::GitLab,
            "https://gitlab.example.com/acme/demo-app",
        ),
        (
            &forgejo,
            gitea(),
            Provider::Gitea,
            "https://git.example.com/acme/demo-app",
        ),
        (
            &forgejo[1..],
            gitea(),
            Provider::Gitea,
            "git@git.example.com:acme/demo-app.git",
        ),
        (
            &cloud,
            bitbucket_cloud(),
            Provider::BitbucketCloud,
            "https://ada@bitbucket.org/acme/demo-app.git",
        ),
        (
            &cloud[..1],
            bitbucket_cloud(),
            Provider::BitbucketCloud,
            "git@bitbucket.org:acme/demo-app.git",
        ),
        (
            &server,
            bitbucket_server(),
            Provider::BitbucketServer,
            "https://bb.example.com/scm/acme/demo-app.git",
        ),
    ] {
        let push = push(headers, &body);
        assert_eq!(push.provider, provider);
        assert!(push.is_for(url), "{provider:?} {url}");
        assert!(!push.is_for("https://github.com/acme/other.git"));
        let change = push.branch("main").unwrap();
        assert_eq!(change.after.as_deref(), Some(AFTER), "{provider:?}");
        assert_eq!(push.branch("other"), None);
    }
}

#[test]
fn tags_and_deletions_are_told_from_branches() {
    let tag = push(
        &[("X-GitHub-Event", "push")],
        &github("refs/tags/v1", AFTER),
    );
    assert!(tag.tag("v1").is_some());
    assert_eq!(tag.branch("v1"), None);
    let deleted = push(
        &[("X-GitHub-Event", "push")],
        &github("refs/heads/main", ZEROS),
    );
    assert_eq!(deleted.branch("main").unwrap().after, None);
    let cloud = push(&[("X-Event-Key", "repo:push")], &bitbucket_cloud());
    assert_eq!(cloud.changes.len(), 3);
    assert_eq!(cloud.branch("gone").unwrap().after, None);
    assert_eq!(cloud.tag("v1").unwrap().after.as_deref(), Some(AFTER));
}

#[test]
fn other_events_are_ignored_whatever_their_body() {
    for pair in [
        ("X-GitHub-Event", "ping"),
        ("X-GitHub-Event", "pull_request"),
        ("X-Gitlab-Event", "Merge Request Hook"),
        ("X-Gitea-Event", "issues"),
        ("X-Event-Key", "diagnostics:ping"),
        ("X-Event-Key", "pullrequest:fulfilled"),
    ] {
        let delivery = Delivery::parse(&headers(&[pair]), b"not json").unwrap();
        assert!(matches!(delivery.event, Event::Ignored { .. }), "{pair:?}");
    }
    let system = headers(&[("X-Gitlab-Event", "System Hook")]);
    let delivery = Delivery::parse(&system, &gitlab("project_create")).unwrap();
    assert!(matches!(delivery.event, Event::Ignored { .. }));
}

#[test]
fn a_form_payload_is_read_and_signed_as_sent() {
    let json = String::from_utf8(github("refs/heads/main", AFTER)).unwrap();
    let encoded: String = json
        .bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect();
    let body = format!("x=1&payload={encoded}").into_bytes();
    let signed = format!("sha256={}", signature(&body, SECRET));
    let headers = headers(&[
        ("X-GitHub-Event", "push"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Hub-Signature-256", &signed),
    ]);
    let delivery = Delivery::parse(&headers, &body).unwrap();
    assert!(matches!(&delivery.event, Event::Push(push) if push.branch("main").is_some()));
    assert_eq!(delivery.authenticate(&body, &[SECRET]), Ok(()));
}

#[test]
fn githubs_published_example_signature_is_accepted() {
    // From GitHub's documentation "Validating webhook deliveries".
    let headers = headers(&[
        ("X-GitHub-Event", "ping"),
        (
            "X-Hub-Signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ),
    ]);
    let body = b"Hello, World!";
    let delivery = Delivery::parse(&headers, body).unwrap();
    assert_eq!(delivery.authenticate(body, &[SECRET]), Ok(()));
    assert_eq!(
        delivery.authenticate(b"Hello, World?", &[SECRET]),
        Err(WebhookError::BadSignature)
    );
}

#[test]
fn a_secret_that_is_set_must_be_met() {
    let body = github("refs/heads/main", AFTER);
    let hex = signature(&body, SECRET);
    let prefixed = format!("sha256={hex}");
    let github = ("X-GitHub-Event", "push");
    let gitlab = ("X-Gitlab-Event", "Push Hook");
    let gitea = ("X-Gitea-Event", "push");
    let bitbucket = ("X-Event-Key", "diagnostics:ping");
    let bad = Err(WebhookError::BadSignature);
    for (event, proof, expected) in [
        (github, ("X-Hub-Signature-256", prefixed.as_str()), Ok(())),
        (github, ("X-Hub-Signature-256", hex.as_str()), bad.clone()),
        (github, ("X-Hub-Signature-256", "sha256="), bad.clone()),
        (
            github,
            ("X-Hub-Signature", "sha1=00"),
            Err(WebhookError::WeakSignature),
        ),
        (
            github,
            ("X-Gitlab-Token", SECRET),
            Err(WebhookError::Unsigned),
        ),
        (gitea, ("X-Gitea-Signature", hex.as_str()), Ok(())),
        (gitea, ("X-Forgejo-Signature", hex.as_str()), Ok(())),
        (gitea, ("X-Hub-Signature-256", prefixed.as_str()), Ok(())),
        (gitea, ("X-Gitea-Signature", "00"), bad.clone()),
        (bitbucket, ("X-Hub-Signature", prefixed.as_str()), Ok(())),
        (bitbucket, ("X-Hub-Signature", "sha256=00"), bad.clone()),
        (bitbucket, ("X-Other", "1"), Err(WebhookError::Unsigned)),
        (gitlab, ("X-Gitlab-Token", SECRET), Ok(())),
        (
            gitlab,
            ("X-Gitlab-Token", "it's a secret to everybody"),
            bad.clone(),
        ),
        (gitlab, ("X-Gitlab-Token", ""), bad.clone()),
    ] {
        let body = if event == gitlab {
            super::tests::gitlab("push")
        } else {
            body.clone()
        };
        let delivery = Delivery::parse(&headers(&[event, proof]), &body).unwrap();
        assert_eq!(
            delivery.authenticate(&body, &[SECRET]),
            expected,
            "{event:?} {proof:?}"
        );
        assert!(
            delivery.authenticate(&body, &["other"]).is_err(),
            "{event:?}"
        );
        assert_eq!(delivery.authenticate(&body, &["other", SECRET]), expected);
        assert_eq!(delivery.authenticate::<&str>(&body, &[]), Ok(()));
        assert!(!format!("{delivery:?}").contains(SECRET));
    }
}

#[test]
fn an_empty_secret_never_matches() {
    let body = gitlab("push");
    let token = headers(&[("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", "")]);
    let delivery = Delivery::parse(&token, &body).unwrap();
    assert_eq!(
        delivery.authenticate(&body, &[""]),
        Err(WebhookError::BadSignature)
    );
}

#[test]
fn what_cannot_be_read_is_refused_without_repeating_it() {
    let github = [("X-GitHub-Event", "push")];
    for (headers_of, body) in [
        (&[][..], &b"{}"[..]),
        (&[("X-Gogs-Event", "push")], b"{}"),
        (&github, b"s3cret"),
        (&github, b"{}"),
        (
            &github,
            br#"{"repository":{"clone_url":""},"ref":"refs/heads/main"}"#,
        ),
        (
            &[("X-Gitlab-Event", "Push Hook")],
            br#"{"object_kind":"push"}"#,
        ),
        (&[("X-Event-Key", "repo:refs_changed")], b"[]"),
    ] {
        let error = Delivery::parse(&headers(headers_of), body).unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(!error.to_string().contains("s3cret"));
    }
}
