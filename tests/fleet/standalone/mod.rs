//! `uplift standalone`: what it does, and what is left of it when it is killed.

mod clean;
mod killed;

use std::process::Command;

use uplift_tests::{postgres::Database, process::binary, repository, request::json, standalone::Standalone};

use crate::dumps;

/// With sandboxes of each kind, from the first start to the last word.
async fn goes_through(kind: &'static str, says: &str) {
    let mut standalone = Standalone::start(kind, &[], &[]).await;
    let said = standalone.log();
    assert!(said.lines().any(|line| line.starts_with("sandbox ") && line.contains(says)), "{said}");
    let source = Database::create("sample").await;
    source.psql_file(&repository("deploy/packs/sample/generate.sql"), &[("scale", "1")]);
    let dump = standalone.file("shop.sql.gz");
    source.dump(&dump);
    source.remove().await;

    let test = standalone.submit("test", &dump, "shop");
    standalone.must(&["log", "-f", &test.to_string()]);
    // Neither tokens nor results are lost at a restart.
    standalone.kill().await;
    standalone.start_again().await;
    standalone.must(&["accept", &test.to_string()]);
    let (dump, out) = (dump.to_str().unwrap(), standalone.file("out"));
    let folder = out.to_str().unwrap();
    let last = ["production", "--dump", dump, "-t", "3.0", "--database", "shop", "--wait", "--out", folder];
    standalone.must(&last);

    let mut names: Vec<_> =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["report.html", "report.json", "upgrade.log", "upgraded.sql.gz"]);
    let report = std::fs::read(out.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(
        (&report["path"], &report["proven"]),
        (&serde_json::json!(["1.0", "2.0", "3.0"]), &true.into())
    );
    let log = std::fs::read_to_string(out.join("upgrade.log")).unwrap();
    assert!(log.contains("step 2.0-3.0/finish done"), "{log}");
    let result = Database::create("result").await;
    result.restore(&out.join("upgraded.sql.gz"));
    assert_eq!(result.value("SELECT value FROM erp_meta WHERE key = 'version'").await, "3.0");
    result.remove().await;
    standalone.stop().await;
}

#[tokio::test]
async fn it_goes_through_with_processes() {
    goes_through("process", "process: dumps are restored by plain processes of user").await;
}

#[tokio::test]
async fn it_goes_through_with_docker() {
    goes_through("docker", "docker: dumps are restored in containers that they cannot leave").await;
}

#[tokio::test]
async fn the_scripts_of_a_request_are_in_its_store() {
    let standalone = Standalone::start("process", &[], &[]).await;
    let (dump, scripts) = (standalone.file("letter.sql"), standalone.file("our.zip"));
    std::fs::write(&dump, "Dear all,\n").unwrap();
    let archive = dumps::zip_of("z.writestr('upgrade/sale/3.0/pre-one.py', 'pass')");
    std::fs::write(&scripts, &archive).unwrap();
    let [dump, scripts] = [&dump, &scripts].map(|path| path.to_str().unwrap());
    let shown =
        json(&standalone.must(&["--json", "test", "--dump", dump, "-t", "3.0", "--scripts", scripts]));
    assert_eq!(shown["scripts"]["bytes"], archive.len());
    let object = format!("objects/objects/requests/{}/scripts.object", shown["id"].as_str().unwrap());
    assert!(std::fs::read(standalone.data().join(object)).unwrap().ends_with(&archive));
    let named = standalone.value("SELECT scripts_sha256 FROM requests").await;
    assert_eq!(shown["scripts"]["sha256"], named);
    standalone.stop().await;
}

#[tokio::test]
async fn a_second_start_on_the_same_directory_is_refused() {
    let standalone = Standalone::start("process", &[], &[]).await;
    let second = Command::new(binary("uplift"))
        .args(["standalone", "--listen", "127.0.0.1:0", "--store-port", "0", "--data-dir"])
        .arg(standalone.data())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("is in use by another `uplift standalone`, process "), "{said}");
    // The first one has not noticed.
    standalone.must(&["ops", "packs", "list"]);
    standalone.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::Builder::new().prefix("uplift-alone-").tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let refused = Command::new(binary("uplift"))
        .args(["standalone", "--store-port", "0", "--metrics-listen", "127.0.0.1:0", "--listen", &address])
        .arg("--data-dir")
        .arg(folder.path().join("state"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("see --listen: listen on {address}")), "{said}");
}
