//! The bounded activity log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::core::activity::Activity;

/// Entries kept. Older ones are forgotten; events on the hub's API remain.
const CAPACITY: usize = 1000;

/// The log. Share it behind an `Arc`.
#[derive(Debug, Default)]
pub struct ActivityLog(Mutex<VecDeque<Activity>>);

impl ActivityLog {
    /// Adds an entry, forgetting the oldest when full. The same sentence twice
    /// in a row is one entry: its time moves.
    pub fn push(&self, entry: Activity) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = entries.back_mut()
            && last.message == entry.message
            && last.application == entry.application
            && last.cluster == entry.cluster
        {
            last.at = entry.at;
            return;
        }
        if entries.len() == CAPACITY {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Activity> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::activity::Severity;
    use jiff::Timestamp;

    fn entry(message: &str) -> Activity {
        Activity {
            at: Timestamp::UNIX_EPOCH,
            severity: Severity::Info,
            reason: "Test".into(),
            message: message.into(),
            application: None,
            cluster: None,
        }
    }

    #[test]
    fn keeps_the_newest_and_folds_repeats() {
        let log = ActivityLog::default();
        for n in 0..CAPACITY + 5 {
            log.push(entry(&n.to_string()));
            log.push(entry(&n.to_string()));
        }
        let entries = log.entries();
        assert_eq!(entries.len(), CAPACITY);
        assert_eq!(entries.first().map(|e| e.message.as_str()), Some("5"));
    }
}
