//! The activity log: what happened, newest last, bounded.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ClusterName, NamespacedName};

/// How much an entry asks for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// Something went as it should.
    Good,
    /// Neutral.
    Info,
    /// Look when there is time.
    Warning,
    /// Look now.
    Bad,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// When the hub saw it.
    pub at: Timestamp,
    /// Weight.
    pub severity: Severity,
    /// Stable PascalCase word, for filters.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// The application concerned.
    pub application: Option<NamespacedName>,
    /// The cluster concerned.
    pub cluster: Option<ClusterName>,
}
