//! What `kubectl get` prints: the columns of each kind, each with the way to
//! its cell.

mod builtin;
mod cells;
mod duration;
mod path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::resource::Resource;
use path::Path;

pub(super) use duration::human;

/// How a cell of a built-in kind is found.
#[derive(Clone, Copy)]
enum Cell {
    /// JSON pointer; `<none>` when absent.
    At(&'static str),
    /// Like `At`, but a number, 0 when absent.
    Count(&'static str),
    /// A number under a column that says it is text, as some printers do.
    Tally(fn(&Value) -> i64),
    /// True or false, false when absent.
    Flag(&'static str),
    /// The same in words: `True`, `False`.
    Word(&'static str),
    /// Time since `metadata.creationTimestamp`.
    Age,
    /// The text of `metadata.creationTimestamp`.
    Created,
    /// Computed.
    From(fn(&Value, Timestamp) -> String),
}

/// Header, shown only with `-o wide`, cell.
type Column = (&'static str, bool, Cell);

/// A printer column of a CRD.
#[derive(Debug)]
pub(super) struct CustomColumn {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
    path: Option<Path>,
}

impl CustomColumn {
    /// Reads one `additionalPrinterColumns` item. A path that cannot be read
    /// gives an empty column.
    pub(super) fn from_crd(column: &Value) -> Option<Self> {
        let text = |field: &str| column[field].as_str().unwrap_or_default().to_owned();
        Some(Self {
            name: column["name"].as_str()?.to_owned(),
            kind: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column["priority"].as_i64().unwrap_or(0),
            path: Path::parse(column["jsonPath"].as_str()?),
        })
    }

    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.as_ref().and_then(|path| path.first(object));
        let Some(found) = found else {
            return Value::Null;
        };
        match (self.kind.as_str(), &found) {
            ("date", Value::String(text)) => json!(since(text, now)),
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => found,
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => found,
            (_, Value::String(_)) => found,
            // kubectl prints maps and lists as JSON.
            (_, other) => json!(other.to_string()),
        }
    }
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({
        "name": name, "type": kind, "format": format,
        "description": description, "priority": priority,
    })
}

/// `columnDefinitions` of a resource's Table.
pub(super) fn definitions(resource: &Resource) -> Vec<Value> {
    let name = definition(
        "Name",
        "string",
        "name",
        "Name must be unique within a namespace.",
        0,
    );
    let mut list = vec![name];
    match &resource.custom {
        Some(custom) if custom.columns.is_empty() => {
            list.push(definition("Age", "date", "", "Time since creation", 0));
        }
        Some(custom) => list.extend(
            custom
                .columns
                .iter()
                .map(|c| definition(&c.name, &c.kind, &c.format, &c.description, c.priority)),
        ),
        None => {
            let columns = builtin::columns(&resource.group, &resource.plural);
            if builtin::hides_name(&resource.plural) {
                list.clear();
            }
            list.extend(columns.iter().map(|(name, wide, cell)| {
                let kind = match cell {
                    Cell::Count(_) => "integer",
                    Cell::Flag(_) | Cell::Word(_) => "boolean",
                    Cell::Created => "date",
                    _ => "string",
                };
                let format = match *name {
                    "Name" => "name",
                    _ => "",
                };
                definition(name, kind, format, name, i64::from(*wide))
            }));
        }
    }
    list
}

/// The cells of one object, in the order of [`definitions`].
pub(super) fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![object["metadata"]["name"].clone()];
    match &resource.custom {
        Some(custom) if custom.columns.is_empty() => cells.push(json!(age(object, now))),
        Some(custom) => cells.extend(custom.columns.iter().map(|c| c.cell(object, now))),
        None => {
            if builtin::hides_name(&resource.plural) {
                cells.clear();
            }
            let columns = builtin::columns(&resource.group, &resource.plural);
            cells.extend(
                columns
                    .iter()
                    .map(|(_, _, cell)| value_of(*cell, object, now)),
            );
        }
    }
    cells
}

fn value_of(cell: Cell, object: &Value, now: Timestamp) -> Value {
    match cell {
        Cell::At(pointer) => json!(text_at(object, pointer)),
        Cell::Count(pointer) => match object.pointer(pointer) {
            Some(found @ Value::Number(_)) => found.clone(),
            _ => json!(0),
        },
        Cell::Tally(count) => json!(count(object)),
        Cell::Flag(pointer) => json!(object.pointer(pointer) == Some(&Value::Bool(true))),
        Cell::Word(pointer) => match object.pointer(pointer) {
            Some(Value::Bool(true)) => json!("True"),
            _ => json!("False"),
        },
        Cell::Age => json!(age(object, now)),
        Cell::Created => object["metadata"]["creationTimestamp"].clone(),
        Cell::From(compute) => json!(compute(object, now)),
    }
}

fn text_at(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        _ => "<none>".to_owned(),
    }
}

fn age(object: &Value, now: Timestamp) -> String {
    let created = object["metadata"]["creationTimestamp"].as_str();
    since(created.unwrap_or_default(), now)
}

/// kubectl's way to say how long ago a time was.
fn since(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(then) => human(now.as_second() - then.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::resource;
    use super::*;

    #[test]
    fn every_built_in_row_has_a_cell_per_column() {
        for resource in resource::builtin() {
            let object = json!({"metadata": {"name": "a"}});
            let cells = cells(&resource, &object, Timestamp::UNIX_EPOCH);
            assert_eq!(
                cells.len(),
                definitions(&resource).len(),
                "{}",
                resource.plural
            );
        }
    }

    #[test]
    fn printer_columns_follow_their_type() {
        let now: Timestamp = "2024-01-01T00:05:00Z".parse().unwrap();
        let object = json!({"spec": {"n": 3, "t": "2024-01-01T00:00:00Z", "l": ["a"], "b": true}});
        let cases = [
            ("integer", ".spec.n", json!(3)),
            ("string", ".spec.n", json!("3")),
            ("date", ".spec.t", json!("5m")),
            ("string", ".spec.l", json!("[\"a\"]")),
            ("string", ".spec.l[0]", json!("a")),
            ("boolean", ".spec.b", json!(true)),
            ("string", ".spec.none", Value::Null),
        ];
        for (kind, path, wanted) in cases {
            let column = json!({"name": "x", "type": kind, "jsonPath": path});
            let column = CustomColumn::from_crd(&column).unwrap();
            assert_eq!(column.cell(&object, now), wanted, "{kind} {path}");
        }
    }
}
