//! `job`: from `uplift test` to delivered, against the same by hand; and the memory that it takes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sqlx::Row as _;
use uplift_core::{Purpose, RequestId, plan::Script};
use uplift_tests::{
    fleet::{Fleet, Options},
    pack, packs,
};

use crate::{
    cluster::Cluster,
    dumps::{Dump, Input},
    figure::Figure,
    memory::{self, Watch},
    restore::{create_database, timed},
};

/// What is neither the product's own code, nor the pack's, nor restore or dump.
pub(crate) const PLATFORM: &str = "the platform's own share: all but restore, steps, dump";

pub(crate) async fn run(runs: usize, inputs: &[Input]) {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::sandbox();
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    let worker = fleet.workers[0].pid();
    let watch = Watch::start(fleet.name(), worker);
    for input in inputs {
        let dump = input.dump(scratch.path()).await;
        fleet.push_pack(&dump.pack);
        let (mut ours, mut by_hand) = (vec![], vec![]);
        let mut parts = BTreeMap::<String, Vec<f64>>::new();
        let mut peaks = BTreeMap::<&str, Vec<f64>>::new();
        watch.take();
        for _ in 0..input.runs(runs) {
            let (request, seconds) = job(&fleet, &dump).await;
            ours.push(seconds);
            for (part, part_seconds) in parts_of(&fleet, request, seconds).await {
                parts.entry(part).or_default().push(part_seconds);
            }
            for (role, mebibytes) in watch.take() {
                peaks.entry(role).or_default().push(mebibytes);
            }
            by_hand.push(job_by_hand(&cluster, &dump, scratch.path()));
        }
        let name = dump.name;
        let figure = |what: String, unit| Figure::new("job", format!("{name}: {what}"), unit);
        figure("uplift test, to delivered".into(), "s").of(ours.clone()).print();
        figure("by hand".into(), "s").of(by_hand.clone()).print();
        Figure::ratio("job", format!("{name}: by hand, to the fleet"), &ours, &by_hand).print();
        for (part, seconds) in parts {
            figure(part, "s").of(seconds).print();
        }
        for (role, mebibytes) in peaks {
            figure(format!("peak memory of {role}"), "MiB").of(mebibytes).print();
        }
    }
    let high_water = [memory::high_water(worker)];
    Figure::new("job", "the worker's high-water mark, program and libraries included", "MiB")
        .of(high_water)
        .print();
    watch.stop();
    let name = fleet.name().to_owned();
    fleet.stop().await;
    memory::remove_group(&name);
}

/// Hands a dump in and waits for its end; gives the request and how long it took, in seconds.
pub(crate) async fn job(fleet: &Fleet, dump: &Dump) -> (RequestId, f64) {
    let began = Instant::now();
    let request = fleet.submit(Purpose::Test, &dump.file, dump.to, dump.name);
    fleet.delivered_within(request, Duration::from_secs(1200)).await;
    (request, began.elapsed().as_secs_f64())
}

/// Where the time went, in seconds.
pub(crate) async fn parts_of(fleet: &Fleet, request: RequestId, whole: f64) -> Vec<(String, f64)> {
    let mut connection = fleet.database.connect().await;
    let sql = "
        SELECT 'from the upload to the claim' AS part, extract(epoch FROM started_at - uploaded_at)::float8 AS seconds
        FROM requests WHERE id = $1
        UNION ALL
        SELECT 'stage ' || stage, extract(epoch FROM ended_at - started_at)::float8 FROM stages WHERE request_id = $1
        UNION ALL
        SELECT 'the steps of stage upgrade', coalesce(sum(millis), 0)::float8 / 1000 FROM steps
        WHERE request_id = $1 AND step NOT LIKE '%/arrived'
        UNION ALL
        SELECT 'of the platform: copies before steps', coalesce(sum(checkpoint_millis), 0)::float8 / 1000 FROM steps
        WHERE request_id = $1
        UNION ALL
        SELECT 'of the platform: ' || step, millis::float8 / 1000 FROM steps
        WHERE request_id = $1 AND step LIKE '%/arrived'";
    let rows = sqlx::query(sql).bind(request.0).fetch_all(&mut connection).await.unwrap();
    let mut parts: Vec<(String, f64)> =
        rows.iter().map(|row| (row.get("part"), row.get("seconds"))).collect();
    let work = ["stage restore", "the steps of stage upgrade", "stage dump"];
    let worked: f64 =
        parts.iter().filter(|(part, _)| work.contains(&part.as_str())).map(|(_, took)| took).sum();
    parts.push((PLATFORM.into(), whole - worked));
    parts
}

/// What a person would type: a database, the dump, the same scripts, the result.
fn job_by_hand(cluster: &Cluster, dump: &Dump, scratch: &std::path::Path) -> f64 {
    cluster.drop_database("work");
    let neutralize = pack(&dump.pack).neutralize();
    let scripts = packs::steps(&dump.pack, dump.from, dump.to);
    let scripts =
        scripts.into_iter().chain(neutralize.iter().map(|Script { file, .. }| dump.pack.join(file)));
    let scripts: Vec<String> = scripts.map(|file| file.display().to_string()).collect();
    let result = scratch.join("by-hand.sql.gz");
    let script = format!(
        "zcat {dump} | psql -qX -v ON_ERROR_STOP=1 -d work > /dev/null
         for script in {scripts}; do PGOPTIONS='-c search_path=public' psql -qX -v ON_ERROR_STOP=1 -d work -f $script > /dev/null; done
         pg_dump --no-owner --no-privileges work | gzip > {result}",
        dump = dump.file.display(),
        scripts = scripts.join(" "),
        result = result.display(),
    );
    let began = Instant::now();
    create_database(cluster, "work");
    began.elapsed().as_secs_f64() + timed(&mut cluster.shell("tenant", &script))
}
