//! The text of a dump, whatever it is packed as, read ahead by a thread of its own: unpacking goes on while Postgres
//! works.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::AtomicU64,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use uplift_core::{
    Format,
    event::{Digest, Files},
    plan::Input,
};

use super::{Counted, archive, unpack::Limited, unpacked};
use crate::{
    failure::{Outcome, infrastructure},
    zip,
};

/// How the text travels, and how many such blocks may wait.
const BLOCK: usize = 256 * 1024;
const BLOCKS: usize = 8;

/// The text of a dump, as it comes.
pub struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    thread: Option<JoinHandle<(Digest, Option<Files>)>>,
    block: Vec<u8>,
    at: usize,
    shown: Arc<AtomicU64>,
}

impl Ahead {
    /// Starts to read an input from a source.
    pub fn start(source: impl Read + Send + 'static, input: Input, max_expanded_bytes: u64) -> Self {
        let (sender, blocks) = sync_channel(BLOCKS);
        let mut counted = Counted::new(source, input.bytes);
        let shown = counted.shown();
        let thread = thread::spawn(move || {
            let mut files = None;
            match pass(&mut counted, input.format, max_expanded_bytes, &sender) {
                Ok(found) => files = found,
                // Nobody listens once the restore has failed.
                Err(error) => drop(sender.send(Err(error))),
            }
            (counted.digest(), files)
        });
        Self { blocks, thread: Some(thread), block: Vec::new(), at: 0, shown }
    }

    /// How many bytes of the input were read so far, as they came in.
    #[must_use]
    pub fn shown(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shown)
    }

    /// Length and hash of the input, once it was read to its end, and what lay beside the dump in a zip.
    ///
    /// # Errors
    /// The thread has died, which it does not.
    pub fn finish(mut self, place: &str) -> Outcome<(Digest, Option<Files>)> {
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.ok_or_else(|| infrastructure(place, "the thread that reads the input died"))
    }
}

/// Passes on the text that is in an input, and reads the input to its end.
fn pass(
    source: &mut (impl Read + Send),
    format: Format,
    limit: u64,
    sender: &SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<Option<Files>> {
    let text = |text: &mut dyn Read| pass_blocks(&mut Limited::new(text, limit), sender);
    let files = match format {
        Format::Plain | Format::Gzip | Format::Zstd | Format::Xz => {
            text(&mut unpacked(&mut *source, format)?)?;
            None
        }
        Format::Custom => {
            archive::sql(&mut *source, text)?;
            None
        }
        Format::Zip => Some(zip::sql(&mut *source, limit, text)?),
    };
    io::copy(source, &mut io::sink())?;
    Ok(files)
}

fn pass_blocks(source: &mut impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        if source.by_ref().take(BLOCK as u64).read_to_end(&mut block)? == 0 {
            return Ok(());
        }
        // The restore has failed, and says why.
        if sender.send(Ok(block)).is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
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
