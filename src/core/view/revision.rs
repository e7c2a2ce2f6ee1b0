//! The way of a revision, and the revisions before it.

use jiff::Timestamp;
use serde::Serialize;

use super::failure;
use super::{Chip, Text, Tone};
use crate::core::fleet::{CommitFacts, RevisionRecord, Stage, StageState};
use crate::core::mesh::Connectivity;

/// A stage of the revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageRow {
    /// Name.
    pub name: String,
    /// Where it stands.
    pub tone: Tone,
    /// Whether it was not begun.
    pub todo: bool,
    /// The word for it, for those who cannot see the icon.
    pub word: &'static str,
    /// One short sentence.
    pub detail: Text,
    /// When it was reached.
    pub at: Option<Timestamp>,
}

/// A revision of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevisionRow {
    /// The commit.
    pub commit: CommitFacts,
    /// Seven digits of its id.
    pub short: String,
    /// How far it got.
    pub chip: Chip,
    /// Milliseconds from seen to live everywhere.
    pub live_after_ms: Option<u64>,
    /// Why it did not get there.
    pub failure: Option<String>,
    /// When the hub first saw it.
    pub seen_at: Timestamp,
}

/// Seven digits, as git shows them.
pub(super) fn short(id: &str) -> String {
    id.chars().take(7).collect()
}

/// `KindNotServed` as `Kind not served`.
pub(super) fn spaced(reason: &str) -> String {
    let mut words = String::with_capacity(reason.len() + 4);
    let mut before = ' ';
    for letter in reason.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
        before = letter;
    }
    words
}

/// Name of the last stage.
pub(super) const DISCOVERABLE: &str = "Discoverable";

impl StageRow {
    /// The last stage: `ready` when all before it are done.
    pub(super) fn discoverable(ready: bool, word: Connectivity) -> Self {
        let (tone, word, detail) = match (ready, word) {
            (false, _) => (Tone::Unknown, "waiting", "waits for health"),
            (true, Connectivity::Connected) => (Tone::Ok, "done", "wherever it is needed"),
            (true, Connectivity::Unknown) => (Tone::Unknown, "unknown", "not known everywhere"),
            (true, Connectivity::Degraded) => (Tone::Bad, "failed", "not from everywhere"),
            (true, Connectivity::Down) => (Tone::Bad, "failed", "from nowhere"),
        };
        Self {
            name: DISCOVERABLE.to_owned(),
            tone,
            todo: !ready,
            word,
            detail: Text::from(detail),
            at: None,
        }
    }
}

impl From<&Stage> for StageRow {
    fn from(stage: &Stage) -> Self {
        let (tone, word) = match stage.state {
            StageState::Done => (Tone::Ok, "done"),
            StageState::Now => (Tone::Busy, "under way"),
            StageState::Todo => (Tone::Unknown, "waiting"),
            StageState::Failed => (Tone::Bad, "failed"),
        };
        Self {
            name: stage.name.to_string(),
            todo: stage.state == StageState::Todo,
            tone,
            word,
            detail: Text::from(stage.detail.as_str()),
            at: stage.at,
        }
    }
}

impl From<&RevisionRecord> for RevisionRow {
    fn from(record: &RevisionRecord) -> Self {
        let (applied, placed) = (record.applied, record.placed);
        let words = format!("{applied} of {placed}");
        let chip = match (&record.failure, applied >= placed) {
            (Some(_), false) => Chip::new(Tone::Bad, format!("halted at {words}")),
            (Some(failure), true) => Chip::new(failure::tone(failure), spaced(&failure.reason)),
            (None, true) => Chip::new(Tone::Ok, words),
            (None, false) => Chip::new(Tone::Busy, words),
        };
        Self {
            short: short(&record.commit.id),
            commit: record.commit.clone(),
            chip,
            live_after_ms: record.live_after_ms,
            failure: record
                .failure
                .as_ref()
                .map(|failure| failure.message.clone()),
            seen_at: record.seen_at,
        }
    }
}
