//! Review kinds: questions to the server that are answered and not stored.

use axum::body::Body;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::json;

use super::auth::Identity;
use super::decode;
use super::failure::Failure;
use super::object::set;
use super::route::Target;
use super::tokens::{self, is_token_request};
use super::verbs::header_text;
use super::{Inner, answer};

/// group, kind, plural, namespaced
pub(super) const REVIEWS: &[(&str, &str, &str, bool)] = &[
    (
        "authentication.k8s.io",
        "SelfSubjectReview",
        "selfsubjectreviews",
        false,
    ),
    (
        "authentication.k8s.io",
        "TokenReview",
        "tokenreviews",
        false,
    ),
    (
        "authorization.k8s.io",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        true,
    ),
    (
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        false,
    ),
    (
        "authorization.k8s.io",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        false,
    ),
    (
        "authorization.k8s.io",
        "SubjectAccessReview",
        "subjectaccessreviews",
        false,
    ),
];

fn kind(target: &Target) -> Option<&'static str> {
    if target.version != "v1" {
        return None;
    }
    let row = REVIEWS
        .iter()
        .find(|(group, _, plural, _)| *group == target.group && *plural == target.plural);
    row.map(|(_, kind, ..)| *kind)
}

/// True for a path that is answered here.
pub(super) fn is_review(target: &Target) -> bool {
    kind(target).is_some() || is_token_request(target)
}

/// Answers a review.
pub(super) fn handle(
    inner: &Inner,
    identity: &Identity,
    target: &Target,
    parts: &Parts,
    body: &[u8],
) -> Result<Response<Body>, Failure> {
    if parts.method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let content_type = header_text(parts, header::CONTENT_TYPE);
    let mut review = decode::object(content_type, body)?.value;
    let now = Timestamp::now();
    let status = match kind(target) {
        _ if is_token_request(target) => tokens::issue(inner, target, &review, now)?,
        // Everyone who is known may do everything.
        Some("SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview") => {
            json!({"allowed": true, "reason": "the embedded server allows everything to whom it knows"})
        }
        Some("SelfSubjectRulesReview") => json!({
            "incomplete": false,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }),
        Some("TokenReview") => {
            let token = review["spec"]["token"].as_str().unwrap_or_default();
            match tokens::whose(inner, token, now) {
                Some(identity) => json!({"authenticated": true, "user": identity.to_user_info()}),
                None => json!({"authenticated": false, "error": "invalid bearer token"}),
            }
        }
        _ => json!({"userInfo": identity.to_user_info()}),
    };
    set(&mut review, "status", status);
    Ok(answer::json(StatusCode::CREATED, review.to_string()))
}
