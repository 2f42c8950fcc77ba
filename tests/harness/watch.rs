//! Prometheus and Alertmanager beside a fleet, with the rules of this repository on a clock that runs 60 times as fast.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;
use tokio::net::TcpListener;
use uplift_core::Clock;

use crate::{SOON, eventually, fleet::free_port, process::Process, repository};

/// What durations are divided by. Limits in the rules' expressions are products of 60, and lose one of those.
const FACTOR: u64 = 60;

/// What Alertmanager has told: alerts, firing or resolved, in order.
type Heard = Arc<Mutex<Vec<Value>>>;

/// Prometheus, Alertmanager, and somebody whom it tells.
pub struct Watch {
    _alertmanager: Process,
    _prometheus: Process,
    prometheus: String,
    heard: Heard,
    /// Of each alert, how far into what was heard it was waited for.
    waited_for: Mutex<HashMap<String, usize>>,
    began: i64,
}

impl Watch {
    /// Starts all three; Prometheus asks these targets, by the names of the jobs in the sample configuration.
    pub async fn start(directory: &Path, jobs: &[(&str, &[String])]) -> Self {
        let heard = Heard::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let told = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(hear)).with_state(heard.clone());
        tokio::spawn(async { axum::serve(listener, router).await });

        let alertmanager = format!("127.0.0.1:{}", free_port());
        let file = directory.join("alertmanager.yaml");
        let settings = format!(
            "route: {{ receiver: test, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}\n\
             receivers: [{{ name: test, webhook_configs: [{{ url: 'http://{told}/', send_resolved: true }}] }}]\n"
        );
        fs::write(&file, settings).unwrap();
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.path={}", directory.join("alertmanager").display()),
            format!("--web.listen-address={alertmanager}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let log = directory.join("alertmanager.log");
        let manager = Process::start("/usr/bin/prometheus-alertmanager", &words(&arguments), &log);

        let prometheus = format!("127.0.0.1:{}", free_port());
        for name in ["recording.yaml", "alerts.yaml"] {
            let rules = fs::read_to_string(repository("dashboards/prometheus").join(name)).unwrap();
            fs::write(directory.join(name), shortened(&rules)).unwrap();
        }
        let file = directory.join("prometheus.yaml");
        fs::write(&file, configuration(&alertmanager, jobs)).unwrap();
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", directory.join("prometheus").display()),
            format!("--web.listen-address={prometheus}"),
        ];
        let log = directory.join("prometheus.log");
        let server = Process::start("/usr/bin/prometheus", &words(&arguments), &log);
        let watch = Self {
            _alertmanager: manager,
            _prometheus: server,
            prometheus,
            heard,
            waited_for: Mutex::default(),
            began: Clock::System.now().timestamp(),
        };
        eventually("Prometheus is ready", SOON, async || {
            watch.ask("query", &[("query", "up".to_owned())]).await.filter(|found| !found.is_empty())
        })
        .await;
        watch
    }

    /// Waits until somebody was told that an alert fires, since its end was last waited for.
    pub async fn fires(&self, alert: &str) {
        self.is_told(alert, "firing").await;
    }

    /// Waits until somebody was told that it is over, since its beginning was last waited for.
    pub async fn resolves(&self, alert: &str) {
        self.is_told(alert, "resolved").await;
    }

    /// Forgets what was told of an alert so far: what comes next is what counts.
    pub fn from_now(&self, alert: &str) {
        let heard = self.heard.lock().unwrap().len();
        self.waited_for.lock().unwrap().insert(alert.to_owned(), heard);
    }

    async fn is_told(&self, alert: &str, status: &str) {
        let from = self.waited_for.lock().unwrap().get(alert).copied().unwrap_or(0);
        let at = eventually(&format!("{alert} is {status}"), SOON, async || {
            let heard = self.heard();
            let later = heard.iter().enumerate().skip(from);
            let of_alert = |told: &Value| told["labels"]["alertname"] == alert && told["status"] == status;
            later.into_iter().find(|(_, told)| of_alert(told)).map(|(at, _)| at)
        })
        .await;
        self.waited_for.lock().unwrap().insert(alert.to_owned(), at + 1);
    }

    /// All that was told.
    pub fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }

    /// The series that an expression has given at any time since the beginning.
    pub async fn ever(&self, expression: &str) -> Vec<Value> {
        let span = [
            ("query", expression.to_owned()),
            ("start", self.began.to_string()),
            ("end", Clock::System.now().timestamp().to_string()),
            ("step", "1".to_owned()),
        ];
        self.ask("query_range", &span).await.unwrap_or_else(|| panic!("Prometheus refuses {expression}"))
    }

    async fn ask(&self, what: &str, query: &[(&str, String)]) -> Option<Vec<Value>> {
        let url = format!("http://{}/api/v1/{what}", self.prometheus);
        let answer = reqwest::Client::new().get(url).query(query).send().await.ok()?;
        let answer: Value = answer.error_for_status().ok()?.json().await.ok()?;
        answer["data"]["result"].as_array().cloned()
    }
}

async fn hear(State(heard): State<Heard>, Json(told): Json<Value>) {
    heard.lock().unwrap().extend(told["alerts"].as_array().into_iter().flatten().cloned());
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// The sample configuration, with addresses that are here.
fn configuration(alertmanager: &str, jobs: &[(&str, &[String])]) -> String {
    let sample = fs::read_to_string(repository("dashboards/prometheus/prometheus.yaml")).unwrap();
    let mut job = String::new();
    let lines = sample.lines().map(|line| {
        if let Some((_, name)) = line.split_once("job_name: ") {
            name.split_whitespace().next().unwrap().clone_into(&mut job);
        }
        let Some((head, _)) = line.split_once("targets: [") else { return line.replace("15s", "1s") };
        let targets = jobs.iter().find(|(name, _)| *name == job).map_or_else(
            || format!("\"{alertmanager}\""),
            |(_, targets)| {
                targets.iter().map(|target| format!("\"{target}\"")).collect::<Vec<_>>().join(", ")
            },
        );
        format!("{head}targets: [{targets}]")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Rules on the faster clock.
pub fn shortened(rules: &str) -> String {
    let lines = rules.lines().map(|line| {
        let trimmed = line.trim_start();
        if trimmed.starts_with('#') {
            return String::new();
        }
        for key in ["for: ", "interval: "] {
            if let Some(duration) = trimmed.strip_prefix(key) {
                return line.replace(duration, &faster(duration));
            }
        }
        let mut parts = line.split('[');
        let mut made = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match part.split_once(']') {
                Some((window, rest)) => made += &format!("[{}]{rest}", faster(window)),
                None => made += &format!("[{part}"),
            }
        }
        made.replace(" * 60 * 60", " * an hour's").replace(" * 60", "").replace(" * an hour's", " * 60")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `15m` in seconds, divided.
fn faster(duration: &str) -> String {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let unit = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => panic!("{duration} is not of minutes, hours or days"),
    };
    format!("{}s", number.parse::<u64>().unwrap() * unit / FACTOR)
}
