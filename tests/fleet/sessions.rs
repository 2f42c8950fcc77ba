//! Engineers' looks into saved states: a shell, dry runs, their limits and their ends.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use uplift_core::{Purpose, RequestId, request::StateCode};
use uplift_tests::{
    data, eventually,
    fleet::{Fleet, Options},
    packs, repository,
    request::{LIMIT, report},
};

use crate::{
    dumps,
    faults::{Extra, dump, push_pausing_pack},
};

#[tokio::test]
async fn the_patient_is_opened_mended_tried_and_then_run_from_the_start() {
    let fleet = Fleet::with(Options { workers: 1, ..Options::default() }).await;
    let folder = fleet.file("pack");
    packs::odoo_duplicates(&folder);
    fleet.push_pack(&folder);
    let failed = fleet.hand_in(Purpose::Test, &data("odoo17-demo.sql.gz"), "17.1", "odoo").await;
    assert_eq!(failed.code, Some(11), "{failed:?}");
    let id = intervention(&fleet, failed.id());

    what_a_shell_sees(&fleet, &id);
    what_a_shell_may(&fleet, &id);
    what_a_shell_reaches(&fleet, &id);

    // As it stands it fails as it did; then at the engineer's own fault; then no more.
    let dry_run = ["ops", "interventions", "dry-run", &id];
    told(&fleet.run(&dry_run), 11, "step 17.0-17.1/names");
    let wrong = add(&fleet, &id, "wrong.sql", "\n\nUPDATE no_such_table SET a = 1;\n");
    let output = fleet.run(&[&["--json"], &dry_run[..]].concat());
    assert_eq!(output.status.code(), Some(11), "{output:?}");
    let session: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failure = &session["ended"]["failure"]["failure"];
    assert_eq!(
        (&failure["step"], &failure["file"], &failure["line"]),
        (&json!("17.0-17.1/wrong"), &json!("wrong.sql"), &json!(3)),
        "{session}"
    );
    fleet.must(&["ops", "override", "remove", &wrong, "--reason", "it was wrong"]);
    add(&fleet, &id, "unique-names.sql", super::overrides::FIX);
    let output = fleet.run(&dry_run);
    told(&output, 0, "adjusted for this database: before 17.0-17.1/names: unique-names.sql");
    told(&output, 0, "4 of the 4 steps of 17.0-17.1 are left");
    told(&output, 0, "4 steps to the end of 17.0-17.1");

    // Nothing has come of all that but what is on record.
    let request = fleet.request(failed.id()).await;
    assert_eq!((request.epoch.0, request.state.code()), (1, StateCode::Intervention));
    let objects = fleet.objects.list(&format!("requests/{}/", failed.id())).await.unwrap();
    assert!(objects.iter().all(|object| !object.key.contains("/attempts/")), "{objects:?}");
    let list = fleet.must(&["ops", "sessions", "list", &id]);
    assert_eq!(list.lines().filter(|line| line.contains("dry run")).count(), 3, "{list}");
    assert!(
        list.contains("failed: step 17.0-17.1/wrong failed at wrong.sql:3")
            && list.contains("shell, may write"),
        "{list}"
    );
    let shown = fleet.must(&["ops", "interventions", "show", &id]);
    assert!(shown.contains("dry_run_ended") && shown.contains("passed: 4 steps"), "{shown}");

    fleet.must(&["ops", "interventions", "retry", &id, "--reason", "adjusted"]);
    fleet.delivered(failed.id()).await;
    let made = report(&fleet.download(failed.id()));
    assert_eq!(made["overrides"][0]["says"], json!("before 17.0-17.1/names: unique-names.sql"));
    fleet.stop().await;
}

/// The failing state, by plain psql that takes its commands from a file.
fn what_a_shell_sees(fleet: &Fleet, id: &str) {
    let sql = "SELECT count(*) > 0 AS twice FROM (SELECT FROM res_partner GROUP BY name HAVING count(*) > 1) n;\n\
               SELECT latest_version FROM ir_module_module WHERE name = 'base';\n";
    let output = shell(fleet, id, &[], sql);
    told(&output, 0, " t\n");
    told(&output, 0, "17.0.1.3");
    told(&output, 0, "work (read-only)=> ");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the database as it was before 17.0-17.1/names; read-only"), "{said}");
    assert!(said.ends_with("the shell is over: psql has ended with code 0\n"), "{said}");
}

