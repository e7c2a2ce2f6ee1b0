//! Random histories of writes by several managers: the embedded server and a
//! real kube-apiserver agree on every answer, object and managedFields entry.

#[path = "histories/chance.rs"]
mod chance;

use super::ONE_PLANE;
use super::step::{APPLY, CRDS, JSON, MERGE, send, settle};
use super::support::{self, ControlPlane, ControlPlaneOptions, controlplane::Binaries, have};
use chance::Dice;
use futures::StreamExt;
use kube::Client;
use pilothouse::apiserver::{Options, Server};
use serde_json::{Value, json};
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Deployment,
    Service,
    /// A custom resource with list-maps and sets.
    Gadget,
    /// A custom resource without a schema.
    Loose,
}
use Target::{Deployment, Gadget, Loose, Service};

impl Target {
    fn collection(self) -> &'static str {
        match self {
            Deployment => "/apis/apps/v1/namespaces/histories/deployments",
            Service => "/api/v1/namespaces/histories/services",
            Gadget => "/apis/histories.example.com/v1/namespaces/histories/gadgets",
            Loose => "/apis/histories.example.com/v1/namespaces/histories/looses",
        }
    }

    fn typed(self) -> (&'static str, &'static str) {
        match self {
            Deployment => ("apps/v1", "Deployment"),
            Service => ("v1", "Service"),
            Gadget => ("histories.example.com/v1", "Gadget"),
            Loose => ("histories.example.com/v1", "Loose"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verb {
    Create,
    Apply,
    Force,
    Merge,
    Replace,
    Delete,
}
use Verb::{Apply, Create, Delete, Force, Merge, Replace};

const MANAGERS: [&str; 3] = ["m1", "m2", "m3"];

#[derive(Clone, Debug)]
struct Act {
    verb: Verb,
    manager: &'static str,
    /// Everything of the object but its type and name.
    body: Value,
}

#[derive(Clone, Debug)]
struct History {
    target: Target,
    acts: Vec<Act>,
}

impl History {
    /// As a line of the corpus (`corpus.json`).
    fn readable(&self) -> String {
        let act = |act: &Act| json!([format!("{:?}", act.verb), act.manager, act.body]);
        let acts: Vec<Value> = self.acts.iter().map(act).collect();
        json!({"target": format!("{:?}", self.target), "acts": acts}).to_string() + "\n"
    }

    /// Reads a line of the corpus.
    fn read(line: &Value) -> Self {
        let named = |name: &Value, all: &[&str]| {
            let found = all.iter().position(|known| *name == **known);
            found.unwrap_or_else(|| panic!("{name} is none of {all:?}"))
        };
        let act = |act: &Value| Act {
            verb: [Create, Apply, Force, Merge, Replace, Delete][named(
                &act[0],
                &["Create", "Apply", "Force", "Merge", "Replace", "Delete"],
            )],
            manager: MANAGERS[named(&act[1], &MANAGERS)],
            body: act[2].clone(),
        };
        let target = named(
            &line["target"],
            &["Deployment", "Service", "Gadget", "Loose"],
        );
        Self {
            target: [Deployment, Service, Gadget, Loose][target],
            acts: line["acts"].as_array().unwrap().iter().map(act).collect(),
        }
    }
}

/// Histories that once ended otherwise, in their least form.
fn corpus() -> Vec<History> {
    let lines: Value = serde_json::from_str(include_str!("histories/corpus.json")).unwrap();
    lines
        .as_array()
        .unwrap()
        .iter()
        .map(History::read)
        .collect()
}

fn definition(kind: &str, schema: &Value) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.histories.example.com")},
        "spec": {
            "group": "histories.example.com", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

fn definitions() -> [Value; 2] {
    let strings = json!({"type": "string"});
    let gadget = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer"},
        "colour": {"type": "string", "default": "red"},
        "tags": {"type": "array", "items": strings, "x-kubernetes-list-type": "set"},
        "plain": {"type": "array", "items": strings},
        "whole": {"type": "object", "additionalProperties": strings, "x-kubernetes-map-type": "atomic"},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": strings, "value": strings}}},
    }}}});
    let loose = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    [definition("Gadget", &gadget), definition("Loose", &loose)]
}

/// What clients may tell apart in an answer.
fn visible(target: Target, (code, mut body): (u16, Value)) -> Value {
    if body["kind"] == "Status" {
        // kube-apiserver's causes come in the order of a Go map: none.
        if let Some(causes) = body["details"]["causes"].as_array_mut() {
            causes.sort_by_key(Value::to_string);
        }
        return json!({"code": code, "reason": body["reason"], "causes": body["details"]["causes"]});
    }
    settle(&mut body);
    if target == Deployment {
        // The real plane's controllers write here meanwhile.
        body["status"] = Value::Null;
        forget_controllers(&mut body["metadata"]);
    }
    json!({"code": code, "object": body})
}

/// Takes out what the Deployment controller writes to an object's metadata.
fn forget_controllers(metadata: &mut Value) {
    if let Some(entries) = metadata["managedFields"].as_array_mut() {
        entries.retain(|entry| entry["manager"] != "kube-controller-manager");
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("annotations");
        // A PUT that drops the controller's annotation counts as a change.
        metadata.remove("generation");
    }
}

