//! The content of every Subscription: one follower a repository and
//! reference, shared by all Subscriptions that name it.
//!
//! A new commit is fetched once. Only Subscriptions whose tree changed are
//! rendered again and wake their reconciler; the others just learn the commit.

mod render;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api::NamespacedName;
use crate::core::delivery::Failure;
use crate::core::manifest::{PackageFilter, Rendered};
use crate::git::{
    Commit, Fetcher, GitError, ObjectId, PollOptions, RefState, Reference, RepositoryHandle,
    RepositorySpec, Watcher,
};

use super::failure::git_failure;
use super::stores::{Change, Changes};
use render::ParsedFiles;

/// What one Subscription takes from where.
#[derive(Clone, Debug)]
pub struct Want {
    /// Repository and credential.
    pub repository: RepositorySpec,
    /// Branch, tag or commit.
    pub reference: Reference,
    /// Directory, without slashes at its ends.
    pub path: String,
    /// Which objects are taken.
    pub filter: PackageFilter,
    /// Time between two looks; `None` looks only when triggered.
    pub interval: Option<Duration>,
    /// When this changes, the repository is asked at once.
    pub refresh: String,
}

impl Want {
    fn same_content(&self, other: &Self) -> bool {
        self.path == other.path && format!("{:?}", self.filter) == format!("{:?}", other.filter)
    }
}

/// What is known of the content of one Subscription.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    /// The newest commit of the reference that was fetched.
    pub commit: Option<Arc<Commit>>,
    /// The content at that commit. A failure here is about the files.
    pub content: Option<Result<Arc<Rendered>, Failure>>,
    /// Why the repository could not be asked last time. The content stays.
    pub failure: Option<Failure>,
    /// When the repository was asked last.
    pub checked_at: Option<Timestamp>,
    /// When the commit was first seen here.
    pub seen_at: Option<Timestamp>,
    /// Identity of the tree that was rendered.
    tree: Option<String>,
}

/// All followers.
#[derive(Clone)]
pub struct Sources {
    fetcher: Fetcher,
    changes: Changes,
    groups: Arc<Mutex<Vec<Arc<Group>>>>,
}

/// Subscriptions that follow one reference of one repository.
struct Group {
    repository: RepositorySpec,
    reference: Reference,
    interval: Option<Duration>,
    handle: RepositoryHandle,
    watcher: Watcher,
    members: Mutex<BTreeMap<NamespacedName, Member>>,
    joined: Arc<Notify>,
    _stop: DropGuard,
}

struct Member {
    want: Want,
    state: SourceState,
}

impl Sources {
    /// Followers that fetch with `fetcher` and report on `changes`.
    #[must_use]
    pub fn new(fetcher: Fetcher, changes: Changes) -> Self {
        Self {
            fetcher,
            changes,
            groups: Arc::default(),
        }
    }

    /// Follows `want` for `subscription`, replacing what it followed before,
    /// and returns what is known. Cheap when nothing changed.
    ///
    /// # Errors
    /// When the repository cannot be used at all (its URL, its credential).
    pub fn follow(
        &self,
        subscription: &NamespacedName,
        want: Want,
    ) -> Result<SourceState, GitError> {
        let group = self.group_for(&want)?;
        self.leave_others(subscription, &group);
        let mut members = lock(&group.members);
        let member = members.entry(subscription.clone()).or_insert_with(|| {
            group.joined.notify_one();
            Member {
                want: want.clone(),
                state: SourceState::default(),
            }
        });
        if !member.want.same_content(&want) {
            member.state = SourceState::default();
            group.joined.notify_one();
        }
        if member.want.refresh != want.refresh {
            group.watcher.trigger();
        }
        member.want = want;
        let mut state = member.state.clone();
        drop(members);
        state.checked_at = group.watcher.state().checked_at;
        Ok(state)
    }

    /// What is known of the content of a Subscription.
    #[must_use]
    pub fn state(&self, subscription: &NamespacedName) -> Option<SourceState> {
        let groups = lock(&self.groups).clone();
        groups.iter().find_map(|group| {
            let mut state = lock(&group.members).get(subscription)?.state.clone();
            state.checked_at = group.watcher.state().checked_at;
            Some(state)
        })
    }

    /// Forgets a Subscription.
    pub fn forget(&self, subscription: &NamespacedName) {
        let mut groups = lock(&self.groups);
        for group in groups.iter() {
            lock(&group.members).remove(subscription);
        }
        groups.retain(|group| !lock(&group.members).is_empty());
    }

    /// Asks at once the repositories for which `expected` (given the URL as
    /// the Channel has it, and the reference) returns something: the commit to
    /// expect there, when it is known. Returns how many are asked.
    pub fn trigger(
        &self,
        expected: impl Fn(&str, &Reference) -> Option<Option<ObjectId>>,
    ) -> usize {
        let groups = lock(&self.groups).clone();
        let mut asked = 0;
        for group in &groups {
            match expected(&group.repository.url, &group.reference) {
                None => continue,
                Some(Some(commit)) => group.watcher.trigger_expecting(commit),
                Some(None) => group.watcher.trigger(),
            }
            asked += 1;
        }
        asked
    }

