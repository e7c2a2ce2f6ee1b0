//! What the object becomes: parts that a write may not change, defaults, who
//! owns which field, and whether the result is valid.

use serde_json::{Value, json};

use super::{Call, Intent, Part};
use crate::apiserver::failure::{Cause, Failure};
use crate::apiserver::kinds;
use crate::apiserver::managed_fields::{self, ApplyError, ApplyRequest, UpdateRequest};
use crate::apiserver::object::{self, is_deleting, set, set_meta, unset, with_meta};
use crate::apiserver::schema::{self, Schema};

impl Call<'_> {
    /// Puts back what a write to `part` may not change.
    pub(super) fn keep(&self, mut new: Value, old: &Value, part: Part) -> Value {
        if part == Part::Status {
            let mut kept = old.clone();
            match new.get_mut("status").map(Value::take) {
                Some(Value::Null) | None => unset(&mut kept, "status"),
                Some(status) => set(&mut kept, "status", status),
            }
            if self.resource.custom.is_none() && !self.resource.is("apps", "deployments") {
                // Their status strategies put back the spec only.
                for field in ["labels", "annotations", "finalizers"] {
                    match new["metadata"][field].take() {
                        Value::Null => with_meta(&mut kept, |meta| drop(meta.remove(field))),
                        value => set_meta(&mut kept, field, value),
                    }
                }
            }
            let managed = new["metadata"]["managedFields"].take();
            if !managed.is_null() {
                set_meta(&mut kept, "managedFields", managed);
            }
            return kept;
        }
        with_meta(&mut new, |meta| {
            for field in [
                "uid",
                "creationTimestamp",
                "generation",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "resourceVersion",
                "generateName",
            ] {
                match &old["metadata"][field] {
                    Value::Null => meta.remove(field),
                    value => meta.insert(field.to_owned(), value.clone()),
                };
            }
        });
        if self.resource.status {
            match &old["status"] {
                Value::Null => unset(&mut new, "status"),
                status => set(&mut new, "status", status.clone()),
            }
        }
        if part == Part::Main && self.resource.is("", "namespaces") {
            // Only /finalize may change these.
            let finalizers = old["spec"]["finalizers"].clone();
            set(&mut new, "spec", json!({"finalizers": finalizers}));
        }
        new
    }

    /// Fills defaults and settles who owns which field.
    pub(super) fn owned(
        &mut self,
        intent: Intent,
        old: Option<&Value>,
        part: Part,
    ) -> Result<Value, Failure> {
        let schema = self.schema();
        let api_version = self.resource.api_version();
        match intent {
            Intent::Update(mut new) => {
                if let Some(schema) = &schema {
                    schema::drop_unset(schema, &mut new);
                }
                self.fill(schema.as_deref(), &mut new);
                Ok(managed_fields::update(UpdateRequest {
                    schema: schema.as_deref(),
                    live: old,
                    new,
                    manager: &self.manager,
                    api_version: &api_version,
                    subresource: part.name(),
                    status_subresource: self.resource.status,
                    now: self.now,
                }))
            }
            Intent::Apply(applied) => {
                let merged = managed_fields::apply(&ApplyRequest {
                    schema: schema.as_deref(),
                    live: old,
                    applied: &applied,
                    manager: &self.manager,
                    api_version: &api_version,
                    subresource: part.name(),
                    status_subresource: self.resource.status,
                    force: self.query.force == Some(true),
                    now: self.now,
                });
                let mut merged = merged.map_err(apply_failure)?;
                if let Some(schema) = &schema {
                    let unknown = schema::prune(schema, &mut merged);
                    self.report(&unknown, &[])?;
                }
                self.fill(schema.as_deref(), &mut merged);
                Ok(merged)
            }
        }
    }

    pub(super) fn fill(&self, schema: Option<&Schema>, new: &mut Value) {
        if let Some(schema) = schema {
            schema::apply_defaults(schema, new);
            if self.resource.custom.is_none() {
                kinds::drop_nulls(new);
                kinds::present(schema, new);
                kinds::drop_empty(schema, new);
            }
        }
        kinds::defaults(&self.resource, new);
    }

    pub(super) fn validate(
        &self,
        schema: Option<&Schema>,
        new: &Value,
        old: Option<&Value>,
        name: &str,
    ) -> Result<(), Failure> {
        let mut causes = object::check_meta(&self.resource, new);
        if let Some(schema) = schema {
            let errors = schema::validate(schema, new).into_iter();
            // The metadata's own rules tell of those.
            let errors = errors.filter(|e| !e.path.starts_with("metadata.ownerReferences["));
            causes.extend(errors.map(|e| Cause {
                field: e.path,
                reason: e.reason.as_str().to_owned(),
                message: e.message,
            }));
        }
        if self.resource.custom.is_none() {
            self.refuse_wrong_types(&causes)?;
        }
        causes.extend(kinds::check(&self.resource, new, old));
        if let Some(old) = old {
            causes.extend(new_finalizers(old, new));
        }
        match causes.is_empty() {
            true => Ok(()),
            false => Err(Failure::invalid(&self.resource, name, &causes)),
        }
    }

    /// Go cannot even decode a built-in object with a value of a wrong type.
    pub(super) fn refuse_wrong_types(&self, causes: &[Cause]) -> Result<(), Failure> {
        let wrong = causes.iter().find(|c| c.reason == "FieldValueTypeInvalid");
        let Some(cause) = wrong else {
            return Ok(());
        };
        let kind = &self.resource.kind;
        if self.patched {
            return Err(Failure::bad_patch(&format!(
                "{}: {}",
                cause.field, cause.message
            )));
        }
        Err(Failure::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {kind}: {}: {}",
            self.resource.version, cause.field, cause.message
        )))
    }
}

fn apply_failure(error: ApplyError) -> Failure {
    match error {
        ApplyError::Conflicts(conflicts) => {
            let causes: Vec<Cause> = conflicts
                .into_iter()
                .map(|c| Cause {
                    field: c.field,
                    reason: "FieldManagerConflict".to_owned(),
                    message: c.message,
                })
                .collect();
            Failure::apply_conflict(&causes)
        }
        ApplyError::BadObject { message } if message.contains("typed patch object") => {
            Failure::untyped(message)
        }
        ApplyError::BadObject { message } => Failure::bad_request(message),
    }
}

/// An object that is going away takes no new finalizers.
fn new_finalizers(old: &Value, new: &Value) -> Option<Cause> {
    if !is_deleting(old) {
        return None;
    }
    let before = object::finalizers(old);
    let added: Vec<&str> = object::finalizers(new)
        .into_iter()
        .filter(|f| !before.contains(f))
        .collect();
    (!added.is_empty()).then(|| Cause {
        field: "metadata.finalizers".to_owned(),
        reason: "FieldValueForbidden".to_owned(),
        message: format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
        ),
    })
}
