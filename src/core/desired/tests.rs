use super::*;
use crate::core::manifest::{EntryKind, PackageFilter, assemble, parse_file, select};
use serde_json::json;

fn owner() -> Owner {
    Owner {
        application: NamespacedName {
            namespace: "guestbook".into(),
            name: "guestbook-app".into(),
        },
        labels: [("app".to_owned(), "guestbook-app".to_owned())].into(),
        ownership: Ownership::Merge,
        admin: false,
        force_namespace: false,
    }
}

fn render(text: &str) -> Rendered {
    let selection = select("", [("a.yaml", EntryKind::File)], None);
    assemble(
        &selection,
        &[("a.yaml".to_owned(), Arc::new(parse_file(text.as_bytes())))],
        &PackageFilter::default(),
    )
}

fn desire(owner: &Owner, text: &str) -> Arc<DesiredSet> {
    let rendered = render(text);
    desired_set(DesiredInput {
        owner,
        rendered: &rendered,
        hub_id: "hub",
        revision: "c1",
        stamp: Stamp::default(),
    })
    .unwrap()
}

fn body(set: &DesiredSet) -> Value {
    serde_json::from_slice(&set.objects[0].body).unwrap()
}

fn config(metadata: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{metadata}}}\n")
}

#[test]
fn the_namespace_follows_the_table() {
    for (admin, force, own, expected) in [
        (false, false, ", namespace: other", "guestbook"),
        (false, false, "", "guestbook"),
        (true, false, ", namespace: other", "other"),
        (true, false, "", "guestbook"),
        (true, true, ", namespace: other", "guestbook"),
    ] {
        let owner = Owner {
            admin,
            force_namespace: force,
            ..owner()
        };
        let set = desire(&owner, &config(own));
        assert_eq!(
            body(&set)["metadata"]["namespace"],
            expected,
            "{admin} {force} {own}"
        );
        assert_eq!(set.objects[0].id.namespace.as_deref(), Some(expected));
    }
}

#[test]
fn stamps_are_those_of_rhacm() {
    let set = desire(
        &owner(),
        &config(
            ", labels: {app: guestbook}, annotations: {apps.open-cluster-management.io/managed-cluster: x, apps.open-cluster-management.io/cluster-admin: 'true', k: v}",
        ),
    );
    let metadata = body(&set)["metadata"].clone();
    assert_eq!(
        metadata["labels"],
        json!({"app": "guestbook", "app.kubernetes.io/part-of": "guestbook-app", LABEL_APPLYSET: set.applyset_id})
    );
    assert_eq!(
        metadata["annotations"],
        json!({"k": "v", HOSTING: "guestbook/guestbook-app", RECONCILE_OPTION: "merge"})
    );
}

#[test]
fn labels_flow_down_only_where_absent_and_never_into_selectors() {
    let set = desire(
        &owner(),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {matchLabels: {x: z}}, template: {metadata: {labels: {x: z}}}}\n",
    );
    let body = body(&set);
    assert_eq!(body["metadata"]["labels"]["app"], "guestbook-app");
    assert_eq!(
        body["spec"],
        json!({"selector": {"matchLabels": {"x": "z"}}, "template": {"metadata": {"labels": {"x": "z"}}}})
    );
}

#[test]
fn a_subscription_without_the_label_app_gives_its_name() {
    let owner = Owner {
        labels: BTreeMap::new(),
        ..owner()
    };
    assert_eq!(
        body(&desire(&owner, &config("")))["metadata"]["labels"]["app.kubernetes.io/part-of"],
        "guestbook-app"
    );
}

#[test]
fn tenants_may_not_deliver_cluster_scoped_objects_or_policies_and_the_rest_still_goes() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n---\napiVersion: policy.open-cluster-management.io/v1\nkind: Policy\nmetadata: {name: p}\n---\n".to_owned() + &config("");
    let set = desire(&owner(), &text);
    assert_eq!(set.objects.len(), 1);
    assert_eq!(set.refused.len(), 2);
    assert!(
        set.refused
            .iter()
            .all(|refused| refused.failure.reason == "NotSubscriptionAdmin")
    );
    let admin = desire(
        &Owner {
            admin: true,
            ..owner()
        },
        &text,
    );
    assert_eq!((admin.objects.len(), admin.refused.len()), (3, 0));
}

#[test]
fn the_scope_of_a_custom_kind_comes_from_the_same_commit() {
    let text = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: w.e.com}\nspec: {group: e.com, scope: Cluster, names: {kind: W}}\n---\napiVersion: e.com/v1\nkind: W\nmetadata: {name: w, namespace: other}\n";
    let set = desire(
        &Owner {
            admin: true,
            ..owner()
        },
        text,
    );
    assert_eq!(set.objects[1].id.namespace, None);
    assert_eq!(desire(&owner(), text).refused.len(), 2);
}

#[test]
fn a_manifest_that_names_another_owner_is_refused() {
    let set = desire(
        &owner(),
        &config(", annotations: {apps.open-cluster-management.io/hosting-subscription: a/b}"),
    );
    assert!(
        set.refused[0]
            .failure
            .message
            .contains("exists and owned by others"),
        "{:?}",
        set.refused
    );
}

#[test]
fn objects_that_collide_in_the_forced_namespace_are_named() {
    let text = format!(
        "{}---\n{}",
        config(", namespace: one"),
        config(", namespace: two")
    );
    let set = desire(&owner(), &text);
    assert_eq!((set.objects.len(), set.refused.len()), (1, 1));
    assert_eq!(set.refused[0].failure.reason, "DuplicateObject");
}

#[test]
fn problems_in_the_content_make_no_set() {
    let rendered = render("kind: [");
    let owner = owner();
    let input = DesiredInput {
        owner: &owner,
        rendered: &rendered,
        hub_id: "hub",
        revision: "c",
        stamp: Stamp::default(),
    };
    assert!(
        desired_set(input)
            .unwrap_err()
            .to_string()
            .contains("a.yaml:1")
    );
}

#[test]
fn the_digest_does_not_depend_on_the_revision() {
    let rendered = render(&config(""));
    let owner = owner();
    let make = |revision| {
        desired_set(DesiredInput {
            owner: &owner,
            rendered: &rendered,
            hub_id: "hub",
            revision,
            stamp: Stamp::default(),
        })
        .unwrap()
    };
    assert_eq!(make("a").digest, make("b").digest);
}

#[test]
fn an_unowned_body_does_not_claim_the_object() {
    let set = desire(&owner(), &config(", annotations: {k: v}"));
    let body: Value = serde_json::from_slice(&unowned_body(&set.objects[0].body).unwrap()).unwrap();
    assert_eq!(body["metadata"]["annotations"], json!({"k": "v"}));
    assert_eq!(body["metadata"]["labels"].get(LABEL_APPLYSET), None);
}

#[test]
fn debug_output_never_holds_a_body() {
    let set = desire(
        &owner(),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n",
    );
    assert!(!format!("{set:?}").contains("hunter2"));
}
