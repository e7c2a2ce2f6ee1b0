//! The embedded API server as kube-rs sees it, in process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret, Service};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    PropagationPolicy, WatchEvent, WatchParams,
};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Error};
use pilothouse::apiserver::{Options, Server};
use serde_json::{Value, json};

fn server() -> (Server, Client) {
    let server = Server::open(Options::in_memory("test")).unwrap();
    let client = server.client();
    (server, client)
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, data: Value) -> ConfigMap {
    typed(json!({"metadata": {"name": name}, "data": data}))
}

fn reason<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String, String) {
    match result.unwrap_err() {
        Error::Api(status) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("{other:?}"),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .expect("nothing happened within 10 s")
}

fn widget_crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "shortNames": ["wd"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true,
                 "subresources": {"status": {}},
                 "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                 "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer", "minimum": 1},
                        "colour": {"type": "string", "default": "red"},
                    }},
                    "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                 }}}},
                {"name": "v1beta1", "served": true, "storage": false,
                 "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
            ],
        },
    })
}

async fn with_widgets(client: &Client) -> Api<DynamicObject> {
    let crds = dynamic(
        client,
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        None,
    );
    let crd = crds
        .create(&PostParams::default(), &typed(widget_crd()))
        .await
        .unwrap();
    assert_eq!(crd.data["status"]["conditions"][1]["type"], "Established");
    dynamic(client, "example.com", "v1", "Widget", Some("default"))
}

fn dynamic(
    client: &Client,
    group: &str,
    version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn widget(name: &str, spec: Value) -> DynamicObject {
    typed(json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": name}, "spec": spec,
    }))
}

#[tokio::test]
async fn objects_are_created_read_replaced_and_deleted() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let made = maps
        .create(&PostParams::default(), &config_map("a", json!({"k": "1"})))
        .await
        .unwrap();
    assert!(made.metadata.uid.is_some());
    let again = maps
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await;
    let (code, why, message) = reason(again);
    assert_eq!((code, why.as_str()), (409, "AlreadyExists"));
    assert_eq!(message, "configmaps \"a\" already exists");

    let mut changed = made.clone();
    changed.data = Some([("k".to_owned(), "2".to_owned())].into());
    let second = maps
        .replace("a", &PostParams::default(), &changed)
        .await
        .unwrap();
    assert_ne!(
        second.metadata.resource_version,
        made.metadata.resource_version
    );
    let stale = maps.replace("a", &PostParams::default(), &changed).await;
    assert_eq!(reason(stale).1, "Conflict");

    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let (code, why, message) = reason(maps.get("a").await);
    assert_eq!((code, why.as_str()), (404, "NotFound"));
    assert_eq!(message, "configmaps \"a\" not found");
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_event() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let params = PatchParams::apply("me");
    let patch = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1"}});
    let first = maps
        .patch("a", &params, &Patch::Apply(&patch))
        .await
        .unwrap();
    let again = maps
        .patch("a", &params, &Patch::Apply(&patch))
        .await
        .unwrap();
    assert_eq!(first, again);
    let replaced = maps
        .replace("a", &PostParams::default(), &again)
        .await
        .unwrap();
    assert_eq!(
        replaced.metadata.resource_version,
        first.metadata.resource_version
    );
    let merged = maps
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"data": {"k": "1"}})),
        )
        .await
        .unwrap();
    assert_eq!(
        merged.metadata.resource_version,
        first.metadata.resource_version
    );
}

#[tokio::test]
async fn namespaces_must_exist_and_take_their_content_along() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "town");
    let early = maps
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await;
    assert_eq!(reason(early).2, "namespaces \"town\" not found");

    let namespaces: Api<Namespace> = Api::all(client);
    let town = typed(json!({"metadata": {"name": "town"}}));
    let made = namespaces
        .create(&PostParams::default(), &town)
        .await
        .unwrap();
    assert_eq!(made.status.unwrap().phase.as_deref(), Some("Active"));
    maps.create(&PostParams::default(), &config_map("free", json!({})))
        .await
        .unwrap();
    let mut held = config_map("held", json!({}));
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    maps.create(&PostParams::default(), &held).await.unwrap();

    namespaces
        .delete("town", &DeleteParams::default())
        .await
        .unwrap();
    let phase = namespaces.get("town").await.unwrap().status.unwrap().phase;
    assert_eq!(phase.as_deref(), Some("Terminating"));
    assert!(maps.get_opt("free").await.unwrap().is_none());
    let late = maps
        .create(&PostParams::default(), &config_map("b", json!({})))
        .await;
    assert_eq!(reason(late).0, 403);

    let release = json!({"metadata": {"finalizers": null}});
    maps.patch("held", &PatchParams::default(), &Patch::Merge(release))
        .await
        .unwrap();
    assert!(namespaces.get_opt("town").await.unwrap().is_none());
}

