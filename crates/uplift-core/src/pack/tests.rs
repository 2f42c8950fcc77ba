use super::{Dialect, Files, Pack, Severity, Step};
use crate::{PackDigest, plan::Action};

const MINIMAL: &str = r#"
product = "sample"
title = "Sample ERP"
targets = ["2.0", "3.0"]

[detect]
version = "SELECT '1.0'"

[[hop]]
from = "1.0"
to = "2.0"

[[hop.step]]
name = "split"
sql = "split.sql"

[[hop]]
from = "2.0"
to = "3.0"

[[reconcile]]
name = "balance"
title = "Balance"
compare = "equal"
[reconcile.queries]
"1.0" = "SELECT 'a', 1"
"3.0" = { file = "split.sql" }
"#;

fn files(manifest: &str) -> Files {
    Files::from([("pack.toml".into(), manifest.into()), ("split.sql".into(), b"SELECT 3".to_vec())])
}

fn error(manifest: &str) -> String {
    Pack::from_files(files(manifest)).unwrap_err().to_string()
}

#[test]
fn the_path_is_the_shortest_chain() {
    let pack = Pack::from_files(files(MINIMAL)).unwrap();
    let version = |text: &str| text.parse().unwrap();
    let path = pack.path(&version("1.0"), &version("3.0")).unwrap();
    assert_eq!(path.len(), 2);
    let Step::Engine(first) = &path[0].steps[0] else { panic!("{:?}", path[0]) };
    assert_eq!((first.id.as_str(), first.script.text.as_str()), ("1.0-2.0/split", "SELECT 3"));
    let Step::Engine(last) = &path[0].steps[1] else { panic!("{:?}", path[0]) };
    assert_eq!(
        (last.id.as_str(), &last.action),
        ("1.0-2.0/arrived", &Action::Arrive { version: version("2.0") })
    );
    assert_eq!(last.script.text, "SELECT '1.0'");
    assert!(pack.path(&version("3.0"), &version("3.0")).unwrap().is_empty());
    assert!(pack.path(&version("3.0"), &version("2.0")).is_none());
    assert!(pack.path(&version("0.9"), &version("3.0")).is_none());

    let shortcut = MINIMAL.replace("[[reconcile]]", "[[hop]]\nfrom = \"1.0\"\nto = \"3.0\"\n\n[[reconcile]]");
    let pack = Pack::from_files(files(&shortcut)).unwrap();
    assert_eq!(pack.path(&version("1.0"), &version("3.0")).unwrap().len(), 1);
    assert_eq!(pack.supported().len(), 3);
}

#[test]
fn a_reconcile_query_holds_from_its_version_on() {
    let probes = Pack::from_files(files(MINIMAL)).unwrap().probes();
    let query = |version: &str| {
        probes.reconcile_at(&version.parse().unwrap()).into_iter().next().map(|reconcile| reconcile.query)
    };
    assert_eq!(query("0.9"), None);
    assert_eq!(query("2.0").unwrap(), "SELECT 'a', 1");
    assert_eq!(query("3.0").unwrap(), "SELECT 3");
}

#[test]
fn errors_name_file_line_and_field() {
    assert_eq!(
        error(&MINIMAL.replace("sql = \"split.sql\"", "sql = \"gone.sql\"")),
        "pack.toml:15: sql: the pack holds no file `gone.sql`"
    );
    assert_eq!(error(&MINIMAL.replace("\"3.0\"]", "\"4.0\"]")), "pack.toml:4: targets: no hop leads to 4.0");
    let unknown = error(&MINIMAL.replacen("title =", "titel =", 1));
    assert!(unknown.starts_with("pack.toml:3: unknown field `titel`"), "{unknown}");
    let version = error(&MINIMAL.replace("from = \"1.0\"", "from = \"one\""));
    assert!(version.starts_with("pack.toml:10: `one` is not a version"), "{version}");
    let both = error(&MINIMAL.replace("sql = \"split.sql\"", "sql = \"split.sql\"\ncheck = \"split.sql\""));
    assert!(both.starts_with("pack.toml:13: step `split`: write one of"), "{both}");
    let named = error(&MINIMAL.replace("name = \"split\"", "name = \"arrived\""));
    assert!(named.contains("or one of our own, is named `arrived`"), "{named}");
    let hop = error(&format!(
        "{MINIMAL}\n[[preflight]]\nname = \"x\"\nquery = \"SELECT\"\nmeaning = \"y\"\nhop = \"1.0-3.0\""
    ));
    assert_eq!(hop, "pack.toml:33: hop: the pack has no hop `1.0-3.0`: write it as 1.0-2.0");
    let none = Pack::from_files(Files::new()).unwrap_err().to_string();
    assert!(none.starts_with("pack.toml:1: there is no pack.toml"), "{none}");
}

