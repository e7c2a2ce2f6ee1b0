//! Where a repository is: parsed, checked, and shown without secrets.

use std::fmt;
use std::path::PathBuf;

use super::error::GitError;

/// A URL that one of our transports can serve.
///
/// `https`, `http`, and local ones (`file://`, an absolute path). Everything
/// else is refused with the reason: ssh is not built yet, `git://` has no
/// authentication of the server, `ext::` and its kin run programs.
#[derive(Clone, PartialEq, Eq)]
pub enum RemoteUrl {
    /// `http` or `https`, without user-info, query and fragment.
    Http(http::Uri),
    /// A directory of this machine.
    Local(PathBuf),
}

/// User and password of a URL's user-info part, percent-decoded.
pub(super) struct UserInfo {
    pub(super) user: String,
    pub(super) password: String,
}

impl RemoteUrl {
    /// Reads a URL after `insteadOf`; user-info is split off.
    pub(super) fn parse(text: &str) -> Result<(Self, Option<UserInfo>), GitError> {
        let text = text.trim();
        let invalid = |reason: &str| GitError::InvalidUrl {
            url: redact(text),
            reason: reason.to_owned(),
        };
        if text.is_empty() {
            return Err(invalid("it is empty; write an https url"));
        }
        if text.len() > 2048 || text.chars().any(char::is_control) {
            return Err(invalid("it is too long or holds control characters"));
        }
        if text.starts_with('/') {
            return Ok((Self::Local(PathBuf::from(text)), None));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(invalid(if text.contains("::") {
                "remote helpers are not allowed; use an https url"
            } else if text.contains('@') || text.contains(':') {
                "ssh is not supported yet; use the https url of the repository"
            } else {
                "it has no scheme; write an https url"
            }));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "https" | "http" => parse_http(&scheme.to_ascii_lowercase(), rest, text),
            "file" => parse_file(rest, text).map(|url| (url, None)),
            "ssh" | "git+ssh" | "ssh+git" => Err(invalid(
                "ssh is not supported yet; use the https url of the repository",
            )),
            "git" => Err(invalid(
                "the git protocol is neither encrypted nor authenticated; use an https url",
            )),
            _ => Err(invalid("its scheme is not supported; use an https url")),
        }
    }

    /// What the limit of fetches per host counts: `host:port`, or `local`.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Self::Http(uri) => uri
                .authority()
                .map_or_else(String::new, |authority| authority.as_str().to_owned()),
            Self::Local(_) => "local".to_owned(),
        }
    }
}

fn parse_http(
    scheme: &str,
    rest: &str,
    text: &str,
) -> Result<(RemoteUrl, Option<UserInfo>), GitError> {
    let invalid = |reason: &str| GitError::InvalidUrl {
        url: redact(text),
        reason: reason.to_owned(),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (user_info, host) = match authority.rsplit_once('@') {
        Some((info, host)) => (Some(info), host),
        None => (None, authority),
    };
    if host.is_empty() {
        return Err(invalid("it has no host"));
    }
    let uri = format!(
        "{scheme}://{}{}",
        host.to_ascii_lowercase(),
        path.trim_end_matches('/')
    )
    .parse::<http::Uri>()
    .map_err(|_| invalid("host or path hold characters that must be percent-encoded"))?;
    let user_info = user_info.map(|info| {
        let (user, password) = info.split_once(':').unwrap_or((info, ""));
        UserInfo {
            user: percent_decode(user),
            password: percent_decode(password),
        }
    });
    Ok((RemoteUrl::Http(uri), user_info))
}

fn parse_file(rest: &str, text: &str) -> Result<RemoteUrl, GitError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(GitError::InvalidUrl {
            url: redact(text),
            reason: "a file url needs an absolute path (three slashes)".to_owned(),
        });
    }
    Ok(RemoteUrl::Local(PathBuf::from(percent_decode(path))))
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(uri) => write!(f, "{uri}"),
            Self::Local(path) => write!(f, "file://{}", path.display()),
        }
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A URL as it may be shown: no user-info, query or fragment, no control
/// characters, at most 300 characters. Works on text that does not parse.
#[must_use]
pub fn redact(url: &str) -> String {
    let url = url.trim();
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let shown = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
            format!("{scheme}://{host}{path}")
        }
        None => match url.split_once('@') {
            Some((user, rest)) if user.contains(':') => rest.to_owned(),
            _ => url.to_owned(),
        },
    };
    shown
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}

/// Decodes `%XX`; bytes that are not UTF-8 become U+FFFD, stray `%` stay.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let decoded = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::ErrorClass;

    #[test]
    fn usable_urls_lose_their_user_info() {
        for (text, shown) in [
            (
                "https://Git.Example.com/a/b.git",
                "https://git.example.com/a/b.git",
            ),
            (
                "https://u:s%40x@git.example.com:8443/a/",
                "https://git.example.com:8443/a",
            ),
            (
                "HTTP://git.example.com/a?token=x#y",
                "http://git.example.com/a",
            ),
            ("file:///srv/my%20repo.git", "file:///srv/my repo.git"),
            ("file://localhost/srv/a", "file:///srv/a"),
            ("/srv/a", "file:///srv/a"),
        ] {
            let (url, _) = RemoteUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn user_info_becomes_a_decoded_credential() {
        let (_, info) = RemoteUrl::parse("https://me:s%40x@h/a").unwrap();
        let info = info.unwrap();
        assert_eq!((info.user.as_str(), info.password.as_str()), ("me", "s@x"));
    }

    #[test]
    fn other_transports_are_refused_with_the_way_out() {
        for (text, part) in [
            ("git@example.com:a/b.git", "ssh is not supported yet"),
            ("ssh://git@example.com/a/b", "ssh is not supported yet"),
            ("git://example.com/a", "neither encrypted"),
            ("ext::sh -c touch% /tmp/x", "remote helpers are not allowed"),
            ("file://relative", "absolute path"),
            ("https:///a", "no host"),
            ("", "empty"),
            ("charts/a", "no scheme"),
            ("https://h/a b", "percent-encoded"),
        ] {
            let error = RemoteUrl::parse(text).map(|(url, _)| url).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Invalid, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        for text in [
            "https://user:s3cret@h/a",
            "https://s3cret@h/a",
            "https://h/a?private_token=s3cret",
            "foo://x:s3cret@h",
            "user:s3cret@h/a",
        ] {
            assert!(!redact(text).contains("s3cret"), "{text}");
            if let Err(error) = RemoteUrl::parse(text) {
                assert!(!error.to_string().contains("s3cret"), "{error}");
            }
        }
    }
}
