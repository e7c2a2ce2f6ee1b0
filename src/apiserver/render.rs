//! Stored objects to the form that was asked for: whole, Table or metadata
//! only; single, list or watch event.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::columns;
use super::negotiate::View;
use super::object;
use super::resource::{Form, Resource};
use super::store::Stored;

/// How the objects of one request are shown.
pub(super) struct Renderer {
    resource: Arc<Resource>,
    view: View,
    /// `includeObject` of a Table.
    include: Option<String>,
    /// A Table watch names its columns only once.
    columns_sent: bool,
}

/// Where a list stands.
pub(super) struct Position {
    pub(super) revision: u64,
    pub(super) continue_token: Option<String>,
    pub(super) remaining: Option<usize>,
}

impl Renderer {
    pub(super) fn new(resource: Arc<Resource>, view: View, include: Option<String>) -> Self {
        Self {
            resource,
            view,
            include,
            columns_sent: false,
        }
    }

    /// A value in its stored form, as it is served.
    pub(super) fn served(&self, mut value: Value) -> Value {
        object::to_served(&self.resource, &mut value);
        value
    }

    fn plain(&self, object: &Stored) -> Bytes {
        match self.resource.form {
            Form::Stored => object.json.clone(),
            _ => Bytes::from(self.served(object.value()).to_string()),
        }
    }

    /// One object, of GET and of the answer to a write.
    pub(super) fn object(&self, object: &Stored) -> Bytes {
        match self.view {
            View::Object => self.plain(object),
            _ => self.value(object.value()),
        }
    }

    /// Like [`Self::object`], for a value that is not stored.
    pub(super) fn value(&self, value: Value) -> Bytes {
        let shown = match self.view {
            View::Object => self.served(value),
            View::Metadata | View::MetadataList => partial(&value),
            View::Table => {
                let mut metadata = json!({});
                if let Some(revision) = value["metadata"].get("resourceVersion") {
                    metadata["resourceVersion"] = revision.clone();
                }
                let rows = vec![self.row(&value)];
                self.table(&rows, &metadata, true)
            }
        };
        Bytes::from(shown.to_string())
    }

    fn row(&self, value: &Value) -> Value {
        let cells = columns::cells(&self.resource, value, Timestamp::now());
        let object = match self.include.as_deref() {
            Some("None") => Value::Null,
            Some("Object") => self.served(value.clone()),
            _ => partial(value),
        };
        json!({ "cells": cells, "object": object })
    }

