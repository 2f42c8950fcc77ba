//! What a test that fails leaves behind.

use std::process::Command;

use crate::{postgres::tool, services::variable};

/// Removes a fleet's sandboxes and its ledger when it is dropped by a test that fails: [`crate::fleet::Fleet::stop`] was
/// never reached then. What lies in the object store and at the broker stays until the services are taken down.
pub(crate) struct Wreck {
    /// What the sandboxes are labelled by.
    pub(crate) fleet: String,
    /// The ledger's database.
    pub(crate) ledger: String,
}

impl Drop for Wreck {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let filter = format!("label=uplift.fleet={}", self.fleet);
        for (list, remove) in
            [(["ps", "--all", "--quiet"], ["rm", "--force"]), (["volume", "ls", "--quiet"], ["volume", "rm"])]
        {
            let found = Command::new("docker").args(list).args(["--filter", &filter]).output();
            let found = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            for name in found.unwrap_or_default().split_whitespace() {
                let _ = Command::new("docker").args(remove).arg(name).output();
            }
        }
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.ledger);
        let mut psql = Command::new(tool("psql"));
        let _ = psql.args(["-X", "-q", "-c", &drop, "-d", &variable("UPLIFT_TEST_LEDGER_URL")]).output();
    }
}
