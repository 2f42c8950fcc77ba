//! Bytes through a job.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{io::AsyncWriteExt as _, time::timeout};
use uplift_sandbox::{Exit, Output, Running};

use crate::harness::{Fleet, LIMITS, MIB, label, on_both_kinds, run, script};

/// Numbered blocks, so that one that is lost, doubled or moved shows.
fn block(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(8192)
}

on_both_kinds! {
    two_hundred_megabytes_come_back_whole_in_bounded_memory,
    a_reader_that_pauses_makes_the_job_pause,
    a_job_that_waits_for_the_end_of_its_input_loses_nothing_to_a_slow_reader,
    both_outputs_arrive_and_the_end_of_input_is_seen,
    dropping_stdin_ends_the_input,
    a_job_that_ends_before_its_input_breaks_the_pipe,
}

async fn two_hundred_megabytes_come_back_whole_in_bounded_memory(fleet: Fleet) {
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let Running { mut stdin, mut output, handle } =
        sandbox.start(script("cat; echo done >&2")).await.unwrap();
    let size = block(0).len();
    let blocks = 200 * MIB / size as u64;
    let begin = Instant::now();
    let writer = tokio::spawn(async move {
        for number in 0..blocks {
            stdin.write_all(&block(number)).await.unwrap();
        }
        stdin.shutdown().await.unwrap();
    });
    let (mut seen, mut back, mut said) = (0, Vec::new(), Vec::new());
    while let Some(read) = output.next().await {
        match read.unwrap() {
            Output::Stdout(bytes) => {
                back.extend_from_slice(&bytes);
                while back.len() >= size {
                    assert!(back[..size] == block(seen), "block {seen} came back as another");
                    back.drain(..size);
                    seen += 1;
                }
            }
            Output::Stderr(bytes) => said.extend_from_slice(&bytes),
        }
    }
    writer.await.unwrap();
    println!("200 MiB in and out in {:?}", begin.elapsed());
    assert_eq!(handle.wait().await.unwrap(), Exit::Code(0));
    assert_eq!((seen, back.len(), said.as_slice()), (blocks, 0, b"done\n".as_slice()));
    assert!(peak_memory_mib() < 64, "the process took {} MiB at its peak", peak_memory_mib());
}

/// The most memory that this process ever had.
fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("read the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") / 1024
}

async fn a_reader_that_pauses_makes_the_job_pause(fleet: Fleet) {
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let mut running = sandbox.start(script("head -c 50000000 /dev/zero")).await.unwrap();
    running.stdin.shutdown().await.unwrap();
    assert!(timeout(Duration::from_secs(2), running.handle.wait()).await.is_err(), "it ran ahead");
    let mut seen = 0;
    while let Some(Ok(Output::Stdout(bytes))) = running.output.next().await {
        seen += bytes.len();
    }
    assert_eq!((seen, running.handle.wait().await.unwrap()), (50_000_000, Exit::Code(0)));
}

/// Docker drops what a container that has ended cannot hand over within two seconds, and its reader sees a clean end.
/// So a job whose output counts ends when its input does, and its reader ends the input when it has everything.
async fn a_job_that_waits_for_the_end_of_its_input_loses_nothing_to_a_slow_reader(fleet: Fleet) {
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    // More than Docker holds in memory, less than that and the pipes: all of it is written, and some is in a pipe.
    let size = 1_300_000;
    let script = script(&format!("head -c {size} /dev/zero; echo written >&2; read end"));
    let mut running = sandbox.start(script).await.unwrap();
    assert!(timeout(Duration::from_secs(4), running.handle.wait()).await.is_err(), "it did not wait");
    let mut seen = 0;
    while seen < size {
        match running.output.next().await {
            Some(Ok(Output::Stdout(bytes))) => seen += bytes.len(),
            Some(Ok(Output::Stderr(_))) => {}
            other => panic!("{other:?} after {seen} bytes"),
        }
    }
    running.stdin.shutdown().await.unwrap();
    assert_eq!((seen, running.handle.wait().await.unwrap()), (size, Exit::Code(1)));
}

async fn both_outputs_arrive_and_the_end_of_input_is_seen(fleet: Fleet) {
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let ran = run(&sandbox, script("wc -c; echo out; echo err >&2; exit 3")).await;
    assert_eq!((ran.exit, ran.stdout.as_str(), ran.stderr.as_str()), (Exit::Code(3), "0\nout\n", "err\n"));
}

async fn dropping_stdin_ends_the_input(fleet: Fleet) {
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let Running { mut stdin, mut output, handle } = sandbox.start(script("wc -c")).await.unwrap();
    stdin.write_all(b"four").await.unwrap();
    drop(stdin);
    let read = timeout(Duration::from_secs(30), output.next()).await.expect("the input must end");
    assert_eq!(read.unwrap().unwrap(), Output::Stdout(Bytes::from_static(b"4\n")));
    assert_eq!(handle.wait().await.unwrap(), Exit::Code(0));
}

async fn a_job_that_ends_before_its_input_breaks_the_pipe(fleet: Fleet) {
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let mut running = sandbox.start(script("exit 4")).await.unwrap();
    let chunk = Bytes::from(vec![0; 65536]);
    let broke = async { while running.stdin.write_all(&chunk).await.is_ok() {} };
    timeout(Duration::from_secs(30), broke).await.expect("writing must fail when nobody reads");
    assert_eq!(running.handle.wait().await.unwrap(), Exit::Code(4));
}
