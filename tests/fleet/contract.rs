//! The API keeps to its own description, whatever it is asked: Schemathesis asks.

use std::{path::PathBuf, process::Command};

use uplift_core::Purpose;
use uplift_tests::{fleet::Fleet, services::variable};

use crate::dumps;

/// Streams, and connections that become websockets, have no single answer to look at; and archives cannot be made up.
const STREAMS: &str = "log$|shell$|worker$|ops/packs$";

#[tokio::test]
async fn every_answer_is_one_that_is_described() {
    let fleet = Fleet::start().await;
    // Something to find, so that lists are not empty.
    let shop = dumps::sample().await;
    let dump = fleet.file("shop.sql");
    shop.dump(&dump);
    let request = fleet.submit(Purpose::Test, &dump, "3.0", "shop");
    fleet.delivered(request).await;
    for token in [fleet.token(), fleet.ops_token()] {
        let output = Command::new(PathBuf::from(variable("UPLIFT_TEST_PYTHON_TOOLS")).join("schemathesis"))
            .arg("run")
            .arg(format!("{}/api/v1/openapi.json", fleet.server()))
            .args(["--url", fleet.server(), "-H", &format!("Authorization: Bearer {token}")])
            .args(["--phases", "coverage,fuzzing", "--max-examples", "20", "--seed", "1", "--no-color"])
            .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
            .args(["--checks", "response_schema_conformance"])
            .args(["--exclude-path-regex", STREAMS])
            .current_dir(fleet.file(""))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        // A description that could not be read would be kept to by anybody.
        let tested = said.lines().find_map(|line| line.trim().strip_prefix("Tested: ")).unwrap_or_default();
        assert!(tested.parse::<u32>().unwrap() > 40, "{said}");
    }
    shop.remove().await;
    fleet.stop().await;
}
