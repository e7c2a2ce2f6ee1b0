use super::*;
use crate::api::NamespacedName;
use crate::core::desired::{Ownership, RefusedObject, Scope};
use crate::core::object::Digest;
use bytes::Bytes;

fn id(kind: &str, name: &str) -> ObjectId {
    ObjectId {
        group: String::new(),
        kind: kind.into(),
        namespace: Some("n".into()),
        name: name.into(),
    }
}

fn object(kind: &str, name: &str, content: &str) -> Arc<DesiredObject> {
    Arc::new(DesiredObject {
        id: id(kind, name),
        api_version: "v1".into(),
        scope: Scope::Namespaced,
        body: Bytes::new(),
        digest: Digest::of_bytes(content.as_bytes()),
    })
}

fn desired(objects: Vec<Arc<DesiredObject>>) -> DesiredSet {
    DesiredSet {
        application: NamespacedName::new("n", "app"),
        ownership: Ownership::Merge,
        admin: false,
        hub_id: "hub".into(),
        revision: "c2".into(),
        stamp: Stamp {
            transitions: 1,
            counter: 2,
        },
        applyset_id: "a".into(),
        objects,
        refused: vec![],
        digest: Digest::of_bytes(b""),
    }
}

fn entry(content: &str) -> Entry {
    Entry {
        api_version: "v1".into(),
        digest: Digest::of_bytes(content.as_bytes()).short().to_owned(),
        fingerprint: Some("f".into()),
        merged: false,
    }
}

fn inventory(entries: Vec<(ObjectId, Entry)>) -> Inventory {
    Inventory {
        entries: entries.into_iter().collect(),
        stamp: Stamp {
            transitions: 1,
            counter: 1,
        },
        ..Inventory::new(NamespacedName::new("n", "app"), "hub")
    }
}

fn observed(objects: Vec<(ObjectId, &str)>) -> Observed {
    Observed {
        synced: [(String::new(), "ConfigMap".to_owned())].into(),
        objects: objects
            .into_iter()
            .map(|(id, fingerprint)| {
                (
                    id,
                    ObservedObject {
                        fingerprint: Some(fingerprint.into()),
                        ..ObservedObject::default()
                    },
                )
            })
            .collect(),
    }
}

fn reasons(plan: &Plan) -> Vec<(String, ApplyReason)> {
    plan.apply
        .iter()
        .flatten()
        .map(|action| (action.object.id.name.clone(), action.reason))
        .collect()
}

#[test]
fn what_is_in_place_is_not_sent() {
    let desired = desired(vec![object("ConfigMap", "a", "1")]);
    let inventory = inventory(vec![(id("ConfigMap", "a"), entry("1"))]);
    for observed in [
        observed(vec![(id("ConfigMap", "a"), "f")]),
        Observed::default(),
    ] {
        let plan = plan(
            Some(&desired),
            Some(&inventory),
            &observed,
            &BTreeSet::new(),
        )
        .unwrap();
        assert!(plan.is_empty());
        assert_eq!(plan.unchanged, 1);
    }
}

#[test]
fn each_difference_has_its_reason() {
    let names = ["changed", "drifted", "new", "unfinished", "vanished"];
    let desired = desired(
        names
            .iter()
            .map(|name| object("ConfigMap", name, "2"))
            .collect(),
    );
    let unfinished = Entry {
        digest: String::new(),
        fingerprint: None,
        ..entry("")
    };
    let inventory = inventory(vec![
        (id("ConfigMap", "changed"), entry("1")),
        (id("ConfigMap", "drifted"), entry("2")),
        (id("ConfigMap", "unfinished"), unfinished),
        (id("ConfigMap", "vanished"), entry("2")),
    ]);
    let observed = observed(vec![
        (id("ConfigMap", "changed"), "f"),
        (id("ConfigMap", "drifted"), "other"),
    ]);
    let plan = plan(
        Some(&desired),
        Some(&inventory),
        &observed,
        &BTreeSet::new(),
    )
    .unwrap();
    assert_eq!(
        reasons(&plan),
        [
            ("changed".into(), ApplyReason::Changed),
            ("drifted".into(), ApplyReason::Drifted),
            ("new".into(), ApplyReason::New),
            ("unfinished".into(), ApplyReason::Unfinished),
            ("vanished".into(), ApplyReason::Vanished),
        ]
    );
    assert!(plan.records_intent);
}

