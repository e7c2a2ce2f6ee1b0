//! The push payloads, reduced to addresses and references.

use http::HeaderMap;
use serde_json::Value;

use super::{
    Event, Provider, PushEvent, PushedRef, RefChange, RepositoryAddress, WebhookError, header,
};

/// References taken from one delivery; a push that moves more is looked at by
/// the next poll.
const MAX_CHANGES: usize = 100;

pub(super) fn read(
    provider: Provider,
    name: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Event, WebhookError> {
    let pushed = match provider {
        Provider::GitHub | Provider::Gitea => name == "push",
        Provider::GitLab => name == "Push Hook" || name == "Tag Push Hook" || name == "System Hook",
        Provider::BitbucketCloud => name == "repo:push",
        Provider::BitbucketServer => name == "repo:refs_changed",
    };
    let ignored = || Event::Ignored {
        name: name.chars().filter(|c| !c.is_control()).take(60).collect(),
    };
    if !pushed {
        return Ok(ignored());
    }
    let invalid = |reason: &'static str| WebhookError::InvalidBody {
        provider: provider.as_str(),
        reason,
    };
    let form = header(headers, "content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let json: Value = if form {
        let text =
            form_field(body, b"payload").ok_or_else(|| invalid("the form has no payload"))?;
        serde_json::from_slice(&text)
    } else {
        serde_json::from_slice(body)
    }
    .map_err(|_| invalid("it is not JSON"))?;
    // GitLab's system hooks tell many things; only pushes are of use.
    if provider == Provider::GitLab {
        let kind = text(&json, "/object_kind").or_else(|| text(&json, "/event_name"));
        if !matches!(kind, Some("push" | "tag_push")) {
            return Ok(ignored());
        }
    }
    let repository = addresses(provider, &json);
    if repository.is_empty() {
        return Err(invalid("it names no repository"));
    }
    let changes = match provider {
        Provider::GitHub | Provider::Gitea | Provider::GitLab => one_change(&json),
        Provider::BitbucketCloud => cloud_changes(&json),
        Provider::BitbucketServer => server_changes(&json),
    };
    Ok(Event::Push(PushEvent {
        provider,
        repository,
        changes,
    }))
}

fn text<'j>(json: &'j Value, pointer: &str) -> Option<&'j str> {
    json.pointer(pointer).and_then(Value::as_str)
}

fn addresses(provider: Provider, json: &Value) -> RepositoryAddress {
    let mut address = RepositoryAddress::default();
    let pointers: &[&str] = match provider {
        Provider::GitHub | Provider::Gitea => &[
            "/repository/clone_url",
            "/repository/html_url",
            "/repository/ssh_url",
            "/repository/git_url",
            "/repository/svn_url",
            "/repository/url",
        ],
        Provider::GitLab => &[
            "/project/git_http_url",
            "/project/web_url",
            "/project/git_ssh_url",
            "/project/http_url",
            "/project/ssh_url",
            "/project/homepage",
            "/repository/git_http_url",
            "/repository/git_ssh_url",
            "/repository/homepage",
            "/repository/url",
        ],
        Provider::BitbucketCloud => &["/repository/links/html/href"],
        Provider::BitbucketServer => &[],
    };
    for pointer in pointers {
        if let Some(url) = text(json, pointer) {
            address.add_url(url);
        }
    }
    if provider == Provider::BitbucketServer {
        let clone = json.pointer("/repository/links/clone");
        for link in clone.and_then(Value::as_array).into_iter().flatten() {
            if let Some(url) = text(link, "/href") {
                address.add_url(url);
            }
        }
        let project = text(json, "/repository/project/key");
        let slug = text(json, "/repository/slug");
        if let (Some(project), Some(slug)) = (project, slug) {
            address.add_path(&format!("{project}/{slug}"));
        }
    }
    address
}

/// GitHub, Gitea and GitLab send one delivery per reference.
fn one_change(json: &Value) -> Vec<RefChange> {
    let change = text(json, "/ref").and_then(reference).map(|reference| {
        let after = text(json, "/after").and_then(commit);
        RefChange { reference, after }
    });
    change.into_iter().collect()
}

fn cloud_changes(json: &Value) -> Vec<RefChange> {
    let changes = json.pointer("/push/changes").and_then(Value::as_array);
    let changes = changes.into_iter().flatten().take(MAX_CHANGES);
    changes
        .filter_map(|change| {
            let new = change.get("new").filter(|new| new.is_object());
            let named = new.or_else(|| change.get("old"))?;
            let name = text(named, "/name")?.to_owned();
            let reference = match text(named, "/type")? {
                "tag" | "annotated_tag" => PushedRef::Tag(name),
                _ => PushedRef::Branch(name),
            };
            let after = new
                .and_then(|new| text(new, "/target/hash"))
                .and_then(commit);
            Some(RefChange { reference, after })
        })
        .collect()
}

fn server_changes(json: &Value) -> Vec<RefChange> {
    let changes = json.pointer("/changes").and_then(Value::as_array);
    let changes = changes.into_iter().flatten().take(MAX_CHANGES);
    changes
        .filter_map(|change| {
            let name = text(change, "/ref/id").or_else(|| text(change, "/refId"))?;
            let reference = reference(name)?;
            let after = text(change, "/toHash").and_then(commit);
            Some(RefChange { reference, after })
        })
        .collect()
}

fn reference(full: &str) -> Option<PushedRef> {
    if let Some(name) = full.strip_prefix("refs/heads/") {
        return Some(PushedRef::Branch(name.to_owned()));
    }
    full.strip_prefix("refs/tags/")
        .map(|name| PushedRef::Tag(name.to_owned()))
}

/// A commit id; forty zeros stand for "deleted".
fn commit(text: &str) -> Option<String> {
    let valid = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    (valid && text.bytes().any(|b| b != b'0')).then(|| text.to_ascii_lowercase())
}

/// The decoded value of a field of an urlencoded form.
fn form_field(body: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    body.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        (&pair[..at] == name).then(|| decode(&pair[at + 1..]))
    })
}

fn decode(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        let byte = value[at];
        at += 1;
        let escaped = (byte == b'%')
            .then(|| value.get(at..at + 2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escaped) {
            (_, Some(decoded)) => {
                out.push(decoded);
                at += 2;
            }
            (b'+', None) => out.push(b' '),
            (other, None) => out.push(other),
        }
    }
    out
}
