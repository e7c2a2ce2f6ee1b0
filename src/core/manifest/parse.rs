//! One file into objects, in kubectl's YAML dialect.

use serde_json::{Map, Value};

use super::Content;
use crate::core::object::{Digest, ObjectId};

/// Largest file that is read, in bytes. Files of people are a thousandth of it.
const MAX_FILE: usize = 4 << 20;
/// Documents in one file.
const MAX_DOCUMENTS: usize = 1_024;
/// Values in one file after aliases and merge keys are expanded.
const MAX_NODES: usize = 250_000;
/// Bytes of scalars in one file after aliases are expanded.
const MAX_SCALARS: usize = 16 << 20;
/// Nesting; the deepest real manifest found had 25 levels.
const MAX_DEPTH: usize = 64;

/// One file, parsed. It knows nothing of its path, so that it can be cached by
/// the id of its blob.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedFile {
    /// Objects in the order of the file; the items of a List stand for it.
    pub documents: Vec<Document>,
    /// What is wrong with it. A file with a problem is never applied in part.
    pub problems: Vec<FileProblem>,
}

/// One object of a file.
#[derive(Clone, PartialEq)]
pub struct Document {
    /// Line on which its document begins, from 1.
    pub line: usize,
    /// Identity as written.
    pub id: ObjectId,
    /// `apiVersion` as written.
    pub api_version: String,
    /// The object.
    pub content: Content,
    /// Digest of the object.
    pub digest: Digest,
}

impl std::fmt::Debug for Document {
    /// Leaves the object out: it may be a Secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Document({} line {} {})",
            self.id,
            self.line,
            self.digest.short()
        )
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// Line, from 1.
    pub line: usize,
    /// One sentence.
    pub message: String,
}

/// Reads a file as `kubectl apply -f` does (YAML 1.1 booleans and octals, merge
/// keys, integral floats as integers), but names what kubectl passes over:
/// duplicate keys and documents that are no objects.
///
/// The content is untrusted; sizes, nesting and alias expansion are bounded.
#[must_use]
pub fn parse_file(bytes: &[u8]) -> ParsedFile {
    let mut file = ParsedFile::default();
    if let Err(problem) = read(bytes, &mut file) {
        file.problems.push(problem);
    }
    file
}

fn read(bytes: &[u8], file: &mut ParsedFile) -> Result<(), FileProblem> {
    let whole = |message: String| FileProblem { line: 1, message };
    if bytes.len() > MAX_FILE {
        return Err(whole(format!(
            "the file has {} bytes, more than the {MAX_FILE} that are read; split it",
            bytes.len()
        )));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        whole(format!(
            "the file is not UTF-8 (byte {}); save it as UTF-8",
            error.valid_up_to()
        ))
    })?;
    let segments = segments(text.strip_prefix('\u{feff}').unwrap_or(text));
    if segments.len() > MAX_DOCUMENTS {
        return Err(whole(format!(
            "the file has more than {MAX_DOCUMENTS} documents; split it"
        )));
    }
    let mut left = Bounds {
        nodes: MAX_NODES,
        scalars: MAX_SCALARS,
    };
    for segment in segments {
        let value = parse_segment(&segment, left)?;
        left.spend(&value);
        match value {
            Value::Null => {}
            value => add_document(value, segment.line, file),
        }
    }
    Ok(())
}

/// One YAML document: its text and the line of its first character.
struct Segment<'a> {
    line: usize,
    text: &'a str,
}

/// Splits at document markers (`---` and `...` at the start of a line, which no
/// YAML scalar may contain), so that each document has its own bounds and line.
fn segments(text: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let (mut start, mut start_line, mut offset, mut number) = (0, 1, 0, 1);
    let mut close = |from: usize, to: usize, line: usize| {
        if let Some(text) = text.get(from..to)
            && text.lines().any(is_content)
        {
            segments.push(Segment { line, text });
        }
    };
    for line in text.split_inclusive('\n') {
        if is_marker(line, "---") {
            close(start, offset, start_line);
            (start, start_line) = (offset, number);
        } else if is_marker(line, "...") {
            close(start, offset, start_line);
            (start, start_line) = (offset + line.len(), number + 1);
        }
        offset += line.len();
        number += 1;
    }
    close(start, text.len(), start_line);
    segments
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line holds anything but a comment, a directive or a bare marker.
fn is_content(line: &str) -> bool {
    let line = if is_marker(line, "---") {
        line.get(3..).unwrap_or("")
    } else {
        line
    };
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && !line.starts_with('%')
}

#[derive(Clone, Copy)]
struct Bounds {
    nodes: usize,
    scalars: usize,
}

impl Bounds {
    fn spend(&mut self, value: &Value) {
        self.nodes = self.nodes.saturating_sub(1);
        match value {
            Value::String(text) => self.scalars = self.scalars.saturating_sub(text.len()),
            Value::Array(items) => items.iter().for_each(|item| self.spend(item)),
            Value::Object(map) => map.iter().for_each(|(key, item)| {
                self.scalars = self.scalars.saturating_sub(key.len());
                self.spend(item);
            }),
            _ => {}
        }
    }
}

fn parse_segment(segment: &Segment<'_>, left: Bounds) -> Result<Value, FileProblem> {
    let options = serde_yaml::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: left.nodes,
            max_total_scalar_bytes: left.scalars,
        },
    };
    let mut value: Value = serde_yaml::from_str_with_options(segment.text, options)
        .map_err(|error| problem_of(segment, &error))?;
    settle_numbers(&mut value);
    Ok(value)
}

