//! From an API server's answer to a failure that people read.

use super::calls::CallError;
use crate::core::delivery::{Failure, FailureClass};
use crate::core::object::ObjectId;

/// Longest text of a server that is passed on, in characters.
const MAX_MESSAGE: usize = 1_000;

/// Reason of an object whose kind the member does not serve.
pub(super) const NOT_SERVED: &str = "NotServed";

/// A failure of the whole call for `id`. The server's text is left out for
/// Secrets: validation errors quote values.
pub(super) fn of_object(id: &ObjectId, error: &CallError) -> Failure {
    let failure = of_call(error);
    if id.group.is_empty() && id.kind == "Secret" && matches!(error, CallError::Answer { .. }) {
        return Failure {
            message: format!(
                "{} was refused ({}); the server's text is left out because it may quote the secret",
                id, failure.reason
            ),
            ..failure
        };
    }
    failure
}

/// A failure of a call that concerns no single object.
pub(super) fn of_call(error: &CallError) -> Failure {
    let (class, reason) = match error {
        CallError::Answer {
            code,
            reason,
            message,
        } => classify(*code, reason, message),
        CallError::Unreachable(_) => (FailureClass::Transient, "Unreachable".to_owned()),
        CallError::Unreadable(_) => (FailureClass::Transient, "UnreadableAnswer".to_owned()),
        CallError::NotLeading => (FailureClass::Transient, "NotLeading".to_owned()),
    };
    Failure {
        class,
        reason,
        message: error.to_string().chars().take(MAX_MESSAGE).collect(),
    }
}

fn classify(code: u16, reason: &str, message: &str) -> (FailureClass, String) {
    let word = |fallback: &str| {
        if reason.is_empty() {
            fallback.to_owned()
        } else {
            reason.to_owned()
        }
    };
    match code {
        400 | 413 | 415 | 422 => (FailureClass::Invalid, word("Invalid")),
        401 => (FailureClass::Stalled, "Unauthorized".to_owned()),
        403 if message.contains("being terminated") => {
            (FailureClass::Waiting, "NamespaceTerminating".to_owned())
        }
        403 => (FailureClass::Stalled, "Forbidden".to_owned()),
        404 => (FailureClass::Waiting, word("NotFound")),
        409 => (FailureClass::Conflict, word("Conflict")),
        _ => (FailureClass::Transient, word("ServerError")),
    }
}

/// The kind is not served (ocm-apps §5.3 step 5, RHACM's words first).
pub(super) fn not_served(id: &ObjectId, api_version: &str) -> Failure {
    Failure {
        class: FailureClass::Waiting,
        reason: NOT_SERVED.to_owned(),
        message: format!(
            "no matches for kind {:?} in version {api_version:?}: this cluster does not serve it; it is delivered as soon as it does",
            id.kind
        ),
    }
}

/// An object of someone else is in the way (RHACM's words first).
pub(super) fn foreign(id: &ObjectId, hosted_by: Option<&str>) -> Failure {
    let owner = match hosted_by {
        Some(owner) => format!("it belongs to the Subscription {owner}"),
        None => "it carries no hosting-subscription annotation".to_owned(),
    };
    let name = match &id.namespace {
        Some(namespace) => format!("{namespace}/{}", id.name),
        None => id.name.clone(),
    };
    Failure {
        class: FailureClass::Conflict,
        reason: "OwnedByOthers".to_owned(),
        message: format!(
            "Obj {name} exists and owned by others, backoff: {} is there already and {owner}; delete or rename it, or annotate it to hand it over",
            id.kind
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> CallError {
        CallError::Answer {
            code,
            reason: String::new(),
            message: message.into(),
        }
    }

    #[test]
    fn answers_have_their_class() {
        for (code, message, class, reason) in [
            (422, "x", FailureClass::Invalid, "Invalid"),
            (401, "x", FailureClass::Stalled, "Unauthorized"),
            (403, "x", FailureClass::Stalled, "Forbidden"),
            (
                403,
                "namespace n is being terminated",
                FailureClass::Waiting,
                "NamespaceTerminating",
            ),
            (409, "x", FailureClass::Conflict, "Conflict"),
            (500, "x", FailureClass::Transient, "ServerError"),
            (429, "x", FailureClass::Transient, "ServerError"),
        ] {
            let failure = of_call(&answer(code, message));
            assert_eq!(
                (failure.class, failure.reason.as_str()),
                (class, reason),
                "{code} {message}"
            );
        }
    }

    #[test]
    fn the_servers_text_about_a_secret_is_not_repeated() {
        let id = ObjectId {
            group: String::new(),
            kind: "Secret".into(),
            namespace: Some("n".into()),
            name: "s".into(),
        };
        let failure = of_object(&id, &answer(422, "Invalid value: \"hunter2\""));
        assert!(!failure.message.contains("hunter2"), "{failure:?}");
    }
}
