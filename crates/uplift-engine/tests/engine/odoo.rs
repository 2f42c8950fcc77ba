//! The real dump: it restores as the tenant without an error, and to what psql makes of it.

use std::{fs, path::PathBuf, process::Stdio};

use uplift_core::{
    Format,
    event::Event,
    pack::{Detect, Probes},
    plan::{Plan, Restore},
};

use crate::{
    cluster::{Cluster, succeeded},
    engine::{MAX_EXPANDED, dump_as, engine, input, prove, target},
};

/// `UPLIFT_TEST_DATA`, or where the data lies beside the repository.
pub(crate) fn data(name: &str) -> PathBuf {
    let directory = std::env::var_os("UPLIFT_TEST_DATA").map(PathBuf::from);
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let file = directory.unwrap_or_else(|| beside.into()).join(name);
    assert!(file.exists(), "set UPLIFT_TEST_DATA to the directory that holds {name}");
    file
}

pub(crate) fn probes() -> Probes {
    let version =
        "SELECT substring(latest_version FROM '^\\d+\\.\\d+') FROM ir_module_module WHERE name = 'base';";
    Probes {
        product: "odoo".into(),
        detect: Detect {
            requires: vec!["ir_module_module".into()],
            version: version.into(),
            identity: Some("SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'".into()),
            modules: None,
        },
        reconcile: Vec::new(),
        preflight: Vec::new(),
        manifest: None,
    }
}

#[test]
fn the_odoo_dump_restores_dumps_and_proves() {
    let cluster = Cluster::start();
    let file = data("odoo17-demo.sql.gz");
    let dump = fs::read(&file).unwrap();
    let plan = Restore {
        input: input(&dump),
        max_expanded_bytes: MAX_EXPANDED,
        target: target(),
        packs: vec![probes()],
    };
    let run = engine(Some(&cluster), &Plan::Restore(plan), &dump);
    assert_eq!(run.done().0.bytes, dump.len() as u64);
    let detected =
        run.find(|event| if let Event::Detected(detected) = event { Some(detected) } else { None });
    assert_eq!((detected.product.as_str(), detected.version.as_str()), ("odoo", "17.0"));
    let tables = run.find(|event| if let Event::Tables { tables } = event { Some(tables) } else { None });
    assert_eq!(tables.len(), 631);
    assert!(tables.iter().any(|table| table.name == "public.res_partner" && table.rows > 40));

    cluster.create_database("plain");
    let mut unpack = std::process::Command::new("zcat").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    let text = unpack.stdout.take().unwrap();
    let psql = cluster.psql("plain").args(["-v", "ON_ERROR_STOP=1"]).stdin(text).output().unwrap();
    succeeded(&psql);
    assert!(unpack.wait().unwrap().success());
    assert!(cluster.dump("work") == cluster.dump("plain"), "the two restores differ");

    let dump = |format| engine(Some(&cluster), &Plan::Dump(dump_as(format)), b"");
    for format in [Format::Gzip, Format::Plain, Format::Zstd, Format::Xz, Format::Custom] {
        let run = dump(format);
        assert_eq!(input(&run.stdout).format, format);
        let (_, wrote) = run.done();
        assert_eq!(wrote.bytes, run.stdout.len() as u64);
        let proof = prove(&cluster, &run.stdout);
        assert_eq!(proof.done().0, wrote, "what was read is what was written");
    }

    let result = dump(Format::Gzip);
    cluster.sql(
        "work",
        "UPDATE res_partner SET name = name || '.' WHERE id = (SELECT max(id) FROM res_partner)",
    );
    let failure = prove(&cluster, &result.stdout);
    assert_eq!(failure.code, 66);
    let uplift_core::Failure::ScriptFailed(failure) = failure.failure() else {
        panic!("{:?}", failure.failure())
    };
    assert_eq!(failure.step, "prove");
    assert!(
        failure.detail.as_deref().unwrap().starts_with("rows of public.res_partner: "),
        "{:?}",
        failure.detail
    );
}
