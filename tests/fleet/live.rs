//! From a database to its upgraded duplicate by one command, on a machine that has nothing but Postgres' programs and Python.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use sqlx::Connection as _;
use uplift_core::{RequestId, key, request::StateCode};
use uplift_platform::{ledger::Filter, objects::UploadId};
use uplift_tests::{
    SOON, compare, data, eventually,
    fleet::{Fleet, Options},
    packs,
    postgres::{Database, tool},
    process::binary,
    proxy::{Fault, Proxy, Rule, Way},
    repository,
    services::{Services, variable},
};
use url::Url;

use crate::dumps;

/// A customer's machine: a home of its own, and what finds the Postgres.
struct Machine {
    home: PathBuf,
    settings: Vec<(String, String)>,
}

impl Machine {
    fn new(fleet: &Fleet) -> Self {
        let home = fleet.file("home");
        fs::create_dir(&home).unwrap();
        let server: Url = variable("UPLIFT_TEST_LEDGER_URL").parse().unwrap();
        let tools = tool("psql").parent().unwrap().to_owned();
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let settings = [
            ("HOME", home.to_str().unwrap()),
            ("PATH", &path),
            ("PGHOST", server.host_str().unwrap()),
            ("PGPORT", &server.port().unwrap().to_string()),
            ("PGUSER", server.username()),
            ("PGPASSWORD", server.password().unwrap()),
            ("UPLIFT_TOKEN", fleet.token()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { home, settings: settings.to_vec() }
    }

    /// A command of its shell.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", line]).env_clear().envs(self.settings.clone()).current_dir(&self.home);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The command line, where it is installed.
    fn uplift(&self, fleet: &Fleet, arguments: &[&str]) -> Command {
        let mut command = self.shell("exec \"$0\" \"$@\"");
        command.arg(binary("uplift")).args(arguments).env("UPLIFT_SERVER", fleet.server());
        command
    }

    fn run(&self, fleet: &Fleet, arguments: &[&str]) -> Output {
        self.uplift(fleet, arguments).output().unwrap()
    }

    /// What is kept between commands.
    fn kept(&self) -> Vec<PathBuf> {
        let state = fs::read_dir(self.home.join(".local/state/uplift")).unwrap();
        state.map(|entry| entry.unwrap().path()).collect()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn field<'a>(said: &'a str, name: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no line `{name}` in:\n{said}")).trim()
}

/// The database that was restored.
fn restored(said: &str) -> Database {
    Database::named(field(said, "restored as"))
}

#[tokio::test]
async fn one_command_upgrades_the_database_beside_itself() {
    let clients = format!(
        "clients = {{ {}-{} = {:?} }}",
        std::env::consts::OS,
        std::env::consts::ARCH,
        binary("uplift")
    );
    let fleet = Fleet::with(Options { dispatcher: clients, ..Options::default() }).await;
    let pack = fleet.file("odoo-test");
    packs::odoo_test(&pack);
    fleet.push_pack(&pack);
    let machine = Machine::new(&fleet);
    let shop = Database::create("shop").await;
    shop.restore(&data("odoo17-demo.sql.gz"));
    let name = shop.name.as_str();
    let filestore = machine.home.join(".local/share/Odoo/filestore");
    fs::create_dir_all(filestore.join(name).join("ab")).unwrap();
    fs::write(filestore.join(name).join("ab/abcd"), "attachment").unwrap();
    let before = shop.value("SELECT count(*) FROM pg_class").await;

    // What is known before anything is sent.
    let checked = machine.run(&fleet, &["check", "-d", name, "-t", "17.1"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
    let said = text(&checked);
    assert_eq!((field(&said, "product"), field(&said, "way")), ("Odoo 17.0", "17.1"), "{said}");
    assert!(field(&said, "custom modules").starts_with("none"), "{said}");
    let checked = machine.run(&fleet, &["check", "-d", name, "-t", "99.0", "--json"]);
    assert_eq!(checked.status.code(), Some(10), "{}", text(&checked));
    let found: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(found["refusal"].as_str().unwrap().contains("there is no way from"), "{found}");
    assert!(fleet.ledger.requests(&Filter::default()).await.unwrap().is_empty());

    // Word for word what a customer is told to type.
    let production = machine.run(&fleet, &["production", "-d", name, "-t", "17.1"]);
    assert_eq!(production.status.code(), Some(1), "{}", text(&production));
    assert!(text(&production).contains("accept"), "{}", text(&production));
    let line = format!("python3 <(curl -s {}/upgrade) test -d {name} -t 17.1", fleet.server());
    let ran = machine.shell(&line).output().unwrap();
    let said = text(&ran);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    let test: RequestId = field(&said, "request").parse().unwrap();
    let duplicate = restored(&said);
    assert!(duplicate.name.contains("_test_17.1_"), "{}", duplicate.name);
    assert_eq!(duplicate.value("SELECT count(*) FROM res_partner_address").await, "45");
    assert_eq!(
        duplicate.value("SELECT count(*) FROM ir_cron WHERE active").await,
        "0",
        "a test is neutralized"
    );
    assert_eq!(fs::read(filestore.join(&duplicate.name).join("ab/abcd")).unwrap(), b"attachment");
    assert_eq!(
        shop.value("SELECT count(*) FROM pg_class").await,
        before,
        "the database itself stays as it was"
    );
    assert!(
        machine.kept().iter().all(|path| path.extension().is_some_and(|end| end == "json")),
        "no dump stays"
    );

    // From a name that is there, nothing is taken.
    let again = machine.run(&fleet, &["restore", "-t", &test.to_string(), "-d", name, "-r", name]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
    assert!(
        text(&again).contains("already exists") && text(&again).contains("nothing was changed"),
        "{}",
        text(&again)
    );
    assert_eq!(shop.value("SELECT count(*) FROM pg_class").await, before);

    // How long the next one takes is known by this one.
    let checked = machine.run(&fleet, &["check", "-d", name, "-t", "17.1"]);
    assert!(field(&text(&checked), "takes").contains("by 1 upgrade of this database"), "{}", text(&checked));

    fleet.must(&["accept", &test.to_string()]);
    let production = machine
        .run(&fleet, &["production", "-d", name, "-t", "17.1", "-r", &format!("{name}_new"), "-j", "2"]);
    let said = text(&production);
    assert_eq!(production.status.code(), Some(0), "{said}");
    let upgraded = restored(&said);
    let by_hand = shop.copy().await;
    for file in packs::steps(&pack, "17.0", "17.1") {
        by_hand.psql_file(&file, &[]);
    }
    compare::assert_same(&by_hand, &upgraded).await;
    for database in [shop, duplicate, upgraded, by_hand] {
        database.remove().await;
    }
    fleet.stop().await;
}

#[tokio::test]
async fn what_was_interrupted_goes_on() {
    let fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    let mut fleet = fleet;
    let machine = Machine::new(&fleet);
    let shop = dumps::sample().await;
    let name = shop.name.as_str();
    let words = ["test", "-d", name, "-t", "3.0", "--format", "plain"];

    // While it dumps: pg_dump waits for a table.
    let mut connection = shop.connect().await;
    let mut lock = connection.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE erp_meta IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let dumping = machine.uplift(&fleet, &words).spawn().unwrap();
    let first = newest(&fleet, 1).await;
    eventually("pg_dump waits for the table", SOON, async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'pg_dump' AND wait_event_type = 'Lock'";
        (shop.value(waiting).await == "1").then_some(())
    })
    .await;
    let output = interrupt(dumping);
    lock.rollback().await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(text(&output).contains("interrupted while dumping"), "{}", text(&output));

    // Made anew, and left while it is watched.
    let mut watching = machine.uplift(&fleet, &words).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(watching.stderr.take().unwrap());
    while !said.contains("queued: it begins as soon as a worker is free") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    let second = newest(&fleet, 2).await;
    let output = interrupt(watching);
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("so it is made anew"), "{said}");
    assert!(said.contains(&format!("Come back with: uplift test -d {name} -t 3.0")), "{said}");
    assert_eq!(fleet.request(first).await.state.code(), StateCode::Cancelled);

    // The same command again is the same request.
    fleet.add_worker();
    let output = machine.run(&fleet, &words);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("request {second} goes on where it was")), "{said}");
    let duplicate = restored(&said);
    assert_eq!(duplicate.value("SELECT value FROM erp_meta WHERE key = 'version'").await, "3.0");
    // And once that is done, it is a new one.
    let output = machine.run(&fleet, &[&words[..], &["-x"]].concat());
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_ne!(field(&said, "request"), second.to_string());
    assert!(
        fs::read_dir(&machine.home)
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_str().unwrap().ends_with("-3.0.sql") })
    );
    duplicate.remove().await;
    shop.remove().await;
    fleet.stop().await;
}

