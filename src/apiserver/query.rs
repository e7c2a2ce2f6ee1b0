//! The query parameters of the Kubernetes API.

use std::time::Duration;

use super::failure::{Cause, Failure};
use super::selector::{FieldSelector, LabelSelector};

/// How strictly unknown and duplicate fields are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum FieldValidation {
    Ignore,
    /// kube-apiserver's default since 1.27.
    #[default]
    Warn,
    Strict,
}

/// Parameters of one request; absent ones are `None` or their default.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) watch: bool,
    pub(super) allow_bookmarks: bool,
    pub(super) send_initial_events: Option<bool>,
    pub(super) timeout: Option<Duration>,
    pub(super) labels: LabelSelector,
    pub(super) fields: FieldSelector,
    pub(super) limit: Option<usize>,
    pub(super) continue_token: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) version_match: Option<String>,
    pub(super) dry_run: bool,
    dry_runs: Vec<String>,
    unknown_validation: Option<String>,
    pub(super) field_manager: Option<String>,
    pub(super) field_validation: FieldValidation,
    pub(super) force: Option<bool>,
    pub(super) include_object: Option<String>,
    pub(super) propagation: Option<String>,
}

impl Query {
    /// Reads the query part of a URI. Unknown parameters are ignored, as
    /// kube-apiserver does.
    pub(super) fn parse(uri: &http::Uri) -> Result<Self, Failure> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Failure::bad_request(format!("cannot read the query: {error}")))?;
        let mut query = Self::default();
        for (name, value) in pairs.0 {
            query.set(&name, value)?;
        }
        Ok(query)
    }

    /// Which parameters of a list, a watch or a deleted collection go together (apimachinery's
    /// `ValidateListOptions`).
    pub(super) fn check_list(&self) -> Result<(), Failure> {
        let version = self.resource_version.as_deref().unwrap_or_default();
        let wanted = self.version_match.as_deref().unwrap_or_default();
        let mut causes = Vec::new();
        if self.watch {
            self.check_watch(wanted, &mut causes);
        } else if self.send_initial_events.is_some() {
            let message = "sendInitialEvents is forbidden for list";
            causes.push(forbidden("sendInitialEvents", message));
        } else if !wanted.is_empty() {
            let field = "resourceVersionMatch";
            if version.is_empty() {
                let message =
                    "resourceVersionMatch is forbidden unless resourceVersion is provided";
                causes.push(forbidden(field, message));
            }
            if self.continue_token.is_some() {
                let message = "resourceVersionMatch is forbidden when continue is provided";
                causes.push(forbidden(field, message));
            }
            if !matches!(wanted, "Exact" | "NotOlderThan") {
                causes.push(unsupported(
                    field,
                    wanted,
                    "\"Exact\", \"NotOlderThan\", \"\"",
                ));
            }
            if wanted == "Exact" && version == "0" {
                let message =
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                causes.push(forbidden(field, message));
            }
        }
        match causes.is_empty() {
            true => Ok(()),
            false => Err(Failure::invalid_options("ListOptions", &causes)),
        }
    }

    fn check_watch(&self, wanted: &str, causes: &mut Vec<Cause>) {
        let field = "resourceVersionMatch";
        if self.send_initial_events.is_some() {
            if wanted != "NotOlderThan" {
                let message =
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                causes.push(forbidden(field, message));
            }
            if !matches!(wanted, "" | "NotOlderThan") {
                causes.push(unsupported(field, wanted, "\"NotOlderThan\""));
            }
        } else if !wanted.is_empty() {
            let message =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(forbidden(field, message));
        }
    }

    /// Parameters of a write; `kind` names them: `CreateOptions`, `UpdateOptions`,
    /// `PatchOptions` or `DeleteOptions`.
    pub(super) fn check_write(&self, kind: &str, applies: bool) -> Result<(), Failure> {
        let mut causes = Vec::new();
        if kind == "PatchOptions" {
            if applies && self.field_manager.is_none() {
                causes.push(Cause {
                    field: "fieldManager".to_owned(),
                    reason: "FieldValueRequired".to_owned(),
                    message: "Required value: is required for apply patch".to_owned(),
                });
            }
            if !applies && self.force.is_some() {
                causes.push(forbidden(
                    "force",
                    "may not be specified for non-apply patch",
                ));
            }
        }
        if let Some(manager) = &self.field_manager {
            causes.extend(manager_fault(manager));
        }
        causes.extend(dry_run_fault(&self.dry_runs));
        if let Some(given) = &self.unknown_validation {
            let known = "\"\", \"Ignore\", \"Strict\", \"Warn\"";
            causes.push(unsupported("fieldValidation", given, known));
        }
        match causes.is_empty() {
            true => Ok(()),
            false => Err(Failure::invalid_options(kind, &causes)),
        }
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Failure> {
        match name {
            "watch" => self.watch = truth(&value),
            "allowWatchBookmarks" => self.allow_bookmarks = truth(&value),
            "sendInitialEvents" => self.send_initial_events = Some(truth(&value)),
            "timeoutSeconds" => {
                let seconds = number(&value)?.and_then(|n| u64::try_from(n).ok());
                self.timeout = seconds.map(Duration::from_secs);
            }
            "labelSelector" => {
                self.labels = LabelSelector::parse(&value).map_err(Failure::bad_request)?;
            }
            "fieldSelector" => {
                self.fields = FieldSelector::parse(&value).map_err(Failure::bad_request)?;
            }
            "limit" => {
                // A negative one counts as none.
                let limit = number(&value)?.filter(|n| *n > 0);
                self.limit = limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
            }
            "continue" if !value.is_empty() => self.continue_token = Some(value),
            "resourceVersion" if !value.is_empty() => self.resource_version = Some(value),
            "resourceVersionMatch" => self.version_match = Some(value),
            "dryRun" => {
                self.dry_run = true;
                self.dry_runs.push(value);
            }
            "fieldManager" if !value.is_empty() => self.field_manager = Some(value),
            "fieldValidation" => {
                self.field_validation = match value.as_str() {
                    "Ignore" => FieldValidation::Ignore,
                    "Warn" | "" => FieldValidation::Warn,
                    "Strict" => FieldValidation::Strict,
                    _ => {
                        self.unknown_validation = Some(value);
                        FieldValidation::Warn
                    }
                };
            }
            "force" => self.force = Some(truth(&value)),
            "includeObject" => self.include_object = Some(value),
            "propagationPolicy" => self.propagation = Some(value),
            _ => {}
        }
        Ok(())
    }
}

