//! The query parameters of the Kubernetes API.

use std::time::Duration;

use super::failure::Failure;
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
    pub(super) send_initial_events: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) labels: LabelSelector,
    pub(super) fields: FieldSelector,
    pub(super) limit: Option<usize>,
    pub(super) continue_token: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) version_match: Option<String>,
    pub(super) dry_run: bool,
    pub(super) field_manager: Option<String>,
    pub(super) field_validation: FieldValidation,
    pub(super) force: bool,
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
        if query.watch && query.send_initial_events {
            let fits = query.version_match.as_deref() == Some("NotOlderThan");
            if !fits {
                return Err(Failure::unprocessable(
                    "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Failure> {
        match name {
            "watch" => self.watch = truth(&value),
            "allowWatchBookmarks" => self.allow_bookmarks = truth(&value),
            "sendInitialEvents" => self.send_initial_events = truth(&value),
            "timeoutSeconds" => self.timeout = number(name, &value)?.map(Duration::from_secs),
            "labelSelector" => {
                self.labels = LabelSelector::parse(&value).map_err(Failure::bad_request)?;
            }
            "fieldSelector" => {
                self.fields = FieldSelector::parse(&value).map_err(Failure::bad_request)?;
            }
            "limit" => {
                let limit = number(name, &value)?.filter(|n| *n > 0);
                self.limit = limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
            }
            "continue" if !value.is_empty() => self.continue_token = Some(value),
            "resourceVersion" if !value.is_empty() => self.resource_version = Some(value),
            "resourceVersionMatch" => self.version_match = Some(value),
            "dryRun" if value == "All" => self.dry_run = true,
            "dryRun" => {
                return Err(Failure::unprocessable(format!(
                    "dryRun: Unsupported value: \"{value}\": supported values: \"All\""
                )));
            }
            "fieldManager" if value.len() > 128 => {
                return Err(Failure::unprocessable(
                    "fieldManager: Too long: may not be more than 128 bytes",
                ));
            }
            "fieldManager" if !value.is_empty() => self.field_manager = Some(value),
            "fieldValidation" => {
                self.field_validation = match value.as_str() {
                    "Ignore" => FieldValidation::Ignore,
                    "Warn" | "" => FieldValidation::Warn,
                    "Strict" => FieldValidation::Strict,
                    other => {
                        return Err(Failure::unprocessable(format!(
                            "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
                        )));
                    }
                };
            }
            "force" => self.force = truth(&value),
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

fn number(name: &str, value: &str) -> Result<Option<u64>, Failure> {
    if value.is_empty() {
        return Ok(None);
    }
    let parsed = value.parse();
    parsed
        .map(Some)
        .map_err(|_| Failure::bad_request(format!("{name}: {value:?} is not a number")))
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
        for query in [
            "dryRun=Some",
            "fieldValidation=x",
            "limit=x",
            "labelSelector=a+in",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
    }
}
