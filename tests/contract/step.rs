//! One request of the contract, how it is sent, and when two answers agree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

pub const JSON: &str = "application/json";
pub const MERGE: &str = "application/merge-patch+json";
pub const PATCH: &str = "application/json-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/contract/configmaps";
pub const A: &str = "/api/v1/namespaces/contract/configmaps/a";
pub const SERVICES: &str = "/api/v1/namespaces/contract/services";
pub const SECRETS: &str = "/api/v1/namespaces/contract/secrets";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/contract/deployments";
pub const WEB: &str = "/apis/apps/v1/namespaces/contract/deployments/web";
pub const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const WIDGETS: &str = "/apis/contract.example.com/v1/namespaces/contract/widgets";
pub const W: &str = "/apis/contract.example.com/v1/namespaces/contract/widgets/w";

/// How much of two answers must agree.
#[derive(Clone, Copy, PartialEq)]
pub enum Alike {
    /// Everything but times, uids, revisions and allocated values.
    Whole,
    /// Status code and reason; the words differ.
    Reason,
    /// What the embedded server says is part of what the real one says:
    /// documents about resources that it does not all have.
    Part,
}
pub use Alike::{Part, Reason, Whole};

/// One request. `{NAME}` in its path and body stands for what an earlier
/// answer of the same server had there ([`Step::keep`]).
pub struct Step {
    pub name: String,
    method: &'static str,
    path: String,
    content_type: &'static str,
    accept: Option<&'static str>,
    body: Value,
    alike: Alike,
    at: &'static str,
    keep: Vec<(&'static str, &'static str)>,
    until: Option<u16>,
}

pub fn step(
    alike: Alike,
    name: &str,
    method: &'static str,
    path: &str,
    content_type: &'static str,
    body: Value,
) -> Step {
    Step {
        name: name.to_owned(),
        method,
        path: path.to_owned(),
        content_type,
        accept: None,
        body,
        alike,
        at: "",
        keep: Vec::new(),
        until: None,
    }
}

/// A read of which everything must agree.
pub fn get(name: &str, path: &str) -> Step {
    step(Whole, name, "GET", path, JSON, Value::Null)
}

/// A creation of which everything must agree.
pub fn post(name: &str, path: &str, body: Value) -> Step {
    step(Whole, name, "POST", path, JSON, body)
}

/// A replacement of which everything must agree.
pub fn put(name: &str, path: &str, body: Value) -> Step {
    step(Whole, name, "PUT", path, JSON, body)
}

/// A merge patch of which everything must agree.
pub fn merge(name: &str, path: &str, body: Value) -> Step {
    step(Whole, name, "PATCH", path, MERGE, body)
}

/// A deletion of which everything must agree; a null sends no options.
pub fn delete(name: &str, path: &str, options: Value) -> Step {
    step(Whole, name, "DELETE", path, JSON, options)
}

impl Step {
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = Some(accept);
        self
    }

    pub fn alike(mut self, alike: Alike) -> Self {
        self.alike = alike;
        self
    }

    /// Compares only what is at this JSON pointer.
    pub fn at(mut self, pointer: &'static str) -> Self {
        self.at = pointer;
        self
    }

    /// Keeps what is at the JSON pointer of the answer as `{name}`.
    pub fn keep(mut self, name: &'static str, pointer: &'static str) -> Self {
        self.keep.push((name, pointer));
        self
    }

    /// Asks again until the status code is this one: controllers take a
    /// moment.
    pub fn until(mut self, code: u16) -> Self {
        self.until = Some(code);
        self
    }
}

/// A server and what its answers said so far.
pub struct Player {
    client: Client,
    kept: BTreeMap<&'static str, String>,
}

