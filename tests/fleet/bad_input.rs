//! What customers hand in by mistake or on purpose: each is refused with a word of what to do, and leaves nothing.

use std::fmt::Write as _;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;
use uplift_core::Purpose;
use uplift_tests::{
    data,
    fleet::{Fleet, Options},
    postgres::Database,
    repository,
    request::HandedIn,
};

use crate::{dumps, http};

/// Enough for every good dump of this file, and too little for a bomb.
const MAX_EXPANDED: usize = 32 << 20;

/// pg_dump writes it last.
const CLOSING: &str = "--\n-- PostgreSQL database dump complete\n--\n";

/// Stands for what no platform log may hold.
const ROW: &str = "row-4711-of-a-customer";

/// Something to hand in, and what the answer has to say.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    target: &'static str,
    says: Vec<String>,
    /// What the answer has to name, where it names a statement.
    statement: Option<&'static str>,
}

impl Case {
    fn new(name: &'static str, bytes: impl Into<Vec<u8>>, says: &str) -> Self {
        Self { name, bytes: bytes.into(), target: "3.0", says: vec![says.to_owned()], statement: None }
    }

    fn target(self, target: &'static str) -> Self {
        Self { target, ..self }
    }

    fn and(mut self, says: impl Into<String>) -> Self {
        self.says.push(says.into());
        self
    }
}