const RUN: &str = r#"
[hop.step.run]
image = "tryton:{target}"
command = ["trytond-admin", "--to", "{target}"]
log = "tryton"
fatal = ["error"]
tolerate = ["logo$"]
env = { LANG = "C" }
"#;

fn with_run(run: &str) -> String {
    MINIMAL.replace("sql = \"split.sql\"", run)
}

#[test]
fn a_run_is_read_with_what_stands_for_the_target_filled_in() {
    let pack = Pack::from_files(files(&with_run(RUN))).unwrap();
    let path = pack.path(&"1.0".parse().unwrap(), &"3.0".parse().unwrap()).unwrap();
    let Step::Run(run) = &path[0].steps[0] else { panic!("{:?}", path[0]) };
    assert_eq!((run.id.as_str(), run.image.as_str()), ("1.0-2.0/split", "tryton:2.0"));
    assert_eq!(run.command, ["trytond-admin", "--to", "2.0"]);
    assert_eq!((run.log, &run.fatal[..]), (Dialect::Tryton, &[Severity::Error][..]));
    assert!(run.checkpoint && !run.filestore);
    assert_eq!(pack.custom(&"2.0".parse().unwrap()), None);

    let custom = format!(
        "{MINIMAL}\n[[custom.step]]\nname = \"own\"\ncheckpoint = false\n{}",
        RUN.replace("hop", "custom")
    );
    let steps = Pack::from_files(files(&custom)).unwrap().custom(&"3.0".parse().unwrap()).unwrap();
    let ids: Vec<_> = steps.iter().map(Step::id).collect();
    assert_eq!(ids, ["custom/own", "custom/arrived"]);
    assert!(matches!(&steps[0], Step::Run(run) if run.image == "tryton:3.0" && !run.checkpoint));
}

#[test]
fn a_run_that_cannot_be_is_refused() {
    for (from, to, words) in [
        ("tryton:{target}", "a b", "pack.toml:16: image: `a b` is not the name of an image"),
        ("[\"trytond-admin\", \"--to\", \"{target}\"]", "[]", "pack.toml:16: command: there is none"),
        ("logo$", "(", "pack.toml:16: tolerate: `(`: "),
        ("LANG", "PGHOST", "pack.toml:16: env: `PGHOST` is not the name of a variable, or one of our own"),
        ("\"error\"", "\"bad\"", "pack.toml:20: unknown variant `bad`"),
    ] {
        let error = error(&with_run(&RUN.replace(from, to)));
        assert!(error.starts_with(words), "{error}");
    }
    let sql = error(&MINIMAL.replace("sql = \"split.sql\"", "sql = \"split.sql\"\ncheckpoint = true"));
    assert!(sql.contains("`checkpoint` belongs to a `run`"), "{sql}");
}

#[test]
fn an_archive_reads_back_and_has_one_digest() {
    let pack = Pack::from_files(files(MINIMAL)).unwrap();
    let archive = pack.archive().unwrap();
    let again = Pack::from_archive(&archive).unwrap();
    assert_eq!(PackDigest::of(&archive), PackDigest::of(&again.archive().unwrap()));
    assert!(Pack::from_archive(&archive[..700]).is_err());
}

#[test]
fn an_archive_with_anything_but_plain_files_is_refused() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "pack.toml", "/etc/passwd").unwrap();
    let error = Pack::from_archive(&tar.into_inner().unwrap()).unwrap_err().to_string();
    assert!(error.contains("`pack.toml` is not a plain file"), "{error}");
}
