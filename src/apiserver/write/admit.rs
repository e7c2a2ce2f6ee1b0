//! A received object on its way in: type, place, metadata, unknown fields.

use serde_json::{Value, json};

use super::Call;
use crate::apiserver::decode::Decoded;
use crate::apiserver::failure::Failure;
use crate::apiserver::kinds;
use crate::apiserver::object::{self, meta_text, set, set_meta, with_meta};
use crate::apiserver::query::FieldValidation;
use crate::apiserver::schema;

impl Call<'_> {
    /// Brings a received object into stored form and drops what its kind
    /// does not know, as far as `fieldValidation` lets it.
    ///
    /// An applied object keeps its unknown fields: the merge refuses them.
    pub(in crate::apiserver) fn admit(
        &mut self,
        decoded: Decoded,
        applied: bool,
    ) -> Result<Value, Failure> {
        let Decoded {
            mut value,
            duplicates,
        } = decoded;
        self.check_type(&mut value)?;
        let mut unknown = object::normalise_meta(&mut value)?;
        self.check_place(&mut value)?;
        object::to_stored(&self.resource, &mut value);
        if self.resource.custom.is_none() {
            kinds::drop_nulls(&mut value);
        }
        match self.schema() {
            Some(_) if applied => self.refuse_unknown(&value, &unknown)?,
            Some(schema) => unknown.extend(schema::prune(&schema, &mut value)),
            None => {}
        }
        unknown.sort();
        self.report(&unknown, &duplicates)?;
        Ok(value)
    }

    /// structured-merge-diff's words for a field outside the schema.
    pub(super) fn refuse_unknown(&self, value: &Value, unknown: &[String]) -> Result<(), Failure> {
        let Some(path) = unknown.first() else {
            return Ok(());
        };
        Err(Failure::untyped(format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): .{path}: field not declared in schema",
            meta_text(value, "namespace"),
            meta_text(value, "name"),
            self.resource.api_version(),
            self.resource.kind
        )))
    }

    pub(super) fn report(
        &mut self,
        unknown: &[String],
        duplicates: &[String],
    ) -> Result<(), Failure> {
        let unknown = unknown
            .iter()
            .map(|path| format!("unknown field \"{path}\""));
        let twice = duplicates
            .iter()
            .map(|path| format!("duplicate field \"{path}\""));
        let faults: Vec<String> = unknown.chain(twice).collect();
        match self.query.field_validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.warnings.extend(faults),
            FieldValidation::Strict if faults.is_empty() => {}
            FieldValidation::Strict => {
                let list = faults.join(", ");
                let kind = &self.resource.kind;
                let version = &self.resource.version;
                return Err(Failure::bad_request(format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {list}"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn check_type(&self, value: &mut Value) -> Result<(), Failure> {
        if !value.is_object() {
            return Err(Failure::bad_request(
                "couldn't get version/kind; the body is not an object",
            ));
        }
        let expected = [
            ("apiVersion", self.resource.api_version()),
            ("kind", self.resource.kind.clone()),
        ];
        for (field, wanted) in expected {
            match value[field].as_str() {
                None | Some("") if self.resource.custom.is_some() => {
                    let (kind, field) = (&self.resource.kind, field.replace("kind", "Kind"));
                    return Err(Failure::bad_request(format!(
                        "the object provided is unrecognized (must be of type {kind}): Object '{field}' is missing"
                    )));
                }
                None | Some("") => set(value, field, json!(wanted)),
                Some(given) if given == wanted => {}
                Some(given) => {
                    let what = match field {
                        "kind" => "kind",
                        _ => "API version",
                    };
                    if self.patched && self.resource.custom.is_none() {
                        let why = format!("{given:?}: no {what} of {wanted}");
                        return Err(Failure::bad_patch(&why));
                    }
                    if field == "kind" && self.resource.custom.is_some() {
                        let name = meta_text(value, "name");
                        return Err(Failure::other_kind(&self.resource, given, name));
                    }
                    return Err(Failure::bad_request(format!(
                        "the {what} in the data ({given}) does not match the expected {what} ({wanted})"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Name and namespace of the object must be those of the path.
    pub(super) fn check_place(&self, value: &mut Value) -> Result<(), Failure> {
        if self.resource.namespaced {
            let wanted = self.target.namespace();
            match meta_text(value, "namespace") {
                "" => set_meta(value, "namespace", json!(wanted)),
                given if given == wanted => {}
                given => {
                    return Err(Failure::bad_request(format!(
                        "the namespace of the provided object does not match the namespace sent on the request ({given} and {wanted})"
                    )));
                }
            }
        } else {
            with_meta(value, |meta| meta.remove("namespace"));
        }
        let given = meta_text(value, "name").to_owned();
        match self.target.name.as_deref() {
            Some(wanted) if given.is_empty() => set_meta(value, "name", json!(wanted)),
            Some(wanted) if given != wanted => {
                return Err(Failure::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({wanted})"
                )));
            }
            _ => {}
        }
        Ok(())
    }
}
