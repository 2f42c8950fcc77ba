//! What comes in on stdin: the plan, then exactly as many bytes as it announces.

use std::{
    io::{self, BufRead as _, BufReader, Read, Stdin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use uplift_core::{
    event::Digest,
    failure::Failure,
    plan::{Compression, Input, Plan},
};

use crate::failure::{Outcome, infrastructure, rejected};

/// The longest plan: a pack's scripts travel in it.
const MAX_PLAN_BYTES: u64 = 256 * 1024 * 1024;

/// How the bytes travel from the thread that reads and unpacks them, and how many such blocks may wait.
const BLOCK: usize = 256 * 1024;
const BLOCKS: usize = 8;

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// They end before the announced length.
    #[error("the input ended early: {got} of {announced} bytes came")]
    EndedEarly {
        /// What came.
        got: u64,
        /// What was announced.
        announced: u64,
    },
    /// A gzip file is cut.
    #[error(
        "the gzip file is truncated: it ends in the middle of its data. Write the dump again, or upload it again"
    )]
    GzipTruncated,
    /// A gzip file is damaged.
    #[error(
        "the gzip file is damaged: its data cannot be unpacked. Test it with `gzip -t`, and write the dump again"
    )]
    GzipDamaged,
    /// They are too many after decompression.
    #[error("the dump is larger than {limit} bytes after decompression, which is more than is taken")]
    TooLarge {
        /// What is taken.
        limit: u64,
    },
}

impl InputError {
    /// Whose fault it is.
    fn failure(self, place: &str) -> Box<Failure> {
        match self {
            Self::EndedEarly { .. } => infrastructure(place, self.to_string()),
            Self::GzipTruncated | Self::GzipDamaged | Self::TooLarge { .. } => rejected(self.to_string()),
        }
    }
}

/// The failure that a failed read stands for.
pub(crate) fn read_failure(place: &str, error: &io::Error) -> Box<Failure> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<InputError>()) {
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
            let early = InputError::EndedEarly { got: self.got, announced: self.announced };
            return Err(io::Error::other(early));
        }
        self.hash.update(&into[..count]);
        self.got += count as u64;
        self.shown.store(self.got, Ordering::Relaxed);
        Ok(count)
    }
}

/// The unpacked bytes of an input, at most so many.
struct Unpacked<R> {
    source: Packed<R>,
    left: u64,
    limit: u64,
}

enum Packed<R> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
}

impl<R: Read> Unpacked<R> {
    fn new(source: R, compression: Compression, limit: u64) -> Self {
        let source = match compression {
            Compression::None => Packed::Plain(source),
            Compression::Gzip => {
                Packed::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(BLOCK, source))))
            }
        };
        Self { source, left: limit, limit }
    }

    fn into_source(self) -> R {
        match self.source {
            Packed::Plain(source) => source,
            Packed::Gzip(decoder) => decoder.into_inner().into_inner(),
        }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.source {
            Packed::Plain(source) => source.read(into)?,
            Packed::Gzip(decoder) => decoder.read(into).map_err(gzip_error)?,
        };
        self.left = (self.left.checked_sub(count as u64))
            .ok_or_else(|| io::Error::other(InputError::TooLarge { limit: self.limit }))?;
        Ok(count)
    }
}

/// The decoder's own complaints are about the file; what the source says passes as it is.
fn gzip_error(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other(InputError::GzipTruncated),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => io::Error::other(InputError::GzipDamaged),
        _ => error,
    }
}

/// Unpacked bytes, read ahead by a thread of their own: unpacking goes on while Postgres works.
pub struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    thread: Option<JoinHandle<Digest>>,
    block: Vec<u8>,
    at: usize,
    shown: Arc<AtomicU64>,
}

impl Ahead {
    /// Starts to read an input from a source.
    pub fn start(source: impl Read + Send + 'static, input: Input, max_expanded_bytes: u64) -> Self {
        let (sender, blocks) = sync_channel(BLOCKS);
        let counted = Counted::new(source, input.bytes);
        let shown = Arc::clone(&counted.shown);
        let thread = thread::spawn(move || {
            let mut unpacked = Unpacked::new(counted, input.compression, max_expanded_bytes);
            pass_blocks(&mut unpacked, &sender);
            unpacked.into_source().digest()
        });
        Self { blocks, thread: Some(thread), block: Vec::new(), at: 0, shown }
    }

    /// How many bytes of the input were read so far, as they came in.
    #[must_use]
    pub fn shown(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shown)
    }

    /// Length and hash of the input, once it was read to its end.
    ///
    /// # Errors
    /// The thread has died, which it does not.
    pub fn finish(mut self, place: &str) -> Outcome<Digest> {
        let digest = self.thread.take().and_then(|thread| thread.join().ok());
        digest.ok_or_else(|| infrastructure(place, "the thread that reads the input died"))
    }
}

fn pass_blocks(source: &mut impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        let result = source.by_ref().take(BLOCK as u64).read_to_end(&mut block);
        let message = match result {
            Ok(0) => return,
            Ok(_) => Ok(block),
            Err(error) => Err(error),
        };
        let ended = message.is_err();
        // Nobody listens once the restore has failed.
        if sender.send(message).is_err() || ended {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            match self.blocks.recv() {
                Ok(block) => (self.block, self.at) = (block?, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = into.len().min(self.block.len() - self.at);
        into[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
