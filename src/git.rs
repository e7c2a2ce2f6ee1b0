//! Git access: one bare mirror per repository and credential, polled and
//! fetched; trees read without a checkout.
//!
//! A caller asks [`Fetcher::repository`] for a [`RepositoryHandle`], polls it
//! with [`RepositoryHandle::resolve`] (one `ls-remote`) or lets
//! [`RepositoryHandle::watch`] do so, fetches a new commit once, compares
//! [`TreeSnapshot::content`] of each Subscription's path (equal: nothing to do)
//! and parses only blobs that it has not seen.
//!
//! Everything a Channel says is untrusted: URLs that lead to the machine
//! itself are refused unless the operator allows them, every transfer has a
//! deadline and a byte limit, and no credential leaves for another host.

mod config;
mod error;
mod fetcher;
mod handle;
mod http;
mod metrics;
mod mirror;
mod poll;
mod spec;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transport;
mod tree;
mod url;

pub use config::GitConfig;
pub use error::{ErrorClass, GitError};
pub use fetcher::{Fetcher, FetcherOptions};
pub use handle::RepositoryHandle;
pub use metrics::GitMetrics;
pub use poll::{PollOptions, RefState, Watcher};
pub use spec::{Auth, Commit, Credential, Heads, ObjectId, Reference, RepositorySpec, Revision};
pub use tree::{EntryKind, TreeEntry, TreeLimits, TreeSnapshot};
pub use url::{RemoteUrl, redact};