    fn table(&self, rows: &[Value], metadata: &Value, with_columns: bool) -> Value {
        let definitions = match with_columns {
            true => columns::definitions(&self.resource),
            false => Vec::new(),
        };
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "columnDefinitions": definitions, "rows": rows,
        })
    }

    /// A list.
    pub(super) fn list(&self, objects: &[Arc<Stored>], position: &Position) -> Bytes {
        let mut metadata = json!({"resourceVersion": position.revision.to_string()});
        if let Some(token) = &position.continue_token {
            metadata["continue"] = json!(token);
        }
        if let Some(remaining) = position.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        match self.view {
            View::Table => {
                let rows: Vec<Value> = objects.iter().map(|o| self.row(&o.value())).collect();
                return Bytes::from(self.table(&rows, &metadata, true).to_string());
            }
            View::Metadata | View::MetadataList => {
                let items: Vec<Value> = objects.iter().map(|o| partial(&o.value())).collect();
                let list = json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items,
                });
                return Bytes::from(list.to_string());
            }
            View::Object => {}
        }
        let size: usize = objects.iter().map(|o| o.json.len() + 1).sum();
        let mut out = BytesMut::with_capacity(size + 256);
        let head = format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
            json!(self.resource.list_kind),
            json!(self.resource.api_version()),
        );
        out.put_slice(head.as_bytes());
        for (at, object) in objects.iter().enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            self.put_item(&mut out, &self.plain(object));
        }
        out.put_slice(b"]}");
        out.freeze()
    }

    /// Items of a built-in list do not repeat its type: Go's typed lists leave it out, those of
    /// custom resources keep it.
    fn put_item(&self, out: &mut BytesMut, item: &[u8]) {
        if self.resource.custom.is_some() {
            return out.put_slice(item);
        }
        let mut from = 0;
        for member in type_members(item) {
            out.put_slice(item.get(from..member.start).unwrap_or_default());
            from = member.end;
        }
        out.put_slice(item.get(from..).unwrap_or_default());
    }

    /// One line of a watch.
    pub(super) fn event(&mut self, kind: &str, object: &Stored) -> Bytes {
        let body = match self.view {
            View::Object => self.plain(object),
            View::Metadata | View::MetadataList => {
                Bytes::from(partial(&object.value()).to_string())
            }
            View::Table => {
                let first = !std::mem::replace(&mut self.columns_sent, true);
                let rows = vec![self.row(&object.value())];
                let metadata = json!({"resourceVersion": object.revision.to_string()});
                Bytes::from(self.table(&rows, &metadata, first).to_string())
            }
        };
        line(kind, &body)
    }

    /// A BOOKMARK event.
    pub(super) fn bookmark(&self, revision: u64, initial_end: bool) -> Bytes {
        let (kind, version) = match self.view {
            View::Object => (self.resource.kind.clone(), self.resource.api_version()),
            View::Metadata | View::MetadataList => (
                "PartialObjectMetadata".to_owned(),
                "meta.k8s.io/v1".to_owned(),
            ),
            View::Table => ("Table".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let body = match self.view {
            // A Table bookmark carries its metadata in a row's object.
            View::Table => json!({
                "kind": kind, "apiVersion": version,
                "metadata": {"resourceVersion": revision.to_string()},
                "columnDefinitions": [],
                "rows": [{"cells": [], "object": {
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                }}],
            }),
            _ => json!({"kind": kind, "apiVersion": version, "metadata": metadata}),
        };
        line("BOOKMARK", body.to_string().as_bytes())
    }
}

/// A watch line of any type.
pub(super) fn line(kind: &str, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 40);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(body);
    out.put_slice(b"}\n");
    out.freeze()
}

/// Where `apiVersion` and `kind` of the outermost object stand in compact JSON, each with its
/// comma.
fn type_members(json: &[u8]) -> Vec<Range<usize>> {
    let mut members = Vec::new();
    let (mut depth, mut at, mut before) = (0_usize, 0, b' ');
    while let Some(&byte) = json.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = text_end(json, at);
                let name = json.get(at..end).unwrap_or_default();
                let is_type = matches!(name, b"\"apiVersion\"" | b"\"kind\"");
                if is_type && depth == 1 && matches!(before, b'{' | b',') {
                    // The colon, the text, and the comma: `metadata` follows both.
                    members.push(at..text_end(json, end + 1) + 1);
                }
                before = b'"';
                at = end;
                continue;
            }
            _ => {}
        }
        before = byte;
        at += 1;
    }
    members
}

/// The place after the text that begins at `at`.
fn text_end(json: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn partial(value: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": value["metadata"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_objects_own_type_is_found() {
        let object = json!({
            "action": "a\\\"kind", "apiVersion": "v1", "data": {"kind": "ConfigMap", "x": "{\"kind\":1}"},
            "items": [{"apiVersion": "v2", "kind": "K"}], "kind": "ConfigMap", "metadata": {"name": "kind"},
        });
        let text = object.to_string();
        let mut left = text.clone();
        for member in type_members(text.as_bytes()).into_iter().rev() {
            left.replace_range(member, "");
        }
        let mut wanted = object;
        wanted
            .as_object_mut()
            .unwrap()
            .retain(|key, _| key != "apiVersion" && key != "kind");
        assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), wanted);
    }
}
