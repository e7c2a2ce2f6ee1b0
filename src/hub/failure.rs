//! Errors of the shells, as failures that status and pages show.

use crate::core::delivery::{Failure, FailureClass};
use crate::git::{ErrorClass, GitError};

/// A failure of git, classed as the reconcilers treat it.
#[must_use]
pub fn git_failure(error: &GitError) -> Failure {
    let (class, reason) = match error.class() {
        ErrorClass::Invalid => (FailureClass::Invalid, "SourceInvalid"),
        ErrorClass::Refused => (FailureClass::Invalid, "SourceRefused"),
        ErrorClass::TooLarge => (FailureClass::Invalid, "SourceTooLarge"),
        ErrorClass::Auth => (FailureClass::Waiting, "SourceUnauthorized"),
        ErrorClass::NotFound => (FailureClass::Waiting, "SourceNotFound"),
        ErrorClass::Timeout => (FailureClass::Transient, "SourceTimeout"),
        ErrorClass::Transient => (FailureClass::Transient, "SourceUnreachable"),
        ErrorClass::Local => (FailureClass::Transient, "SourceMirror"),
    };
    Failure {
        class,
        reason: reason.into(),
        message: super::chain(error),
    }
}