async fn answer(
    client: &Client,
    target: Target,
    name: &str,
    act: &Act,
    seen: &Value,
) -> (u16, Value) {
    let mut body = act.body.clone();
    let (api_version, kind) = target.typed();
    let object = format!(
        "{}/{name}?fieldManager={}",
        target.collection(),
        act.manager
    );
    if act.verb != Verb::Merge {
        body["apiVersion"] = json!(api_version);
        body["kind"] = json!(kind);
        body["metadata"]["name"] = json!(name);
    }
    let (method, path, content_type) = match act.verb {
        Verb::Create => {
            let path = format!("{}?fieldManager={}", target.collection(), act.manager);
            ("POST", path, JSON)
        }
        Verb::Apply => ("PATCH", object, APPLY),
        Verb::Force => ("PATCH", format!("{object}&force=true"), APPLY),
        Verb::Merge => ("PATCH", object, MERGE),
        Verb::Replace => {
            if matches!(target, Gadget | Loose) && !seen.is_null() {
                body["metadata"]["resourceVersion"] = seen.clone();
            }
            ("PUT", object, JSON)
        }
        Verb::Delete => {
            body = Value::Null;
            ("DELETE", format!("{}/{name}", target.collection()), JSON)
        }
    };
    let path: &str = &path;
    send(client, method, path, content_type, &body).await
}

/// The first step whose answers differ, and both answers.
async fn difference(real: &Client, ours: &Client, history: &History, name: &str) -> Option<String> {
    let (mut seen_real, mut seen_ours) = (Value::Null, Value::Null);
    for (at, act) in history.acts.iter().enumerate() {
        let theirs = answer(real, history.target, name, act, &seen_real).await;
        let own = answer(ours, history.target, name, act, &seen_ours).await;
        for (seen, got) in [(&mut seen_real, &theirs), (&mut seen_ours, &own)] {
            if got.1["metadata"]["resourceVersion"].is_string() {
                *seen = got.1["metadata"]["resourceVersion"].clone();
            }
        }
        let words = format!("  real {}\n  ours {}\n", theirs.1, own.1);
        if visible(history.target, theirs) != visible(history.target, own) {
            return Some(format!("step {at}:\n{words}"));
        }
    }
    None
}

/// Leaves out steps while a difference is still there.
async fn shrink(real: &Client, ours: &Client, found: History, name: &str) -> (History, String) {
    let (mut least, mut tries, mut at) = (found, 0, 0);
    let mut words = String::new();
    while at < least.acts.len() {
        let mut fewer = least.clone();
        fewer.acts.remove(at);
        tries += 1;
        match difference(real, ours, &fewer, &format!("{name}-{tries}")).await {
            Some(difference) => (least, words) = (fewer, difference),
            None => at += 1,
        }
    }
    (least, words)
}

#[tokio::test]
async fn random_histories_end_as_on_kube_apiserver() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let number = |name: &str, otherwise| {
        std::env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(otherwise)
    };
    let (count, seed) = (
        number("PILOTHOUSE_HISTORIES", 2000),
        number("PILOTHOUSE_SEED", 4),
    );
    let _one = ONE_PLANE.lock().await;
    eprintln!("PILOTHOUSE_SEED={seed} PILOTHOUSE_HISTORIES={count}");
    let options = ControlPlaneOptions {
        workloads: false,
        ..ControlPlaneOptions::default()
    };
    let plane = ControlPlane::start("histories", options).await.unwrap();
    let real = plane.client().await.unwrap();
    let server = Server::open(Options::in_memory("histories")).unwrap();
    let ours = server.client();
    prepare(&real).await;
    prepare(&ours).await;
    let mut dice = Dice::seeded(seed);
    let random = (0..count).map(|_| History::random(&mut dice));
    let histories: Vec<_> = corpus().into_iter().chain(random).enumerate().collect();
    let mut faults: Vec<_> = futures::stream::iter(histories)
        .map(|(at, history)| {
            let (real, ours) = (&real, &ours);
            async move {
                let name = format!("h{at}");
                let words = difference(real, ours, &history, &name).await?;
                Some((name, history, words))
            }
        })
        .buffer_unordered(16)
        .filter_map(std::future::ready)
        .collect()
        .await;
    faults.sort_by_key(|(_, history, _)| history.acts.len());
    let found = faults.len();
    let mut text = String::new();
    for target in [Deployment, Service, Gadget, Loose] {
        let of_target = faults.iter().filter(|(_, found, _)| found.target == target);
        for (name, history, words) in of_target.take(3) {
            let (least, fewer) = shrink(&real, &ours, history.clone(), name).await;
            let words = if fewer.is_empty() { words } else { &fewer };
            let _ = writeln!(text, "{name}: {}{words}", least.readable());
        }
    }
    plane.stop().await.unwrap();
    assert!(
        found == 0,
        "{found} of {count} histories differ (seed {seed}); the least:\n{text}"
    );
}

/// The namespace and both definitions, served.
async fn prepare(client: &Client) {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "histories"}});
    send(client, "POST", "/api/v1/namespaces", JSON, &namespace).await;
    for definition in definitions() {
        let (code, answer) = send(client, "POST", CRDS, JSON, &definition).await;
        assert_eq!(code, 201, "{answer}");
    }
    let soon = std::time::Duration::from_secs(30);
    support::await_condition("both kinds are served", soon, || async {
        for target in [Gadget, Loose] {
            let (code, _) = send(client, "GET", target.collection(), JSON, &Value::Null).await;
            if code != 200 {
                return Err(format!("{target:?}: {code}"));
            }
        }
        Ok(())
    })
    .await;
}
