//! `allOf`, `anyOf`, `oneOf`, `not`.

use serde_json::Value;

use super::super::{Rules, Schema};
use super::{FieldError, NO_FIELD, Reason, node, push};

/// Checks the rules that combine schemas.
pub(super) fn check(rules: &Rules, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let report = |errors: &mut Vec<FieldError>, rule: &str| {
        let message = format!("Invalid value: \"\": {path:?} must {rule}");
        push(errors, NO_FIELD, Reason::Invalid, message);
    };
    let faults = |schema: &Schema| {
        let mut faults = Vec::new();
        node(schema, value, path, &mut faults);
        faults
    };
    if !rules.any_of.is_empty() {
        let all: Vec<_> = rules.any_of.iter().map(|schema| faults(schema)).collect();
        if all.iter().all(|faults| !faults.is_empty()) {
            report(errors, "validate at least one schema (anyOf)");
            errors.extend(all.into_iter().next().unwrap_or_default());
        }
    }
    if !rules.one_of.is_empty() {
        let all: Vec<_> = rules.one_of.iter().map(|schema| faults(schema)).collect();
        match all.iter().filter(|faults| faults.is_empty()).count() {
            0 => {
                report(
                    errors,
                    "validate one and only one schema (oneOf). Found none valid",
                );
                errors.extend(all.into_iter().next().unwrap_or_default());
            }
            1 => {}
            many => report(
                errors,
                &format!(
                    "validate one and only one schema (oneOf). Found {many} valid alternatives"
                ),
            ),
        }
    }
    if !rules.all_of.is_empty() {
        let all: Vec<_> = rules
            .all_of
            .iter()
            .flat_map(|schema| faults(schema))
            .collect();
        if !all.is_empty() {
            errors.extend(all);
            report(errors, "validate all the schemas (allOf)");
        }
    }
    if let Some(not) = &rules.not
        && faults(not).is_empty()
    {
        report(errors, "not validate the schema (not)");
    }
}
