//! `cargo xtask demo` on a machine that has Debian, Rust, and nothing else: a container of the base that the images
//! stand on, with this repository and its build in it. What is not installed by the command is not there; nor is a
//! linker, so the build is brought up to date before.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use uplift_tests::{data, repository};

/// Builds what the demo builds. `cargo xtask test` has done so; without it, a first time takes minutes.
fn build() {
    for packages in [&["xtask"][..], &["uplift", "uplift-engine"]] {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--bins"]).current_dir(repository(""));
        cargo.args(packages.iter().flat_map(|package| ["--package", package]));
        // What a test runner says of its own package would have a part of it built anew.
        cargo.env_clear();
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"] {
            cargo.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        assert!(cargo.status().unwrap().success(), "build {packages:?}");
    }
}

/// Runs a script in a Debian that is thrown away; this repository lies where it lies here.
fn on_a_clean_machine(script: &str) -> Output {
    let home = PathBuf::from(std::env::var_os("HOME").expect("HOME"));
    let home_of =
        |variable: &str, folder: &str| std::env::var_os(variable).map_or(home.join(folder), PathBuf::from);
    let (cargo, rustup) = (home_of("CARGO_HOME", ".cargo"), home_of("RUSTUP_HOME", ".rustup"));
    let root = repository("").canonicalize().unwrap();
    let path =
        format!("{}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", cargo.display());
    let mut docker = Command::new("docker");
    // The network is this machine's, so that apt finds its mirror as it does here.
    docker.args(["run", "--rm", "--network=host", "--workdir"]).arg(&root);
    for (path, mode) in [(&root, ""), (&cargo, ""), (&rustup, ":ro")] {
        docker.arg("--volume").arg(format!("{0}:{0}{mode}", path.display()));
    }
    if let Some(target) =
        std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
    {
        docker.arg("--volume").arg(format!("{0}:{0}", target.display()));
        docker.arg("--env").arg(format!("CARGO_TARGET_DIR={}", target.display()));
    }
    let dumps = data("odoo17-demo.sql.gz").parent().unwrap().canonicalize().unwrap();
    docker.arg("--volume").arg(format!("{}:/data:ro", dumps.display()));
    docker.arg("--env").arg(format!("CARGO_HOME={}", cargo.display()));
    docker.arg("--env").arg(format!("RUSTUP_HOME={}", rustup.display()));
    docker.args(["--env", &format!("PATH={path}"), "--env", "HOME=/root", "uplift/debian:bookworm"]);
    docker.args(["sh", "-euc", script]).output().unwrap()
}

#[test]
fn the_demo_runs_on_a_clean_machine() {
    build();
    // A second run has less to do; a dump that no pack knows ends as the command line does.
    let script = "
        ! test -e /usr/lib/postgresql
        cargo xtask demo --out /tmp/first
        ls /tmp/first
        cp /tmp/first/upgraded.sql.gz /tmp/shop.sql.gz
        code=0; cargo xtask demo --dump /tmp/shop.sql.gz --target 3.0 --out /tmp/second || code=$?
        echo \"code $code\"
        cargo xtask demo --purpose production --out /tmp/third
        ls /tmp/third
        echo \"left: $(ls /var/tmp | grep uplift-demo || true) $(cat /proc/[0-9]*/comm | grep -E '^(postgres|uplift)' || true)\"";
    let output = on_a_clean_machine(script);
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{log}");
    let files = "report.html\nreport.json\nupgrade.log\nupgraded.sql.gz\n";
    assert_eq!(said.matches(files).count(), 2, "{said}\n{log}");
    assert!(said.contains("installed ") && said.contains("postgresql"), "{said}");
    assert!(said.contains("process: dumps are restored by plain processes of user nobody"), "{said}");
    assert!(said.contains("upgraded   sample 1.0 → 2.0 → 3.0, for test"), "{said}");
    assert!(said.contains("upgraded   sample 1.0 → 2.0 → 3.0, for production"), "{said}");
    // The log is told as it comes, and a failure says why.
    assert!(log.contains("step 2.0-3.0/finish done"), "{log}");
    assert!(
        said.contains("is at Sample ERP 3.0 already") || log.contains("is at Sample ERP 3.0 already"),
        "{log}"
    );
    assert!(said.contains("code 10"), "{said}\n{log}");
    assert!(said.contains("left:  \n"), "{said}");
}