/// Read-only unless it is wanted otherwise; what is written is gone; what is typed is on record, what is shown is not;
/// no line is too long, and nothing that is shown is obeyed by a terminal.
fn what_a_shell_may(fleet: &Fleet, id: &str) {
    let update = "UPDATE res_partner SET name = 'nobody';\n";
    told(&shell(fleet, id, &[], update), 0, "cannot execute UPDATE in a read-only transaction");
    let long = "x".repeat(150_000);
    let sql = format!(
        "{update}SELECT length('{long}') AS long;\n\\pset format unaligned\n\
         SELECT 'a' || chr(27) || '[31m' || chr(8238) || 'z' AS hostile;\n\
         SELECT string_agg(md5(i::text), '') FROM generate_series(1, 40000) i;\nSELECT 'the' || ' end'"
    );
    let output = shell(fleet, id, &["--write"], &sql);
    for words in ["UPDATE ", " 150000\n", "a\\u{1b}[31m\\u{202e}z"] {
        told(&output, 0, words);
    }
    assert!(output.stdout.len() > 40_000 * 32, "{} bytes", output.stdout.len());
    let still = "SELECT 'partners of the name: ' || count(*) FROM res_partner WHERE name = 'nobody';\n";
    told(&shell(fleet, id, &[], still), 0, "partners of the name: 0\n");

    let list: Value = serde_json::from_str(&fleet.must(&["--json", "ops", "sessions", "list", id])).unwrap();
    let written = list.as_array().unwrap().iter().find(|found| found["writable"] == true).unwrap();
    let log = fleet.must(&["ops", "sessions", "log", written["id"].as_str().unwrap()]);
    assert!(log.contains(update.trim()) && log.contains("\\pset format unaligned"), "{log}");
    assert!(!log.contains(" 150000") && !log.contains("UPDATE 1"), "what was shown is on record:\n{log}");
}

/// Nothing but its own Postgres.
fn what_a_shell_reaches(fleet: &Fleet, id: &str) {
    let commands = format!(
        "SELECT 'databases: ' || string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datallowconn;\n\
         \\c control\n\\! echo \"devices: $(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | tr '\\n' ' ')\"\n\
         \\! ls -d {} /var/run/docker.sock; touch /usr/x; id -u\n\
         SELECT 'server''s files: ' || count(*) FROM pg_ls_dir('/');\n",
        repository("Cargo.toml").display()
    );
    let output = shell(fleet, id, &["--write"], &commands);
    for words in [
        "databases: control postgres template1 uplift work\n",
        "pg_hba.conf rejects connection for host \"[local]\", user \"tenant\", database \"control\"",
        "devices: lo \n",
        "/var/run/docker.sock': No such file or directory",
        "Cargo.toml': No such file or directory",
        "Read-only file system",
        "\n7003\n",
        "permission denied for function pg_ls_dir",
    ] {
        told(&output, 0, words);
    }
}

