//! Sentences with marks: bold names, code and links, drawn by the web shell
//! and read as a plain string in JSON.

use serde::{Serialize, Serializer};

use super::address::Address;

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// Plain words.
    Plain(String),
    /// A name that the eye should find.
    Strong(String),
    /// Text to be typed or compared exactly.
    Code(String),
    /// A link to a page.
    Link(String, Address),
}

impl Span {
    /// The words without their mark.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Plain(words) | Self::Strong(words) | Self::Code(words) | Self::Link(words, _) => {
                words
            }
        }
    }
}

/// A sentence. Serialises as the plain words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Its pieces in reading order.
    pub spans: Vec<Span>,
}

impl Text {
    /// An empty sentence, to be filled with the methods below.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds plain words.
    #[must_use]
    pub fn plain(mut self, words: impl Into<String>) -> Self {
        self.spans.push(Span::Plain(words.into()));
        self
    }

    /// Adds a bold name.
    #[must_use]
    pub fn strong(mut self, words: impl Into<String>) -> Self {
        self.spans.push(Span::Strong(words.into()));
        self
    }

    /// Adds code.
    #[must_use]
    pub fn code(mut self, words: impl Into<String>) -> Self {
        self.spans.push(Span::Code(words.into()));
        self
    }

    /// Adds a link.
    #[must_use]
    pub fn link(mut self, words: impl Into<String>, to: Address) -> Self {
        self.spans.push(Span::Link(words.into(), to));
        self
    }

    /// Reads a message that others wrote: words between backticks become
    /// code, and the first whole-word mention of each name becomes a link.
    /// The message itself is never trusted as markup.
    #[must_use]
    pub fn of(message: &str, names: &[(&str, Address)]) -> Self {
        let mut text = Self::new();
        let mut linked = vec![false; names.len()];
        let pieces: Vec<&str> = message.split('`').collect();
        let even = pieces.len() % 2 == 1;
        for (index, piece) in pieces.iter().enumerate() {
            if index % 2 == 1 && even {
                text.spans.push(Span::Code((*piece).to_owned()));
            } else {
                if index > 0 && !even {
                    text.spans.push(Span::Plain("`".to_owned()));
                }
                text.push_linked(piece, names, &mut linked);
            }
        }
        text
    }

    fn push_linked(&mut self, piece: &str, names: &[(&str, Address)], linked: &mut [bool]) {
        let mut rest = piece;
        while let Some((at, index)) = first_mention(rest, names, linked) {
            let Some((name, address)) = names.get(index) else {
                break;
            };
            if let Some(flag) = linked.get_mut(index) {
                *flag = true;
            }
            let (before, after) = rest.split_at(at);
            if !before.is_empty() {
                self.spans.push(Span::Plain(before.to_owned()));
            }
            self.spans
                .push(Span::Link((*name).to_owned(), address.clone()));
            rest = after.get(name.len()..).unwrap_or_default();
        }
        if !rest.is_empty() {
            self.spans.push(Span::Plain(rest.to_owned()));
        }
    }

    /// The sentence without marks.
    #[must_use]
    pub fn words(&self) -> String {
        self.spans.iter().map(Span::words).collect()
    }
}

/// Position and index of the earliest (then longest) name not linked yet.
fn first_mention(text: &str, names: &[(&str, Address)], linked: &[bool]) -> Option<(usize, usize)> {
    names
        .iter()
        .enumerate()
        .filter(|(index, _)| linked.get(*index) == Some(&false))
        .filter_map(|(index, (name, _))| mention(text, name).map(|at| (at, index, name.len())))
        .min_by_key(|(at, _, len)| (*at, usize::MAX - *len))
        .map(|(at, index, _)| (at, index))
}

/// Where `name` stands as a whole word: not inside a longer DNS-like name.
fn mention(text: &str, name: &str) -> Option<usize> {
    if name.is_empty() {
        return None;
    }
    let inside = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == '/';
    text.match_indices(name).find_map(|(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        let mut after = text.get(at + name.len()..)?.chars();
        let next = after.next();
        let dotted = next == Some('.') && after.next().is_some_and(char::is_alphanumeric);
        let free =
            !before.is_some_and(|c| inside(c) || c == '.') && !next.is_some_and(inside) && !dotted;
        free.then_some(at)
    })
}

impl From<&str> for Text {
    fn from(words: &str) -> Self {
        Self::of(words, &[])
    }
}

impl From<String> for Text {
    fn from(words: String) -> Self {
        Self::of(&words, &[])
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_become_code() {
        let text = Text::from("label `a=b` is missing");
        assert_eq!(
            text.spans,
            [
                Span::Plain("label ".into()),
                Span::Code("a=b".into()),
                Span::Plain(" is missing".into())
            ]
        );
    }

    #[test]
    fn a_lone_backtick_stays() {
        assert_eq!(Text::from("it`s").words(), "it`s");
    }

    #[test]
    fn names_are_linked_once_and_only_as_whole_words() {
        let to = Address::Cluster("sub".into());
        let text = Text::of(
            "aws-sub and sub, then sub. Not sub.svc",
            &[("sub", to.clone())],
        );
        assert_eq!(
            text.spans,
            [
                Span::Plain("aws-sub and ".into()),
                Span::Link("sub".into(), to),
                Span::Plain(", then sub. Not sub.svc".into())
            ]
        );
    }

    #[test]
    fn the_longer_name_wins_at_the_same_place() {
        let text = Text::of(
            "edge is not edge-3",
            &[
                ("edge", Address::Cluster("edge".into())),
                ("edge-3", Address::Cluster("edge-3".into())),
            ],
        );
        assert_eq!(text.words(), "edge is not edge-3");
        assert!(text.spans.contains(&Span::Link(
            "edge-3".into(),
            Address::Cluster("edge-3".into())
        )));
    }
}
