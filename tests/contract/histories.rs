//! Random histories of writes by several managers: the embedded server and a
//! real kube-apiserver agree on every answer, object and managedFields entry.

use super::support::{self, ControlPlane, ControlPlaneOptions, controlplane::Binaries, have};
use super::{APPLY, CRDS, JSON, MERGE, send, settle};
use futures::StreamExt;
use kube::Client;
use pilothouse::apiserver::{Options, Server};
use serde_json::{Value, json};
use std::fmt::Write;

/// A small generator (splitmix64): the same seed gives the same histories.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one_of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[usize::try_from(self.roll(items.len() as u64)).unwrap()]
    }

    fn half(&mut self) -> bool {
        self.roll(2) == 0
    }
}

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
    fn random(dice: &mut Dice) -> Self {
        let target = [Deployment, Service, Gadget, Loose][usize::try_from(dice.roll(4)).unwrap()];
        let count = 3 + dice.roll(5);
        let acts = (0..count).map(|at| Act::random(dice, target, at == 0));
        Self {
            target,
            acts: acts.collect(),
        }
    }

    fn readable(&self) -> String {
        let mut text = format!("{:?}\n", self.target);
        for act in &self.acts {
            let _ = writeln!(text, "  {:?} by {}: {}", act.verb, act.manager, act.body);
        }
        text
    }
}

impl Act {
    fn random(dice: &mut Dice, target: Target, first: bool) -> Self {
        let verb = match (first, dice.roll(16)) {
            (true, n) if n < 8 => Verb::Create,
            (true, _) | (false, 0..=5) => Verb::Apply,
            (false, 6..=8) => Verb::Force,
            (false, 9..=11) => Verb::Merge,
            (false, 12..=13) => Verb::Replace,
            (false, 14) => Verb::Delete,
            _ => Verb::Create,
        };
        Self {
            verb,
            manager: dice.one_of(&["m1", "m2", "m3"]),
            body: body(dice, target, verb == Verb::Merge),
        }
    }
}

/// A body of the target's shape; `part`: a merge patch, which may hold nulls.
fn body(dice: &mut Dice, target: Target, part: bool) -> Value {
    let mut body = json!({"metadata": {}});
    for key in ["a", "b"] {
        if dice.half() {
            body["metadata"]["labels"][key] = match part && dice.roll(3) == 0 {
                true => Value::Null,
                false => json!(dice.one_of(&["1", "2"])),
            };
        }
    }
    let spec = match target {
        Deployment => deployment(dice, part),
        Service => service(dice, part),
        Gadget => gadget(dice, part),
        Loose => loose(dice, part),
    };
    body["spec"] = spec;
    body
}

fn deployment(dice: &mut Dice, part: bool) -> Value {
    let mut spec = json!({});
    if dice.half() {
        spec["replicas"] = json!(dice.roll(3));
    }
    if part {
        return spec;
    }
    let mut containers = Vec::new();
    for name in ["c", "d"] {
        if name == "c" || dice.half() {
            let mut container = json!({"name": name, "image": dice.one_of(&["x:1", "x:2"])});
            if dice.half() {
                container["env"] = json!([{"name": "E", "value": dice.one_of(&["1", "2"])}]);
            }
            if dice.half() {
                container["ports"] = json!([{"containerPort": 80 + dice.roll(2)}]);
            }
            containers.push(container);
        }
    }
    spec["selector"] = json!({"matchLabels": {"app": "x"}});
    spec["template"] =
        json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}});
    spec
}

fn service(dice: &mut Dice, part: bool) -> Value {
    let mut spec = json!({});
    if dice.half() {
        spec["selector"] = json!({dice.one_of(&["a", "b"]): dice.one_of(&["1", "2"])});
    }
    if !part || dice.half() {
        let mut ports = vec![json!({"name": "p", "port": 80 + dice.roll(2)})];
        if dice.half() {
            ports.push(json!({"name": "q", "port": 90, "targetPort": 8080 + dice.roll(2)}));
        }
        spec["ports"] = json!(ports);
    }
    spec
}

fn gadget(dice: &mut Dice, part: bool) -> Value {
    let mut spec = json!({});
    if dice.half() {
        spec["size"] = json!(dice.roll(3));
    }
    if dice.half() {
        let tags = ["a", "b", "c"].into_iter().filter(|_| dice.half());
        spec["tags"] = json!(tags.collect::<Vec<_>>());
    }
    if dice.half() {
        let mut parts = Vec::new();
        for name in ["x", "y"] {
            if dice.half() {
                parts.push(json!({"name": name, "value": dice.one_of(&["1", "2"])}));
            }
        }
        spec["parts"] = json!(parts);
    }
    if dice.half() {
        spec["plain"] = json!([dice.one_of(&["1", "2"])]);
    }
    if dice.half() {
        spec["whole"] = json!({dice.one_of(&["k", "l"]): "v"});
    }
    if part && dice.half() {
        spec[dice.one_of(&["size", "tags", "parts", "plain", "whole"])] = Value::Null;
    }
    spec
}

fn loose(dice: &mut Dice, part: bool) -> Value {
    let mut spec = json!({});
    for key in ["k", "l", "m"] {
        spec[key] = match dice.roll(6) {
            0 => json!(dice.roll(3)),
            1 => json!([dice.one_of(&["1", "2"])]),
            2 => json!({dice.one_of(&["n", "o"]): dice.one_of(&["1", "2"])}),
            3 => json!({}),
            4 if part => Value::Null,
            _ => continue,
        };
    }
    spec
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
    let mut dice = Dice(seed);
    let histories: Vec<_> = (0..count)
        .map(|at| (at, History::random(&mut dice)))
        .collect();
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
