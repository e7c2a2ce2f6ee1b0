//! What a request fails with: a `Status` object in kube-apiserver's words,
//! because kubectl and kube-rs decide by `reason` and people read `message`.

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::resource::Resource;

/// One field that a write was refused for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    /// Path as kube-apiserver writes it (`spec.ports[0].port`).
    pub(super) field: String,
    /// `FieldValueInvalid`, `FieldManagerConflict` …
    pub(super) reason: String,
    /// The message without the path.
    pub(super) message: String,
}

/// A request's failure, ready to be sent as `metav1.Status`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    pub(super) code: StatusCode,
    pub(super) reason: &'static str,
    pub(super) message: String,
    details: Option<Value>,
    /// `metadata.continue`.
    go_on: Option<String>,
}

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            go_on: None,
        }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        let mut details = json!({ "name": name, "kind": resource.plural });
        if !resource.group.is_empty() {
            details["group"] = json!(resource.group);
        }
        self.details = Some(details);
        self
    }

    fn with_causes(mut self, causes: &[Cause]) -> Self {
        let list: Vec<Value> = causes
            .iter()
            .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
            .collect();
        if let Value::Object(details) = self.details.get_or_insert_with(|| json!({})) {
            details.insert("causes".to_owned(), Value::Array(list));
        }
        self
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!("{} \"{name}\" not found", resource.qualified()),
        )
        .about(resource, name)
    }

    pub(super) fn namespace_not_found(name: &str) -> Self {
        let mut failure = Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!("namespaces \"{name}\" not found"),
        );
        failure.details = Some(json!({"name": name, "kind": "namespaces"}));
        failure
    }

    /// A path that names no served resource.
    pub(super) fn unknown_path() -> Self {
        let mut failure = Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        );
        failure.details = Some(json!({}));
        failure
    }

    pub(super) fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "AlreadyExists",
            format!("{} \"{name}\" already exists", resource.qualified()),
        )
        .about(resource, name)
    }

    /// Somebody else wrote since the caller read.
    pub(super) fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(super) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {} \"{name}\": {why}",
                resource.qualified()
            ),
        )
        .about(resource, name)
    }

    /// A conflict that is told by kind, as apimachinery's storage does.
    pub(super) fn kind_conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let kind = resource.qualified_kind();
        let message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}");
        let mut failure = Self::new(StatusCode::CONFLICT, "Conflict", message);
        failure = failure.about(resource, name);
        if let Some(Value::Object(details)) = failure.details.as_mut() {
            details.insert("kind".to_owned(), json!(resource.kind));
        }
        failure
    }

    /// Server-side apply met fields of other managers.
    pub(super) fn apply_conflict(causes: &[Cause]) -> Self {
        let message = apply_conflict_message(causes);
        Self::new(StatusCode::CONFLICT, "Conflict", message).with_causes(causes)
    }

    pub(super) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        let list = listed(causes);
        let mut failure = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!(
                "{} \"{name}\" is invalid: {list}",
                resource.qualified_kind()
            ),
        )
        .about(resource, name);
        if let Some(Value::Object(details)) = failure.details.as_mut() {
            details.insert("kind".to_owned(), json!(resource.kind));
        }
        failure.with_causes(causes)
    }

    /// A Scale of a built-in kind.
    pub(super) fn invalid_scale(name: &str, causes: &[Cause]) -> Self {
        let message = format!(
            "Scale.autoscaling \"{name}\" is invalid: {}",
            listed(causes)
        );
        let mut failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        failure.details = Some(json!({"group": "autoscaling", "kind": "Scale", "name": name}));
        failure.with_causes(causes)
    }

    /// Query parameters or a deletion's options; `kind`: `ListOptions`, `PatchOptions` …
    pub(super) fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        let list = listed(causes);
        let message = format!("{kind}.meta.k8s.io \"\" is invalid: {list}");
        let mut failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        failure.details = Some(json!({"group": "meta.k8s.io", "kind": kind}));
        failure.with_causes(causes)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// A custom resource of another kind than the path's.
    pub(super) fn other_kind(resource: &Resource, given: &str, name: &str) -> Self {
        let cause = Cause {
            field: "kind".to_owned(),
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {given:?}: must be {}", resource.kind),
        };
        let causes = [cause];
        let mut failure = Self::invalid(resource, name, &causes);
        let shown = format!("{given}.{}", resource.group);
        failure.message = format!("{shown} \"{name}\" is invalid: {}", listed(&causes));
        if let Some(Value::Object(details)) = failure.details.as_mut() {
            details.insert("kind".to_owned(), json!(given));
        }
        failure
    }

    /// A patch whose outcome cannot be decoded.
    pub(super) fn bad_patch(why: &str) -> Self {
        let cause = Cause {
            field: "patch".to_owned(),
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {why}"),
        };
        let message = format!(" \"\" is invalid: {}", listed(std::slice::from_ref(&cause)));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with_causes(&[cause])
    }

    pub(super) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            format!("{} \"{name}\" is forbidden: {why}", resource.qualified()),
        )
        .about(resource, name)
    }

    /// A request in another's name.
    pub(super) fn no_impersonation() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "the embedded API server does not impersonate: whoever it knows may do everything; use the credentials of that account, such as a token of kubectl create token",
        )
    }

    /// Creation in a namespace that is going away.
    pub(super) fn terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        Self::forbidden(resource, name, &why).with_causes(&[Cause {
            field: "metadata.namespace".to_owned(),
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
        }])
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(super) fn method_not_allowed() -> Self {
        let mut failure = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        failure.details = Some(json!({}));
        failure
    }

    /// A subresource of a custom resource that knows no such verb.
    pub(super) fn unsupported_verb(resource: &Resource, verb: &str) -> Self {
        let qualified = resource.qualified();
        let message = format!("{verb} is not supported on resources of kind \"{qualified}\"");
        let mut failure = Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        failure.details = Some(json!({"group": resource.group, "kind": resource.plural}));
        failure
    }

    /// A path outside every served group and version; kube-apiserver answers with text.
    pub(super) fn no_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, NO_PAGE, "404 page not found\n")
    }

    pub(super) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        )
    }

    /// A resourceVersion or continue token from before what we remember.
    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// The state that a list's pages show is forgotten; `token` goes on in today's.
    pub(super) fn continue_expired(token: &str) -> Self {
        let mut failure = Self::expired(
            "The provided continue parameter is too old to display a consistent list result. You \
             can start a new list without the continue parameter, or use the continue token in \
             this response to retrieve the remainder of the results. Continuing with the provided \
             token results in an inconsistent list - objects that were created, modified, or \
             deleted between the time the first chunk was returned and now may show up in the \
             list.",
        );
        failure.go_on = Some(token.to_owned());
        failure
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            message,
        )
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            format!("Internal error occurred: {}", message.into()),
        )
    }

    /// An applied object that does not fit its schema; kube-apiserver says
    /// 500 without a reason.
    pub(super) fn untyped(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    /// A revision that was not given out yet.
    pub(super) fn too_new(wanted: u64, current: u64) -> Self {
        let mut failure = Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            format!("Timeout: Too large resource version: {wanted}, current: {current}"),
        );
        failure.details = Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }));
        failure
    }

    /// The `metav1.Status` object.
    pub(super) fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(token) = &self.go_on {
            status["metadata"] = json!({ "continue": token });
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }

    /// The HTTP answer.
    pub(super) fn into_response(self) -> Response<Body> {
        let (body, content_type) = match self.reason {
            NO_PAGE => (self.message, "text/plain; charset=utf-8"),
            _ => (self.to_status().to_string(), "application/json"),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.code;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            http::HeaderValue::from_static(content_type),
        );
        response
    }
}

/// The one reason that is not sent.
const NO_PAGE: &str = "NoPage";

/// Fields and messages in one line, each once.
fn listed(causes: &[Cause]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes {
        let text = format!("{}: {}", cause.field, cause.message);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// kube-apiserver's summary: one conflict is told whole, several are grouped
/// by the manager that holds the fields.
fn apply_conflict_message(causes: &[Cause]) -> String {
    if let [one] = causes {
        return format!(
            "Apply failed with 1 conflict: {}: {}",
            one.message, one.field
        );
    }
    let mut lines = vec![format!("Apply failed with {} conflicts:", causes.len())];
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for cause in causes {
        match groups
            .iter_mut()
            .find(|(message, _)| *message == cause.message)
        {
            Some((_, fields)) => fields.push(&cause.field),
            None => groups.push((&cause.message, vec![&cause.field])),
        }
    }
    // As in structured-merge-diff: "conflicts with …" heads a list of fields.
    let plural = |message: &str| message.replacen("conflict with", "conflicts with", 1);
    for (message, fields) in groups {
        lines.push(format!("{}:", plural(message)));
        lines.extend(fields.iter().map(|field| format!("- {field}")));
    }
    let head = lines.remove(0);
    format!("{head} {}", lines.join("\n"))
}