impl Player {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kept: BTreeMap::new(),
        }
    }

    /// A value that is this server's own from the start.
    pub fn knows(&mut self, name: &'static str, value: &str) {
        self.kept.insert(name, value.to_owned());
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.kept {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }

    /// Plays one step; the code and the body.
    pub async fn play(&mut self, step: &Step) -> (u16, Value) {
        let path = self.filled(&step.path);
        let body = match &step.body {
            Value::Null => Value::Null,
            body => serde_json::from_str(&self.filled(&body.to_string())).unwrap(),
        };
        let ask = || {
            let types = (step.content_type, step.accept);
            request(&self.client, step.method, &path, types, &body)
        };
        let deadline = Instant::now() + SOON;
        let mut answer = ask().await;
        while step.until.is_some_and(|wanted| answer.0 != wanted) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
            answer = ask().await;
        }
        for (name, pointer) in &step.keep {
            if let Some(value) = answer.1.pointer(pointer) {
                let text = value.as_str().map(str::to_owned);
                self.kept
                    .insert(name, text.unwrap_or_else(|| value.to_string()));
            }
        }
        answer
    }
}

/// Sends one request; the code and the body. A null sends no body.
pub async fn send(
    client: &Client,
    method: &str,
    path: &str,
    content_type: &str,
    body: &Value,
) -> (u16, Value) {
    request(client, method, path, (content_type, None), body).await
}

async fn request(
    client: &Client,
    method: &str,
    path: &str,
    (content_type, accept): (&str, Option<&str>),
    body: &Value,
) -> (u16, Value) {
    let body = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .header("user-agent", "contract/1");
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    let request = request.body(Body::from(body)).unwrap();
    let answer = async {
        let response = client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, read(&bytes))
    };
    match tokio::time::timeout(LIMIT, answer).await {
        Ok(answer) => answer,
        Err(_) => (0, json!(format!("no end within {LIMIT:?}"))),
    }
}

/// How long [`Step::until`] waits, and how often it asks.
const SOON: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// No answer, nor any watch of the contract, takes longer.
const LIMIT: Duration = Duration::from_secs(15);

/// A document, the events of a watch, or text.
fn read(bytes: &[u8]) -> Value {
    if let Ok(document) = serde_json::from_slice(bytes) {
        return document;
    }
    let events = serde_json::Deserializer::from_slice(bytes).into_iter();
    let events: Result<Vec<Value>, _> = events.collect();
    match events {
        Ok(events) => Value::Array(events),
        Err(_) => json!(String::from_utf8_lossy(bytes)),
    }
}