fn problem_of(segment: &Segment<'_>, error: &serde_yaml::Error) -> FileProblem {
    let line = error
        .location()
        .map_or(1, |location| usize::try_from(location.line()).unwrap_or(1))
        .max(1);
    // The parser's own text repeats its (relative) position on later lines.
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = without_position(message);
    FileProblem {
        line: segment.line + line - 1,
        message: format!("not valid YAML: {message}"),
    }
}

/// Cuts `line 3 column 4: ` or ` at line 3, column 4`, which count from the
/// start of the document and would contradict the line that we give.
fn without_position(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("line ")
        && let Some((_, rest)) = rest.split_once(": ")
    {
        return rest.to_owned();
    }
    match message.find(" at line ") {
        Some(at) => message.get(..at).unwrap_or(message).to_owned(),
        None => message.to_owned(),
    }
}

/// `1.0` becomes `1`, as JSON written by kubectl has it; the API server refuses
/// a float where it wants an integer.
fn settle_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64()
                && float.fract() == 0.0
                && float.abs() < 9_007_199_254_740_992.0
            {
                #[allow(clippy::cast_possible_truncation)] // Whole and below 2^53.
                let whole = float as i64;
                *value = Value::from(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle_numbers),
        Value::Object(map) => map.values_mut().for_each(settle_numbers),
        _ => {}
    }
}

fn add_document(value: Value, line: usize, file: &mut ParsedFile) {
    let Value::Object(mut map) = value else {
        return file.problems.push(FileProblem {
            line,
            message: format!(
                "a document must be a mapping with apiVersion and kind, this one is {}",
                kind_of(&value)
            ),
        });
    };
    let list = map
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"))
        && map.get("items").is_some_and(Value::is_array);
    if list && let Some(Value::Array(items)) = map.remove("items") {
        for item in items {
            add_document(item, line, file);
        }
        return;
    }
    match document(map, line) {
        Ok(document) => file.documents.push(document),
        Err(message) => file.problems.push(FileProblem { line, message }),
    }
}

fn document(mut map: Map<String, Value>, line: usize) -> Result<Document, String> {
    let kind = text_field(&map, "kind")?;
    let api_version =
        text_field(&map, "apiVersion").map_err(|message| format!("{kind}: {message}"))?;
    let Some(Value::Object(metadata)) = map.get_mut("metadata") else {
        return Err(format!(
            "{kind}: metadata is missing; give the object a metadata.name"
        ));
    };
    let name =
        text_field(metadata, "name").map_err(|message| format!("{kind}: metadata.{message}"))?;
    if metadata
        .get("namespace")
        .is_some_and(|namespace| !namespace.is_string() && !namespace.is_null())
    {
        return Err(format!(
            "{kind} {name}: metadata.namespace must be a string; put it in quotes"
        ));
    }
    for field in ["labels", "annotations"] {
        settle_strings(metadata, field).map_err(|message| format!("{kind} {name}: {message}"))?;
    }
    // What a server writes is no wish, and old copies of it would make every
    // apply fail or conflict.
    for field in [
        "managedFields",
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "generation",
        "selfLink",
    ] {
        metadata.remove(field);
    }
    map.remove("status");
    let object = Value::Object(map);
    let id =
        ObjectId::of(&object).ok_or_else(|| format!("{kind} {name}: cannot read its identity"))?;
    Ok(Document {
        line,
        id,
        api_version,
        digest: Digest::of(&object),
        content: Content::from(&object),
    })
}

fn text_field(map: &Map<String, Value>, field: &str) -> Result<String, String> {
    match map.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Null) | None => Err(format!("{field} is missing")),
        Some(Value::String(_)) => Err(format!("{field} is empty")),
        Some(other) => Err(format!(
            "{field} must be a string, this is {}; put it in quotes",
            kind_of(other)
        )),
    }
}

