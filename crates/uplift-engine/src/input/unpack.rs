//! Packed text, unpacked as it is read, and never more of it than is taken.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use liblzma::{bufread::XzDecoder, stream};
use uplift_core::Format;

use super::{InputError, fault};

/// What is read of a packed file at once.
const BLOCK: usize = 256 * 1024;

/// xz may need so much memory to unpack, in bytes: enough for `xz -9`, which needs 65 MiB (its manual).
const XZ_MEMORY: u64 = 96 * 1024 * 1024;

/// zstd looks back so far, as a power of two: 128 MiB, which is what its command line takes by default.
const ZSTD_WINDOW: u32 = 27;

/// The text inside a file of SQL.
///
/// # Errors
/// The decoder cannot be made.
pub(crate) fn unpacked<'a>(source: impl Read + 'a, format: Format) -> io::Result<Box<dyn Read + 'a>> {
    let source = BufReader::with_capacity(BLOCK, source);
    Ok(match format {
        Format::Gzip => Box::new(Named { decoder: MultiGzDecoder::new(source), packer: "gzip" }),
        Format::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(Named { decoder, packer: "zstd" })
        }
        Format::Xz => {
            let stream = stream::Stream::new_stream_decoder(XZ_MEMORY, stream::CONCATENATED)?;
            Box::new(Named { decoder: XzDecoder::new_stream(source, stream), packer: "xz" })
        }
        // These are no packed text; who has one takes its text out another way.
        Format::Plain | Format::Custom | Format::Zip => Box::new(source),
    })
}

/// A decoder whose complaints name the packer.
struct Named<D> {
    decoder: D,
    packer: &'static str,
}

impl<D: Read> Read for Named<D> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(into).map_err(|error| {
            // What the source or the system says passes as it is; the rest is about the file.
            if fault(&error).is_some() || error.raw_os_error().is_some() {
                error
            } else if error.kind() == io::ErrorKind::UnexpectedEof {
                InputError::Truncated(self.packer).into()
            } else {
                InputError::Damaged(self.packer).into()
            }
        })
    }
}

/// At most so many bytes of a text.
pub(super) struct Limited<R> {
    source: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Limited<R> {
    pub(super) const fn new(source: R, limit: u64) -> Self {
        Self { source, left: limit, limit }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        self.left = self.left.checked_sub(count as u64).ok_or(InputError::TooLarge { limit: self.limit })?;
        Ok(count)
    }
}
