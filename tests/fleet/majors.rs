//! The Odoo dump as pg_dump 13, 15 and 17 write it, plain and in custom format, of a database that psql has restored: what the reader makes of
//! it is that very database again.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::Command,
};

use serde_json::json;
use uplift_core::Purpose;
use uplift_tests::{
    data,
    fleet::{Fleet, Options},
    major::Major,
    request::report,
};

/// Recognises an Odoo, and leaves a mark that is gone again before the dump.
const PACK: &str = r#"
product = "odoo"
title = "Odoo"
targets = ["17.1"]
neutralize = ["unmark.sql"]
[detect]
requires = ["public.ir_module_module"]
version = "SELECT CASE WHEN to_regclass('public.mark') IS NULL THEN '17.0' ELSE '17.1' END"
[[hop]]
from = "17.0"
to = "17.1"
[[hop.step]]
name = "mark"
sql = "mark.sql"
"#;

#[tokio::test]
async fn a_dump_of_each_major_is_restored_as_psql_restores_it() {
    let proving = Options { worker: "prove_tests = true\n".into(), ..Options::default() };
    let fleet = Fleet::with(proving).await;
    let folder = fleet.file("pack");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("pack.toml"), PACK).unwrap();
    std::fs::write(folder.join("mark.sql"), "CREATE TABLE mark (made boolean)").unwrap();
    std::fs::write(folder.join("unmark.sql"), "DROP TABLE mark").unwrap();
    fleet.push_pack(&folder);

    for major in [13, 15, 17] {
        let server = Major::start(major).await;
        server.create("source");
        server.restore("source", &data("odoo17-demo.sql.gz"));
        let plain = fleet.file(&format!("odoo{major}.sql"));
        server.dump("source", &plain);
        let source = lines(&plain);
        assert!(source.len() > 30_000, "there was next to nothing to compare");
        assert!(Command::new("gzip").arg(&plain).status().unwrap().success());
        let archive = fleet.file(&format!("odoo{major}.dump"));
        server.dump_custom("source", &archive);

        for dump in [plain.with_extension("sql.gz"), archive] {
            let database = dump.file_stem().unwrap().to_str().unwrap().replace(".sql", "");
            let request = fleet.submit(Purpose::Test, &dump, "17.1", &database);
            fleet.delivered(request).await;
            let downloads = fleet.download(request);
            let report = report(&downloads);
            assert_eq!((&report["postgres_major"], &report["restores_from"]), (&json!(major), &json!(major)));

            server.create("result");
            if report["formats"]["result"] == "custom" {
                server.restore_custom("result", &downloads.join(format!("{database}-17.1.dump")));
            } else {
                server.restore("result", &downloads.join(format!("{database}-17.1.sql.gz")));
            }
            let upgraded = fleet.file("result.sql");
            server.dump("result", &upgraded);
            let result = lines(&upgraded);
            if let Some((left, right)) = source.iter().zip(&result).find(|(left, right)| left != right) {
                panic!("{}: `{left}` became `{right}`", dump.display());
            }
            assert_eq!(source.len(), result.len());
        }
    }
    fleet.stop().await;
}

/// A dump's lines in one order: rows may come back in another one, and the key of `\restrict` is random.
fn lines(dump: &Path) -> Vec<String> {
    let lines = BufReader::new(std::fs::File::open(dump).unwrap()).lines().map(Result::unwrap);
    let mut lines: Vec<_> = lines.filter(|line| !line.contains("restrict ")).collect();
    lines.sort_unstable();
    lines
}
