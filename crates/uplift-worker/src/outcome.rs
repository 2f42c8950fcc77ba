//! How the errors of the worker's tools become the failures that the ledger knows.

use uplift_core::Failure;
use uplift_platform::{ledger::LedgerError, objects::ObjectsError};
use uplift_sandbox::{Exit, SandboxError};

use crate::keeper::Stop;

/// Why an attempt does not go on.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It failed, and the ledger is told.
    Failed(Box<Failure>),
    /// It has to stop.
    Stopped(Stop),
}

impl Ended {
    /// The word for it in traces: the failure's where there is one.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Failed(failure) => failure.code(),
            Self::Stopped(Stop::LeaseLost) => "lease_lost",
            Self::Stopped(Stop::Cancelled) => "cancelled",
            Self::Stopped(Stop::DeadlinePassed { .. }) => "deadline_passed",
            Self::Stopped(Stop::Released(_)) => "released",
        }
    }
}

impl Ended {
    /// The failure, where it is one.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match self {
            Self::Failed(failure) => Some((**failure).clone()),
            Self::Stopped(_) => None,
        }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<LedgerError> for Ended {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::LeaseLost(_) | LedgerError::SessionOver(_) => Self::Stopped(Stop::LeaseLost),
            error if error.is_unavailable() => released("the ledger", &error).into(),
            error => infrastructure("ledger", &error).into(),
        }
    }
}

/// A store that is down costs no attempt; an object that is not what it was is nobody's to repair.
pub(crate) fn of_objects(error: &ObjectsError, place: &str) -> Failure {
    match error {
        ObjectsError::Unavailable { .. } => released("the object store", error),
        ObjectsError::NotFound { .. }
        | ObjectsError::Denied { .. }
        | ObjectsError::Changed { .. }
        | ObjectsError::TooLarge { .. }
        | ObjectsError::Invalid { .. }
        | ObjectsError::Misconfigured { .. } => infrastructure(place, error),
    }
}

/// As for any object; but a dump that is not what was uploaded is for the customer to send again.
pub(crate) fn of_source(error: &ObjectsError, place: &str) -> Failure {
    match error {
        ObjectsError::Changed { difference, .. } => Failure::rejected(format!(
            "the dump in the object store is not what was announced ({difference}): upload it again"
        )),
        error => of_objects(error, place),
    }
}

/// The same of the customer's scripts.
pub(crate) fn of_scripts(error: &ObjectsError, place: &str) -> Failure {
    match error {
        ObjectsError::Changed { difference, .. } => Failure::rejected(format!(
            "the scripts in the object store are not what was announced ({difference}): hand the dump in again with \
             the scripts that you mean"
        )),
        error => of_objects(error, place),
    }
}

/// A Docker that is down costs no attempt.
pub(crate) fn of_sandbox(error: &SandboxError, place: &str) -> Failure {
    if error.is_unreachable() { released("Docker", error) } else { infrastructure(place, error) }
}

/// The code that a job ended with by itself; every other end is a failure of its own.
pub(crate) fn exit_code(exit: Exit, place: &str) -> Result<i64, Ended> {
    let place = place.to_owned();
    let message = match exit {
        Exit::Code(code) => return Ok(code),
        Exit::OutOfMemory => return Err(Failure::OutOfMemory { place }.into()),
        Exit::OutOfDisk => return Err(Failure::OutOfDisk { place }.into()),
        Exit::PostgresDied(death) => format!("Postgres died: {death:?}"),
        Exit::Vanished => "the job's sandbox vanished".into(),
    };
    Err(Failure::Infrastructure { place, message }.into())
}

/// Something of ours broke.
pub(crate) fn infrastructure(place: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::Infrastructure { place: place.to_owned(), message: chain(error) }
}

fn released(what: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::Released { reason: format!("{what} is unavailable: {}", chain(error)) }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
