//! `restore` and `dump`: the engine against psql and pg_dump, on one server with the sandbox's settings.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use uplift_core::{Format, event::Event, plan};
use uplift_tests::{pack, process::binary};

use crate::{
    cluster::{Cluster, check},
    dumps::{Dump, Input},
    figure::Figure,
};

/// Makes the database that psql restores into, as the engine makes its own.
const BY_HAND: &str = "proof";

/// The engine's restore against `zcat | psql`.
pub(crate) async fn restore(runs: usize, inputs: &[Input]) {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::sandbox();
    for input in inputs {
        let dump = input.dump(scratch.path()).await;
        let (mut load, mut whole, mut psql, mut single) = (vec![], vec![], vec![], vec![]);
        for _ in 0..input.runs(runs) {
            let engine = engine_restore(&cluster, &dump);
            load.push(engine.loaded);
            whole.push(engine.whole);
            psql.push(by_hand(&cluster, &dump, ""));
            single.push(by_hand(&cluster, &dump, "--single-transaction"));
        }
        let figure = |what: &str| Figure::new("restore", format!("{}: {what}", dump.name), "s");
        let ratio = |what: &str, theirs| {
            Figure::ratio("restore", format!("{}: {what}", dump.name), &load, theirs).print();
        };
        figure("engine").of(load.clone()).print();
        figure("engine, with ANALYZE and the pack's questions").of(whole).print();
        figure("zcat | psql").of(psql.clone()).print();
        figure("zcat | psql --single-transaction").of(single.clone()).print();
        ratio("zcat | psql, to the engine", &psql);
        ratio("zcat | psql --single-transaction, to the engine", &single);
    }
}

/// The engine's dump against `pg_dump | gzip`.
pub(crate) async fn dump(runs: usize, inputs: &[Input]) {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::sandbox();
    for input in inputs {
        let dump = input.dump(scratch.path()).await;
        engine_restore(&cluster, &dump);
        let (mut engine, mut by_hand) = (vec![], vec![]);
        let out = scratch.path().join("result.sql.gz");
        for _ in 0..input.runs(runs) {
            let plan = plan::Plan::Dump(plan::Dump {
                filestore: None,
                format: Format::Gzip,
                backup: None,
                manifest: None,
                source_major: None,
                neutralize: Vec::new(),
                reconcile: Vec::new(),
            });
            engine.push(run_engine(&cluster, &plan, None, &out).whole);
            let script = format!("pg_dump --no-owner --no-privileges work | gzip > {}", out.display());
            by_hand.push(timed(&mut cluster.shell("tenant", &script)));
        }
        let figure = |what: &str| Figure::new("dump", format!("{}: {what}", dump.name), "s");
        figure("engine").of(engine.clone()).print();
        figure("pg_dump | gzip").of(by_hand.clone()).print();
        let what = format!("{}: pg_dump | gzip, to the engine", dump.name);
        Figure::ratio("dump", what, &engine, &by_hand).print();
    }
}

/// How long a run of the engine took, in seconds.
struct Run {
    /// Until the dump's last statement had run.
    loaded: f64,
    /// Until the engine's last word.
    whole: f64,
}

fn engine_restore(cluster: &Cluster, dump: &Dump) -> Run {
    cluster.drop_database("work");
    let plan = plan::Plan::Restore(plan::Restore {
        target: "17.0".parse().unwrap(),
        input: plan::Input { bytes: bytes(&dump.file), format: Format::Gzip },
        max_expanded_bytes: u64::MAX,
        packs: vec![pack(&dump.pack).probes()],
    });
    run_engine(cluster, &plan, Some(&dump.file), Path::new("/dev/null"))
}

/// Runs the engine as the worker does: the plan, the bytes, and an open stdin until it has said its last word.
fn run_engine(cluster: &Cluster, plan: &plan::Plan, input: Option<&Path>, output: &Path) -> Run {
    let path = format!("{}:/usr/bin:/bin", uplift_tests::postgres::tool("").display());
    let began = Instant::now();
    let mut child = Command::new(binary("uplift-engine"))
        .env("PATH", path)
        .env("PGHOST", cluster.socket())
        .env("PGPORT", cluster.port().to_string())
        .stdin(Stdio::piped())
        .stdout(File::create(output).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut line = serde_json::to_vec(plan).unwrap();
    line.push(b'\n');
    let file = input.map(|input| File::open(input).unwrap());
    let feeder = thread::spawn(move || {
        stdin.write_all(&line).unwrap();
        if let Some(mut file) = file {
            std::io::copy(&mut file, &mut stdin).unwrap();
        }
        stdin
    });
    let (mut loaded, mut whole) = (Duration::ZERO, None);
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        match serde_json::from_str(&line.unwrap()).unwrap() {
            Event::Progress { done, total, .. } if done == total => loaded = began.elapsed(),
            Event::Failed { failure } => panic!("the engine failed: {failure}"),
            Event::Done { .. } => {
                whole = Some(began.elapsed());
                break;
            }
            _ => {}
        }
    }
    drop(feeder.join().unwrap());
    assert!(child.wait().unwrap().success());
    Run { loaded: loaded.as_secs_f64(), whole: whole.expect("a last word").as_secs_f64() }
}

fn by_hand(cluster: &Cluster, dump: &Dump, options: &str) -> f64 {
    cluster.drop_database(BY_HAND);
    let began = Instant::now();
    create_database(cluster, BY_HAND);
    let file = dump.file.display();
    let script = format!("zcat {file} | psql -qX {options} -v ON_ERROR_STOP=1 -d {BY_HAND} > /dev/null");
    check(&mut cluster.shell("tenant", &script));
    began.elapsed().as_secs_f64()
}

/// A database as the tenant's are.
pub(crate) fn create_database(cluster: &Cluster, name: &str) {
    let grant = format!("GRANT CREATE, TEMPORARY ON DATABASE {name} TO tenant");
    let script = format!("createdb -T uplift {name} && psql -qX -d control -c '{grant}'");
    check(&mut cluster.shell("bootstrap", &script));
}

/// How long a command took that has to succeed, in seconds.
pub(crate) fn timed(command: &mut Command) -> f64 {
    let began = Instant::now();
    check(command);
    began.elapsed().as_secs_f64()
}

fn bytes(file: &Path) -> u64 {
    std::fs::metadata(file).unwrap().len()
}