#[tokio::test]
async fn dependents_go_with_their_last_owner() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let post = PostParams::default();
    let mut owners = Vec::new();
    for name in ["one", "two"] {
        let owner = maps
            .create(&post, &config_map(name, json!({})))
            .await
            .unwrap();
        owners.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner.metadata.uid}));
    }
    let child = typed(json!({"metadata": {"name": "child", "ownerReferences": owners}}));
    maps.create(&post, &child).await.unwrap();
    maps.delete("one", &DeleteParams::default()).await.unwrap();
    let left = maps
        .get("child")
        .await
        .unwrap()
        .metadata
        .owner_references
        .unwrap();
    assert_eq!(left.len(), 1);
    maps.delete("two", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("child").await.unwrap().is_none());
}

#[tokio::test]
async fn orphans_stay_without_their_owner() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let post = PostParams::default();
    let owner = maps
        .create(&post, &config_map("owner", json!({})))
        .await
        .unwrap();
    let child = typed(json!({"metadata": {"name": "child", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid},
    ]}}));
    maps.create(&post, &child).await.unwrap();
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    maps.delete("owner", &params).await.unwrap();
    assert_eq!(
        maps.get("child").await.unwrap().metadata.owner_references,
        None
    );
}

#[tokio::test]
async fn a_dependent_of_nobody_is_collected_at_once() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let child = typed(json!({"metadata": {"name": "child", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "nobody"},
    ]}}));
    maps.create(&PostParams::default(), &child).await.unwrap();
    assert!(maps.get_opt("child").await.unwrap().is_none());
}

#[tokio::test]
async fn custom_objects_are_pruned_defaulted_and_validated() {
    let (_server, client) = server();
    let widgets = with_widgets(&client).await;
    let post = PostParams::default();
    let made = widgets
        .create(&post, &widget("a", json!({"size": 2, "unknown": 1})))
        .await
        .unwrap();
    assert_eq!(made.data["spec"], json!({"size": 2, "colour": "red"}));
    assert_eq!(made.metadata.generation, Some(1));

    let (code, why, message) = reason(
        widgets
            .create(&post, &widget("b", json!({"size": 0})))
            .await,
    );
    assert_eq!((code, why.as_str()), (422, "Invalid"));
    assert!(
        message.starts_with("Widget.example.com \"b\" is invalid: spec.size"),
        "{message}"
    );
    let missing = widgets.create(&post, &widget("c", json!({}))).await;
    assert!(reason(missing).2.contains("spec.size: Required value"));

    let old = dynamic(&client, "example.com", "v1beta1", "Widget", Some("default"));
    let seen = old.get("a").await.unwrap();
    assert_eq!(seen.types.unwrap().api_version, "example.com/v1beta1");
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let (_server, client) = server();
    let widgets = with_widgets(&client).await;
    let mut object = widget("a", json!({"size": 2}));
    object.data["status"] = json!({"phase": "Forged"});
    let made = widgets
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    assert_eq!(made.data["status"], Value::Null);

    let patch = Patch::Merge(json!({"spec": {"size": 9}, "status": {"phase": "Ready"}}));
    let params = PatchParams::default();
    let status = widgets.patch_status("a", &params, &patch).await.unwrap();
    assert_eq!(status.data["status"]["phase"], "Ready");
    assert_eq!(status.data["spec"]["size"], 2);
    assert_eq!(status.metadata.generation, Some(1));

    let spec = widgets
        .patch(
            "a",
            &params,
            &Patch::Merge(json!({"spec": {"size": 3}, "status": {"phase": "No"}})),
        )
        .await
        .unwrap();
    assert_eq!(spec.data["status"]["phase"], "Ready");
    assert_eq!(spec.metadata.generation, Some(2));
}

