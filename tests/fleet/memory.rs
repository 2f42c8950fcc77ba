//! How much memory a worker takes, whatever the size of a dump.

use std::path::PathBuf;

use uplift_core::Purpose;
use uplift_tests::{
    fleet::{Fleet, Options},
    process::Process,
    repository,
};

use crate::dumps;

const MIB: u64 = 1 << 20;

/// What a worker may take at its peak beside its program, of which a debug build has some 36 MiB in memory: three parts
/// of 5 MiB, and the clients of four services. It took 30 MiB when this was written.
const MOST: u64 = 40 * MIB;

/// How far apart two runs may be that differ in nothing but the dump's size.
const NOISE: u64 = 6 * MIB;

#[tokio::test]
async fn a_worker_takes_no_more_memory_for_a_large_dump_than_for_a_small_one() {
    let worker = "prove_tests = true".to_owned();
    let fleet = Fleet::with(Options { workers: 1, worker, ..Options::default() }).await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    // The small one fills as many parts of its upload as are ever in memory.
    let mut peaks = Vec::new();
    for mib in [40, 400] {
        let dump = dump(&fleet, mib).await;
        let bytes = std::fs::metadata(&dump).unwrap().len();
        let request = fleet.submit(Purpose::Test, &dump, "3.0", &format!("shop-{mib}"));
        fleet.delivered(request).await;
        let peak = peak(&fleet.workers[0]);
        println!("{} MiB of dump: {:.1} MiB at the peak", bytes / MIB, peak as f64 / MIB as f64);
        peaks.push((bytes, peak));
    }
    let [(small, little), (large, much)] = peaks[..] else { unreachable!() };
    assert!(small > 32 * MIB && large > 400 * MIB, "{peaks:?}");
    assert!(much <= little + NOISE, "memory grows with the dump: {peaks:?}");
    assert!(much <= MOST, "a worker takes too much: {peaks:?}");
    fleet.stop().await;
}

/// A plain dump of the sample with so many MiB of further rows, which is a quicker way to a size than the generator.
async fn dump(fleet: &Fleet, mib: u64) -> PathBuf {
    let database = dumps::sample().await;
    database.psql_command(&format!(
        "CREATE TABLE ballast AS
             SELECT i, repeat(md5(i::text), 8) AS t FROM generate_series(1, {mib} * 4096) AS i"
    ));
    let file = fleet.file(&format!("shop-{mib}.sql"));
    database.dump(&file);
    database.remove().await;
    file
}

/// The most that a process ever had in memory, in bytes, beside the pages of its program.
fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    bytes("VmHWM:") - bytes("RssFile:")
}