/// Label and annotation values `true` and `1` are meant as strings (RHACM
/// reads them so); anything deeper is an error.
fn settle_strings(metadata: &mut Map<String, Value>, field: &str) -> Result<(), String> {
    let Some(value) = metadata.get_mut(field) else {
        return Ok(());
    };
    match value {
        Value::Null => {
            metadata.remove(field);
            Ok(())
        }
        Value::Object(pairs) => {
            for (key, value) in pairs.iter_mut() {
                match value {
                    Value::String(_) => {}
                    Value::Bool(_) | Value::Number(_) => *value = Value::String(value.to_string()),
                    Value::Null => *value = Value::String(String::new()),
                    _ => return Err(format!("metadata.{field}.{key} must be a string")),
                }
            }
            Ok(())
        }
        other => Err(format!(
            "metadata.{field} must be a mapping, this is {}",
            kind_of(other)
        )),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(data: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  v: {data}\n")
    }

    fn only(text: &str) -> Value {
        let file = parse_file(text.as_bytes());
        assert_eq!(file.problems, vec![], "{text}");
        assert_eq!(file.documents.len(), 1, "{text}");
        file.documents[0].content.value()
    }

    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        for (yaml, expected) in [
            ("no", json!(false)),
            ("on", json!(true)),
            ("y", json!(true)),
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("12:30:45", json!("12:30:45")),
            ("2026-01-02", json!("2026-01-02")),
            ("1.0", json!(1)),
            ("1.5", json!(1.5)),
            ("\"0644\"", json!("0644")),
            ("~", json!(null)),
        ] {
            assert_eq!(only(&config(yaml))["data"]["v"], expected, "{yaml}");
        }
    }

    #[test]
    fn merge_keys_are_merged() {
        let object = only(
            "apiVersion: v1\nkind: X\nmetadata: {name: a}\nbase: &b {x: 1}\nuse: {<<: *b, y: 2}\n",
        );
        assert_eq!(object["use"], json!({"x": 1, "y": 2}));
    }

    #[test]
    fn documents_know_their_line() {
        let one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        let text =
            format!("# comment\n---\n{one}--- # note\n\n{one}...\n---\n# nothing\n---\r\n{one}");
        let file = parse_file(text.as_bytes());
        assert_eq!(file.problems, vec![]);
        assert_eq!(
            file.documents.iter().map(|d| d.line).collect::<Vec<_>>(),
            vec![2, 6, 14]
        );
    }

    #[test]
    fn errors_name_the_line_in_the_file() {
        let one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        for (text, line, word) in [
            (format!("{one}---\n{one}data: {{a: 1\n"), 8, "YAML"),
            (format!("{one}data:\n  a: x\n  a: y\n"), 6, "duplicate"),
            (
                format!("{one}---\nkind: Secret\nmetadata: {{name: a}}\n"),
                4,
                "apiVersion",
            ),
            (format!("{one}---\njust text\n"), 4, "mapping"),
            (
                format!("{one}---\napiVersion: v1\nkind: X\nmetadata: {{name: y}}\n"),
                4,
                "quotes",
            ),
        ] {
            let file = parse_file(text.as_bytes());
            let problem = file
                .problems
                .first()
                .unwrap_or_else(|| panic!("{text} has no problem"));
            assert!(problem.message.contains(word), "{text}: {problem:?}");
            assert_eq!(problem.line, line, "{text}: {problem:?}");
            assert!(!problem.message.contains(" line "), "{problem:?}");
        }
    }

    #[test]
    fn lists_are_unrolled() {
        let file = parse_file(
            b"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: x}}\n- {apiVersion: v1, kind: B, metadata: {name: z}}\n",
        );
        let kinds: Vec<_> = file.documents.iter().map(|d| d.id.kind.as_str()).collect();
        assert_eq!(kinds, ["A", "B"]);
    }

    #[test]
    fn server_written_fields_and_status_are_dropped_and_label_scalars_become_strings() {
        let object = only(
            "apiVersion: v1\nkind: X\nmetadata: {name: a, uid: u, resourceVersion: '5', labels: {a: true, b: 1}}\nstatus: {x: 1}\n",
        );
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "labels": {"a": "true", "b": "1"}}})
        );
    }

    #[test]
    fn hostile_files_are_refused_within_bounds() {
        let laughs = {
            let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
            for level in 1..9 {
                let alias = format!("*a{},", level - 1).repeat(9);
                text.push_str(&format!(
                    "a{level}: &a{level} [{}]\n",
                    alias.trim_end_matches(',')
                ));
            }
            text
        };
        let deep = (0..5_000)
            .map(|n| format!("{}a:\n", " ".repeat(n.min(400))))
            .collect::<String>();
        for text in [
            laughs,
            deep,
            "[".repeat(100_000),
            "{".repeat(100_000),
            "---\na: b\n".repeat(2_000),
            "x".repeat(5 << 20),
        ] {
            let file = parse_file(text.as_bytes());
            assert!(!file.problems.is_empty());
            assert!(file.documents.is_empty());
        }
        assert!(!parse_file(b"a: \xff\n").problems.is_empty());
    }
}