    fn group_for(&self, want: &Want) -> Result<Arc<Group>, GitError> {
        let mut groups = lock(&self.groups);
        if let Some(group) = groups.iter().find(|group| {
            group.repository == want.repository
                && group.reference == want.reference
                && group.interval == want.interval
        }) {
            return Ok(Arc::clone(group));
        }
        let handle = self.fetcher.repository(&want.repository)?;
        let watcher = handle.watch(
            want.reference.clone(),
            PollOptions {
                interval: want.interval,
            },
        );
        let stop = CancellationToken::new();
        let group = Arc::new(Group {
            repository: want.repository.clone(),
            reference: want.reference.clone(),
            interval: want.interval,
            handle,
            watcher,
            members: Mutex::default(),
            joined: Arc::default(),
            _stop: stop.clone().drop_guard(),
        });
        groups.push(Arc::clone(&group));
        // The task holds the group weakly, so that forgetting the last member ends it.
        tokio::spawn(follow(Arc::downgrade(&group), self.changes.clone(), stop));
        Ok(group)
    }

    fn leave_others(&self, subscription: &NamespacedName, kept: &Arc<Group>) {
        let mut groups = lock(&self.groups);
        for group in groups.iter().filter(|group| !Arc::ptr_eq(group, kept)) {
            lock(&group.members).remove(subscription);
        }
        groups.retain(|group| Arc::ptr_eq(group, kept) || !lock(&group.members).is_empty());
    }
}

/// Follows one group until it is dropped.
async fn follow(group: std::sync::Weak<Group>, changes: Changes, stop: CancellationToken) {
    let Some(mut states) = group.upgrade().map(|group| group.watcher.subscribe()) else {
        return;
    };
    let mut parsed = ParsedFiles::default();
    loop {
        let Some(strong) = group.upgrade() else {
            return;
        };
        let state = states.borrow_and_update().clone();
        let woken = strong.update(&state, &mut parsed).await;
        for subscription in woken {
            changes.send(Change::Source(subscription));
        }
        let joined = Arc::clone(&strong.joined);
        drop(strong);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = states.changed() => if changed.is_err() { return },
            () = joined.notified() => {}
        }
    }
}

impl Group {
    /// Brings every member to `state`; returns those that have news.
    async fn update(&self, state: &RefState, parsed: &mut ParsedFiles) -> Vec<NamespacedName> {
        let failure = state.error.as_ref().map(git_failure);
        let mut woken = self.note_failure(failure.as_ref());
        if let Some(commit) = &state.commit {
            woken.extend(self.update_content(commit, parsed).await);
        }
        woken.sort();
        woken.dedup();
        woken
    }

    fn note_failure(&self, failure: Option<&Failure>) -> Vec<NamespacedName> {
        let mut members = lock(&self.members);
        members
            .iter_mut()
            .filter(|(_, member)| member.state.failure.as_ref() != failure)
            .map(|(name, member)| {
                member.state.failure = failure.cloned();
                name.clone()
            })
            .collect()
    }

    async fn update_content(
        &self,
        commit: &Arc<Commit>,
        parsed: &mut ParsedFiles,
    ) -> Vec<NamespacedName> {
        let behind: Vec<(NamespacedName, Want)> = lock(&self.members)
            .iter()
            .filter(|(_, member)| {
                member.state.content.is_none()
                    || member
                        .state
                        .commit
                        .as_ref()
                        .is_none_or(|known| known.id != commit.id)
            })
            .map(|(name, member)| (name.clone(), member.want.clone()))
            .collect();
        if behind.is_empty() {
            return Vec::new();
        }
        let paths: Vec<&str> = behind.iter().map(|(_, want)| want.path.as_str()).collect();
        let trees = match self.handle.trees(commit.id, &paths).await {
            Ok(trees) => trees,
            Err(error) => {
                let failure = git_failure(&error);
                return self.note_failure(Some(&failure));
            }
        };
        let mut woken = Vec::new();
        for ((name, want), tree) in behind.into_iter().zip(trees) {
            let known = lock(&self.members)
                .get(&name)
                .and_then(|member| member.state.tree.clone());
            let unchanged = matches!(&tree, Ok(tree) if known.as_ref() == Some(&tree.content));
            let rendered = match (&tree, unchanged) {
                (_, true) => None,
                (Ok(tree), false) => {
                    Some(render::render(&self.handle, tree, &want.filter, parsed).await)
                }
                (Err(error), false) => Some(Err(git_failure(error))),
            };
            let tree = tree.ok().map(|tree| tree.content.clone());
            if self.settle(&name, &want, commit, tree, rendered) {
                woken.push(name);
            }
        }
        parsed.end_round();
        woken
    }

    /// Records the outcome for one member, unless it asked for something else
    /// meanwhile. True when its reconciler has something to do.
    fn settle(
        &self,
        name: &NamespacedName,
        want: &Want,
        commit: &Arc<Commit>,
        tree: Option<String>,
        rendered: Option<Result<Arc<Rendered>, Failure>>,
    ) -> bool {
        let mut members = lock(&self.members);
        let Some(member) = members
            .get_mut(name)
            .filter(|member| member.want.same_content(want))
        else {
            return false;
        };
        member.state.commit = Some(Arc::clone(commit));
        member.state.seen_at = Some(Timestamp::now());
        match rendered {
            None => false,
            Some(content) => {
                // A failure keeps no tree: the next commit is looked at even if
                // the tree went back to what it was.
                member.state.tree = tree.filter(|_| content.is_ok());
                member.state.content = Some(content);
                true
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
