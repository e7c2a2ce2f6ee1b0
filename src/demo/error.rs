//! Why the demo cannot go on.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What went wrong, with the next step. The sources tell the details.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The directory holds something else.
    #[error("{dir} is not empty and not a demo's; choose another with --dir")]
    ForeignDir {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory was made by a version with another layout.
    #[error(
        "{dir} was made by another version of the demo (format {found}); remove it or choose another with --dir"
    )]
    Format {
        /// The directory.
        dir: PathBuf,
        /// What its marker says.
        found: String,
    },
    /// Another demo runs on the directory.
    #[error("a demo already runs on {dir}; stop it, or choose another directory with --dir")]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// No demo runs on the directory.
    #[error(
        "no demo runs on {dir}; start one with `pilothouse demo`, or name its directory with --dir"
    )]
    NotRunning {
        /// The directory.
        dir: PathBuf,
    },
    /// Somebody else listens there.
    #[error("cannot listen on {address} for {what}; stop what uses it{hint}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Dashboard or whose API.
        what: String,
        /// Another way out; empty, or begins with a comma.
        hint: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file or directory of the demo cannot be read or written.
    #[error("cannot use {path}; check that its directory is writable")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The fault names a cluster that the demo has not.
    #[error("the demo has no cluster {name:?}; it has aws-sub1 and aws-sub2")]
    UnknownCluster {
        /// What was asked for.
        name: String,
    },
    /// A part of the demo failed.
    #[error("{what}")]
    Part {
        /// Which part, with what it was about to do.
        what: String,
        /// Its own error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DemoError {
    /// Wraps the error of a part of the demo.
    pub(super) fn part(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Part {
            what: what.into(),
            source: source.into(),
        }
    }

    /// For `map_err` on file operations.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
