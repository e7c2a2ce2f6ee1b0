//! Filter, sort and page of a list: read from the query string, applied in
//! the view, so that a page is as small at a thousand clusters as at three.

use serde::Serialize;

use super::address::encode;
use super::word::Tone;

/// Rows of one page of a list.
pub const ROWS: usize = 50;

/// Longest text kept of a query value; the rest is cut off.
const LONGEST: usize = 200;

/// What the reader asked for. Unknown keys and values are ignored: a link
/// from another version still opens the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Query {
    /// Words that must occur in the row, in any case. Empty: all rows.
    pub q: String,
    /// Only rows of this tone.
    pub tone: Option<Tone>,
    /// Only rows of this group: a cluster set, a namespace or a reason.
    pub group: String,
    /// Column to sort by; empty is worst first.
    pub sort: String,
    /// Page, from 1.
    pub page: usize,
}

impl Query {
    /// Reads decoded pairs of a query string.
    #[must_use]
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut query = Self {
            page: 1,
            ..Self::default()
        };
        for (key, value) in pairs {
            let value: String = value.trim().chars().take(LONGEST).collect();
            match key {
                "q" => query.q = value,
                "tone" => query.tone = Tone::named(&value),
                "group" => query.group = value,
                "sort" => query.sort = value,
                "page" => query.page = value.parse().unwrap_or(1).clamp(1, 1_000_000),
                _ => {}
            }
        }
        query
    }

    /// The query string for another page of the same list, `""` for the first
    /// page without filters.
    #[must_use]
    pub fn for_page(&self, page: usize) -> String {
        let mut query = self.clone();
        query.page = page;
        query.to_string()
    }

    /// The query string for another order of the same list.
    #[must_use]
    pub fn for_sort(&self, sort: &str) -> String {
        let query = Self {
            sort: sort.to_owned(),
            page: 1,
            ..self.clone()
        };
        query.to_string()
    }

    /// Whether `text` holds every word of `q`, in any case.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.q
            .to_lowercase()
            .split_whitespace()
            .all(|word| text.contains(word))
    }

    /// Whether a row of this tone and group is wanted.
    #[must_use]
    pub fn wants(&self, tone: Tone, group: &str) -> bool {
        self.tone.is_none_or(|wanted| wanted == tone)
            && (self.group.is_empty() || self.group == group)
    }

    /// Whether the filter asks for the tone of this name.
    #[must_use]
    pub fn is_tone(&self, name: &str) -> bool {
        self.tone.is_some_and(|tone| tone.name() == name)
    }

    /// Whether anything narrows the list.
    #[must_use]
    pub fn narrows(&self) -> bool {
        !self.q.is_empty() || self.tone.is_some() || !self.group.is_empty()
    }
}

impl std::fmt::Display for Query {
    /// `?q=a&page=2`, or nothing when everything is at its default.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let page = if self.page > 1 {
            self.page.to_string()
        } else {
            String::new()
        };
        let pairs = [
            ("q", self.q.as_str()),
            ("tone", self.tone.map_or("", Tone::name)),
            ("group", &self.group),
            ("sort", &self.sort),
            ("page", &page),
        ];
        let mut separator = '?';
        for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            write!(f, "{separator}{key}={}", encode(value))?;
            separator = '&';
        }
        Ok(())
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing<T> {
    /// The rows of this page, at most [`ROWS`].
    pub rows: Vec<T>,
    /// Rows in the fleet.
    pub total: usize,
    /// Rows left by the filter.
    pub matched: usize,
    /// This page, from 1.
    pub page: usize,
    /// Pages, at least 1.
    pub pages: usize,
    /// What was asked.
    pub query: Query,
}

impl<T> Listing<T> {
    /// Cuts the asked page out of `matched` rows already filtered and sorted.
    /// A page beyond the end is the last page.
    #[must_use]
    pub fn cut(rows: impl ExactSizeIterator<Item = T>, total: usize, query: &Query) -> Self {
        Self::cut_by(rows, total, query, ROWS)
    }

    /// As [`Listing::cut`], with another page size.
    #[must_use]
    pub fn cut_by(
        rows: impl ExactSizeIterator<Item = T>,
        total: usize,
        query: &Query,
        size: usize,
    ) -> Self {
        let matched = rows.len();
        let pages = matched.div_ceil(size).max(1);
        let page = query.page.clamp(1, pages);
        Self {
            rows: rows.skip((page - 1) * size).take(size).collect(),
            total,
            matched,
            page,
            pages,
            query: Query {
                page,
                ..query.clone()
            },
        }
    }

    /// Query string of the page before, when there is one.
    #[must_use]
    pub fn previous(&self) -> Option<String> {
        (self.page > 1).then(|| self.query.for_page(self.page - 1))
    }

    /// Query string of the page after, when there is one.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        (self.page < self.pages).then(|| self.query.for_page(self.page + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_beyond_the_end_is_the_last() {
        let query = Query::read([("page", "99")]);
        let listing = Listing::cut(0..101_usize, 101, &query);
        assert_eq!(
            (listing.page, listing.pages, listing.rows),
            (3, 3, vec![100])
        );
        assert_eq!(listing.query.page, 3);
    }

    #[test]
    fn an_empty_list_has_one_page() {
        let listing = Listing::cut(0..0_usize, 7, &Query::read([]));
        assert_eq!((listing.page, listing.pages, listing.total), (1, 1, 7));
        assert_eq!((listing.previous(), listing.next()), (None, None));
    }

    #[test]
    fn words_match_in_any_order_and_case() {
        let query = Query::read([("q", "SUB1 aws")]);
        assert!(query.matches("aws-sub1 v1.33"));
        assert!(!query.matches("aws-sub2"));
    }

    #[test]
    fn the_query_string_round_trips_and_escapes() {
        let query = Query::read([("q", "a&b"), ("tone", "bad"), ("page", "2"), ("odd", "x")]);
        assert_eq!(query.to_string(), "?q=a%26b&tone=bad&page=2");
        assert_eq!(query.for_page(1), "?q=a%26b&tone=bad");
        assert_eq!(Query::read([]).to_string(), "");
    }
}
