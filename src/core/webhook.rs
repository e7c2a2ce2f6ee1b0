//! Webhooks of git servers: who sent it, is it genuine, what was pushed.
//!
//! Everything in a delivery is untrusted until [`Delivery::authenticate`]
//! says otherwise, and even then it only causes a look at a repository that
//! some Channel names: nothing of a payload is ever deployed. (RHACM's own
//! listener drops signed deliveries and lets unsigned ones pass, ocm-apps.md
//! §2.11; here a secret that is set must be met.)

mod address;
mod payload;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

pub use address::RepositoryAddress;

/// The servers whose deliveries are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// github.com and GitHub Enterprise Server.
    GitHub,
    /// GitLab, hosted or own.
    GitLab,
    /// Gitea and its fork Forgejo.
    Gitea,
    /// bitbucket.org.
    BitbucketCloud,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
}

impl Provider {
    /// A word for texts and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
            Self::Gitea => "Gitea",
            Self::BitbucketCloud => "Bitbucket Cloud",
            Self::BitbucketServer => "Bitbucket Server",
        }
    }
}

/// Why a delivery is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No header of a known server.
    #[error(
        "not a webhook of GitHub, GitLab, Gitea, Forgejo or Bitbucket: no event header; send the push event of one of these"
    )]
    UnknownProvider,
    /// The body is neither JSON nor a form with a JSON `payload`.
    #[error("the body of the {provider} webhook is not its push payload: {reason}")]
    InvalidBody {
        /// Who claims to have sent it.
        provider: &'static str,
        /// What is wrong; no part of the body.
        reason: &'static str,
    },
    /// A secret is set, and the delivery carries no proof.
    #[error(
        "the webhook is not signed, but a secret is set for this repository; set the same secret at the git server"
    )]
    Unsigned,
    /// A secret is set, and the proof does not match.
    #[error(
        "the webhook's signature does not match the secret that is set for this repository; set the same secret at the git server"
    )]
    BadSignature,
    /// Only an outdated kind of signature was sent.
    #[error(
        "the webhook is signed with SHA-1 only; the git server must also send X-Hub-Signature-256"
    )]
    WeakSignature,
}

impl WebhookError {
    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::UnknownProvider | Self::InvalidBody { .. } => 400,
            Self::Unsigned | Self::BadSignature | Self::WeakSignature => 401,
        }
    }
}

/// A branch or tag, without its `refs/…/` prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PushedRef {
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
}

/// One reference that a push moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefChange {
    /// Which.
    pub reference: PushedRef,
    /// The commit it points to now (40 digits; for an annotated tag the tag
    /// object); `None` if it was deleted or the server does not say.
    pub after: Option<String>,
}

/// What was pushed where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushEvent {
    /// Who sent it.
    pub provider: Provider,
    /// Every address under which the server knows the repository.
    pub repository: RepositoryAddress,
    /// The references that moved, in the order of the payload.
    pub changes: Vec<RefChange>,
}

impl PushEvent {
    /// Whether a Channel's `pathname` names the repository of this push.
    #[must_use]
    pub fn is_for(&self, pathname: &str) -> bool {
        self.repository.matches(pathname)
    }

    /// The change of a branch, if this push moved it.
    #[must_use]
    pub fn branch(&self, name: &str) -> Option<&RefChange> {
        self.changes
            .iter()
            .find(|change| matches!(&change.reference, PushedRef::Branch(branch) if branch == name))
    }

    /// The change of a tag, if this push moved it.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&RefChange> {
        self.changes
            .iter()
            .find(|change| matches!(&change.reference, PushedRef::Tag(tag) if tag == name))
    }
}

/// What a delivery is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something was pushed.
    Push(PushEvent),
    /// Anything else (a ping, an issue, …): answered with success and ignored.
    Ignored {
        /// The server's name of the event, shortened.
        name: String,
    },
}

/// A delivery as read, not yet believed.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Who claims to have sent it.
    pub provider: Provider,
    /// What it is about.
    pub event: Event,
    proof: Proof,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("provider", &self.provider)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// What the sender offers to prove that it knows the secret.
#[derive(Clone, PartialEq, Eq)]
enum Proof {
    None,
    /// HMAC-SHA256 over the raw body, as bytes.
    Digest(Vec<u8>),
    /// The secret itself (GitLab).
    Token(Vec<u8>),
    /// A header that cannot be a proof.
    Malformed,
    /// HMAC-SHA1 only.
    Weak,
}