#[tokio::test]
async fn a_shell_ends_at_its_limits_and_with_whoever_it_belongs_to() {
    let worker = "session_idle_seconds = 15".to_owned();
    let mut fleet = Fleet::with(Options { worker, workers: 1, ..Options::default() }).await;
    let failed = trouble(&fleet).await;
    let id = intervention(&fleet, failed);
    // An engineer opens what is theirs.
    let eva = engineer(&fleet, "eva");
    let output = open_as(&fleet, &eva, &id, &[]).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("claim the intervention first"), "{said}");

    // A query that says nothing for too long, and one that is broken off.
    let mut open = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    open.reads("work (read-only)=> ");
    assert_eq!(
        fleet.host.leftovers().await.unwrap().len(),
        1,
        "its sandbox is there, so that its end can be seen"
    );
    open.types("SELECT pg_sleep(1000);\n");
    open.ends(1, "nothing was typed or said for 15 s");
    no_container(&fleet).await;

    let mut open = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    open.reads("=> ");
    open.types("DO $$ BEGIN RAISE NOTICE 'at it'; PERFORM pg_sleep(1000); END $$;\n");
    open.reads("NOTICE:  at it");
    open.interrupts();
    open.reads("canceling statement due to user request");
    open.types("SELECT 'still ' || 'here';\n");
    open.reads("still here");
    // Closed from elsewhere.
    let session = running(&fleet, &id);
    fleet.must(&["ops", "sessions", "close", &session]);
    open.ends(0, "closed by ");
    no_container(&fleet).await;

    // Its engineer is gone, without a word.
    let mut open = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    open.reads("=> ");
    open.child.kill().unwrap();
    no_container(&fleet).await;

    // Its worker is gone, without a word; and where there is none, it waits for one.
    let mut open = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    open.reads("=> ");
    fleet.workers[0].kill();
    open.ends(1, "the connection to the shell broke");
    let mut open = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    open.says("waiting for a worker");
    fleet.workers.clear();
    fleet.add_worker_with(&[("SESSION_SECONDS", "40"), ("SESSION_IDLE_SECONDS", "900")]);
    open.reads("=> ");
    open.ends(1, "it may take 40 s, which are over");
    // What the dead worker left goes with its lease, which nobody renews.
    eventually("nothing is left of them", Duration::from_secs(120), async || {
        fleet.host.leftovers().await.unwrap().is_empty().then_some(())
    })
    .await;

    // What it belongs to is closed, or the worker stops in good order.
    let mut open = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    open.reads("=> ");
    fleet.workers[0].signal("TERM");
    open.ends(0, "its worker is being stopped: open another");
    fleet.add_worker();
    let mut open = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    open.reads("=> ");
    fleet.must(&["ops", "interventions", "reject", &id, "--reason", "Remove the half-done table first"]);
    open.ends(0, "its intervention was closed");
    let output = open_as(&fleet, fleet.ops_token(), &id, &[]).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("is closed"), "{said}");
    fleet.stop().await;
}

#[tokio::test]
async fn sessions_have_slots_of_their_own_and_take_none_from_upgrades() {
    let fleet = Fleet::with(Options { worker: "slots = 1".into(), workers: 1, ..Options::default() }).await;
    let failed = trouble(&fleet).await;
    let id = intervention(&fleet, failed);
    // The one slot is taken, by an upgrade that waits.
    let pausing = dump(&fleet, "other", Extra { pause: 15, ..Extra::default() }).await;
    push_pausing_pack(&fleet);
    let busy = fleet.submit(Purpose::Test, &pausing, "3.0", "other");
    fleet.reaches(busy, "r.stage = 'upgrade'").await;
    let mut open = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    open.reads("=> ");
    // The one slot for sessions is taken, too: another one waits.
    let mut second = Open::new(open_as(&fleet, fleet.ops_token(), &id, &[]));
    second.says("waiting for a worker");
    assert_eq!(fleet.request(busy).await.state.code(), StateCode::Running);
    open.types("\\q\n");
    open.ends(0, "psql has ended with code 0");
    second.reads("=> ");
    second.types("\\q\n");
    second.ends(0, "psql has ended with code 0");
    fleet.delivered(busy).await;
    fleet.stop().await;
}

/// A request that failed in the midst of a script, on a small database.
async fn trouble(fleet: &Fleet) -> RequestId {
    fleet.push_pack(&repository("tests/packs/troubled"));
    let sample = dumps::sample().await;
    let dump = dumps::file(fleet, "shop.sql", dumps::text(fleet, &sample).as_bytes());
    sample.remove().await;
    let failed = fleet.hand_in(Purpose::Test, &dump, "2.1", "shop").await;
    assert_eq!(failed.code, Some(11), "{failed:?}");
    failed.id()
}

/// The open intervention of a request.
fn intervention(fleet: &Fleet, request: RequestId) -> String {
    let list = fleet.must(&["--json", "ops", "interventions", "list", "--request", &request.to_string()]);
    let list: Value = serde_json::from_str(&list).unwrap();
    list[0]["id"].as_str().unwrap().to_owned()
}

