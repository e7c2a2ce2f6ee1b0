//! What the hub derived for one Subscription or placement, kept in memory
//! between passes. Everything here can be computed again after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::api::ClusterName;
use crate::api::apps::SubscriptionReportFields;
use crate::core::delivery::Failure;
use crate::core::desired::DesiredSet;
use crate::core::fleet::{RevisionRecord, ServiceReference};
use crate::core::placement::Schedule;
use crate::core::subscription::Decision;

/// Derived state of a Subscription.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionRecord {
    /// What the last pass decided.
    pub decision: Option<Decision>,
    /// The placement in words: `PlacementRule guestbook-pr`.
    pub placement: Option<String>,
    /// Clusters it is placed on.
    pub placed: BTreeSet<ClusterName>,
    /// The inline placement's verdicts, when it is written inline.
    pub inline: Option<Schedule>,
    /// Channel, URL, reference and path, for people.
    pub source: SourceWords,
    /// Content last asked of members.
    pub desired: Option<Arc<DesiredSet>>,
    /// Digest of the rendered content that the desired set was made from, with
    /// everything else it depends on; equal means the set can be used again.
    pub desired_key: Option<String>,
    /// Names of exported services in its manifests.
    pub references: Vec<ServiceReference>,
    /// ServiceExports in its manifests.
    pub exports: Vec<crate::api::NamespacedName>,
    /// Clusters to which something was asked in this process.
    pub asked: BTreeSet<ClusterName>,
    /// Revisions, newest first.
    pub history: Vec<RevisionRecord>,
    /// When each stage was first reached for the revision at hand.
    pub reached: BTreeMap<&'static str, Timestamp>,
    /// What was last written to the report.
    pub reported: Option<SubscriptionReportFields>,
    /// Since when a report waits for what is under way.
    pub reporting: Option<Instant>,
    /// Since when this process has seen it being deleted.
    pub deleting: Option<Instant>,
    /// Failure of the last event, so that an event is sent once.
    pub announced: Option<Failure>,
    /// Whether this process has compared a failure with what an earlier one
    /// announced.
    pub compared: bool,
    /// Whether this process has come to a decision; before that, the status
    /// that an earlier process wrote stands.
    pub decided: bool,
    /// Packages last written to each cluster's SubscriptionStatus, as a key to
    /// compare; `None` until those of an earlier process were read.
    pub packages: Option<BTreeMap<ClusterName, String>>,
}

/// Where content comes from, in words without credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceWords {
    /// Channel `ns/name`.
    pub channel: String,
    /// URL without user info.
    pub url: Option<String>,
    /// Reference asked for.
    pub reference: Option<String>,
    /// Directory.
    pub path: Option<String>,
}

/// Derived state of a placement.
#[derive(Clone, Debug)]
pub struct PlacementRecord {
    /// What it came to.
    pub schedule: Arc<Schedule>,
    /// Generation of the object that was evaluated.
    pub generation: Option<i64>,
    /// Whether the decisions were written.
    pub written: bool,
}
