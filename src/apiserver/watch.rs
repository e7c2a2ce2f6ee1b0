//! Watches: the initial state when asked for, then changes from the store's
//! history, filtered and rendered; bookmarks; 410 when the client lags or
//! asks for a past that is forgotten.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Inner;
use super::failure::Failure;
use super::query::Query;
use super::read;
use super::render::{self, Renderer};
use super::selector::{FieldSelector, LabelSelector};
use super::store::{Collection, Event, Expired, Stored};

/// A watch without timeoutSeconds ends after this long (kube-apiserver:
/// 30 to 60 minutes).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);
/// How often a quiet watch gets a bookmark, about as kube-apiserver.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// kube-apiserver sends the last bookmark this long before the timeout.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// What a client watches.
pub(super) struct Filter {
    pub(super) namespace: Option<String>,
    pub(super) labels: LabelSelector,
    pub(super) fields: FieldSelector,
}

impl Filter {
    pub(super) fn matches(&self, object: &Stored) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|ns| *ns == object.namespace)
            && self.labels.matches(&object.labels)
            && self.fields.matches(object)
    }
}

struct Feed {
    inner: Arc<Inner>,
    collection: Collection,
    changes: watch::Receiver<u64>,
    filter: Filter,
    renderer: Renderer,
    cursor: u64,
    ready: VecDeque<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    last_bookmark: Instant,
    deadline: Instant,
    ended: bool,
}

/// Starts a watch; the stream ends by timeout, expiry or shutdown.
pub(super) fn start(
    inner: &Arc<Inner>,
    collection: Collection,
    filter: Filter,
    renderer: Renderer,
    query: &Query,
) -> Result<impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static, Failure> {
    let now = Instant::now();
    let lasts = query.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let lasts = lasts.min(DEFAULT_TIMEOUT * 2);
    // One more shortly before the end, so that the next watch begins late.
    let last_bookmark = match lasts.checked_sub(BOOKMARK_BEFORE_END) {
        Some(lasts) if !lasts.is_zero() => now + lasts,
        _ => now + BOOKMARK_EVERY,
    };
    let mut feed = Feed {
        inner: Arc::clone(inner),
        changes: inner.store.subscribe(&collection),
        collection,
        filter,
        renderer,
        cursor: 0,
        ready: VecDeque::new(),
        bookmarks: query.allow_bookmarks,
        next_bookmark: (now + BOOKMARK_EVERY).min(last_bookmark),
        last_bookmark,
        deadline: now + lasts,
        ended: false,
    };
    let version = query.resource_version.as_deref();
    // No version, or "0", means: first the state, as synthetic ADDED events.
    let initial = query.send_initial_events;
    if initial.unwrap_or(matches!(version, None | Some("0"))) {
        feed.initial(initial == Some(true) && query.allow_bookmarks);
    } else {
        let wanted = version.unwrap_or_default();
        feed.cursor = match wanted {
            "" => inner.store.revision(),
            wanted => read::version(wanted).map_err(Failure::untyped)?,
        };
        // A revision from the future was given out by a server that is no
        // more; the client must list again.
        if feed.cursor > inner.store.revision() {
            feed.expire(Expired {
                oldest: inner.store.revision(),
            });
        }
    }
    Ok(futures::stream::unfold(feed, |mut feed| async move {
        let chunk = feed.next().await?;
        Some((Ok(chunk), feed))
    }))
}

impl Feed {
    fn initial(&mut self, mark_end: bool) {
        let snapshot = self
            .inner
            .store
            .list(&self.collection, self.filter.namespace.as_deref());
        for object in snapshot.objects {
            if self.filter.matches(&object) {
                self.ready.push_back(self.renderer.event("ADDED", &object));
            }
        }
        self.cursor = snapshot.revision;
        if mark_end {
            let end = self.renderer.bookmark(self.cursor, true);
            self.ready.push_back(end);
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.take() {
                return Some(chunk);
            }
            if self.ended {
                return None;
            }
            // Seen before reading, so that a change in between wakes us.
            self.changes.borrow_and_update();
            self.advance();
            if !self.ready.is_empty() {
                continue;
            }
            tokio::select! {
                changed = self.changes.changed() => self.ended = changed.is_err(),
                () = sleep_until(self.deadline) => self.ended = true,
                () = sleep_until(self.next_bookmark), if self.bookmarks => {
                    let now = Instant::now();
                    self.next_bookmark = match now < self.last_bookmark {
                        true => (now + BOOKMARK_EVERY).min(self.last_bookmark),
                        false => now + BOOKMARK_EVERY,
                    };
                    let bookmark = self.renderer.bookmark(self.cursor, false);
                    self.ready.push_back(bookmark);
                }
                () = self.inner.closing.cancelled() => self.ended = true,
            }
        }
    }

    /// All that is ready, as one chunk.
    fn take(&mut self) -> Option<Bytes> {
        if self.ready.len() < 2 {
            return self.ready.pop_front();
        }
        let all: Vec<Bytes> = self.ready.drain(..).collect();
        Some(Bytes::from(all.concat()))
    }

    fn advance(&mut self) {
        match self.inner.store.since(&self.collection, self.cursor) {
            Ok((events, upto)) => {
                for event in events {
                    self.push(&event);
                }
                self.cursor = upto;
            }
            Err(expired) => self.expire(expired),
        }
    }

    fn expire(&mut self, expired: Expired) {
        let oldest = expired.oldest;
        let message = format!("too old resource version: {} ({oldest})", self.cursor);
        let status = Failure::expired(message).to_status().to_string();
        self.ready
            .push_back(render::line("ERROR", status.as_bytes()));
        self.ended = true;
    }

    /// An object that comes into or leaves the selection looks created or
    /// deleted to the watcher.
    fn push(&mut self, event: &Event) {
        let before = event
            .before
            .as_ref()
            .is_some_and(|old| self.filter.matches(old));
        let after = !event.deleted && self.filter.matches(&event.object);
        let kind = match (before, after) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return,
        };
        // What leaves the selection is shown as it was in it.
        let line = match (&event.before, kind) {
            (Some(old), "DELETED") if !event.deleted => {
                self.renderer.event(kind, &old.at(event.revision))
            }
            _ => self.renderer.event(kind, &event.object),
        };
        self.ready.push_back(line);
    }
}