/// The session of an intervention that runs.
fn running(fleet: &Fleet, id: &str) -> String {
    let list: Value = serde_json::from_str(&fleet.must(&["--json", "ops", "sessions", "list", id])).unwrap();
    let found = list.as_array().unwrap().iter().find(|found| found["ended"].is_null()).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

fn add(fleet: &Fleet, subject: &str, name: &str, text: &str) -> String {
    let file = fleet.file(name);
    std::fs::write(&file, text).unwrap();
    let arguments =
        ["--json", "ops", "override", "add", subject, "--before", "names", "--reason", "as it must be"];
    let added = fleet.must(&[&arguments[..], &["--file", file.to_str().unwrap()]].concat());
    serde_json::from_str::<Value>(&added).unwrap()["id"].as_str().unwrap().to_owned()
}

fn engineer(fleet: &Fleet, name: &str) -> String {
    let arguments = ["ops", "tokens", "create", "--account", "us", "--role", "engineer", "--label", name];
    fleet.must(&arguments).trim().to_owned()
}

/// Runs a shell that is told all at once.
fn shell(fleet: &Fleet, id: &str, more: &[&str], input: &str) -> Output {
    let mut child = open_as(fleet, fleet.ops_token(), id, more);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn open_as(fleet: &Fleet, token: &str, id: &str, more: &[&str]) -> Child {
    let mut command: Command = fleet.uplift();
    command.env("UPLIFT_OPS_TOKEN", token).args(["ops", "interventions", "shell", id]).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Fails unless a command ended with a code and wrote some words to stdout.
#[track_caller]
fn told(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.code() == Some(code) && said.contains(words),
        "{words:?} and code {code}: {:?}\n{}\n{}",
        output.status,
        said.chars().take(8000).collect::<String>(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A shell that somebody sits at.
struct Open {
    child: Child,
    stdin: ChildStdin,
    stdout: std::sync::mpsc::Receiver<u8>,
    stderr: std::sync::mpsc::Receiver<String>,
    said: String,
}

impl Open {
    fn new(mut child: Child) -> Self {
        let (bytes, stdout) = std::sync::mpsc::channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(out).bytes().map_while(Result::ok).try_for_each(|byte| bytes.send(byte))
        });
        let (lines, stderr) = std::sync::mpsc::channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Self { stdin: child.stdin.take().unwrap(), child, stdout, stderr, said: String::new() }
    }

    /// Waits until it has written this.
    #[track_caller]
    fn reads(&mut self, words: &str) {
        let (until, mut seen) = (Instant::now() + LIMIT, Vec::new());
        while !String::from_utf8_lossy(&seen).contains(words) {
            match self.stdout.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(byte) => seen.push(byte),
                Err(error) => {
                    panic!("{words:?}: {error}; {:?} {:?}", String::from_utf8_lossy(&seen), self.stderr())
                }
            }
        }
    }

    /// Waits until this was said beside it.
    #[track_caller]
    fn says(&mut self, words: &str) {
        let until = Instant::now() + LIMIT;
        while !self.said.contains(words) {
            let line = self.stderr.recv_timeout(until.saturating_duration_since(Instant::now()));
            self.said += &line.unwrap_or_else(|error| panic!("{words:?}: {error}; {}", self.said));
            self.said.push('\n');
        }
    }

    fn stderr(&self) -> String {
        self.said.clone() + &self.stderr.try_iter().collect::<Vec<_>>().join("\n")
    }

    fn types(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).unwrap();
        self.stdin.flush().unwrap();
    }

    /// Ctrl-C.
    fn interrupts(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    fn ends(mut self, code: i32, words: &str) {
        self.says(words);
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{}", self.said);
    }
}

/// Waits until the fleet has nothing on its Docker host.
async fn no_container(fleet: &Fleet) {
    eventually("its sandbox is gone", LIMIT, async || {
        fleet.host.leftovers().await.unwrap().is_empty().then_some(())
    })
    .await;
}
