//! Compression on all cores: a gzip file of many members, a zstd file of many frames, an xz file of many streams and a
//! deflate stream of many blocks are each valid, so pieces are compressed side by side and joined.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use flate2::{Compress, Compression, FlushCompress, write::GzEncoder};

/// How a piece is compressed. A piece is large enough that the ratio hardly suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packer {
    /// A member of a gzip file.
    Gzip,
    /// A frame of a zstd file.
    Zstd,
    /// A stream of an xz file.
    Xz,
    /// Blocks of a deflate stream, as a zip has it.
    Deflate,
}

impl Packer {
    /// The length of a piece before it is compressed, in bytes: for xz, as much as level 3 looks back (its manual).
    const fn piece(self) -> usize {
        match self {
            Self::Gzip | Self::Deflate => 1 << 20,
            Self::Zstd | Self::Xz => 4 << 20,
        }
    }

    /// gzip's and zstd's own default levels; xz at its default of 6 would take 94 MiB for each core (its manual), at 3
    /// a third.
    fn pack(self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(piece.len() / 4), Compression::default());
                encoder.write_all(piece)?;
                encoder.finish()
            }
            Self::Zstd => zstd::bulk::compress(piece, zstd::DEFAULT_COMPRESSION_LEVEL),
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 3);
                encoder.write_all(piece)?;
                encoder.finish()
            }
            Self::Deflate => deflate(piece),
        }
    }

    /// What stands behind the last piece.
    const fn trailer(self) -> &'static [u8] {
        match self {
            Self::Gzip | Self::Zstd | Self::Xz => &[],
            // An empty block that says that it is the last one.
            Self::Deflate => &[0x03, 0x00],
        }
    }
}

/// Blocks that end on a whole byte, and are not the last.
fn deflate(piece: &[u8]) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::default(), false);
    let mut packed = Vec::with_capacity(piece.len() / 4 + 1024);
    loop {
        let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        compress.compress_vec(&piece[done..], &mut packed, FlushCompress::Sync)?;
        // Room that is left says that all is written.
        if compress.total_in() == piece.len() as u64 && packed.len() < packed.capacity() {
            return Ok(packed);
        }
        packed.reserve(packed.capacity());
    }
}

/// Compresses all of a source into a sink. `told` is called with the number of bytes read so far.
///
/// # Errors
/// What source or sink say.
pub(crate) fn compress(
    source: impl Read + Send,
    sink: &mut impl Write,
    packer: Packer,
    mut told: impl FnMut(u64),
) -> io::Result<()> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let (mut pieces, mut packed) = (Vec::new(), Vec::new());
        for _ in 0..workers {
            let (to, from) = sync_channel::<Vec<u8>>(1);
            let (done, result) = sync_channel(1);
            scope.spawn(move || pack_pieces(packer, &from, &done));
            pieces.push(to);
            packed.push(result);
        }
        let reader = scope.spawn(move || deal(source, packer.piece(), &pieces));
        // Dealt in turn, they come back in turn.
        let mut read = 0;
        for turn in packed.iter().cycle() {
            let Ok((length, piece)) = turn.recv() else { break };
            sink.write_all(&piece?)?;
            read += length;
            told(read);
        }
        drop(packed);
        reader.join().map_err(|_| io::Error::other("the thread that reads died"))??;
        // No piece at all is no valid file.
        if read == 0 {
            sink.write_all(&packer.pack(&[])?)?;
        }
        sink.write_all(packer.trailer())
    })
}

fn deal(mut source: impl Read, length: usize, pieces: &[SyncSender<Vec<u8>>]) -> io::Result<()> {
    for turn in pieces.iter().cycle() {
        let mut piece = Vec::with_capacity(length);
        let read = source.by_ref().take(length as u64).read_to_end(&mut piece)?;
        // The other side is gone when the sink has failed, which is told there.
        if read == 0 || turn.send(piece).is_err() {
            break;
        }
    }
    Ok(())
}

fn pack_pieces(packer: Packer, pieces: &Receiver<Vec<u8>>, done: &SyncSender<(u64, io::Result<Vec<u8>>)>) {
    while let Ok(piece) = pieces.recv() {
        if done.send((piece.len() as u64, packer.pack(&piece))).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::DeflateDecoder;
    use uplift_core::Format;

    use super::{Packer, compress};
    use crate::input::unpacked;

    #[test]
    fn what_is_compressed_comes_out_again() {
        let formats = [(Packer::Gzip, Format::Gzip), (Packer::Zstd, Format::Zstd), (Packer::Xz, Format::Xz)];
        for packer in [Packer::Gzip, Packer::Zstd, Packer::Xz, Packer::Deflate] {
            let piece = packer.piece();
            for length in [0, 1, piece - 1, piece, piece + 1, 3 * piece + 5] {
                let text: Vec<u8> = (0..length).map(|number| ((number * number) >> 7) as u8).collect();
                let (mut packed, mut told) = (Vec::new(), 0);
                compress(&*text, &mut packed, packer, |read| told = read).unwrap();
                let mut plain = Vec::new();
                match formats.iter().find(|(known, _)| *known == packer) {
                    Some((_, format)) => unpacked(&*packed, *format).unwrap().read_to_end(&mut plain),
                    None => DeflateDecoder::new(&*packed).read_to_end(&mut plain),
                }
                .unwrap();
                assert!(plain == text, "{packer:?} {length}");
                assert_eq!(told, length as u64);
            }
        }
    }

    #[test]
    fn what_does_not_compress_comes_out_again() {
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..3 << 20)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let mut packed = Vec::new();
        compress(&*noise, &mut packed, Packer::Deflate, |_| {}).unwrap();
        let mut plain = Vec::new();
        DeflateDecoder::new(&*packed).read_to_end(&mut plain).unwrap();
        assert!(plain == noise);
    }

    #[test]
    fn a_sink_that_fails_ends_it() {
        struct Full;
        impl std::io::Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("full"))
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        assert!(compress(std::io::repeat(7).take(64 << 20), &mut Full, Packer::Gzip, |_| {}).is_err());
    }
}
