//! What failures say of customers' rows is for the request's own log: no process of the platform repeats it.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use uplift_core::{Failure, Purpose, request::State};
use uplift_tests::{
    fleet::{Fleet, Options},
    repository,
};
use uuid::Uuid;

use crate::dumps;

/// A customer's row.
const ROW: &str = "row-4711-of-a-customer";

/// An engine that breaks while it restores, by our own fault, with a row on its lips: the first time with no last word,
/// as a panic does it; the second time with one.
const BROKEN: &str = r#"#!/bin/sh
IFS= read -r plan
case $plan in
*'"command":"restore"'*'"format":"gzip"'*)
    echo "panicked at row-4711-of-a-customer" >&2
    # What a container has said last is read only while it lives.
    sleep 3
    exit 101 ;;
*'"command":"restore"'*)
    echo '{"event":"failed","failure":{"code":"infrastructure","place":"restore","message":"lost row-4711-of-a-customer"}}' >&2
    cat > /dev/null
    exit 70 ;;
esac
{ printf '%s\n' "$plan"; cat; } | uplift-engine
"#;

/// Images of a test's own; removed when dropped.
struct Images {
    name: String,
}

impl Images {
    /// The usual ones, with another entrypoint to the engine.
    fn with_engine(directory: &Path, entrypoint: &str) -> Self {
        let images = Self { name: format!("uplift-test-{}", Uuid::now_v7().simple()) };
        let script = directory.join("entrypoint");
        std::fs::write(&script, entrypoint).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let dockerfile = "FROM uplift/engine:15\nCOPY entrypoint /entrypoint\nENTRYPOINT [\"/entrypoint\"]\n";
        std::fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
        docker(&["tag", "uplift/postgres:15", &format!("{}/postgres:15", images.name)]);
        let engine = format!("{}/engine:15", images.name);
        docker(&["build", "--quiet", "--tag", &engine, directory.to_str().unwrap()]);
        images
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        for image in ["engine:15", "postgres:15"] {
            let _ = Command::new("docker").args(["rmi", &format!("{}/{image}", self.name)]).output();
        }
    }
}

fn docker(arguments: &[&str]) {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_failure_of_our_own_that_quotes_a_row_is_not_in_the_platforms_logs() {
    let directory = tempfile::tempdir().unwrap();
    let images = Images::with_engine(directory.path(), BROKEN);
    let worker = format!("images = \"{}\"", images.name);
    let fleet = Fleet::with(Options { worker, ..Options::default() }).await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    let sample = dumps::sample().await;
    let text = dumps::text(&fleet, &sample);
    sample.remove().await;

    let plain = dumps::file(&fleet, "plain.sql", text.as_bytes());
    let packed = dumps::file(&fleet, "packed.sql.gz", &dumps::gzip(text.as_bytes()));
    let requests = [&plain, &packed].map(|dump| {
        let name = dump.file_stem().unwrap().to_str().unwrap();
        fleet.submit(Purpose::Test, dump, "3.0", &name.replace('.', "-"))
    });
    for request in requests {
        let State::Intervention { failure } = fleet.ended(request).await else { panic!("it did not fail") };
        let Failure::Infrastructure { place, message } = &failure else { panic!("{failure:?}") };
        assert_eq!(place, "restore");
        // Whoever mends it reads it where the customer's data may be.
        assert!(message.contains(ROW), "{message}");
        assert!(fleet.log(request).await.contains(ROW));
    }
    for process in fleet.workers.iter().chain([&fleet.dispatcher]) {
        let log = process.log();
        assert!(!log.is_empty() && !log.contains(ROW), "a platform log holds a row: {log}");
    }
    assert!(fleet.workers.iter().any(|worker| worker.log().contains("infrastructure")), "nothing was logged");
    fleet.stop().await;
}