#[test]
fn phases_run_forward_for_applying_and_backward_for_pruning() {
    let kinds = ["Namespace", "ServiceAccount", "ConfigMap"];
    let desired = desired(
        kinds
            .iter()
            .rev()
            .map(|kind| object(kind, "a", "1"))
            .collect(),
    );
    let forward = plan(Some(&desired), None, &Observed::default(), &BTreeSet::new()).unwrap();
    let order = |plan: &Plan| {
        plan.apply
            .iter()
            .map(|phase| phase[0].object.id.kind.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(order(&forward), kinds);
    let inventory = inventory(
        kinds
            .iter()
            .map(|kind| (id(kind, "a"), entry("1")))
            .collect(),
    );
    let backward = plan(
        None,
        Some(&inventory),
        &Observed::default(),
        &BTreeSet::new(),
    )
    .unwrap();
    let order: Vec<_> = backward
        .prune
        .iter()
        .map(|phase| phase[0].0.kind.clone())
        .collect();
    assert_eq!(order, ["ConfigMap", "ServiceAccount", "Namespace"]);
    assert!(backward.removes_all);
}

#[test]
fn only_what_git_no_longer_has_is_pruned_and_refused_objects_stay() {
    let mut desired = desired(vec![object("ConfigMap", "a", "1")]);
    desired.refused.push(RefusedObject {
        id: id("ConfigMap", "refused"),
        api_version: "v1".into(),
        failure: Failure {
            class: FailureClass::Invalid,
            reason: "X".into(),
            message: "x".into(),
        },
    });
    let merged = Entry {
        merged: true,
        ..entry("1")
    };
    let inventory = inventory(vec![
        (id("ConfigMap", "a"), entry("1")),
        (id("ConfigMap", "refused"), entry("1")),
        (id("ConfigMap", "gone"), entry("1")),
        (id("ConfigMap", "foreign"), merged),
    ]);
    let plan = plan(
        Some(&desired),
        Some(&inventory),
        &Observed::default(),
        &BTreeSet::new(),
    )
    .unwrap();
    let pruned: Vec<_> = plan
        .prune
        .iter()
        .flatten()
        .map(|(id, _)| id.name.clone())
        .collect();
    assert_eq!(pruned, ["gone"]);
    assert_eq!(plan.forget, [id("ConfigMap", "foreign")]);
}

#[test]
fn an_object_being_deleted_is_waited_for_and_a_held_one_is_not_tried() {
    let desired = desired(vec![
        object("ConfigMap", "a", "2"),
        object("ConfigMap", "b", "1"),
    ]);
    let inventory = inventory(vec![(id("ConfigMap", "a"), entry("1"))]);
    let mut observed = observed(vec![(id("ConfigMap", "a"), "f")]);
    observed
        .objects
        .get_mut(&id("ConfigMap", "a"))
        .unwrap()
        .deleting = true;
    let plan = plan(
        Some(&desired),
        Some(&inventory),
        &observed,
        &[id("ConfigMap", "b")].into(),
    )
    .unwrap();
    assert!(plan.apply.is_empty());
    assert_eq!(plan.held, 2);
}

#[test]
fn an_inventory_of_another_hub_or_a_later_leader_is_not_touched() {
    let desired = desired(vec![]);
    let other = Inventory {
        hub_id: "other".into(),
        ..inventory(vec![])
    };
    let later = Inventory {
        stamp: Stamp {
            transitions: 2,
            counter: 0,
        },
        ..inventory(vec![])
    };
    for (inventory, reason) in [(other, "OtherHub"), (later, "NewerLeader")] {
        let failure = plan(
            Some(&desired),
            Some(&inventory),
            &Observed::default(),
            &BTreeSet::new(),
        )
        .unwrap_err();
        assert_eq!(failure.reason, reason);
    }
}
