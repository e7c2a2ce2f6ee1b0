//! Whether a gateway still reports: the movement of its `update-timestamp`
//! as the hub sees it.
//!
//! A live gateway rewrites the annotation every 5 s; its peers give up on one
//! that is 15 s old. Nobody rewrites the object of a dead gateway, so its
//! last `connected` stays for ever (submariner.md §0.2). Clocks of different
//! machines are not compared, with one exception: a stamp that the hub meets
//! for the first time is believed only if it reads as of this minute.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// After this long without a new stamp a gateway is silent (D1).
pub const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// A first stamp at most this far from the hub's clock is believed at once.
const CREDIBLE: SignedDuration = SignedDuration::from_secs(60);

/// What the hub saw of a gateway's stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Beat {
    /// No stamp was met, or it is old and did not move yet: not known.
    #[default]
    Unheard,
    /// It moves.
    Beating,
    /// It stood still for longer than [`SILENT_AFTER`].
    Silent {
        /// When the hub saw it move last (or first saw it).
        since: Timestamp,
    },
}

/// Follows one gateway's stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    stamp: String,
    heard_at: Timestamp,
    /// It was seen to move, or its first value was credible.
    alive: bool,
}

impl Pulse {
    /// Starts with the first stamp that the hub met, at `now`.
    #[must_use]
    pub fn first(stamp: &str, now: Timestamp) -> Self {
        let alive = stamp
            .parse()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .is_some_and(|written| now.duration_since(written).abs() <= CREDIBLE);
        Self {
            stamp: stamp.to_owned(),
            heard_at: now,
            alive,
        }
    }

    /// Takes a further report; a stamp that did not change is no beat.
    pub fn hear(&mut self, stamp: &str, now: Timestamp) {
        if stamp != self.stamp {
            stamp.clone_into(&mut self.stamp);
            self.heard_at = now;
            self.alive = true;
        }
    }

    /// The verdict at `now`.
    #[must_use]
    pub fn judge(&self, now: Timestamp) -> Beat {
        if now.duration_since(self.heard_at) > SILENT_AFTER {
            Beat::Silent {
                since: self.heard_at,
            }
        } else if self.alive {
            Beat::Beating
        } else {
            Beat::Unheard
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_stamp_that_moves_beats_and_one_that_stands_falls_silent() {
        let mut pulse = Pulse::first("1800000000", at(0));
        assert_eq!(pulse.judge(at(0)), Beat::Beating);
        pulse.hear("1800000005", at(5));
        assert_eq!(pulse.judge(at(25)), Beat::Beating);
        pulse.hear("1800000005", at(24));
        assert_eq!(pulse.judge(at(26)), Beat::Silent { since: at(5) });
        pulse.hear("1800000006", at(30));
        assert_eq!(pulse.judge(at(31)), Beat::Beating);
    }

    #[test]
    fn an_old_first_stamp_is_not_believed_until_it_moves() {
        let mut pulse = Pulse::first("1618068305", at(0));
        assert_eq!(pulse.judge(at(1)), Beat::Unheard);
        pulse.hear("1618068310", at(5));
        assert_eq!(pulse.judge(at(6)), Beat::Beating);
        assert_eq!(
            Pulse::first("odd", at(0)).judge(at(21)),
            Beat::Silent { since: at(0) }
        );
    }
}
