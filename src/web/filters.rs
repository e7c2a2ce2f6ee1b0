//! Filters of the templates: display-ready values into markup. The only place
//! where markup is made outside a template; everything is escaped here.

#![allow(unreachable_pub, reason = "filter_fn makes a public item of its own")]

use std::borrow::Borrow;
use std::fmt::{self, Write as _};

use askama::filters::Safe;
use askama::{Result, Values};
use jiff::Timestamp;

use super::assets::LINKS;
use crate::core::view::{Chip, Span, Text, Tone, age};

/// Text for markup, with the five characters that matter replaced.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The icon of a tone; the word stands beside it.
#[askama::filter_fn]
pub(super) fn icon(tone: &Tone, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(icon_of(*tone)))
}

fn icon_of(tone: Tone) -> String {
    let (icons, name) = (&LINKS.icons, tone.name());
    format!("<svg class=\"icon\" aria-hidden=\"true\"><use href=\"{icons}#{name}\"/></svg>")
}

/// The icon of a tone in its colour.
#[askama::filter_fn]
pub(super) fn icon_tone(tone: &Tone, _: &dyn Values) -> Result<Safe<String>> {
    let (name, icon) = (tone.name(), icon_of(*tone));
    Ok(Safe(format!(
        "<span class=\"tone\" data-tone=\"{name}\">{icon}</span>"
    )))
}

/// A word with icon and colour.
#[askama::filter_fn]
pub(super) fn chip(chip: &Chip, _: &dyn Values) -> Result<Safe<String>> {
    let (tone, icon, word) = (chip.tone.name(), icon_of(chip.tone), Escaped(&chip.word));
    Ok(Safe(format!(
        "<span class=\"chip\" data-tone=\"{tone}\">{icon}{word}</span>"
    )))
}

/// A sentence with its marks.
#[askama::filter_fn]
pub(super) fn text(text: &Text, _: &dyn Values) -> Result<Safe<String>> {
    let mut out = String::new();
    for span in &text.spans {
        match span {
            Span::Plain(words) => write!(out, "{}", Escaped(words))?,
            Span::Strong(words) => write!(out, "<b>{}</b>", Escaped(words))?,
            Span::Code(words) => write!(out, "<code>{}</code>", Escaped(words))?,
            Span::Link(words, to) => {
                write!(
                    out,
                    "<a href=\"{}\">{}</a>",
                    Escaped(&to.to_string()),
                    Escaped(words)
                )?;
            }
        }
    }
    Ok(Safe(out))
}

/// How long ago, counted on by the script.
#[askama::filter_fn]
pub(super) fn ago(at: &Timestamp, _: &dyn Values, now: &Timestamp) -> Result<Safe<String>> {
    let words = age::age(*at, *now);
    Ok(Safe(format!(
        "<time data-age datetime=\"{at}\" title=\"{at}\">{words}</time>"
    )))
}

/// The time of day, with the date when it was another day.
#[askama::filter_fn]
pub(super) fn clock(at: &Timestamp, _: &dyn Values, now: &Timestamp) -> Result<Safe<String>> {
    let words = age::clock(*at, *now);
    Ok(Safe(format!(
        "<time datetime=\"{at}\" title=\"{at}\">{words}</time>"
    )))
}

/// A round trip in microseconds.
#[askama::filter_fn]
pub(super) fn rtt(micros: &u64, _: &dyn Values) -> Result<String> {
    Ok(age::round_trip(*micros))
}

/// A duration in milliseconds.
#[askama::filter_fn]
pub(super) fn latency(millis: &u64, _: &dyn Values) -> Result<String> {
    Ok(age::latency(*millis))
}

/// `1 cluster`, `2 clusters`.
#[askama::filter_fn]
pub(super) fn count<N: Borrow<usize>>(number: N, _: &dyn Values, noun: &str) -> Result<String> {
    Ok(age::count(*number.borrow(), noun))
}
