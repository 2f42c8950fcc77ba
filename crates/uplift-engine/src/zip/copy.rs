//! Entries as they stand, from one zip into another, or nowhere.

use std::io::{self, Read, Write};

use super::{ZipError, record::Local, walk::Walker};

const BLOCK: usize = 64 * 1024;

impl<R: Read> Walker<R> {
    /// Copies an entry as it is packed, with what stands before and behind its data.
    ///
    /// # Errors
    /// The zip ends too early, or the sink fails.
    pub(crate) fn copy(&mut self, entry: &Local, sink: &mut impl Write) -> io::Result<()> {
        sink.write_all(&entry.raw)?;
        if entry.streamed() {
            return self.copy_streamed(entry, sink);
        }
        let copied = io::copy(&mut self.source.by_ref().take(entry.facts.packed), sink)?;
        if copied == entry.facts.packed { Ok(()) } else { Err(ZipError::Truncated.into()) }
    }

    /// Only unpacking tells where such an entry ends.
    fn copy_streamed(&mut self, entry: &Local, sink: &mut impl Write) -> io::Result<()> {
        self.source.record = Some(Vec::new());
        let mut block = vec![0; BLOCK];
        let mut body = self.body(entry);
        loop {
            let count = body.read(&mut block)?;
            if let Some(record) = &mut body.tracked().record {
                sink.write_all(record)?;
                record.clear();
            }
            if count == 0 {
                break;
            }
        }
        self.source.record = None;
        Ok(())
    }
}