#[tokio::test]
async fn deleting_a_definition_deletes_its_objects() {
    let (_server, client) = server();
    let widgets = with_widgets(&client).await;
    widgets
        .create(&PostParams::default(), &widget("a", json!({"size": 2})))
        .await
        .unwrap();
    let crds = dynamic(
        &client,
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        None,
    );
    crds.delete("widgets.example.com", &DeleteParams::default())
        .await
        .unwrap();
    assert!(crds.get_opt("widgets.example.com").await.unwrap().is_none());
    assert_eq!(reason(widgets.list(&ListParams::default()).await).0, 404);
}

#[tokio::test]
async fn conflicting_applies_name_the_other_manager() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let patch = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}});
    maps.patch("a", &PatchParams::apply("one"), &Patch::Apply(patch("1")))
        .await
        .unwrap();
    let other = maps
        .patch("a", &PatchParams::apply("two"), &Patch::Apply(patch("2")))
        .await;
    let (code, why, message) = reason(other);
    assert_eq!((code, why.as_str()), (409, "Conflict"));
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"one\": .data.k"
    );
    let forced = PatchParams::apply("two").force();
    let got = maps
        .patch("a", &forced, &Patch::Apply(patch("2")))
        .await
        .unwrap();
    assert_eq!(got.data.unwrap()["k"], "2");
}

#[tokio::test]
async fn lists_are_paged_and_selected() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    for at in 0..5 {
        let map = typed(
            json!({"metadata": {"name": format!("m{at}"), "labels": {"odd": (at % 2).to_string()}}}),
        );
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let odd = maps
        .list(&ListParams::default().labels("odd=1"))
        .await
        .unwrap();
    assert_eq!(odd.items.len(), 2);
    let one = maps
        .list(&ListParams::default().fields("metadata.name=m3"))
        .await
        .unwrap();
    assert_eq!(one.items.len(), 1);
    let mut params = ListParams::default().limit(2);
    let mut seen = Vec::new();
    loop {
        let page = maps.list(&params).await.unwrap();
        seen.extend(page.items.iter().map(|m| m.metadata.name.clone().unwrap()));
        match page.metadata.continue_.filter(|t| !t.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(seen, ["m0", "m1", "m2", "m3", "m4"]);
}

#[tokio::test]
async fn watches_see_objects_enter_change_and_leave_a_selection() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let params = WatchParams::default().labels("on=yes");
    let mut events = maps.watch(&params, "0").await.unwrap().boxed();
    let post = PostParams::default();
    maps.create(&post, &config_map("a", json!({})))
        .await
        .unwrap();
    for labels in [
        json!({"on": "yes"}),
        json!({"on": "yes", "x": "y"}),
        json!({"on": "no"}),
    ] {
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        maps.patch("a", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        kinds.push(match within(events.try_next()).await.unwrap().unwrap() {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            _ => "other",
        });
    }
    assert_eq!(kinds, ["added", "modified", "deleted"]);
}

#[tokio::test]
async fn a_watch_from_a_forgotten_past_is_told_to_list_again() {
    let mut options = Options::in_memory("test");
    options.watch_history = 2;
    let server = Server::open(options).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    let first = maps
        .create(&PostParams::default(), &config_map("m", json!({})))
        .await
        .unwrap();
    for at in 0..4 {
        maps.create(
            &PostParams::default(),
            &config_map(&format!("m{at}"), json!({})),
        )
        .await
        .unwrap();
    }
    let from = first.metadata.resource_version.unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &from)
        .await
        .unwrap()
        .boxed();
    match within(events.try_next()).await.unwrap().unwrap() {
        WatchEvent::Error(status) => assert_eq!(status.code, 410),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn watchers_of_both_kinds_follow_along() {
    for streaming in [false, true] {
        let (_server, client) = server();
        let maps: Api<ConfigMap> = Api::all(client.clone());
        let config = match streaming {
            true => watcher::Config::default().streaming_lists(),
            false => watcher::Config::default(),
        };
        let write: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        write
            .create(&PostParams::default(), &config_map("a", json!({})))
            .await
            .unwrap();
        let mut names = watcher(maps, config.clone()).applied_objects().boxed();
        let first = within(names.try_next()).await.unwrap().unwrap();
        assert_eq!(first.metadata.name.as_deref(), Some("a"));
        write
            .create(&PostParams::default(), &config_map("b", json!({})))
            .await
            .unwrap();
        let second = within(names.try_next()).await.unwrap().unwrap();
        assert_eq!(second.metadata.name.as_deref(), Some("b"));

        let only_metadata: Api<PartialObjectMeta<ConfigMap>> = Api::all(client);
        let mut names = watcher(only_metadata, config).applied_objects().boxed();
        let first = within(names.try_next()).await.unwrap().unwrap();
        assert_eq!(first.metadata.name.as_deref(), Some("a"));
    }
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_behind() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let made = maps
        .create(&dry, &config_map("a", json!({"k": "v"})))
        .await
        .unwrap();
    assert!(made.metadata.uid.is_some());
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn services_get_addresses_of_the_range() {
    let mut options = Options::in_memory("test");
    options.service_cidr = "10.9.0.0/16".to_owned();
    let server = Server::open(options).unwrap();
    let services: Api<Service> = Api::namespaced(server.client(), "default");
    let service = typed(json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}));
    let made = services
        .create(&PostParams::default(), &service)
        .await
        .unwrap();
    let spec = made.spec.unwrap();
    let address = spec.cluster_ip.unwrap();
    assert!(address.starts_with("10.9."), "{address}");
    assert_eq!(spec.ports.unwrap()[0].protocol.as_deref(), Some("TCP"));

    let apply = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}, {"port": 81, "name": "b"}]}});
    let nameless = services
        .patch(
            "web",
            &PatchParams::apply("x").force(),
            &Patch::Apply(apply),
        )
        .await;
    assert_eq!(reason(nameless).0, 422);
    let after = services.get("web").await.unwrap().spec.unwrap();
    assert_eq!(after.cluster_ip, Some(address));
}