impl Delivery {
    /// Reads a delivery from its headers and raw body (whose size the caller
    /// has limited).
    ///
    /// # Errors
    /// [`WebhookError::UnknownProvider`], [`WebhookError::InvalidBody`].
    pub fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, WebhookError> {
        let (provider, name) = sender(headers).ok_or(WebhookError::UnknownProvider)?;
        let event = payload::read(provider, name, headers, body)?;
        Ok(Self {
            provider,
            event,
            proof: proof(provider, headers),
        })
    }

    /// Checks the delivery against the secrets that apply to its repository:
    /// with none, anything passes; with any, one of them must match, compared
    /// in constant time. Empty secrets never match.
    ///
    /// # Errors
    /// [`WebhookError::Unsigned`], [`WebhookError::BadSignature`],
    /// [`WebhookError::WeakSignature`].
    pub fn authenticate<S: AsRef<[u8]>>(
        &self,
        body: &[u8],
        secrets: &[S],
    ) -> Result<(), WebhookError> {
        if secrets.is_empty() {
            return Ok(());
        }
        match &self.proof {
            Proof::None => return Err(WebhookError::Unsigned),
            Proof::Weak => return Err(WebhookError::WeakSignature),
            Proof::Malformed => return Err(WebhookError::BadSignature),
            Proof::Digest(_) | Proof::Token(_) => {}
        }
        // All secrets are tried, so that the time tells nothing of the match.
        let matched = secrets
            .iter()
            .map(AsRef::as_ref)
            .fold(false, |matched, secret| {
                self.proven_by(body, secret) | matched
            });
        if matched {
            Ok(())
        } else {
            Err(WebhookError::BadSignature)
        }
    }

    fn proven_by(&self, body: &[u8], secret: &[u8]) -> bool {
        if secret.is_empty() {
            return false;
        }
        match &self.proof {
            Proof::Digest(digest) => Hmac::<Sha256>::new_from_slice(secret)
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(digest).is_ok()),
            Proof::Token(token) => token.ct_eq(secret).into(),
            Proof::None | Proof::Malformed | Proof::Weak => false,
        }
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Provider and event name. Gitea and Forgejo also send GitHub's headers for
/// compatibility, so they are asked for first.
fn sender(headers: &HeaderMap) -> Option<(Provider, &str)> {
    for (name, provider) in [
        ("x-forgejo-event", Provider::Gitea),
        ("x-gitea-event", Provider::Gitea),
        ("x-gitlab-event", Provider::GitLab),
        ("x-github-event", Provider::GitHub),
    ] {
        if let Some(event) = header(headers, name) {
            return Some((provider, event));
        }
    }
    let event = header(headers, "x-event-key")?;
    // Only the cloud numbers its hooks; the server has its own event for pushes.
    let cloud = headers.contains_key("x-hook-uuid") || event.starts_with("repo:push");
    let provider = if cloud {
        Provider::BitbucketCloud
    } else {
        Provider::BitbucketServer
    };
    Some((provider, event))
}

fn proof(provider: Provider, headers: &HeaderMap) -> Proof {
    let hex = |name: &str| header(headers, name).map(|text| (text, decode_hex(text)));
    let prefixed = |name: &str| {
        header(headers, name).map(|text| text.strip_prefix("sha256=").and_then(decode_hex))
    };
    let digest = |found: Option<Vec<u8>>| found.map_or(Proof::Malformed, Proof::Digest);
    match provider {
        Provider::GitLab => headers
            .get("x-gitlab-token")
            .map_or(Proof::None, |value| Proof::Token(value.as_bytes().to_vec())),
        Provider::Gitea => ["x-forgejo-signature", "x-gitea-signature"]
            .into_iter()
            .find_map(hex)
            .map(|(_, found)| digest(found))
            .or_else(|| prefixed("x-hub-signature-256").map(digest))
            .unwrap_or(Proof::None),
        Provider::GitHub => match prefixed("x-hub-signature-256") {
            Some(found) => digest(found),
            None if headers.contains_key("x-hub-signature") => Proof::Weak,
            None => Proof::None,
        },
        Provider::BitbucketCloud | Provider::BitbucketServer => {
            prefixed("x-hub-signature").map_or(Proof::None, digest)
        }
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests;
