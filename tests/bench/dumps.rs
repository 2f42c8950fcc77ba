//! What is restored and upgraded: three databases, of about one megabyte, of 50, and of a gigabyte.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use uplift_tests::{
    data, packs,
    postgres::{Database, tool},
    repository,
    services::variable,
};

use crate::cluster::check;

/// One input of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The sample ERP, scale 1.
    Sample,
    /// The Odoo 17 demo database.
    Demo,
    /// The same, grown to 1.07 GB.
    Big,
}

/// A dump, and the upgrade that it takes.
pub(crate) struct Dump {
    pub(crate) name: &'static str,
    pub(crate) file: PathBuf,
    pub(crate) pack: PathBuf,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

/// Inputs by their names; all of them where none is named.
pub(crate) fn named(names: &[String]) -> Vec<Input> {
    let all = [Input::Sample, Input::Demo, Input::Big];
    for name in names {
        assert!(all.iter().any(|input| input.name() == name), "`{name}` is no input: sample, demo, big");
    }
    all.into_iter()
        .filter(|input| names.is_empty() || names.iter().any(|name| name == input.name()))
        .collect()
}

impl Input {
    const fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Demo => "demo",
            Self::Big => "big",
        }
    }

    /// How often it is measured where `runs` is asked for: a gigabyte takes minutes.
    pub(crate) fn runs(self, runs: usize) -> usize {
        if self == Self::Big { runs.min(3) } else { runs }
    }

    /// Has its dump; those that have to be made are kept in the cache.
    pub(crate) async fn dump(self, scratch: &Path) -> Dump {
        let name = self.name();
        match self {
            Self::Sample => Dump {
                name,
                file: sample(scratch).await,
                pack: repository("deploy/packs/sample"),
                from: "1.0",
                to: "3.0",
            },
            Self::Demo | Self::Big => {
                let demo = data("odoo17-demo.sql.gz");
                let file = if self == Self::Demo { demo } else { big(&demo).await };
                let pack = scratch.join(format!("odoo-{name}"));
                packs::odoo_test(&pack);
                Dump { name, file, pack, from: "17.0", to: "17.1" }
            }
        }
    }
}

async fn sample(scratch: &Path) -> PathBuf {
    let file = scratch.join("sample.sql.gz");
    let source = Database::create("bench_sample").await;
    source.psql_file(&repository("deploy/packs/sample/generate.sql"), &[("scale", "1")]);
    source.dump(&file);
    source.remove().await;
    file
}

async fn big(demo: &Path) -> PathBuf {
    let cache = PathBuf::from(variable("UPLIFT_CACHE_DIR"));
    let file = cache.join("odoo17-big.sql.gz");
    if file.exists() {
        return file;
    }
    println!("making {}, once, in minutes", file.display());
    let script = PathBuf::from(variable("UPLIFT_TEST_DATA")).join("../tools/amplify-odoo.sql");
    let source = Database::create("bench_big").await;
    source.restore(demo);
    source.psql_file(&script, &[]);
    let unfinished = cache.join("odoo17-big.unfinished.gz");
    let dump = format!(
        "set -o pipefail; {} --no-owner --no-privileges -d {} | gzip > {}",
        tool("pg_dump").display(),
        source.url(),
        unfinished.display()
    );
    check(Command::new("bash").args(["-c", &dump]));
    // Renamed into place when it is whole, so that a cached one always is.
    fs::rename(unfinished, &file).unwrap();
    source.remove().await;
    file
}
