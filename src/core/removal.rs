//! Removals that outlive their Subscription.
//!
//! A Subscription that is deleted while a member does not answer is not held
//! back for ever. What it left there is named on the ManagedCluster, so that
//! any later process removes it once the member answers. RHACM's agents find
//! that out by themselves; a hub that pushes has to remember it.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{ANNOTATION_REMOVALS, NamespacedName};

/// Applications that a ManagedCluster's annotations name for removal. What
/// is no `namespace/name` is passed over: nothing is removed on a guess.
#[must_use]
pub fn owed(annotations: &BTreeMap<String, String>) -> BTreeSet<NamespacedName> {
    annotations
        .get(ANNOTATION_REMOVALS)
        .into_iter()
        .flat_map(|text| text.split(','))
        .filter_map(|entry| entry.trim().parse().ok())
        .collect()
}

/// The annotation's value; `None` when nothing is owed.
#[must_use]
pub fn written(applications: &BTreeSet<NamespacedName>) -> Option<String> {
    let names: Vec<String> = applications.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// What becomes of an application that is named for removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A Subscription of this name is there (again): it decides.
    TakenOver,
    /// Nothing of it is left on the member.
    Done,
    /// Delete what its inventory names, as soon as the member answers.
    Remove,
}

/// Decides it. `live` says whether the hub has a Subscription of this name
/// that is not being deleted;
/// `holds` whether its inventory is on the member, `None` while unknown.
#[must_use]
pub fn next(live: bool, holds: Option<bool>) -> Next {
    match (live, holds) {
        (true, _) => Next::TakenOver,
        (false, Some(false)) => Next::Done,
        (false, _) => Next::Remove,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were_written() {
        let names = BTreeSet::from([
            NamespacedName::new("guestbook", "guestbook-app"),
            NamespacedName::new("shop", "cart"),
        ]);
        let text = written(&names).unwrap();
        assert_eq!(text, "guestbook/guestbook-app, shop/cart");
        let annotations = BTreeMap::from([(ANNOTATION_REMOVALS.to_owned(), text)]);
        assert_eq!(owed(&annotations), names);
        assert_eq!(written(&BTreeSet::new()), None);
    }

    #[test]
    fn what_is_no_name_names_nothing() {
        for text in ["", "*", "guestbook/*", "guestbook", "/x, Guest/Book"] {
            let annotations = BTreeMap::from([(ANNOTATION_REMOVALS.to_owned(), text.to_owned())]);
            assert!(owed(&annotations).is_empty(), "{text}");
        }
    }

    #[test]
    fn only_the_members_own_word_ends_a_removal() {
        assert_eq!(next(true, Some(true)), Next::TakenOver);
        assert_eq!(next(true, None), Next::TakenOver);
        assert_eq!(next(false, None), Next::Remove);
        assert_eq!(next(false, Some(true)), Next::Remove);
        assert_eq!(next(false, Some(false)), Next::Done);
    }
}
