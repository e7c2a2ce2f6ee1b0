//! What to fetch, with which credential, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::error::GitError;

/// The SHA-1 name of a git object, shown as 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub(super) git2::Oid);

impl ObjectId {
    /// The first seven digits, as people abbreviate a commit.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.0.to_string();
        text.truncate(7);
        text
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ObjectId {
    type Err = GitError;

    /// Parses all 40 digits; an abbreviation is refused, as a server cannot be
    /// asked for it.
    fn from_str(text: &str) -> Result<Self, GitError> {
        let full = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match git2::Oid::from_str(text) {
            Ok(oid) if full => Ok(Self(oid)),
            _ => Err(GitError::InvalidReference {
                reference: text.chars().take(80).collect(),
                reason: "a commit is named by all 40 hexadecimal digits",
            }),
        }
    }
}

impl serde::Serialize for ObjectId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One repository as a Channel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySpec {
    /// The Channel's `pathname`, before any `insteadOf`. Untrusted; may hold
    /// user-info, which then serves as the credential and is never shown.
    pub url: String,
    /// Credential and TLS settings.
    pub auth: Auth,
}

impl RepositorySpec {
    /// A repository that needs no credential.
    #[must_use]
    pub fn anonymous(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            auth: Auth::default(),
        }
    }
}

/// Credential and TLS settings of one Channel. Its Debug form shows which are
/// set, never a value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// Who we say we are.
    pub credential: Credential,
    /// PEM certificates trusted besides the built-in roots (ConfigMap key
    /// `caCerts`; several certificates and comment lines are fine).
    pub ca_certs: Option<String>,
    /// Accept any server certificate (Channel `insecureSkipVerify`).
    pub insecure_skip_verify: bool,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("credential", &self.credential)
            .field("ca_certs", &self.ca_certs.is_some())
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .finish()
    }
}

/// The forms of a Channel Secret that https understands (ocm-apps.md §1.3).
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credential {
    /// No Secret.
    #[default]
    None,
    /// Keys `user` and `accessToken`, sent as HTTP Basic from the first request.
    Basic {
        /// User name.
        user: String,
        /// Token or password.
        token: String,
    },
    /// Keys `clientCert` and `clientKey`, both PEM.
    ClientCertificate {
        /// Certificate chain, leaf first.
        cert: String,
        /// Private key (PKCS#8, PKCS#1 or SEC1).
        key: String,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(<redacted>)",
            Self::ClientCertificate { .. } => "ClientCertificate(<redacted>)",
        })
    }
}

/// What a Subscription follows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// The server's default branch.
    Head,
    /// A branch, without `refs/heads/`.
    Branch(String),
    /// A tag, without `refs/tags/`; annotated tags are peeled.
    Tag(String),
    /// A fixed commit (`git-desired-commit`).
    Commit(ObjectId),
}

impl Reference {
    /// The full name on the server; `None` for a fixed commit.
    #[must_use]
    pub fn full_name(&self) -> Option<String> {
        match self {
            Self::Head => Some("HEAD".to_owned()),
            Self::Branch(name) => Some(format!("refs/heads/{name}")),
            Self::Tag(name) => Some(format!("refs/tags/{name}")),
            Self::Commit(_) => None,
        }
    }

    /// Refuses names that git would refuse or read as a pattern.
    ///
    /// # Errors
    /// [`GitError::InvalidReference`] with the name and the reason.
    pub fn validate(&self) -> Result<(), GitError> {
        let (Self::Branch(name) | Self::Tag(name)) = self else {
            return Ok(());
        };
        let full = self.full_name().unwrap_or_default();
        if git2::Reference::is_valid_name(&full) && !name.starts_with('-') {
            return Ok(());
        }
        Err(GitError::InvalidReference {
            reference: name.chars().take(80).collect(),
            reason: "not a valid branch or tag name",
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("default branch"),
            Self::Branch(name) => write!(f, "branch {name}"),
            Self::Tag(name) => write!(f, "tag {name}"),
            Self::Commit(id) => write!(f, "commit {id}"),
        }
    }
}

/// Where a reference points on the server right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The commit (of an annotated tag: the peeled commit, where the server
    /// advertises it).
    pub id: ObjectId,
    /// The branch, where the reference is one; for `Head` the branch it names.
    pub branch: Option<String>,
}

/// The answer of one `ls-remote`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// Full reference name (`HEAD`, `refs/heads/main`, `refs/tags/v1`,
    /// `refs/tags/v1^{}`) to object.
    pub refs: BTreeMap<String, ObjectId>,
    /// The branch that `HEAD` names, if the server says.
    pub default_branch: Option<String>,
}

/// A fetched commit, its objects in the mirror.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Commit {
    /// Commit id.
    pub id: ObjectId,
    /// The root tree.
    pub tree: ObjectId,
    /// Author as `Name <address>`; untrusted text.
    pub author: String,
    /// First line of the message, at most 200 characters; untrusted text.
    pub summary: String,
    /// Commit time.
    pub time: Timestamp,
    /// The branch it was fetched from, if it was a branch.
    pub branch: Option<String>,
}
