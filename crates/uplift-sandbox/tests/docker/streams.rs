//! Bytes through a job.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use uplift_sandbox::{Exit, Output, Running};

use crate::harness::{Fleet, LIMITS, MIB, label, run, script};

/// Numbered blocks, so that one that is lost, doubled or moved shows.
fn block(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(8192)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_megabytes_come_back_whole_in_bounded_memory() {
    let fleet = Fleet::new().await;
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
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_reader_that_pauses_makes_the_job_pause() {
    let fleet = Fleet::new().await;
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let mut running = sandbox.start(script("head -c 50000000 /dev/zero")).await.unwrap();
    running.stdin.shutdown().await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_secs(2), running.handle.wait()).await.is_err(),
        "it ran ahead"
    );
    let mut seen = 0;
    while let Some(Ok(Output::Stdout(bytes))) = running.output.next().await {
        seen += bytes.len();
    }
    assert_eq!((seen, running.handle.wait().await.unwrap()), (50_000_000, Exit::Code(0)));
}

#[tokio::test]
async fn experiment_slow_tail() {
    let fleet = Fleet::new().await;
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    for size in [100_000_u64, 1_000_000, 1_100_000, 1_200_000, 1_300_000, 2_000_000, 3_000_000] {
        let mut running =
            sandbox.start(script(&format!("head -c {size} /dev/zero; echo end >&2"))).await.unwrap();
        running.stdin.shutdown().await.unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        let mut seen = 0;
        while let Some(Ok(out)) = running.output.next().await {
            if let Output::Stdout(bytes) = out {
                seen += bytes.len() as u64;
            }
            // slow
            if seen + 200_000 > size && seen + 100_000 < size {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        println!("size {size} seen {seen} {:?}", running.handle.wait().await);
    }
}

#[tokio::test]
async fn both_outputs_arrive_and_the_end_of_input_is_seen() {
    let fleet = Fleet::new().await;
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let ran = run(&sandbox, script("wc -c; echo out; echo err >&2; exit 3")).await;
    assert_eq!((ran.exit, ran.stdout.as_str(), ran.stderr.as_str()), (Exit::Code(3), "0\nout\n", "err\n"));
}

#[tokio::test]
async fn a_job_that_ends_before_its_input_breaks_the_pipe() {
    let fleet = Fleet::new().await;
    let sandbox = fleet.host.without_postgres(&label(), &LIMITS).await.unwrap();
    let mut running = sandbox.start(script("exit 4")).await.unwrap();
    let chunk = Bytes::from(vec![0; 65536]);
    let broke = async { while running.stdin.write_all(&chunk).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(30), broke).await.expect("writing must fail when nobody reads");
    assert_eq!(running.handle.wait().await.unwrap(), Exit::Code(4));
}
