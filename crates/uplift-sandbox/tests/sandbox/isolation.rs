//! What a job cannot do.

use uplift_sandbox::{Exit, Job, Limits, Runner};

use crate::harness::{Fleet, LIMITS, MIB, label, on_both_kinds, run, script};

on_both_kinds! {
    tenant_reaches_its_own_databases_only_and_stays_tenant,
    tenant_has_what_a_restore_needs,
    a_parallel_hash_join_finds_its_shared_memory,
}

#[tokio::test]
async fn a_job_has_no_network_no_capability_and_no_writable_root() {
    let fleet = Fleet::docker().await;
    let (_, sandbox) = fleet.open(LIMITS).await;
    let ran = run(
        &sandbox,
        script(
            "id -u; ls /sys/class/net; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t';
             for file in /x /usr/x /run/postgresql/x /proc/sys/kernel/x; do (echo >$file) || echo no $file; done 2>/dev/null
             echo kept >/tmp/x && cat /tmp/x; cp /bin/true /tmp/true && /tmp/true || echo no exec",
        ),
    )
    .await;
    let expected = "7003\nlo\nCapBnd:0000000000000000\nCapEff:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n\
                    no /x\nno /usr/x\nno /run/postgresql/x\nno /proc/sys/kernel/x\nkept\nno exec\n";
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&ran.stdout), sorted(expected), "{ran:?}");
}

#[tokio::test]
async fn a_runner_cannot_come_in_as_bootstrap_and_the_engine_can() {
    let fleet = Fleet::docker().await;
    let (label, sandbox) = fleet.open(LIMITS).await;
    let tries =
        "for d in control postgres uplift template1; do psql -X -U bootstrap -d $d -c 'SELECT 1'; done";
    let ran = run(&sandbox, script(tries)).await;
    let refused = "Peer authentication failed for user \"bootstrap\"";
    assert_eq!((ran.stdout.as_str(), ran.stderr.matches(refused).count()), ("", 4), "{ran:?}");
    assert_eq!(fleet.as_engine(&label, &sandbox, &["SELECT session_user"]).await.trim(), "bootstrap");
}

async fn tenant_reaches_its_own_databases_only_and_stays_tenant(fleet: Fleet) {
    let (label, sandbox) = fleet.open(LIMITS).await;
    fleet.make_work(&label, &sandbox).await;
    let tries = "for d in control uplift template1; do psql -X -d $d -c 'SELECT 1'; done";
    let ran = run(&sandbox, script(tries)).await;
    assert_eq!((ran.stdout.as_str(), ran.stderr.matches("pg_hba.conf rejects").count()), ("", 3), "{ran:?}");
    let ran =
        run(&sandbox, script("psql -X -d postgres -c 'CREATE SCHEMA s' -c 'CREATE TABLE public.t ()'")).await;
    assert_eq!(ran.stderr.matches("permission denied for").count(), 2, "{ran:?}");

    let attempts = [
        "SET ROLE bootstrap",
        "SET SESSION AUTHORIZATION bootstrap",
        "ALTER ROLE tenant SUPERUSER",
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "GRANT bootstrap TO tenant",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "SELECT pg_read_file('pg_hba.conf')",
        "SELECT lo_import('/etc/passwd')",
        "ALTER SYSTEM SET port = 1",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION file_fdw",
        "SET log_min_messages = debug5",
    ];
    let commands: String = attempts.iter().map(|attempt| format!(" -c \"{attempt}\"")).collect();
    let ran = run(&sandbox, script(&format!("psql -X{commands}"))).await;
    let refusals: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("ERROR:")).collect();
    assert_eq!((refusals.len(), ran.stdout.as_str()), (attempts.len(), ""), "{ran:?}");
    for refusal in refusals {
        assert!(refusal.contains("permission denied") || refusal.contains("must be"), "{refusal}");
    }
}

async fn tenant_has_what_a_restore_needs(fleet: Fleet) {
    let (label, sandbox) = fleet.open(LIMITS).await;
    fleet.make_work(&label, &sandbox).await;
    let ran = run(
        &sandbox,
        script(
            "psql -X -q -At -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION unaccent' -c 'CREATE EXTENSION pg_trgm' \
             -c 'CREATE TABLE t (name text)' -c 'CREATE INDEX ON t (unaccent(name))' \
             -c 'CREATE TEMPORARY TABLE u ()' -c 'CREATE SCHEMA s' -c 'SHOW fsync' -c 'SHOW server_encoding'",
        ),
    )
    .await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Code(0), "off\nUTF8\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn every_major_opens_and_is_what_it_says() {
    let fleet = Fleet::docker().await;
    let majors = fleet.host.majors().await.unwrap();
    assert!(majors.contains(&15) && majors.contains(&17), "{majors:?}: build the images of 15 and 17");
    for major in majors {
        let sandbox = fleet.host.open(&label(), major, &LIMITS).await.unwrap();
        let image = format!("uplift/engine:{major}");
        let ask = "pg_dump --version; psql -X -At -d postgres -c 'SHOW server_version' -c 'SHOW server_encoding'
                   psql -X -At -d postgres -c \"SELECT datcollate FROM pg_database WHERE datname = 'uplift'\"";
        let command = ["sh", "-c", ask].map(String::from).to_vec();
        let ran = run(&sandbox, Job::Runner(Runner { image, command, env: Vec::new() })).await;
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert!(lines[0].starts_with(&format!("pg_dump (PostgreSQL) {major}.")), "{ran:?}");
        assert!(lines[1].starts_with(&format!("{major}.")), "{ran:?}");
        assert_eq!(lines[2..], ["UTF8", "C.UTF-8"], "{ran:?}");
        sandbox.remove().await.unwrap();
    }
}

/// With Docker's default of 64 MiB this very query fails.
async fn a_parallel_hash_join_finds_its_shared_memory(fleet: Fleet) {
    let (label, sandbox) = fleet.open(Limits { memory_bytes: 1024 * MIB, ..LIMITS }).await;
    fleet.make_work(&label, &sandbox).await;
    let sql = "CREATE TABLE t AS SELECT i, md5(i::text) m FROM generate_series(1, 1000000) i; ANALYZE t;
               SET work_mem = '256MB'; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
               SET enable_mergejoin = off; SELECT count(*) FROM t a JOIN t b USING (i, m)";
    let ran = run(&sandbox, script(&format!("psql -X -q -At -v ON_ERROR_STOP=1 -c \"{sql}\""))).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Code(0), "1000000\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn processes_are_counted() {
    let fleet = Fleet::docker().await;
    let limits = Limits { pids: 30, ..LIMITS };
    let (_, sandbox) = fleet.open(limits).await;
    let ran = run(&sandbox, script("for i in $(seq 60); do sleep 60 & done; kill $(jobs -p)")).await;
    assert!(ran.stderr.contains("Cannot fork"), "{ran:?}");
}