fn truth(value: &str) -> bool {
    // `?watch` alone means true, as in kube-apiserver.
    !matches!(value, "false" | "0" | "False" | "FALSE" | "f" | "F")
}

fn number(value: &str) -> Result<Option<i64>, Failure> {
    if value.is_empty() {
        return Ok(None);
    }
    let parsed = value.parse();
    parsed.map(Some).map_err(|_| {
        Failure::bad_request(format!(
            "strconv.ParseInt: parsing {value:?}: invalid syntax"
        ))
    })
}

fn forbidden(field: &str, message: &str) -> Cause {
    Cause {
        field: field.to_owned(),
        reason: "FieldValueForbidden".to_owned(),
        message: format!("Forbidden: {message}"),
    }
}

fn unsupported(field: &str, given: &str, known: &str) -> Cause {
    Cause {
        field: field.to_owned(),
        reason: "FieldValueNotSupported".to_owned(),
        message: format!("Unsupported value: {given:?}: supported values: {known}"),
    }
}

/// What is wrong with `dryRun`, which may hold only `All`.
pub(super) fn dry_run_fault(given: &[String]) -> Option<Cause> {
    if given.iter().all(|value| value == "All") {
        return None;
    }
    let list: Vec<String> = given.iter().map(|value| format!("{value:?}")).collect();
    Some(Cause {
        field: "dryRun".to_owned(),
        reason: "FieldValueNotSupported".to_owned(),
        message: format!(
            "Unsupported value: [{}]: supported values: \"All\"",
            list.join(",")
        ),
    })
}

fn manager_fault(manager: &str) -> Option<Cause> {
    let cause = |reason: &str, message: String| Cause {
        field: "fieldManager".to_owned(),
        reason: reason.to_owned(),
        message,
    };
    if manager.len() > 128 {
        let message = "Too long: may not be more than 128 bytes";
        return Some(cause("FieldValueTooLong", message.to_owned()));
    }
    let (at, odd) = manager.char_indices().find(|(_, c)| c.is_control())?;
    let shown = manager.escape_default();
    let message = format!(
        "Invalid value: \"{shown}\": invalid character U+{:04X} (at position {at})",
        u32::from(odd)
    );
    Some(cause("FieldValueInvalid", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Query, Failure> {
        Query::parse(&format!("http://x/api/v1/pods?{query}").parse().unwrap())
    }

    #[test]
    fn odd_forms_of_clients_are_read() {
        let query = parse("&limit=500&watch&labelSelector=a%3Db").unwrap();
        assert_eq!(query.limit, Some(500));
        assert!(query.watch);
        assert!(!parse("watch=false").unwrap().watch);
    }

    #[test]
    fn bad_values_are_refused() {
        for query in ["limit=x", "labelSelector=a+in"] {
            assert!(parse(query).is_err(), "{query}");
        }
        for query in ["dryRun=Some", "fieldValidation=x", "fieldManager=a%07"] {
            let read = parse(query).unwrap();
            assert!(read.check_write("CreateOptions", false).is_err(), "{query}");
        }
        for query in [
            "resourceVersionMatch=Exact",
            "sendInitialEvents=true",
            "watch=1&resourceVersionMatch=Exact",
        ] {
            assert!(parse(query).unwrap().check_list().is_err(), "{query}");
        }
        assert!(
            parse("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan")
                .unwrap()
                .check_list()
                .is_ok()
        );
    }
}
