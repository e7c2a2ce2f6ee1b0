//! The words and tones that every page, JSON twin and badge shares.

use serde::Serialize;

use crate::core::delivery::{Health, Sync};
use crate::core::mesh::Connectivity;

/// How a word is drawn: it picks the icon and the colour. Never shown alone;
/// a [`Chip`] always carries the word. Ordered best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// As it should be.
    Ok,
    /// Good to know.
    Info,
    /// On its way.
    Busy,
    /// The hub does not know. Unknown is not down.
    Unknown,
    /// Look when there is time.
    Warn,
    /// Look now.
    Bad,
}

impl Tone {
    /// Every tone, for the tests that hold the style sheet and the icons to it.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Info,
        Self::Busy,
        Self::Unknown,
        Self::Warn,
        Self::Bad,
    ];

    /// The name that the style sheet and the icons use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Busy => "busy",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// Reads a name; `None` for a word that is no tone.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tone| tone.name() == name)
    }
}

/// A word with its tone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chip {
    /// Icon and colour.
    pub tone: Tone,
    /// The word.
    pub word: String,
}

impl Chip {
    /// A chip.
    #[must_use]
    pub fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self {
            tone,
            word: word.into(),
        }
    }
}

impl From<Sync> for Chip {
    fn from(sync: Sync) -> Self {
        match sync {
            Sync::Synced => Self::new(Tone::Ok, "Synced"),
            Sync::Unknown => Self::new(Tone::Unknown, "Unknown"),
            Sync::OutOfSync => Self::new(Tone::Warn, "OutOfSync"),
        }
    }
}

impl From<Health> for Chip {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Self::new(Tone::Ok, "Healthy"),
            Health::Suspended => Self::new(Tone::Unknown, "Suspended"),
            Health::Progressing => Self::new(Tone::Busy, "Progressing"),
            Health::Unknown => Self::new(Tone::Unknown, "Unknown"),
            Health::Missing => Self::new(Tone::Warn, "Missing"),
            Health::Degraded => Self::new(Tone::Bad, "Degraded"),
        }
    }
}

impl From<Connectivity> for Chip {
    fn from(connectivity: Connectivity) -> Self {
        match connectivity {
            Connectivity::Connected => Self::new(Tone::Ok, "Connected"),
            Connectivity::Unknown => Self::new(Tone::Unknown, "Unknown"),
            Connectivity::Degraded => Self::new(Tone::Warn, "Degraded"),
            Connectivity::Down => Self::new(Tone::Bad, "Down"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_are_read_back_by_name() {
        for tone in Tone::ALL {
            assert_eq!(Tone::named(tone.name()), Some(tone));
        }
        assert_eq!(Tone::named("purple"), None);
    }

    #[test]
    fn unknown_is_milder_than_down() {
        assert!(Connectivity::Unknown < Connectivity::Down);
        assert!(Tone::Unknown < Tone::Bad);
    }
}