/// Takes out what no two servers agree on.
pub fn settle(value: &mut Value) {
    const OWN: [&str; 12] = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "time",
        "clusterIP",
        "clusterIPs",
        "nodePort",
        "lastTransitionTime",
        "continue",
        "storageVersionHash",
        "serverRelativeURL",
    ];
    match value {
        Value::Object(map) => {
            map.retain(|key, item| {
                // Words about a field, a hash, an absent time, no further page.
                let is_text = item.is_string();
                !(key == "description" && is_text
                    || key == "storageVersionHash"
                    || key == "creationTimestamp" && item.is_null()
                    || key == "continue" && *item == "")
            });
            for key in ["rows", "columnDefinitions"] {
                if let Some(list) = map.get_mut(key).filter(|list| list.is_null()) {
                    *list = json!([]);
                }
            }
            if let Some(verbs) = map.get_mut("verbs").and_then(Value::as_array_mut) {
                verbs.sort_by_key(Value::to_string);
            }
            let owners: Vec<String> = map
                .keys()
                .filter(|key| key.starts_with("k:{\"uid\":"))
                .cloned()
                .collect();
            for key in owners {
                let fields = map.remove(&key).unwrap_or_default();
                map.insert("k:{\"uid\":\"~\"}".to_owned(), fields);
            }
            for (key, item) in map.iter_mut() {
                match OWN.contains(&key.as_str()) && !item.is_null() && !item.is_object() {
                    true => *item = json!("~"),
                    false => settle(item),
                }
            }
            // An absent time sorts entries differently in no way that counts.
            if let Some(fields) = map.get_mut("managedFields").and_then(Value::as_array_mut) {
                fields.sort_by_key(|f| {
                    f["manager"].to_string()
                        + &f["operation"].to_string()
                        + &f["subresource"].to_string()
                });
                // The real plane's own controllers write, too.
                fields.retain(|entry| {
                    let own = ["kube-controller-manager", "kube-apiserver"];
                    !own.iter().any(|manager| entry["manager"] == *manager)
                });
                for entry in fields.iter_mut().filter_map(Value::as_object_mut) {
                    entry.remove("time");
                }
            }
            // Ages and times in tables.
            if let Some(cells) = map.get_mut("cells").and_then(Value::as_array_mut) {
                cells
                    .iter_mut()
                    .filter(|cell| is_age(cell) || is_time(cell))
                    .for_each(|cell| *cell = json!("~"));
            }
            if map
                .get("reason")
                .is_some_and(|r| r == "Expired" || r == "Timeout" || r == "Conflict")
                && let Some(Value::String(message)) = map.get_mut("message")
            {
                *message = without_own(message);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

fn is_time(cell: &Value) -> bool {
    cell.as_str()
        .is_some_and(|cell| cell.parse::<jiff::Timestamp>().is_ok())
}

fn is_age(cell: &Value) -> bool {
    let text = cell.as_str().unwrap_or_default();
    text.ends_with(['s', 'm', 'h']) && text.starts_with(|c: char| c.is_ascii_digit())
}

/// Revisions and uids of a message.
fn without_own(message: &str) -> String {
    let own = |word: &str| {
        word.len() > 1
            && word
                .chars()
                .all(|c| c.is_ascii_hexdigit() || "-(),:.".contains(c))
            && word.contains(|c: char| c.is_ascii_digit())
    };
    let words = message
        .split(' ')
        .map(|word| if own(word) || word == "1" { "~" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// What of `ours` is not in `real`: a path and both values.
fn extra(real: &Value, ours: &Value, path: &str) -> Option<String> {
    match (real, ours) {
        (Value::Object(real), Value::Object(ours)) => {
            ours.iter().find_map(|(key, item)| match real.get(key) {
                Some(real) => extra(real, item, &format!("{path}/{key}")),
                None => Some(format!("{path}/{key}: only ours {item}")),
            })
        }
        (Value::Array(real), Value::Array(ours)) => ours.iter().find_map(|item| {
            const NAMES: [&str; 5] = ["name", "resource", "subresource", "version", "groupVersion"];
            let name = |item: &Value| match item["metadata"]["name"].as_str() {
                Some(name) => Some(name.to_owned()),
                None => NAMES
                    .iter()
                    .find_map(|key| item[key].as_str().map(str::to_owned)),
            };
            let wanted = name(item);
            let found = match &wanted {
                Some(_) => real.iter().find(|real| name(real) == wanted),
                None => real
                    .iter()
                    .find(|real| extra(real, item, "").is_none())
                    .or(real.first()),
            };
            let path = format!("{path}/{}", wanted.unwrap_or_default());
            match found {
                Some(real) => extra(real, item, &path),
                None => Some(format!("{path}: only ours")),
            }
        }),
        _ if real == ours => None,
        _ => Some(format!("{path}: real {real} ours {ours}")),
    }
}

/// Every leaf that differs, on a line of its own.
fn unlike(real: &Value, ours: &Value, path: &str, lines: &mut Vec<String>) {
    match (real, ours) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let path = format!("{path}/{key}");
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => unlike(one, other, &path, lines),
                    (Some(one), None) => lines.push(format!("{path}: only real {one}")),
                    (None, other) => lines.push(format!("{path}: only ours {}", json!(other))),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                unlike(one, other, &format!("{path}/{at}"), lines);
            }
        }
        _ if real == ours => {}
        _ => lines.push(format!("{path}:\n    real {real}\n    ours {ours}")),
    }
}

/// Compares two answers to one step.
pub fn agree(step: &Step, real: (u16, Value), ours: (u16, Value)) -> Result<(), String> {
    let part = |body: Value| body.pointer(step.at).cloned().unwrap_or(Value::Null);
    let ((real_code, real), (our_code, ours)) = (real, ours);
    let (mut real, mut ours) = (part(real), part(ours));
    settle(&mut real);
    settle(&mut ours);
    let mut lines = Vec::new();
    match step.alike {
        Whole => unlike(&real, &ours, "", &mut lines),
        Reason => unlike(&real["reason"], &ours["reason"], "/reason", &mut lines),
        Part => lines.extend(extra(&real, &ours, "")),
    }
    if real_code != our_code {
        lines.insert(0, format!("real {real_code} ours {our_code}"));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let (method, path) = (step.method, &step.path);
    Err(format!(
        "{}: {method} {path}\n  {}\n",
        step.name,
        lines.join("\n  ")
    ))
}