#[tokio::test]
async fn deployments_get_defaults_and_scale() {
    let (_server, client) = server();
    let deployments: Api<Deployment> = Api::namespaced(client, "default");
    let deployment = typed(json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
    }}));
    let made = deployments
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();
    assert_eq!(made.spec.as_ref().unwrap().replicas, Some(1));
    let scale = deployments
        .patch_scale(
            "web",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"replicas": 4}})),
        )
        .await
        .unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(4));
    assert_eq!(
        deployments.get("web").await.unwrap().metadata.generation,
        Some(2)
    );
}

#[tokio::test]
async fn events_are_one_store_with_two_views() {
    let (_server, client) = server();
    let news = dynamic(&client, "events.k8s.io", "v1", "Event", Some("default"));
    let event = typed(json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "note": "hello", "reason": "Greeted", "type": "Normal", "action": "Greet",
        "eventTime": "2024-01-01T00:00:00.000000Z", "reportingController": "me", "reportingInstance": "me-0",
    }));
    news.create(&PostParams::default(), &event).await.unwrap();
    let core: Api<Event> = Api::namespaced(client, "default");
    let found = core
        .list(&ListParams::default().fields("involvedObject.name=p"))
        .await
        .unwrap();
    assert_eq!(found.items[0].message.as_deref(), Some("hello"));
    assert_eq!(news.get("e").await.unwrap().data["note"], "hello");
}

#[tokio::test]
async fn string_data_of_secrets_is_stored_as_data() {
    let (_server, client) = server();
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    let secret = typed(json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}}));
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let got = secrets.get("s").await.unwrap();
    assert_eq!(got.data.unwrap()["k"].0, b"v");
    assert_eq!(got.type_.as_deref(), Some("Opaque"));
}

#[tokio::test]
async fn strict_writes_name_unknown_fields() {
    let (_server, client) = server();
    let request = http::Request::post("/api/v1/namespaces/default/configmaps?fieldValidation=Strict")
        .body(br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"dat":{},"data":{"x":"1","x":"2"}}"#.to_vec())
        .unwrap();
    let answer = client.request::<Value>(request).await;
    let (code, _, message) = reason(answer);
    assert_eq!(code, 400);
    assert_eq!(
        message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"dat\", duplicate field \"data.x\""
    );
}

