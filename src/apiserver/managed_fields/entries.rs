//! `metadata.managedFields`: reading, writing, order, and the cap on updaters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::set::Set;

/// More `Update` entries than this are merged, oldest first.
const MAX_UPDATERS: usize = 10;

/// Name of the entries that old updaters are merged into.
const OLD_UPDATES: &str = "ancient-changes";

/// What tells managers apart. Appliers keep their identity across versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Empty for appliers.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Manager {
    pub(super) fn new(name: &str, operation: Operation, version: &str, subresource: &str) -> Self {
        Self {
            name: if name.is_empty() { "unknown" } else { name }.to_owned(),
            operation,
            api_version: match operation {
                Operation::Apply => String::new(),
                Operation::Update => version.to_owned(),
            },
            subresource: subresource.to_owned(),
        }
    }

    /// As kube-apiserver prints it in conflicts.
    pub(super) fn describe(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// What one manager owns.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) set: Set,
    pub(super) api_version: String,
    /// Whole seconds, as Kubernetes writes times.
    pub(super) time: Option<Timestamp>,
}

/// All managers of an object.
pub(super) type Managers = BTreeMap<Manager, Owned>;

/// What an object says of its managers.
pub(super) enum Declared {
    /// Nothing, or something unreadable.
    Nothing,
    /// An empty list or one empty entry: the client asks to forget all owners.
    Reset,
    /// These.
    Managers(Managers),
}

/// Reads `metadata.managedFields`.
pub(super) fn read(object: &Value) -> Declared {
    let Some(list) = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
    else {
        return Declared::Nothing;
    };
    let blank = |entry: &Value| entry.as_object().is_some_and(Map::is_empty);
    if list.is_empty() || (list.len() == 1 && blank(&list[0])) {
        return Declared::Reset;
    }
    match list.iter().map(entry).collect::<Option<Managers>>() {
        Some(managers) if !managers.is_empty() => Declared::Managers(managers),
        _ => Declared::Nothing,
    }
}

fn entry(value: &Value) -> Option<(Manager, Owned)> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() || text("fieldsType") != "FieldsV1" {
        return None;
    }
    let set = match value.get("fieldsV1") {
        None | Some(Value::Null) => Set::default(),
        Some(fields) => Set::from_fields_v1(fields)?,
    };
    // A manager without a name is kept as such.
    let manager = Manager {
        name: text("manager").to_owned(),
        ..Manager::new("-", operation, api_version, text("subresource"))
    };
    let time = value
        .get("time")
        .and_then(Value::as_str)
        .and_then(|time| time.parse().ok());
    Some((
        manager,
        Owned {
            set,
            api_version: api_version.to_owned(),
            time,
        },
    ))
}

/// Puts `managers` into the object, in kube-apiserver's order.
pub(super) fn write(object: &mut Value, managers: &Managers) {
    let mut entries: Vec<(&Manager, &Owned)> = managers.iter().collect();
    entries.sort_by_key(|(manager, owned)| {
        let seconds = owned.time.map_or(0, Timestamp::as_second);
        (
            manager.operation,
            seconds,
            &manager.name,
            &owned.api_version,
            &manager.subresource,
        )
    });
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|(m, owned)| encode(m, owned))
        .collect();
    let Some(object) = object.as_object_mut() else {
        return;
    };
    if entries.is_empty() {
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.remove("managedFields");
        }
        return;
    }
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

fn encode(manager: &Manager, owned: &Owned) -> Value {
    let mut out = Map::new();
    let mut text = |name: &str, value: &str| {
        if !value.is_empty() {
            out.insert(name.to_owned(), value.into());
        }
    };
    text("apiVersion", &owned.api_version);
    text("fieldsType", "FieldsV1");
    text("manager", &manager.name);
    text(
        "operation",
        match manager.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        },
    );
    text("subresource", &manager.subresource);
    if let Some(time) = owned.time {
        text("time", &time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    out.insert("fieldsV1".to_owned(), owned.set.to_fields_v1());
    Value::Object(out)
}

/// Merges the oldest updaters of each version into one entry until few enough are left.
pub(super) fn cap_updaters(managers: &mut Managers) {
    let mut updaters: Vec<Manager> = managers
        .keys()
        .filter(|key| key.operation == Operation::Update)
        .cloned()
        .collect();
    let mut count = updaters.len();
    if count <= MAX_UPDATERS {
        return;
    }
    updaters.sort_by_key(|key| {
        let time = managers.get(key).and_then(|owned| owned.time);
        (time.map_or(0, Timestamp::as_second), key.clone())
    });
    let mut first_of_version: BTreeMap<String, Manager> = BTreeMap::new();
    for key in updaters {
        if count <= MAX_UPDATERS {
            break;
        }
        let Some(owned) = managers.get(&key) else {
            continue;
        };
        let version = owned.api_version.clone();
        let Some(first) = first_of_version.get(&version) else {
            first_of_version.insert(version, key);
            continue;
        };
        let bucket = Manager::new(OLD_UPDATES, Operation::Update, &version, "");
        if !managers.contains_key(&bucket)
            && let Some(owned) = managers.remove(first)
        {
            managers.insert(bucket.clone(), owned);
        }
        if let Some(owned) = managers.remove(&key)
            && let Some(old) = managers.get_mut(&bucket)
        {
            old.set = old.set.union(&owned.set);
            old.time = owned.time;
            count -= 1;
        }
    }
}
