//! What comes in on stdin: the plan, then exactly as many bytes as it announces.

mod ahead;
mod archive;
mod unpack;

use std::{
    io::{self, BufRead as _, Read, Stdin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use uplift_core::{
    event::Digest,
    failure::{Failure, ScriptFailure},
    plan::Plan,
};

pub use ahead::Ahead;
pub(crate) use unpack::unpacked;

use crate::{
    failure::{Outcome, infrastructure, rejected},
    zip::ZipError,
};

/// The longest plan: a pack's scripts travel in it.
const MAX_PLAN_BYTES: u64 = 256 * 1024 * 1024;

/// What is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// They end before the announced length.
    #[error("the input ended early: {got} of {announced} bytes came")]
    EndedEarly {
        /// What came.
        got: u64,
        /// What was announced.
        announced: u64,
    },
    /// A packed file is cut. The word is the packer's.
    #[error(
        "the {0} file is truncated: it ends in the middle of its data. Write the dump again, or upload it again"
    )]
    Truncated(&'static str),
    /// A packed file is damaged, or packed in a way that takes more memory than there is.
    #[error(
        "the {0} file is damaged: its data cannot be unpacked. Test it with `{0} -t`, and write the dump again \
         with {0}'s usual settings"
    )]
    Damaged(&'static str),
    /// They are too many after decompression.
    #[error("the dump is larger than {limit} bytes after decompression, which is more than is taken")]
    TooLarge {
        /// What is taken.
        limit: u64,
    },
    /// A zip is not what it should be.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// What a run has added to the files beside the database cannot be taken along.
    #[error("a file that the upgrade added beside the database cannot be taken along: {0}")]
    Added(String),
    /// `pg_restore` cannot read an archive.
    #[error(
        "The dump in custom format cannot be read to its end: {0}. It is truncated or damaged: test it with \
         `pg_restore --file=/dev/null FILE`, dump again, and upload the whole file"
    )]
    Archive(String),
}

impl InputError {
    /// Whose fault it is.
    fn failure(&self, place: &str) -> Box<Failure> {
        match self {
            Self::EndedEarly { .. } => infrastructure(place, self.to_string()),
            Self::Added(_) => Box::new(Failure::ScriptFailed(ScriptFailure {
                step: place.to_owned(),
                message: self.to_string(),
                ..ScriptFailure::default()
            })),
            Self::Truncated(_)
            | Self::Damaged(_)
            | Self::TooLarge { .. }
            | Self::Zip(_)
            | Self::Archive(_) => rejected(self.to_string()),
        }
    }
}

impl From<InputError> for io::Error {
    fn from(error: InputError) -> Self {
        Self::other(error)
    }
}

impl From<ZipError> for io::Error {
    fn from(error: ZipError) -> Self {
        InputError::Zip(error).into()
    }
}

/// What is wrong with the bytes, where a failed read says so.
pub(crate) fn fault(error: &io::Error) -> Option<&InputError> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// The failure that a failed read stands for.
pub(crate) fn read_failure(place: &str, error: &io::Error) -> Box<Failure> {
    match fault(error) {
        Some(input) => input.failure(place),
        None => infrastructure(place, format!("read the input: {error}")),
    }
}

/// Reads the plan. The bytes behind it stay in stdin's own buffer.
///
/// # Errors
/// What is no plan.
pub fn plan(stdin: &Stdin) -> Outcome<Plan> {
    let mut line = Vec::new();
    let read = stdin.lock().take(MAX_PLAN_BYTES).read_until(b'\n', &mut line);
    read.map_err(|error| infrastructure("read the plan", error.to_string()))?;
    if line.last() != Some(&b'\n') {
        return Err(infrastructure("read the plan", "the input ended before the plan's line did"));
    }
    serde_json::from_slice(&line).map_err(|error| infrastructure("read the plan", error.to_string()))
}

/// Exactly so many bytes of a source, hashed as they pass.
pub(crate) struct Counted<R> {
    source: R,
    got: u64,
    announced: u64,
    hash: Sha256,
    /// What came so far, for who shows progress.
    shown: Arc<AtomicU64>,
}

impl<R: Read> Counted<R> {
    pub(crate) fn new(source: R, announced: u64) -> Self {
        Self { source, got: 0, announced, hash: Sha256::new(), shown: Arc::default() }
    }

    pub(crate) fn shown(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shown)
    }

    pub(crate) fn digest(self) -> Digest {
        Digest { bytes: self.got, sha256: format!("{:x}", self.hash.finalize()) }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.announced - self.got;
        let room = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        // What is behind the announced bytes is not looked at: stdin stays open until the last word was heard.
        if room == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut into[..room])?;
        if count == 0 {
            return Err(InputError::EndedEarly { got: self.got, announced: self.announced }.into());
        }
        self.hash.update(&into[..count]);
        self.got += count as u64;
        self.shown.store(self.got, Ordering::Relaxed);
        Ok(count)
    }
}
