//! The four kinds of PATCH, on the served form of an object.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::decode::{self, Decoded};
use super::failure::Failure;
use super::resource::Resource;
use super::strategic;

/// What a PATCH body is.
pub(super) enum Body {
    Json(Patch),
    Merge(Decoded),
    Strategic(Decoded),
    Apply(Decoded),
}

const ALL: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";
const CUSTOM: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// Whether this is the media type of a server-side apply.
pub(super) fn is_apply(media_type: &str) -> bool {
    media_type == "application/apply-patch+yaml"
}

/// Reads a body by its content type.
pub(super) fn read(
    resource: &Resource,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Body, Failure> {
    match (decode::media_type(content_type).as_str(), &resource.custom) {
        ("application/json-patch+json", _) => {
            let is_list = serde_json::from_slice::<Vec<Value>>(body).is_ok();
            let patch = serde_json::from_slice(body).map_err(|error| match is_list {
                // kube-apiserver reads any list and fails when it applies it.
                true => Failure::unprocessable(format!(
                    "the server rejected our request due to an error in our request: {error}"
                )),
                false => Failure::bad_request(format!("error decoding patch: {error}")),
            })?;
            Ok(Body::Json(patch))
        }
        ("application/merge-patch+json", _) => Ok(Body::Merge(decode::json(body)?)),
        ("application/strategic-merge-patch+json", None) => {
            Ok(Body::Strategic(decode::json(body)?))
        }
        ("application/apply-patch+yaml", _) => Ok(Body::Apply(decode::yaml(body)?)),
        (_, custom) => {
            let accepted = match custom {
                Some(_) => CUSTOM,
                None => ALL,
            };
            Err(Failure::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            )))
        }
    }
}

impl Body {
    /// The patched object and the patch's duplicate keys. Not for
    /// [`Body::Apply`], whose merge needs the field owners: it returns what
    /// was applied.
    pub(super) fn work_in(&self, resource: &Resource, live: Value) -> Result<Decoded, Failure> {
        match self {
            Self::Json(patch) => Ok(Decoded {
                value: json(patch, live)?,
                duplicates: Vec::new(),
            }),
            Self::Merge(patch) => {
                let mut value = live;
                json_patch::merge(&mut value, &patch.value);
                Ok(Decoded {
                    value,
                    duplicates: patch.duplicates.clone(),
                })
            }
            Self::Strategic(patch) => {
                let schema = resource.schema();
                let merged = strategic::merge(schema.as_deref(), &live, &patch.value);
                let value = merged.map_err(|error| Failure::bad_request(error.to_string()))?;
                Ok(Decoded {
                    value,
                    duplicates: patch.duplicates.clone(),
                })
            }
            Self::Apply(applied) => Ok(Decoded {
                value: applied.value.clone(),
                duplicates: applied.duplicates.clone(),
            }),
        }
    }
}

fn json(patch: &Patch, mut value: Value) -> Result<Value, Failure> {
    // Upstream reads a missing value as null, which kube-rs's finalizer
    // helper relies on; RFC 6902 would fail the test.
    let is_vacuous = |operation: &PatchOperation, value: &Value| match operation {
        PatchOperation::Test(test) => {
            test.value.is_null() && value.pointer(test.path.as_str()).is_none()
        }
        _ => false,
    };
    for operation in &patch.0 {
        if is_vacuous(operation, &value) {
            continue;
        }
        json_patch::patch(&mut value, std::slice::from_ref(operation)).map_err(|error| {
            Failure::unprocessable(format!(
                "the server rejected our request due to an error in our request: {error}"
            ))
        })?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::super::resource;
    use super::*;
    use serde_json::json as value;

    fn config_maps() -> Resource {
        let mut all = resource::builtin().into_iter();
        all.find(|r| r.plural == "configmaps").unwrap()
    }

    fn patched(content_type: &str, patch: &Value, live: Value) -> Result<Value, Failure> {
        let resource = config_maps();
        let body = read(&resource, Some(content_type), patch.to_string().as_bytes())?;
        Ok(body.work_in(&resource, live)?.value)
    }

    #[test]
    fn a_test_for_null_holds_on_a_missing_path() {
        let patch = value!([
            {"op": "test", "path": "/metadata/finalizers", "value": null},
            {"op": "add", "path": "/metadata/finalizers", "value": ["a"]},
        ]);
        let got = patched(
            "application/json-patch+json",
            &patch,
            value!({"metadata": {}}),
        );
        assert_eq!(got.unwrap(), value!({"metadata": {"finalizers": ["a"]}}));
    }

    #[test]
    fn a_failed_test_is_unprocessable() {
        let patch = value!([{"op": "test", "path": "/a", "value": 1}]);
        let got = patched("application/json-patch+json", &patch, value!({"a": 2}));
        assert_eq!(got.unwrap_err().code, 422);
    }

    #[test]
    fn unknown_patch_types_are_refused() {
        let got = patched("application/x", &value!({}), value!({}));
        assert_eq!(got.unwrap_err().code, 415);
    }
}
