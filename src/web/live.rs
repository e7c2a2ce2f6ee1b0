//! Server-sent events: the fragments of one open page, sent when they change.
//!
//! A fragment is a block of the page's own template, so there is no second
//! copy of the markup. Latest wins: a slow client skips versions, it never
//! queues them. One update a second at most.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query as UrlQuery, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::WebState;
use super::access::{Presented, Refusal, Seen};
use super::pages::{self, Fragments};
use crate::core::object::Digest;
use crate::core::view::FleetView;

/// At most one update a client in this time.
const PACE: Duration = Duration::from_secs(1);

/// Which page is open.
#[derive(Deserialize)]
pub(crate) struct Open {
    /// Path and query of the page, as the browser shows them.
    page: String,
}

/// `GET /live?page=PATH`.
pub(crate) async fn follow(
    State(state): State<WebState>,
    seen: Seen,
    UrlQuery(open): UrlQuery<Open>,
) -> Response {
    let Ok(permit) = Arc::clone(&state.live).try_acquire_owned() else {
        let text = "too many open pages follow the fleet, try again\n";
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [("retry-after", "10")],
            text,
        )
            .into_response();
    };
    if pages::fragments(&seen.view, &open.page, (state.options.clock)()).is_none() {
        return (StatusCode::NOT_FOUND, "there is no such page\n").into_response();
    }
    let stream = updates(state, open.page, seen.presented, permit);
    let sse = Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    let headers = [
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    (headers, sse).into_response()
}

/// What a client has seen.
struct Follower {
    state: WebState,
    view: watch::Receiver<Arc<FleetView>>,
    page: String,
    presented: Option<Presented>,
    sent: BTreeMap<String, Digest>,
    announced: Option<String>,
    first: bool,
    _permit: OwnedSemaphorePermit,
}

fn updates(
    state: WebState,
    page: String,
    presented: Option<Presented>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let view = state.view.clone();
    let follower = Follower {
        state,
        view,
        page,
        presented,
        sent: BTreeMap::new(),
        announced: None,
        first: true,
        _permit: permit,
    };
    stream::unfold(follower, |mut follower| async move {
        let events = follower.next().await?;
        Some((stream::iter(events.into_iter().map(Ok)), follower))
    })
    .flatten()
}

impl Follower {
    /// Waits for the next change and returns its events; `None` ends the stream.
    async fn next(&mut self) -> Option<Vec<Event>> {
        if !self.first {
            let shutdown = self.state.shutdown.clone();
            tokio::select! {
                () = shutdown.cancelled() => return None,
                paced = self.changed() => paced?,
            }
        }
        self.view.mark_unchanged();
        // Rights may have gone since: they are asked for with every update.
        let events = match self.state.seen_by(self.presented.as_ref()).await {
            Ok(seen) => self.events(&seen.view),
            // The page is loaded anew and leads to the login.
            Err(Refusal::Unknown) => vec![gone()],
            // Nothing is shown on old rights; the browser comes back.
            Err(Refusal::Unavailable(_)) => return None,
        };
        self.first = false;
        Some(events)
    }

    async fn changed(&mut self) -> Option<()> {
        tokio::time::sleep(PACE).await;
        self.view.changed().await.ok()
    }

    fn events(&mut self, view: &FleetView) -> Vec<Event> {
        let now = (self.state.options.clock)();
        let Some(page) = pages::fragments(view, &self.page, now) else {
            return vec![gone()];
        };
        let mut events = self.fresh(view.generation(), page);
        if let Some(news) = self.news(view) {
            events.push(Event::default().event("announce").data(news));
        }
        if self.first
            && let Some(event) = events.first_mut()
        {
            *event = std::mem::take(event).retry(Duration::from_secs(2));
        }
        events
    }

    fn fresh(&mut self, generation: u64, page: Fragments) -> Vec<Event> {
        let mut events = Vec::new();
        for (name, html) in page {
            let digest = Digest::of_bytes(without_ages(&html).as_bytes());
            if self.sent.get(name) == Some(&digest) {
                continue;
            }
            self.sent.insert(name.to_owned(), digest);
            // A bare carriage return would end the SSE line.
            let html = html.replace('\r', " ");
            events.push(
                Event::default()
                    .event(name)
                    .id(generation.to_string())
                    .data(html),
            );
        }
        events
    }

    /// One sentence for screen readers when the state of the fleet changed.
    fn news(&mut self, view: &FleetView) -> Option<String> {
        let sentence = view.sentence();
        if self.announced.as_ref() == Some(&sentence) {
            return None;
        }
        let first = self.announced.replace(sentence.clone()).is_none();
        (!first).then_some(sentence)
    }
}

/// Asks the browser to load the page anew.
fn gone() -> Event {
    Event::default().event("gone").data("this page is no more")
}

/// The markup without the words inside `<time data-age …>`: those the script
/// counts on by itself, so they are no change.
fn without_ages(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find("<time data-age") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (Some(open), Some(end)) = (from.find('>'), from.find("</time>")) else {
            rest = from;
            break;
        };
        out.push_str(from.get(..=open).unwrap_or_default());
        rest = from.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_age_is_no_change() {
        let at = |age: &str| format!("<p><time data-age datetime=\"T\">{age}</time> ago</p>");
        assert_eq!(without_ages(&at("1 s")), without_ages(&at("2 s")));
        assert_ne!(
            without_ages(&at("1 s")),
            without_ages("<p><time data-age datetime=\"U\">1 s</time> ago</p>")
        );
        assert_eq!(without_ages("<p>x</p>"), "<p>x</p>");
    }
}