/// Killed when three of five parts are there, the dump is whole by then; the same command sends the other two.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_killed_sends_only_the_rest() {
    let store = Proxy::tcp(Services::s3_address()).await;
    let services = Services { public_s3: store.url(), ..Services::real() };
    let fleet = Fleet::with(Options { services, ..Options::default() }).await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    let machine = Machine::new(&fleet);
    let shop = dumps::sample().await;
    // What does not get smaller by being packed: 64 MiB and a little.
    shop.psql_command(
        "CREATE TABLE ballast AS SELECT i, decode(string_agg(md5(random()::text), ''), 'hex') AS noise
         FROM generate_series(1, 66) AS i, generate_series(1, 65536) GROUP BY i",
    );
    let words = ["test", "-d", &shop.name, "-t", "3.0", "-x"];
    let held = [4, 5]
        .map(|part| store.add(Rule::after(Way::Requests, 0, Fault::Stall).on(format!("partNumber={part}&"))));
    let mut sending = machine.uplift(&fleet, &words).spawn().unwrap();
    eventually("both last parts are on their way", SOON, async || {
        held.iter().all(|held| held.happened() > 0).then_some(())
    })
    .await;
    let request = newest(&fleet, 1).await;
    let id = UploadId(fleet.request(request).await.upload_id.expect("an upload"));
    eventually("the other parts are there", SOON, async || {
        let parts = fleet.objects.uploaded_parts(&key::source(request), &id).await.unwrap();
        (parts.len() == 3).then_some(())
    })
    .await;
    sending.kill().unwrap();
    sending.wait().unwrap();
    held.iter().for_each(|held| held.release());
    let again = [1, 2, 3]
        .map(|part| store.add(Rule::after(Way::Requests, 0, Fault::Cut).on(format!("partNumber={part}&"))));
    let output = machine.run(&fleet, &words);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("request {request} goes on where it was")), "{said}");
    assert!(said.contains("50.3 MB are there already"), "{said}");
    assert!(again.iter().all(|again| again.happened() == 0), "a part that was there was sent again");
    shop.remove().await;
    fleet.stop().await;
}

/// The newest request, once there are so many.
async fn newest(fleet: &Fleet, count: usize) -> RequestId {
    eventually("a request is there", SOON, async || {
        let requests = fleet.ledger.requests(&Filter::default()).await.unwrap();
        (requests.len() == count).then(|| requests[0].id)
    })
    .await
}

/// Ctrl-C.
fn interrupt(child: std::process::Child) -> Output {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait_with_output().unwrap()
}
