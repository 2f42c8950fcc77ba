//! Requests as a test sees them: submitted by the command line, observed in the ledger.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;
use uplift_core::{
    Purpose, RequestId,
    request::{Delivery, State, StateCode},
};
use uplift_platform::ledger::Request;

use crate::{eventually, fleet::Fleet};

/// Long enough for any upgrade of this suite on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(240);

impl Fleet {
    /// Uploads a dump without waiting for the rest; gives the request.
    pub fn submit(&self, purpose: Purpose, dump: &Path, target: &str, database: &str) -> RequestId {
        let output = self.submission(purpose, dump, target, database).output().unwrap();
        json(&output)["id"].as_str().expect("the request's id").parse().unwrap()
    }

    /// The command line that uploads a dump, for adding to it.
    pub fn submission(&self, purpose: Purpose, dump: &Path, target: &str, database: &str) -> Command {
        let mut command = self.uplift();
        command.args(["--json", purpose.as_str(), "--dump"]).arg(dump);
        command.args(["-t", target, "--database", database]);
        command
    }

    /// Hands in a dump and stays until the end, as a person does with `--wait`.
    pub async fn hand_in(&self, purpose: Purpose, dump: &Path, target: &str, database: &str) -> HandedIn {
        let mut command = tokio::process::Command::from(self.submission(purpose, dump, target, database));
        HandedIn::of(command.arg("--wait").kill_on_drop(true).output().await.unwrap())
    }

    /// Runs the command line; gives its output, whatever its exit code.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.uplift().args(arguments).output().unwrap()
    }

    /// Runs the command line, which has to succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "uplift {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The request as it stands in the ledger.
    pub async fn request(&self, request: RequestId) -> Request {
        self.ledger.request(None, request).await.unwrap()
    }

    /// Waits until a request has ended, or waits for a person.
    pub async fn ended(&self, request: RequestId) -> State {
        self.ended_within(request, LIMIT).await
    }

    /// The same for one that takes longer than most.
    pub async fn ended_within(&self, request: RequestId, limit: Duration) -> State {
        eventually(&format!("request {request} ends"), limit, async || {
            let state = self.request(request).await.state;
            (state.code().is_final() || state.code() == StateCode::Intervention).then_some(state)
        })
        .await
    }

    /// Waits until a request is delivered; anything else fails with its log.
    pub async fn delivered(&self, request: RequestId) -> Delivery {
        self.delivered_within(request, LIMIT).await
    }

    /// The same for one that takes longer than most.
    pub async fn delivered_within(&self, request: RequestId, limit: Duration) -> Delivery {
        match self.ended_within(request, limit).await {
            State::Delivered(delivery) => delivery,
            other => panic!("request {request} is {other:?}:\n{}", self.log(request).await),
        }
    }

    /// The message with which a request was rejected.
    pub async fn rejected(&self, request: RequestId) -> String {
        match self.ended(request).await {
            State::Rejected { failure } => failure.to_string(),
            other => panic!("request {request} is {other:?}:\n{}", self.log(request).await),
        }
    }

    /// The request's log as far as the ledger has it.
    pub async fn log(&self, request: RequestId) -> String {
        let page = self.ledger.log_after(request, 0).await.unwrap();
        page.lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Waits until the request's row satisfies an SQL condition: how a test reaches a named point.
    pub async fn reaches(&self, request: RequestId, condition: &str) {
        let sql = format!("SELECT FROM requests r WHERE id = '{request}' AND ({condition})");
        let mut connection = self.database.connect().await;
        eventually(&format!("request {request}: {condition}"), LIMIT, async || {
            let state = self.request(request).await.state;
            assert!(!state.code().is_final(), "request {request} ended before {condition}: {state:?}");
            let found = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).fetch_optional(&mut connection).await;
            found.unwrap().map(drop)
        })
        .await;
    }

    /// Downloads the result and the report into a fresh folder; gives the folder.
    pub fn download(&self, request: RequestId) -> std::path::PathBuf {
        let folder = self.file(&format!("download-{request}"));
        std::fs::create_dir_all(&folder).unwrap();
        let (id, out) = (request.to_string(), folder.to_str().unwrap().to_owned());
        self.must(&["download", &id, "--out", &out]);
        self.must(&["download", &id, "--report", "--out", &out]);
        folder
    }
}

/// How a command line with `--json --wait` ended.
#[derive(Debug)]
pub struct HandedIn {
    pub code: Option<i32>,
    /// The request as it says; nothing where it has not come so far.
    pub request: Value,
    pub stderr: String,
}

impl HandedIn {
    /// What such a command line says.
    pub fn of(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let request = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Self { code: output.status.code(), request, stderr }
    }

    /// The request's id.
    pub fn id(&self) -> RequestId {
        self.request["id"].as_str().unwrap_or_else(|| panic!("no request: {self:?}")).parse().unwrap()
    }

    /// The request's failure, field by field.
    pub fn failure(&self) -> &Value {
        &self.request["failure"]["failure"]
    }

    /// The request's failure in words; what the program said on stderr where there is no request.
    pub fn message(&self) -> &str {
        self.request["failure"]["message"].as_str().unwrap_or(&self.stderr)
    }
}

/// The report for programs in a folder that was downloaded.
pub fn report(folder: &Path) -> Value {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let report = files.find(|path| path.extension().is_some_and(|extension| extension == "json"));
    serde_json::from_slice(&std::fs::read(report.expect("a report")).unwrap()).unwrap()
}

/// What the command line said with `--json`.
pub fn json(output: &Output) -> Value {
    assert!(output.status.success(), "uplift: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
}
