//! Every format in and out, with the real dumps: a dump is the same database whatever it is packed as.

use std::{fs, process::Command};

use serde_json::Value;
use uplift_core::{
    Format,
    event::{Event, Files, Restored},
    pack::{Detect, Probes},
    plan::{Dump, Plan},
};

use crate::{
    cluster::{Cluster, binaries, succeeded},
    engine::{Run, dump_as, engine, input, prove, prove_with, restore},
    odoo::{data, probes},
};

/// Recognises the Tryton database.
fn tryton() -> Probes {
    Probes {
        product: "tryton".into(),
        detect: Detect {
            requires: vec!["ir_module".into()],
            version: "SELECT '6.0'".into(),
            identity: None,
            modules: None,
        },
        reconcile: Vec::new(),
        preflight: Vec::new(),
        manifest: None,
    }
}

fn restored(run: &Run) -> &Restored {
    run.done();
    run.find(|event| if let Event::Restored(restored) = event { Some(restored) } else { None })
}

#[test]
fn an_archive_is_restored_as_pg_restore_restores_it() {
    let cluster = Cluster::start();
    let file = data("tryton60.dump");
    let dump = fs::read(&file).unwrap();
    let run = restore(&cluster, &dump, vec![tryton()]);
    assert_eq!(run.done().0.bytes, dump.len() as u64);
    let left_out: Vec<&str> = restored(&run).left_out.iter().map(|left| left.what.as_str()).collect();
    assert!(
        left_out.iter().all(|what| ["owners", "privileges", "comments on extensions"].contains(what)),
        "{left_out:?}"
    );

    cluster.create_database("plain");
    let output = Command::new(binaries().join("pg_restore"))
        .args(["--no-owner", "--no-privileges", "--exit-on-error", "--username=bootstrap", "--dbname=plain"])
        .arg("--host")
        .arg(cluster.socket())
        .arg(&file)
        .output()
        .unwrap();
    succeeded(&output);
    assert!(cluster.dump("work") == cluster.dump("plain"), "the two restores differ");

    let result = engine(Some(&cluster), &Plan::Dump(dump_as(Format::Custom)), b"");
    prove(&cluster, &result.stdout).done();
}

#[test]
fn an_archive_that_is_cut_or_damaged_is_refused() {
    let cluster = Cluster::start();
    let dump = fs::read(data("tryton60.dump")).unwrap();
    for length in [200, 50_000, dump.len() / 2, dump.len() - 1000] {
        let run = restore(&cluster, &dump[..length], vec![tryton()]);
        let said = &run.rejection().message;
        assert!(
            said.contains("cannot be read to its end: could not read from input file"),
            "{length}: {said}"
        );
    }
    let mut damaged = dump;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 200].fill(0x55);
    let run = restore(&cluster, &damaged, vec![tryton()]);
    assert!(run.rejection().message.contains("truncated or damaged"), "{:?}", run.rejection());
}

#[test]
fn a_backup_of_odoo_comes_back_with_its_filestore() {
    let cluster = Cluster::start();
    let backup = fs::read(data("odoo17-demo.zip")).unwrap();
    let run = restore(&cluster, &backup, vec![probes()]);
    let files = restored(&run).files.clone().unwrap();
    assert_eq!(files.count, 1208);

    let manifest = "SELECT 'db_name', '\"new\"'::json UNION ALL SELECT 'added', json_build_object('a', 1)";
    let plan = Dump { backup: Some(input(&backup)), manifest: Some(manifest.into()), ..dump_as(Format::Zip) };
    let run = engine(Some(&cluster), &Plan::Dump(plan), &backup);
    let (read, wrote) = run.done();
    assert_eq!((read.bytes, wrote.bytes), (backup.len() as u64, run.stdout.len() as u64));
    prove_with(&cluster, &run.stdout, Some(files)).done();
    let missing = prove_with(&cluster, &run.stdout, Some(Files::none()));
    assert_eq!(missing.code, 66, "a filestore that is not what came in goes unnoticed");

    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("result.zip");
    fs::write(&result, &run.stdout).unwrap();
    let compared =
        Command::new("python3").args(["-c", COMPARE]).arg(data("odoo17-demo.zip")).arg(&result).output();
    let compared = compared.unwrap();
    succeeded(&compared);
    let manifest: Value = serde_json::from_slice(&compared.stdout).unwrap();
    assert_eq!(manifest["db_name"], "new");
    assert_eq!(manifest["added"]["a"], 1);
    assert_eq!(manifest["odoo_dump"], "1", "what the query does not name stays");
}

/// Holds the files of two backups against each other, and gives the second one's manifest.
const COMPARE: &str = "
import sys, zipfile
before, after = (zipfile.ZipFile(name) for name in sys.argv[1:])
assert after.testzip() is None
own = {'dump.sql', 'manifest.json'}
names = [[i.filename for i in z.infolist() if i.filename not in own] for z in (before, after)]
assert names[0] == names[1] and len(names[0]) > 1000
for name in names[0]:
    a, b = before.getinfo(name), after.getinfo(name)
    assert (a.date_time, a.external_attr, a.compress_type) == (b.date_time, b.external_attr, b.compress_type)
    assert before.read(name) == after.read(name)
assert b'PostgreSQL database dump complete' in after.read('dump.sql')[-200:]
print(after.read('manifest.json').decode())
";
