//! Grafana itself does not run here; its published schema reads every dashboard, and loses nothing of it.

use std::{path::PathBuf, process::Command};

use uplift_tests::{repository, services::variable};

#[test]
fn grafanas_schema_knows_all_that_dashboards_say() {
    let output = Command::new(PathBuf::from(variable("UPLIFT_TEST_PYTHON_TOOLS")).join("python3"))
        .args(["-c", include_str!("grafana.py")])
        .arg(repository("dashboards/grafana"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.ends_with("5 dashboards\n"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