#[tokio::test]
async fn discovery_works_in_both_ways_of_kube_rs() {
    let (_server, client) = server();
    with_widgets(&client).await;
    for aggregated in [false, true] {
        let discovery = kube::Discovery::new(client.clone());
        let discovery = match aggregated {
            true => discovery.run_aggregated().await.unwrap(),
            false => discovery.run().await.unwrap(),
        };
        let gvk = GroupVersionKind::gvk("example.com", "v1", "Widget");
        let (resource, _) = discovery.resolve_gvk(&gvk).unwrap();
        assert_eq!(resource.plural, "widgets");
    }
}

#[tokio::test]
async fn a_durable_server_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let uid = {
        let server = Server::open(Options::durable("test", dir.path())).unwrap();
        let client = server.client();
        with_widgets(&client)
            .await
            .create(&PostParams::default(), &widget("a", json!({"size": 2})))
            .await
            .unwrap()
            .metadata
            .uid
    };
    // The first server's in-process client lives in a task of its own.
    let mut again = None;
    for _ in 0..200 {
        match Server::open(Options::durable("test", dir.path())) {
            Ok(server) => {
                again = Some(server);
                break;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    let client = again.unwrap().client();
    let widgets = dynamic(&client, "example.com", "v1", "Widget", Some("default"));
    assert_eq!(widgets.get("a").await.unwrap().metadata.uid, uid);
}

struct Listening {
    url: String,
    shutdown: tokio_util::sync::CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn listen(server: &Server) -> Listening {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let shutdown = tokio_util::sync::CancellationToken::new();
    let serving = server.clone().serve(listener, shutdown.clone());
    let task = tokio::spawn(async move { serving.await.unwrap() });
    Listening {
        url,
        shutdown,
        task,
    }
}

async fn client_of(kubeconfig: &str) -> Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

fn without(kubeconfig: &str, fields: &[&str]) -> String {
    let kept = kubeconfig
        .lines()
        .filter(|line| !fields.iter().any(|f| line.contains(f)));
    kept.map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn each_credential_of_the_kubeconfig_is_enough_and_none_is_not() {
    let (server, _client) = server();
    let listening = listen(&server).await;
    let full = server.kubeconfig(&listening.url);
    let token_only = without(&full, &["client-certificate-data", "client-key-data"]);
    let certificate_only = without(&full, &["    token:"]);
    for kubeconfig in [&full, &token_only, &certificate_only] {
        let namespaces: Api<Namespace> = Api::all(client_of(kubeconfig).await);
        assert_eq!(
            namespaces
                .list(&ListParams::default())
                .await
                .unwrap()
                .items
                .len(),
            4
        );
    }
    let nothing = without(&token_only, &["    token:"]).replace("\n  user:\n", "\n  user: {}\n");
    let client = client_of(&nothing).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let (code, why, _) = reason(namespaces.list(&ListParams::default()).await);
    assert_eq!((code, why.as_str()), (401, "Unauthorized"));
    assert!(client.apiserver_version().await.is_ok());
    listening.shutdown.cancel();
    within(listening.task).await.unwrap();
}

#[tokio::test]
async fn a_stopped_listener_ends_its_watches() {
    let (server, _client) = server();
    let listening = listen(&server).await;
    let maps: Api<ConfigMap> = Api::all(client_of(&server.kubeconfig(&listening.url)).await);
    let mut events = maps
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    listening.shutdown.cancel();
    within(async { while let Some(Ok(_)) = events.next().await {} }).await;
    within(listening.task).await.unwrap();
}

#[tokio::test]
async fn faults_are_felt_outside_only() {
    use pilothouse::apiserver::Fault;
    let (server, inside) = server();
    let outside: Api<ConfigMap> = Api::namespaced(server.outside_client(), "default");
    let inside: Api<ConfigMap> = Api::namespaced(inside, "default");
    let mut events = outside
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    for fault in [Fault::Refuse, Fault::Drop] {
        server.faults().set(fault);
        assert!(
            outside.list(&ListParams::default()).await.is_err(),
            "{fault:?}"
        );
        assert!(inside.list(&ListParams::default()).await.is_ok());
    }
    assert!(within(events.next()).await.is_none_or(|e| e.is_err()));

    server.faults().set(Fault::BlackHole);
    let params = ListParams::default();
    let hung = outside.list(&params);
    tokio::pin!(hung);
    let waited = tokio::time::timeout(Duration::from_millis(50), hung.as_mut()).await;
    assert!(waited.is_err());
    server.faults().set(Fault::Running);
    assert!(within(hung).await.is_ok());
}

#[tokio::test]
async fn a_dropping_listener_cuts_connections() {
    use pilothouse::apiserver::Fault;
    let (server, _client) = server();
    let listening = listen(&server).await;
    let client = client_of(&server.kubeconfig(&listening.url)).await;
    let maps: Api<ConfigMap> = Api::all(client);
    let mut events = maps
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    server.faults().set(Fault::Drop);
    within(async { while let Some(Ok(_)) = events.next().await {} }).await;
    listening.shutdown.cancel();
}

/// The child half of the next test: writes until it is killed, saying each
/// name only after its write was acknowledged.
#[test]
#[ignore = "started by acknowledged_writes_survive_a_kill"]
fn write_until_killed() {
    let Ok(dir) = std::env::var("PILOTHOUSE_TEST_KILL_DIR") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = Server::open(Options::durable("test", dir)).unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(server.client(), "default");
        for at in 0u64.. {
            let name = format!("m{at}");
            let made = maps
                .create(
                    &PostParams::default(),
                    &config_map(&name, json!({"at": name})),
                )
                .await
                .unwrap();
            println!("acknowledged {name} {}", made.metadata.uid.unwrap());
        }
    });
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    use std::io::BufRead;
    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "write_until_killed", "--ignored", "--nocapture"])
        .env("PILOTHOUSE_TEST_KILL_DIR", dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        if let Some((_, said)) = line.split_once("acknowledged ") {
            let (name, uid) = said.split_once(' ').unwrap();
            acknowledged.push((name.to_owned(), uid.to_owned()));
        }
        if acknowledged.len() == 50 {
            // SIGKILL.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= 50);
    let server = Server::open(Options::durable("test", dir.path())).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    for (name, uid) in acknowledged {
        let found = maps.get(&name).await.unwrap();
        assert_eq!(found.metadata.uid, Some(uid));
        assert_eq!(found.data.unwrap()["at"], name);
    }
}

#[tokio::test]
async fn a_node_keeps_the_status_it_is_created_with() {
    use k8s_openapi::api::core::v1::Node;
    let (_server, client) = server();
    let nodes: Api<Node> = Api::all(client);
    let node = typed(json!({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "4"}}}));
    let made = nodes.create(&PostParams::default(), &node).await.unwrap();
    assert_eq!(made.status.unwrap().capacity.unwrap()["cpu"].0, "4");
}

#[tokio::test]
async fn an_apply_with_an_unknown_field_is_refused() {
    let (_server, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let patch =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}});
    let applied = maps
        .patch("a", &PatchParams::apply("x"), &Patch::Apply(patch))
        .await;
    let (code, _, message) = reason(applied);
    assert_eq!(code, 500);
    assert!(
        message.ends_with(".dat: field not declared in schema"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_outlives_its_namespace() {
    let (_server, client) = server();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "short");
    for _ in 0..20 {
        let short = typed(json!({"metadata": {"name": "short"}}));
        namespaces
            .create(&PostParams::default(), &short)
            .await
            .unwrap();
        let writers = (0..8).map(|at| {
            let maps = maps.clone();
            tokio::spawn(async move {
                let map = config_map(&format!("m{at}"), json!({}));
                // Some come too late, which is the point.
                let _ = maps.create(&PostParams::default(), &map).await;
            })
        });
        let writers: Vec<_> = writers.collect();
        namespaces
            .delete("short", &DeleteParams::default())
            .await
            .unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
        within(async {
            while namespaces.get_opt("short").await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let left = maps.list(&ListParams::default()).await.unwrap();
        assert_eq!(left.items.len(), 0);
    }
}