#[tokio::test]
async fn bad_input_is_rejected_with_what_to_do() {
    let worker = format!("slots = 2\nmax_expanded_bytes = {MAX_EXPANDED}\n");
    let fleet = Fleet::with(Options { worker, ..Options::default() }).await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    fleet.ledger.set_max_running("acme", 100).await.unwrap();
    an_empty_file_is_not_even_sent(&fleet).await;

    let good = good_dump(&fleet).await;
    let mut cases = not_dumps(&good);
    cases.extend(cut(&good));
    cases.extend(code(&good));
    cases.extend(bombs(&good));
    cases.extend(zips(&good));
    cases.extend(foreign(&fleet, &good).await);

    let mut requests = JoinSet::new();
    let fleet = std::sync::Arc::new(fleet);
    for case in cases {
        let fleet = std::sync::Arc::clone(&fleet);
        requests.spawn(async move {
            let dump = dumps::file(&fleet, case.name, &case.bytes);
            let handed_in = fleet.hand_in(Purpose::Test, &dump, case.target, case.name).await;
            (case, handed_in)
        });
    }
    let mut wrong = String::new();
    while let Some(done) = requests.join_next().await {
        let (case, handed_in) = done.unwrap();
        check(&case, &handed_in, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(
        fleet.database.value("SELECT count(*) FROM attempts WHERE epoch > 1").await,
        "0",
        "tried again"
    );
    // What a dump makes Postgres say is its customer's to read.
    let processes = fleet.workers.iter().chain([&fleet.dispatcher]);
    let logs: Vec<String> = processes.map(uplift_tests::process::Process::log).collect();
    assert!(logs.iter().all(|log| !log.is_empty() && !log.contains(ROW)), "a platform log holds a row");
    std::sync::Arc::into_inner(fleet).expect("every request has ended").stop().await;
}

fn check(case: &Case, handed_in: &HandedIn, wrong: &mut String) {
    let message = handed_in.message();
    let said = case.says.iter().all(|says| message.contains(says));
    let rejected = handed_in.code == Some(10) && handed_in.request["state"] == "rejected";
    if !said || !rejected {
        writeln!(wrong, "{}: {:?}, {message}\n  wanted: {:?}", case.name, handed_in.code, case.says).unwrap();
    }
    let statement = handed_in.failure()["statement"].as_str();
    if statement != case.statement {
        writeln!(wrong, "{}: the statement is {statement:?}, not {:?}", case.name, case.statement).unwrap();
    }
}

async fn an_empty_file_is_not_even_sent(fleet: &Fleet) {
    let empty = dumps::file(fleet, "empty.sql", b"");
    let refused = fleet.hand_in(Purpose::Test, &empty, "3.0", "empty").await;
    assert_eq!(refused.code, Some(10), "{refused:?}");
    assert!(refused.message().contains("is empty: did the dump fail? Make it again"), "{refused:?}");

    // Nor does the API take it from a program that tries.
    let body = json!({"database": "empty", "purpose": "test", "target": "3.0", "file_name": "x", "bytes": 0});
    let (status, problem) =
        http::call(fleet, fleet.token(), Method::POST, "requests", &body.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem.contains("empty"), "{problem}");
    assert_eq!(fleet.database.value("SELECT count(*) FROM requests").await, "0");
}

/// A dump that would go through, and has a customer's trouble in it.
async fn good_dump(fleet: &Fleet) -> String {
    let database = dumps::sample().await;
    let text = dumps::text(fleet, &database);
    database.remove().await;
    assert!(text.contains(CLOSING), "pg_dump ends otherwise by now");
    text
}

fn not_dumps(good: &str) -> Vec<Case> {
    let no_dump = "This is not a dump that pg_dump wrote";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    let file = |name| std::fs::read(data(name)).unwrap();
    vec![
        Case::new("a-letter", "Dear all,\nplease upgrade our shop.\n", no_dump),
        Case::new("noise", noise.take(200_000).collect::<Vec<_>>(), no_dump),
        Case::new("gzipped-letter", dumps::gzip(b"Dear all,\n"), no_dump),
        Case::new("gzipped-nothing", dumps::gzip(b""), "The gzip file is empty inside"),
        Case::new("tar-format", tar_format(good), "pg_dump's tar format").and("`pg_dump --format=custom`"),
        Case::new("tar", tar(), "This is a tar archive").and("Upload the dump that is in it"),
        Case::new("gzipped-tar", dumps::gzip(&tar()), "This is a tar archive"),
        Case::new(
            "gzipped-custom-format",
            dumps::gzip(&file("tryton60.dump")),
            "custom file that is packed once more",
        ),
        Case::new("bzip2", "BZh91AY&SY", "This is packed with bzip2"),
        Case::new(
            "cluster",
            format!("--\n-- PostgreSQL database cluster dump\n--\n{good}"),
            "This is a dump of a whole cluster, by pg_dumpall",
        ),
    ]
}

fn cut(good: &str) -> Vec<Case> {
    let truncated = "The dump is truncated";
    let packed = dumps::gzip(good.as_bytes());
    let mut damaged = packed.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    // Larger than what is looked at first, so that the cut is found in the midst of restoring.
    let odoo = std::fs::read(data("odoo17-demo.sql.gz")).unwrap();
    let custom = std::fs::read(data("tryton60.dump")).unwrap();
    let without_end = good.strip_suffix(&good[good.find(CLOSING).unwrap()..]).unwrap();
    let statement = good.find("ALTER TABLE ONLY").unwrap();
    let row = good.find("FROM stdin;\n").unwrap() + 20;
    vec![
        Case::new("gzip-cut", &packed[..packed.len() / 2], "the gzip file is truncated"),
        Case::new("gzip-cut-late", &odoo[..1_900_000], "the gzip file is truncated"),
        Case::new("gzip-damaged", damaged, "the gzip file is damaged").and("`gzip -t`"),
        Case::new(
            "custom-cut",
            &custom[..custom.len() / 2],
            "cannot be read to its end: could not read from input file",
        )
        .and("dump again, and upload the whole file"),
        Case::new("custom-cut-in-its-head", &custom[..60], "The dump is truncated"),
        Case::new("no-closing-line", without_end, truncated).and("it does not end with the line"),
        Case::new("cut-statement", &good[..statement + 12], truncated).and("in the middle of"),
        Case::new("cut-rows", &good[..row], truncated).and("in the middle of"),
    ]
}

/// Statements and commands that do not run, each in the last line of a dump that is good otherwise.
fn code(good: &str) -> Vec<Case> {
    let psql = "A command of psql stands here, and none is run";
    let (before, after) = good.split_at(good.find(CLOSING).unwrap());
    let before = format!("{before}CREATE TABLE public.evil (id integer);\n");
    let line = format!("(line {} of the dump)", before.lines().count() + 1);
    [
        ("shell", "\\! echo evil", psql),
        ("copy-file", "\\copy public.evil from '/etc/passwd'", psql),
        ("output", "\\o |evil", psql),
        ("program", "COPY public.evil FROM PROGRAM 'evil';", "COPY with a program is not run"),
        ("program-out", "COPY public.evil TO PROGRAM 'evil';", "A COPY that writes has no place in a dump"),
        ("server-file", "COPY public.evil FROM '/etc/passwd';", "COPY with a file of the server is not run"),
        ("role", "CREATE ROLE evil SUPERUSER;", "This is a statement of pg_dumpall"),
        ("library", "LOAD 'evil';", "LOAD is not run"),
        ("reading", "SELECT pg_read_file('/etc/passwd');", "permission denied for function pg_read_file"),
        ("no-table", "INSERT INTO public.none VALUES (1);", "relation \"public.none\" does not exist"),
        (
            "bad-row",
            "COPY public.evil (id) FROM stdin;\n1\nno number\n\\.\n",
            "invalid input syntax for type integer: \"no number\". COPY evil, line 2, column id",
        ),
        ("a-bad-value", "SELECT 'row-4711-of-a-customer'::integer;", ROW),
        (
            "a-raised-row",
            "DO $$ BEGIN RAISE EXCEPTION 'row-4711-of-a-customer' USING ERRCODE = '58030'; END $$;",
            ROW,
        ),
    ]
    .into_iter()
    .map(|(name, evil, says)| {
        let case = Case::new(name, format!("{before}{evil}\n{after}"), says).and(&line);
        Case { statement: evil.lines().next(), ..case }
    })
    .collect()
}

fn bombs(good: &str) -> Vec<Case> {
    let too_large = format!("the dump is larger than {MAX_EXPANDED} bytes after decompression");
    let head = &good[..good.find("\nCREATE TABLE").unwrap()];
    // A gzip file may consist of many, one behind the other.
    let filled = |begin: &str, line: &str| {
        let mut packed = dumps::gzip(format!("{head}\n{begin}").as_bytes());
        let piece = line.repeat((1 << 20) / line.len());
        packed.extend(dumps::gzip(piece.as_bytes()).repeat(2 * MAX_EXPANDED / piece.len()));
        assert!(packed.len() < MAX_EXPANDED / 20, "a bomb is small: {}", packed.len());
        packed
    };
    let rows = filled("CREATE TABLE public.t (x text);\nCOPY public.t (x) FROM stdin;\n", "0123456789\n");
    vec![
        Case::new("bomb-of-comments", filled("", "-- boom\n"), &too_large),
        Case::new("bomb-of-rows", rows, &too_large),
        Case::new("bomb-of-one-string", filled("SELECT '", "boom "), &too_large),
    ]
}

/// Zips that are not what a backup is, made by Python's library as Odoo makes them, or spoiled afterwards.
fn zips(good: &str) -> Vec<Case> {
    let zip = |entries: &str| dumps::zip(good, entries);
    let mut lying = zip("z.writestr('filestore/ab/abc', b'abc' * 100)");
    let entry = lying.windows(16).rposition(|bytes| bytes == b"filestore/ab/abc").unwrap();
    let length = lying[..entry].windows(16).rposition(|bytes| bytes == b"filestore/ab/abc").unwrap() - 8;
    lying[length] ^= 1;
    let whole = zip("");
    let bomb = zip("z.writestr('filestore/ab/abc', b'0' * (64 << 20))");
    vec![
        Case::new("zip-without-dump", dumps::zip_of("z.writestr('a', 'b')"), "The zip holds no `dump.sql`"),
        Case::new("zip-with-a-way-out", zip("z.writestr('../../evil', 'x')"), "not taken: `../../evil`"),
        Case::new("zip-with-a-link", zip(LINK), "a symbolic link, `filestore/ab/link`"),
        Case::new(
            "zip-that-lies",
            lying,
            "the length of the entry `filestore/ab/abc` is not what the zip says",
        ),
        Case::new("zip-cut", &whole[..whole.len() - 30], "The zip is truncated"),
        Case::new("zip-bomb", bomb, "more than 33554432 bytes when unpacked"),
        Case::new(
            "zip-of-a-letter",
            dumps::zip_of("z.writestr('dump.sql', 'Dear all')"),
            "not a dump that pg_dump wrote",
        ),
        Case::new("empty-zip", dumps::zip_of("pass"), "This is an empty zip"),
    ]
}

const LINK: &str = "i = zipfile.ZipInfo('filestore/ab/link')
i.external_attr = 0o120777 << 16
z.writestr(i, '/etc/passwd')";

/// A dump of `pg_dump --format=tar` begins with its table of contents.
fn tar_format(good: &str) -> Vec<u8> {
    [b"toc.dat".as_slice(), &[0; 505], good.as_bytes()].concat()
}

fn tar() -> Vec<u8> {
    let output = std::process::Command::new("tar").args(["-c", "-C", "/etc", "hostname"]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

async fn foreign(fleet: &Fleet, good: &str) -> Vec<Case> {
    let shop = Database::create("foreign").await;
    shop.psql_command("CREATE TABLE basket (id integer PRIMARY KEY); INSERT INTO basket VALUES (1)");
    let foreign = dumps::text(fleet, &shop);
    shop.remove().await;

    let half = dumps::sample().await;
    half.psql_command("UPDATE erp_module SET state = 'installing'");
    let half_installed = dumps::text(fleet, &half);
    half.remove().await;

    let server = good.lines().find(|line| line.starts_with("-- Dumped from database version")).unwrap();
    let newer = good.replace(server, "-- Dumped from database version 99.1");
    vec![
        Case::new("foreign", foreign, "belongs to no product that is supported here. Supported: sample"),
        Case::new("newer-server", newer, "PostgreSQL 99, which is newer than what is supported"),
        Case::new("no-path", good, "there is no way from Sample ERP 1.0 to 9.0")
            .target("9.0")
            .and("supported upgrades of Sample ERP: 1.0 → 2.0, 1.0 → 3.0, 2.0 → 3.0"),
        Case::new("half-installed", half_installed, "A module's installation was interrupted")
            .and("This mends it: UPDATE erp_module SET state = 'installed'"),
    ]
}
