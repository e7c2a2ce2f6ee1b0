//! "What needs you": everything that is not well, as sentences, worst first.

use jiff::Timestamp;
use serde::Serialize;

use super::{Text, Tone};

/// One thing that needs someone, or is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Weight.
    pub tone: Tone,
    /// What is wrong, in one sentence with links.
    pub text: Text,
    /// Why, and what to do.
    pub why: Option<Text>,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Need {
    /// A need without reason or time.
    #[must_use]
    pub fn new(tone: Tone, text: impl Into<Text>) -> Self {
        Self {
            tone,
            text: text.into(),
            why: None,
            since: None,
        }
    }

    /// With the reason or the next step.
    #[must_use]
    pub fn because(mut self, why: impl Into<Text>) -> Self {
        let why = why.into();
        self.why = (!why.words().is_empty()).then_some(why);
        self
    }

    /// With the time it began.
    #[must_use]
    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since;
        self
    }
}

/// Worst first; then the newest, because it is what just broke; then by words,
/// so that the order is stable.
pub(super) fn sort(needs: &mut [Need]) {
    needs.sort_by_cached_key(|need| {
        let newest_first = need.since.map_or(i64::MAX, |at| -at.as_millisecond());
        (
            std::cmp::Reverse(need.tone),
            newest_first,
            need.text.words(),
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_and_then_the_newest_comes_first() {
        let at = |seconds| Timestamp::from_second(seconds).ok();
        let mut needs = vec![
            Need::new(Tone::Busy, "rolling").since(at(50)),
            Need::new(Tone::Bad, "old").since(at(10)),
            Need::new(Tone::Warn, "always"),
            Need::new(Tone::Bad, "new").since(at(20)),
        ];
        sort(&mut needs);
        let words: Vec<String> = needs.iter().map(|need| need.text.words()).collect();
        assert_eq!(words, ["new", "old", "always", "rolling"]);
    }
}
