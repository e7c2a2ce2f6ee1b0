//! What every page shows around its content.

use jiff::Timestamp;

use super::access::Reader;
use super::assets::{LINKS, Links};
use crate::core::view::address::SECTIONS;
use crate::core::view::{Address, FleetView, Query, Tone};

/// Prefix of the JSON twins.
pub(super) const TWINS: &str = "/api/v1";

/// What every page shows around its content.
pub(crate) struct Frame {
    pub(super) title: String,
    pub(super) sections: Vec<Section>,
    pub(super) search: String,
    pub(super) hub: Hub,
    pub(super) observed_at: Option<Timestamp>,
    pub(super) now: Timestamp,
    pub(super) json: String,
    pub(super) version: &'static str,
    pub(super) links: &'static Links,
    /// Who reads; `None` in open mode.
    pub(super) reader: Option<String>,
    /// For filters that offer no groups or no orders.
    pub(super) none: &'static [&'static str],
}

pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) href: String,
    pub(super) current: bool,
}

pub(super) struct Hub {
    pub(super) tone: Tone,
    pub(super) words: String,
    pub(super) last_look: Option<Timestamp>,
}

impl Frame {
    pub(super) fn read_by(mut self, reader: Option<&Reader>) -> Self {
        self.reader = reader.map(|reader| reader.name.clone());
        self
    }

    pub(super) fn new(
        view: &FleetView,
        title: &str,
        address: Option<&Address>,
        query: &Query,
        now: Timestamp,
    ) -> Self {
        let current = address.map(Address::section);
        let sections = SECTIONS.iter().map(|(section, name)| Section {
            name,
            href: section.to_string(),
            current: current.as_ref() == Some(section),
        });
        let path = address.map_or_else(|| "/".to_owned(), ToString::to_string);
        let (tone, words) = view.hub_line();
        Self {
            title: format!("{title} – pilothouse"),
            sections: sections.collect(),
            search: if address == Some(&Address::Search) {
                query.q.clone()
            } else {
                String::new()
            },
            hub: Hub {
                tone,
                words,
                last_look: view.last_look(),
            },
            observed_at: view.observed_at(),
            now,
            json: format!("{TWINS}{path}{query}"),
            version: env!("CARGO_PKG_VERSION"),
            links: &LINKS,
            reader: None,
            none: &[],
        }
    }
}
