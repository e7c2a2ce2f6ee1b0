//! What became of a desired object on a member: the words that status,
//! events, reports and the dashboard share.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ClusterName, NamespacedName};
use crate::core::object::{Digest, ObjectId};

/// Sync axis, in Argo CD's words. Ordered best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Sync {
    /// The member holds what git says.
    Synced,
    /// The hub does not know (member unreachable, nothing reported yet).
    Unknown,
    /// The member differs from git, or the last apply failed.
    OutOfSync,
}

/// Health axis, in Argo CD's words. Ordered best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Health {
    /// Does what it is there for.
    Healthy,
    /// Paused on purpose.
    Suspended,
    /// On its way.
    Progressing,
    /// The hub does not know. Unknown is not down.
    Unknown,
    /// Not there.
    Missing,
    /// Failed, or will not get well by itself.
    Degraded,
}

/// Why a stage failed, which decides when it is tried again and how loudly it
/// is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum FailureClass {
    /// The input must change before it can work.
    Invalid,
    /// Something else must appear first; it is watched.
    Waiting,
    /// Tried again with back-off.
    Transient,
    /// Another writer owns what we would write.
    Conflict,
    /// No retry will help until someone acts.
    Stalled,
}

/// A failure as people and programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Class.
    pub class: FailureClass,
    /// PascalCase word, stable: metric label and event reason.
    pub reason: String,
    /// One sentence with the value and the next step. Never holds a secret.
    pub message: String,
}

/// State of one desired object on one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectState {
    /// Which object.
    pub id: ObjectId,
    /// `apiVersion` as git has it.
    pub api_version: String,
    /// Sync word.
    pub sync: Sync,
    /// Health word.
    pub health: Health,
    /// What the health word rests on, for example `2 of 3 replicas available`. May be empty.
    pub health_message: String,
    /// Last failure, when the object is not in place.
    pub failure: Option<Failure>,
    /// When this state began.
    pub since: Timestamp,
}

/// State of one application (Subscription) on one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterDelivery {
    /// The member.
    pub cluster: ClusterName,
    /// The Subscription.
    pub application: NamespacedName,
    /// Commit whose content is in place (all objects applied), when known.
    pub revision: Option<String>,
    /// Commit that the member's inventory names. It may be older than
    /// `revision`: a commit that changes nothing here writes nothing here.
    pub recorded: Option<String>,
    /// Digest of the desired set this state answers to.
    pub desired: Option<Digest>,
    /// What the cluster is doing with it.
    pub phase: DeliveryPhase,
    /// One entry per desired object, in apply order.
    pub objects: Vec<ObjectState>,
    /// Objects of the inventory that are still to be deleted.
    pub pruning: Vec<ObjectId>,
    /// A failure that concerns the whole delivery (member unreachable, namespace refused).
    pub failure: Option<Failure>,
    /// When the last apply of this delivery ended.
    pub applied_at: Option<Timestamp>,
    /// Counts of the last pass: objects sent, unchanged, pruned, failed.
    pub last_pass: PassCounts,
}

/// What a delivery is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DeliveryPhase {
    /// Waits for its turn or for the member.
    Pending,
    /// Writes are under way.
    Applying,
    /// Everything that could be applied is in place.
    Applied,
    /// Something failed; the rest was applied.
    Failed,
    /// Deleting what the inventory names.
    Removing,
    /// Nothing of this application is left here.
    Removed,
}

/// Counts of one pass over a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PassCounts {
    /// Objects sent to the member.
    pub sent: usize,
    /// Objects known to be in place and not sent.
    pub unchanged: usize,
    /// Objects deleted.
    pub pruned: usize,
    /// Objects that failed.
    pub failed: usize,
}

impl ClusterDelivery {
    /// Worst sync word over the objects; `Unknown` when nothing was reported.
    #[must_use]
    pub fn sync(&self) -> Sync {
        if self.failure.is_some() && self.objects.is_empty() {
            return Sync::Unknown;
        }
        self.objects
            .iter()
            .map(|object| object.sync)
            .max()
            .unwrap_or(match self.phase {
                DeliveryPhase::Applied | DeliveryPhase::Removed => Sync::Synced,
                _ => Sync::Unknown,
            })
    }

    /// Worst health word over the objects.
    #[must_use]
    pub fn health(&self) -> Health {
        self.objects
            .iter()
            .map(|object| object.health)
            .max()
            .unwrap_or(match self.phase {
                DeliveryPhase::Applied | DeliveryPhase::Removed => Health::Healthy,
                _ => Health::Unknown,
            })
    }
}
