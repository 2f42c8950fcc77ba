//! `scrape`: what a look at the exporter costs beside a million requests that have ended, against the same figures counted
//! anew, as an exporter without a memory would.

use std::time::{Duration, Instant};

use reqwest::Client;
use uplift_exporter::families::EDGES;
use uplift_platform::ledger::{Kept, Past};
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options},
    process::Process,
};

use crate::{figure::Figure, memory::high_water};

/// Requests that have ended, each with an attempt and six stages, and requests that run.
const ENDED: u32 = 1_000_000;
const RUNNING: u32 = 10_000;

/// An exporter gives figures away for two seconds.
const FRESH: Duration = Duration::from_millis(2100);
/// How long the first count may take.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) async fn run(runs: usize) {
    let fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    fleet.push_pack(&uplift_tests::repository("deploy/packs/sample"));
    fleet.database.psql_command(&rows());
    fleet.database.psql_command("VACUUM ANALYZE");

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = fleet.file("exporter.toml");
    let own = std::fs::read_to_string(fleet.file("uplift.toml")).unwrap();
    std::fs::write(&config, format!("{own}\n[exporter]\nlisten = \"127.0.0.1:{port}\"\n")).unwrap();
    let began = Instant::now();
    let arguments = ["--config", config.to_str().unwrap()];
    let exporter = Process::start("uplift-exporter", &arguments, &fleet.file("exporter.log"));
    let _named = rustls::crypto::ring::default_provider().install_default();
    let (http, url) = (Client::new(), format!("http://127.0.0.1:{port}/metrics"));
    let scrape = async || http.get(&url).send().await.ok()?.text().await.ok();
    eventually("everything is counted", LIMIT, async || {
        scrape().await.filter(|text| text.contains("uplift_ledger_up 1")).map(drop)
    })
    .await;
    let what = format!("{ENDED} ended, {RUNNING} running");
    Figure::new("scrape", format!("the first count: {what}"), "s")
        .of([began.elapsed().as_secs_f64()])
        .print();

    let kept = Kept { source: LIMIT, result: LIMIT };
    let (mut ours, mut anew, mut series) = (Vec::new(), Vec::new(), 0);
    for _ in 0..runs {
        tokio::time::sleep(FRESH).await;
        let began = Instant::now();
        let text = scrape().await.unwrap();
        ours.push(began.elapsed().as_secs_f64() * 1000.0);
        assert!(text.contains("uplift_ledger_up 1"), "{text}");
        series = text.lines().filter(|line| !line.starts_with('#')).count();
        let began = Instant::now();
        let mut past = Past::new(&EDGES);
        fleet.ledger.catch_up(&mut past).await.unwrap();
        fleet.ledger.metrics(&past, kept).await.unwrap();
        anew.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    Figure::ratio("scrape", format!("counted anew, against a scrape: {what}"), &ours, &anew).print();
    Figure::new("scrape", format!("a scrape of {series} series: {what}"), "ms").of(ours).print();
    Figure::new("scrape", "the exporter's memory at most", "MiB").of([high_water(exporter.pid())]).print();
    drop(exporter);
    fleet.database.psql_command("TRUNCATE requests CASCADE");
    fleet.stop().await;
}

fn rows() -> String {
    format!(
        "INSERT INTO databases (id, account_id, name)
         SELECT gen_random_uuid(), a.id, 'shop ' || n FROM accounts a, generate_series(1, {RUNNING}) n WHERE a.name = 'acme';
         CREATE TEMP TABLE numbered AS
             SELECT row_number() OVER (ORDER BY id) - 1 AS number, id, account_id FROM databases WHERE name LIKE 'shop %';
         INSERT INTO requests (id, account_id, database_id, purpose, target, state, outcome, source_name, source_bytes,
             product, source_version, pack_digest, detected_at, epoch, uploaded_at, promised_from, started_at, finished_at,
             source_deleted_at, deleted_at, expected_p50, expected_p90)
         SELECT gen_random_uuid(), d.account_id, d.id, CASE n % 10 WHEN 0 THEN 'production' ELSE 'test' END, '3.0',
             CASE n % 20 WHEN 1 THEN 'rejected' ELSE 'delivered' END, '{{}}', 'dump.sql.gz', 1000000000, 'sample', '1.0',
             (SELECT digest FROM packs LIMIT 1), began + interval '2 minutes', 1, began, began,
             began + interval '1 minute', began + interval '20 minutes' + n % 7000 * interval '1 second', now(), now(),
             2000, 3000
         FROM generate_series(1, {ENDED}) n JOIN numbered d ON d.number = n % {RUNNING},
             LATERAL (SELECT now() - interval '3 hours' - n * interval '30 seconds' AS began) AS b;
         INSERT INTO attempts (request_id, epoch, worker_id, started_at, ended_at, outcome, failure, swept)
         SELECT id, 1, id, started_at, finished_at, CASE state WHEN 'delivered' THEN 'delivered' ELSE 'input_rejected' END,
             CASE state WHEN 'rejected' THEN '{{\"code\": \"input_rejected\"}}'::jsonb END, true
         FROM requests;
         INSERT INTO stages (request_id, epoch, stage, started_at, ended_at)
         SELECT id, 1, of.stage, started_at, started_at + (finished_at - started_at) / 6
         FROM requests, unnest('{{fetch,restore,upgrade,dump,prove,settle}}'::text[]) AS of (stage);
         INSERT INTO steps (request_id, epoch, step, started_at, ended_at, rows, millis)
         SELECT id, 1, '1.0-2.0/step-' || n, started_at, finished_at, 1, 1000 * n
         FROM requests, generate_series(1, 2) n;
         INSERT INTO requests (id, account_id, database_id, purpose, target, state, source_name, source_bytes, product,
             source_version, pack_digest, detected_at, epoch, worker_id, lease_until, stage, uploaded_at, promised_from,
             started_at, progressed_at, expected_p50, expected_p90)
         SELECT gen_random_uuid(), account_id, id, 'test', '3.0', 'running', 'dump.sql.gz', 1000000000, 'sample', '1.0',
             (SELECT digest FROM packs LIMIT 1), now(), 1, id, now() + interval '1 day', 'upgrade', now(), now(),
             now(), now(), 2000, 3000
         FROM numbered;
         INSERT INTO attempts (request_id, epoch, worker_id) SELECT id, 1, worker_id FROM requests WHERE state = 'running';"
    )
}
