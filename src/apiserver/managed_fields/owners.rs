//! Who owns what after a write.

use serde_json::Value;

use super::Conflict;
use super::compare::{Comparison, compare, field_set};
use super::entries::{Manager, Managers, Operation, Owned};
use super::remove::remove;
use super::set::Set;
use super::typed::TypeRef;

/// Fields that are never owned.
pub(super) fn unowned() -> Set {
    Set::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

/// Fits all sets to the schema of today.
pub(super) fn reconciled(mut managers: Managers, type_ref: TypeRef<'_>) -> Managers {
    for owned in managers.values_mut() {
        owned.set = owned.set.reconciled(type_ref);
    }
    managers
}

/// Takes what changed between `old` and `new` away from all managers but `writer`.
///
/// # Errors
/// When not `force` and a manager owns what was added or modified.
pub(super) fn take_changes(
    managers: &mut Managers,
    writer: &Manager,
    changes: &Comparison,
    force: bool,
) -> Result<(), Vec<Conflict>> {
    let written = changes.modified.union(&changes.added);
    let mut conflicts = Vec::new();
    for (manager, owned) in managers
        .iter_mut()
        .filter(|(manager, _)| *manager != writer)
    {
        let conflict = owned.set.intersection(&written);
        for path in conflict.paths() {
            conflicts.push(Conflict {
                manager: manager.name.clone(),
                field: path.iter().map(ToString::to_string).collect(),
                message: format!("conflict with {}", manager.describe()),
                path,
            });
        }
        owned.set = owned.set.difference(&conflict).difference(&changes.removed);
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    managers.retain(|_, owned| !owned.set.is_empty());
    Ok(())
}

/// The outcome of an apply before times are set.
pub(super) struct Applied {
    pub(super) object: Value,
    pub(super) managers: Managers,
}

/// Merges, removes what the manager no longer applies, and settles ownership.
pub(super) struct Apply<'a> {
    pub(super) live: &'a Value,
    pub(super) applied: &'a Value,
    pub(super) type_ref: TypeRef<'a>,
    pub(super) manager: &'a Manager,
    pub(super) api_version: &'a str,
    pub(super) ignored: &'a Set,
    pub(super) force: bool,
}

impl Apply<'_> {
    /// `merged` is `applied` merged into `live`.
    pub(super) fn run(
        &self,
        merged: Value,
        mut managers: Managers,
    ) -> Result<Applied, Vec<Conflict>> {
        let set = field_set(self.applied, self.type_ref).recursive_difference(self.ignored);
        let last = managers.remove(self.manager);
        let time = last.as_ref().and_then(|last| last.time);
        let owned = Owned {
            set,
            api_version: self.api_version.to_owned(),
            time,
        };
        managers.insert(self.manager.clone(), owned);
        let object = match last {
            Some(last) if !last.set.is_empty() => self.prune(merged, &managers, &last.set),
            _ => merged,
        };
        let changes = compare(self.live, &object, self.type_ref).without(self.ignored);
        take_changes(&mut managers, self.manager, &changes, self.force)?;
        if let Some(owned) = managers.get_mut(self.manager) {
            owned.set = owned.set.difference(&unowned());
        }
        managers.retain(|_, owned| !owned.set.is_empty());
        Ok(Applied { object, managers })
    }

    /// Removes what was applied last time and is no longer owned by anyone.
    fn prune(&self, merged: Value, managers: &Managers, last: &Set) -> Value {
        let named = |set: &Set| set.with_declared_fields(self.type_ref);
        let fields_of = |object: &Value| named(&field_set(object, self.type_ref));
        let last = named(last);
        let pruned = remove(&merged, &last, self.type_ref);
        let everything = fields_of(&merged);
        // What others own stays.
        let owned = managers
            .values()
            .fold(Set::default(), |all, owned| all.union(&owned.set));
        let kept = fields_of(&pruned).union(&named(&owned));
        let pruned = remove(&merged, &everything.difference(&kept), self.type_ref);
        // So does what lies in a removed item but was never this manager's.
        let gone = everything
            .difference(&fields_of(&pruned))
            .intersection(&last);
        remove(&merged, &gone, self.type_ref)
    }
}

/// Ownership after a write that is not an apply. The writer's entry grows by what it changed.
pub(super) fn updated(
    mut managers: Managers,
    live: &Value,
    new: &Value,
    type_ref: TypeRef<'_>,
    ignored: &Set,
    (manager, api_version): (&Manager, &str),
    now: jiff::Timestamp,
) -> Managers {
    let changes = compare(live, new, type_ref).without(ignored);
    // No manager has this name: the writer's own entry loses what is overwritten, too.
    let nobody = Manager::new("", Operation::Update, "", "");
    // Cannot conflict: it is forced.
    let _ = take_changes(&mut managers, &nobody, &changes, true);
    let set = changes
        .modified
        .union(&changes.added)
        .difference(&unowned());
    if !set.is_empty() {
        let set = managers
            .get(manager)
            .map_or_else(|| set.clone(), |own| own.set.union(&set));
        let owned = Owned {
            set,
            api_version: api_version.to_owned(),
            time: Some(now),
        };
        managers.insert(manager.clone(), owned);
    }
    managers
}
