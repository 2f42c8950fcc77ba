//! gzip on all cores: a file of many members, each compressed by itself, is one valid file.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use flate2::{Compression, write::GzEncoder};

/// How much goes into one member: large enough that the ratio hardly suffers.
const MEMBER: usize = 1024 * 1024;

/// gzip's own default.
const LEVEL: u32 = 6;

/// Compresses all of a source into a sink. `told` is called with the number of bytes read so far.
///
/// # Errors
/// What source or sink say.
pub(crate) fn compress(
    source: impl Read + Send,
    sink: &mut impl Write,
    mut told: impl FnMut(u64),
) -> io::Result<()> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let (mut blocks, mut members) = (Vec::new(), Vec::new());
        for _ in 0..workers {
            let (to, from) = sync_channel::<Vec<u8>>(1);
            let (done, result) = sync_channel(1);
            scope.spawn(move || compress_members(&from, &done));
            blocks.push(to);
            members.push(result);
        }
        let reader = scope.spawn(move || deal(source, &blocks));
        // Dealt in turn, they come back in turn.
        let mut read = 0;
        for turn in members.iter().cycle() {
            let Ok((length, member)) = turn.recv() else { break };
            sink.write_all(&member?)?;
            read += length;
            told(read);
        }
        drop(members);
        reader.join().map_err(|_| io::Error::other("the thread that reads died"))??;
        // No member at all is no gzip file.
        if read == 0 { sink.write_all(&member(&[])?) } else { Ok(()) }
    })
}

fn deal(mut source: impl Read, blocks: &[SyncSender<Vec<u8>>]) -> io::Result<()> {
    for turn in blocks.iter().cycle() {
        let mut block = Vec::with_capacity(MEMBER);
        let read = source.by_ref().take(MEMBER as u64).read_to_end(&mut block)?;
        // The other side is gone when the sink has failed, which is told there.
        if read == 0 || turn.send(block).is_err() {
            break;
        }
    }
    Ok(())
}

fn compress_members(blocks: &Receiver<Vec<u8>>, done: &SyncSender<(u64, io::Result<Vec<u8>>)>) {
    while let Ok(block) = blocks.recv() {
        if done.send((block.len() as u64, member(&block))).is_err() {
            return;
        }
    }
}

fn member(block: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(block.len() / 4), Compression::new(LEVEL));
    encoder.write_all(block)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{MEMBER, compress};

    #[test]
    fn what_is_compressed_comes_out_again() {
        for length in [0, 1, MEMBER - 1, MEMBER, MEMBER + 1, 7 * MEMBER + 5] {
            let text: Vec<u8> = (0..length).map(|number| ((number * number) >> 7) as u8).collect();
            let (mut packed, mut told) = (Vec::new(), 0);
            compress(&*text, &mut packed, |read| told = read).unwrap();
            let mut unpacked = Vec::new();
            flate2::read::MultiGzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == text, "{length}");
            assert_eq!(told, length as u64);
        }
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
        assert!(compress(std::io::repeat(7).take(64 << 20), &mut Full, |_| {}).is_err());
    }
}
