//! What can go wrong between a Channel's URL and a blob.

/// How a caller should treat a [`GitError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The request itself is wrong; retrying without an edit is pointless.
    Invalid,
    /// Network or server trouble that passes.
    Transient,
    /// The server wants another credential, or trust in it is missing.
    Auth,
    /// Repository, branch, tag, commit or path is not there.
    NotFound,
    /// A size limit was hit.
    TooLarge,
    /// A deadline passed.
    Timeout,
    /// The operator's settings do not allow it.
    Refused,
    /// Our own mirror or disk is at fault.
    Local,
}

impl ErrorClass {
    /// A word for reasons and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::Transient => "Transient",
            Self::Auth => "Auth",
            Self::NotFound => "NotFound",
            Self::TooLarge => "TooLarge",
            Self::Timeout => "Timeout",
            Self::Refused => "Refused",
            Self::Local => "Local",
        }
    }
}

/// A failed git operation. Every text is free of credentials (`url` fields are
/// redacted before they get here) and says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// The URL cannot be used at all.
    #[error("git url {url} cannot be used: {reason}")]
    InvalidUrl {
        /// Redacted URL.
        url: String,
        /// Why, and what to write instead.
        reason: String,
    },
    /// A `file://` URL (perhaps after `insteadOf`) without `--allow-local-git`.
    #[error(
        "{url} leads to a local repository; use an https url, or start pilothouse with --allow-local-git"
    )]
    LocalRefused {
        /// Redacted URL after `insteadOf`.
        url: String,
    },
    /// The reference cannot exist.
    #[error("git reference {reference:?} is not valid: {reason}")]
    InvalidReference {
        /// The text, shortened.
        reference: String,
        /// Why.
        reason: &'static str,
    },
    /// A credential or certificate of the Channel cannot be read.
    #[error("the channel's {what} cannot be used: {reason}")]
    InvalidAuth {
        /// Which part (`caCerts`, `clientCert`, …).
        what: &'static str,
        /// Why; never the value.
        reason: String,
    },
    /// 401 or 403.
    #[error("{url} {advice} (http {status})")]
    Unauthorized {
        /// Redacted URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// What the server wants and where to put it.
        advice: &'static str,
    },
    /// The server wants a client certificate, or another one.
    #[error(
        "{url} refused the client certificate ({reason}); check clientCert and clientKey in the secret that the channel's secretRef names"
    )]
    ClientCertificateRefused {
        /// Redacted URL.
        url: String,
        /// The TLS alert.
        reason: String,
    },
    /// TLS verification failed.
    #[error(
        "the certificate of {url} is not trusted ({reason}); put its CA into the config map of the channel's configMapRef (key caCerts)"
    )]
    Untrusted {
        /// Redacted URL.
        url: String,
        /// rustls's reason.
        reason: String,
    },
    /// 404 or 410, or no repository in the local directory.
    #[error(
        "no git repository at {url}; check the channel's pathname, and its secretRef if the repository is private"
    )]
    RepositoryNotFound {
        /// Redacted URL.
        url: String,
    },
    /// The server answers, but not with git's smart protocol.
    #[error("{url} does not speak the smart git protocol ({reason}); check the channel's pathname")]
    NotGit {
        /// Redacted URL.
        url: String,
        /// What came instead.
        reason: String,
    },
    /// The repository has no references: new, emptied, or not yet pushed.
    #[error(
        "{url} has no branches; what was deployed from it stays as it is until something is pushed"
    )]
    EmptyRepository {
        /// Redacted URL.
        url: String,
    },
    /// The reference is not (or no longer) there.
    #[error(
        "{url} has no {reference}; what was deployed from it stays as it is until it exists again"
    )]
    ReferenceNotFound {
        /// Redacted URL.
        url: String,
        /// [`super::Reference`] as text.
        reference: String,
    },
    /// The path is not in the commit.
    #[error("commit {commit} has no path {path:?}; check the subscription's git-path")]
    PathNotFound {
        /// Commit id.
        commit: String,
        /// Path as asked for, shortened.
        path: String,
    },
    /// `..` in a path.
    #[error("path {path:?} escapes the repository root; use a path below it")]
    PathEscapes {
        /// Path as asked for, shortened.
        path: String,
    },
    /// A symbolic link that leaves the repository.
    #[error(
        "symbolic link {path:?} to {target:?} escapes the repository root; replace it by a file"
    )]
    LinkEscapes {
        /// Where the link is.
        path: String,
        /// Where it points, shortened.
        target: String,
    },
    /// An object is not in the mirror.
    #[error("git object {id} is not in the mirror; fetch its commit first")]
    MissingObject {
        /// Object id.
        id: String,
    },
    /// A limit on size or count.
    #[error("{what} is larger than the limit of {limit} {unit}; {advice}")]
    TooLarge {
        /// What was too large, with its name.
        what: String,
        /// The limit.
        limit: u64,
        /// `bytes`, `files`, …
        unit: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The deadline of the operation passed.
    #[error("{url} did not answer within {seconds} s; it is tried again")]
    Timeout {
        /// Redacted URL.
        url: String,
        /// The deadline.
        seconds: u64,
    },
    /// A redirect that we do not follow.
    #[error(
        "{url} redirects to {target}, another host; put the new url into the channel's pathname if you trust it"
    )]
    Redirected {
        /// Redacted URL.
        url: String,
        /// Redacted target.
        target: String,
    },
    /// Anything of the network or the server that may pass.
    #[error("{url} cannot be reached ({reason}); it is tried again")]
    Unreachable {
        /// Redacted URL.
        url: String,
        /// Short reason without credentials.
        reason: String,
    },
    /// Disk or object database trouble on our side.
    #[error("the local mirror of {url} failed ({reason}); check the disk of the cache directory")]
    Mirror {
        /// Redacted URL.
        url: String,
        /// Short reason.
        reason: String,
    },
    /// The operator's git configuration cannot be read.
    #[error("git configuration {path} cannot be read: {reason}")]
    Config {
        /// File, or where the setting came from.
        path: String,
        /// Short reason.
        reason: String,
    },
}

impl GitError {
    /// How to treat this error.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidUrl { .. }
            | Self::InvalidReference { .. }
            | Self::InvalidAuth { .. }
            | Self::PathEscapes { .. }
            | Self::LinkEscapes { .. }
            | Self::NotGit { .. }
            | Self::Redirected { .. } => ErrorClass::Invalid,
            Self::LocalRefused { .. } => ErrorClass::Refused,
            Self::Unauthorized { .. }
            | Self::ClientCertificateRefused { .. }
            | Self::Untrusted { .. } => ErrorClass::Auth,
            Self::RepositoryNotFound { .. }
            | Self::EmptyRepository { .. }
            | Self::ReferenceNotFound { .. }
            | Self::PathNotFound { .. } => ErrorClass::NotFound,
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            Self::Timeout { .. } => ErrorClass::Timeout,
            Self::Unreachable { .. } => ErrorClass::Transient,
            Self::MissingObject { .. } | Self::Mirror { .. } | Self::Config { .. } => {
                ErrorClass::Local
            }
        }
    }
}
