//! Packs that tests and benchmarks put together from what the repository holds.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use uplift_core::{pack::Step, plan::Action};

use crate::{pack, repository};

/// The pack of Odoo that ships with the hop 17.0 → 17.1 that is kept beside the tests.
pub fn odoo_test(folder: &Path) {
    copy("deploy/packs/odoo", folder);
    copy("tests/packs/odoo-test/17.0-17.1", &folder.join("17.0-17.1"));
    add_hop(folder, "tests/packs/odoo-test/hop.toml");
}

/// The pack of Odoo that ships with a hop 17.0 → 17.1 that fails on the demo data: two partners have one name.
pub fn odoo_duplicates(folder: &Path) {
    copy("deploy/packs/odoo", folder);
    copy("tests/packs/odoo-duplicates", &folder.join("duplicates"));
    copy("tests/packs/odoo-test/17.0-17.1/90-finish.sql", &folder.join("duplicates/finish.sql"));
    add_hop(folder, "tests/packs/odoo-duplicates/hop.toml");
}

fn add_hop(folder: &Path, hop: &str) {
    let manifest = std::fs::read_to_string(folder.join("pack.toml")).unwrap();
    let hop = std::fs::read_to_string(repository(hop)).unwrap();
    let targets = "targets = [";
    assert!(manifest.contains(targets), "the pack that ships writes its targets otherwise by now");
    let manifest = manifest.replacen(targets, "targets = [\"17.1\", ", 1) + &hop;
    std::fs::write(folder.join("pack.toml"), manifest).unwrap();
}

/// The pack of Odoo that ships, on the stand-in for the server and with migration scripts of its own. The stand-in can be
/// told how to misbehave.
pub fn odoo_upgrade(folder: &Path, fault: Option<&str>) {
    copy("deploy/packs/odoo", folder);
    copy("tests/packs/odoo-upgrade/upgrade", &folder.join("upgrade"));
    let manifest = std::fs::read_to_string(folder.join("pack.toml")).unwrap();
    let env = fault.map(|fault| format!("env = {{ STAND_IN_FAULT = \"{fault}\" }}\n")).unwrap_or_default();
    let manifest = manifest.replace("image = \"odoo:", &format!("{env}image = \"uplift-test/odoo:"));
    std::fs::write(folder.join("pack.toml"), manifest).unwrap();
}

fn copy(from: &str, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(repository(from)).arg(to).status().unwrap();
    assert!(copied.success(), "copy {from}");
}

/// The SQL steps between two versions, in the pack's order.
pub fn steps(folder: &Path, from: &str, to: &str) -> Vec<PathBuf> {
    let hops = pack(folder).path(&from.parse().unwrap(), &to.parse().unwrap()).unwrap();
    let steps = hops.iter().flat_map(|hop| &hop.steps);
    steps
        .filter_map(|step| match step {
            Step::Engine(step) if matches!(step.action, Action::Sql { .. }) => {
                Some(folder.join(&step.script.file))
            }
            Step::Engine(_) | Step::Run(_) => None,
        })
        .collect()
}
