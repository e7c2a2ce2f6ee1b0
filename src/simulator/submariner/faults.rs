//! What is broken, and measurements that vary a little.

use std::collections::BTreeSet;

/// Faults of the simulated fleet. Send a changed copy to the simulator; it
/// acts at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Directions (reporting cluster, other cluster) whose pings fail.
    cut: BTreeSet<(String, String)>,
    /// Directions that are still being negotiated.
    connecting: BTreeSet<(String, String)>,
    /// Clusters whose gateway stopped reporting.
    stale: BTreeSet<String>,
    /// Whether the third cluster joins with a network that is taken.
    overlap: bool,
}

impl Faults {
    /// Cuts the cable as `from` sees it; both ways when called for both.
    pub fn cut(&mut self, from: &str, to: &str) {
        self.cut.insert((from.to_owned(), to.to_owned()));
    }

    /// Leaves the direction negotiating.
    pub fn connecting(&mut self, from: &str, to: &str) {
        self.connecting.insert((from.to_owned(), to.to_owned()));
    }

    /// Mends both directions of a pair.
    pub fn restore(&mut self, one: &str, two: &str) {
        for set in [&mut self.cut, &mut self.connecting] {
            set.retain(|(from, to)| (from != one || to != two) && (from != two || to != one));
        }
    }

    /// Stops or resumes a cluster's gateway reports.
    pub fn stale(&mut self, cluster: &str, stale: bool) {
        if stale {
            self.stale.insert(cluster.to_owned());
        } else {
            self.stale.remove(cluster);
        }
    }

    /// Lets the third cluster join or leave.
    pub fn overlap(&mut self, overlap: bool) {
        self.overlap = overlap;
    }

    pub(super) fn is_cut(&self, from: &str, to: &str) -> bool {
        self.cut.contains(&(from.to_owned(), to.to_owned()))
    }

    pub(super) fn is_connecting(&self, from: &str, to: &str) -> bool {
        self.connecting.contains(&(from.to_owned(), to.to_owned()))
    }

    pub(super) fn is_stale(&self, cluster: &str) -> bool {
        self.stale.contains(cluster)
    }

    pub(super) fn overlaps(&self) -> bool {
        self.overlap
    }
}

/// Round trips that wander a little around the article's 1.16693 ms: the
/// same for the same cluster and turn, so runs can be compared.
#[derive(Clone, Debug)]
pub struct Gauge {
    state: u64,
}

impl Gauge {
    /// A gauge of its own for each cluster.
    #[must_use]
    pub fn new(cluster: &str) -> Self {
        // FNV-1a: any spread of bits will do.
        let state = cluster
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self { state }
    }

    /// Goes one turn on.
    pub fn advance(&mut self) {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
    }

    /// Nanoseconds of the last ping to a cluster, within 6 % of the mean.
    #[must_use]
    pub fn last(&self, to: &str) -> i64 {
        let mut mixed = Self::new(to).state ^ self.state;
        mixed ^= mixed >> 29;
        1_166_930 - 70_000 + i64::try_from(mixed % 140_000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restoring_mends_both_directions_of_that_pair_only() {
        let mut faults = Faults::default();
        faults.cut("a", "b");
        faults.cut("b", "a");
        faults.cut("a", "c");
        faults.restore("b", "a");
        assert!(!faults.is_cut("a", "b") && !faults.is_cut("b", "a") && faults.is_cut("a", "c"));
    }

    #[test]
    fn round_trips_wander_within_bounds() {
        let mut gauge = Gauge::new("aws-sub1");
        let mut seen = BTreeSet::new();
        for _ in 0..50 {
            gauge.advance();
            let last = gauge.last("aws-sub2");
            assert!((1_090_000..1_240_000).contains(&last), "{last}");
            seen.insert(last);
        }
        assert!(seen.len() > 40);
    }
}
