//! The exporter beside a real fleet: what it says is what the ledger and the broker hold.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, ToSocketAddrs as _},
    path::{Path, PathBuf},
};

use uplift_core::{Purpose, RequestId};
use uplift_tests::{
    SOON, eventually,
    fleet::{Fleet, Options},
    postgres::Database,
    process::Process,
    proxy::{Address, Proxy},
    repository,
};
use url::Url;

#[tokio::test]
async fn the_exporter_tells_what_the_ledger_and_the_broker_hold() {
    let mut fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    let exporter = Exporter::start(&fleet).await;
    fleet.push_pack(&repository("deploy/packs/sample"));
    nothing_to_tell(&exporter).await;

    let late = submit(&fleet).await;
    waiting(&fleet, &exporter, late).await;
    breached_while_it_waits(&fleet, &exporter, late).await;
    fleet.add_worker();
    running(&fleet, &exporter, late).await;
    fleet.delivered(late).await;
    delivered_late(&exporter).await;

    let met = submit(&fleet).await;
    fleet.delivered(met).await;
    exporter.says(&sla("sample", Purpose::Test, "met"), 1.0).await;
    at_the_edges(&fleet, &exporter, met).await;
    rejected_and_repaired_by_hand(&fleet, &exporter).await;
    without_a_service(&exporter).await;
    drop(exporter);
    fleet.stop().await;
}

async fn nothing_to_tell(exporter: &Exporter) {
    exporter.says("uplift_ledger_up", 1.0).await;
    exporter.says("uplift_broker_up", 1.0).await;
    exporter.says(r#"uplift_hint_queue_messages{queue="dead"}"#, 0.0).await;
    // Counters start at 0, so that a rate sees the first event; all else is absent.
    for outcome in ["met", "breached"] {
        exporter.says(&sla("sample", Purpose::Production, outcome), 0.0).await;
    }
    exporter.says(r#"uplift_attempts_total{outcome="delivered"}"#, 0.0).await;
    exporter.says(r#"uplift_failures_total{class="lease_lost",pack="",hop=""}"#, 0.0).await;
    let figures = exporter.scrape().await;
    assert_eq!(figures.0[&format!("uplift_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    for name in [
        "requests",
        "interventions",
        "earliest",
        "oldest",
        "worst",
        "last",
        "lease",
        "held",
        "workers",
        "worker_slots",
        "restore_bytes",
        "notifications",
        "retention",
        "unswept",
        "step",
        "schedule",
    ] {
        assert!(!figures.has(&format!("uplift_{name}")), "{name} of nothing");
    }
    assert!(!figures.has("uplift_request_duration_seconds") && !figures.has("uplift_stage_duration_seconds"));
    for path in ["healthz", "readyz"] {
        assert!(exporter.get(path).await.is_some(), "{path}");
    }
}

async fn waiting(fleet: &Fleet, exporter: &Exporter, request: RequestId) {
    exporter.says(r#"uplift_requests{state="queued",purpose="test",sla_zone="ok"}"#, 1.0).await;
    exporter.says(r#"uplift_hint_queue_messages{queue="test"}"#, 1.0).await;
    let deadline = format!("SELECT promised_from + interval '2 hours' FROM requests WHERE id = '{request}'");
    exporter.says("uplift_earliest_deadline_timestamp_seconds", time(fleet, &deadline).await).await;
    let since = time(fleet, &format!("SELECT promised_from FROM requests WHERE id = '{request}'")).await;
    exporter.says(r#"uplift_oldest_queued_timestamp_seconds{purpose="test"}"#, since).await;
    zones(fleet, exporter, request).await;
    exporter.says(&sla("unknown", Purpose::Test, "breached"), 0.0).await;
}

/// How the promise stands, by the time that is left and by what is expected.
async fn zones(fleet: &Fleet, exporter: &Exporter, request: RequestId) {
    let before =
        fleet.database.value(&format!("SELECT promised_from FROM requests WHERE id = '{request}'")).await;
    let slack = async || exporter.scrape().await.0.get("uplift_worst_predicted_slack_seconds").copied();
    assert_eq!(slack().await, None, "nothing is expected of it");
    for (left, p50, p90, zone, expected) in [
        ("21 minutes", "600", "1200", "ok", 660.0),
        ("19 minutes", "600", "1080", "at_risk", 540.0),
        ("60 minutes", "3000", "4000", "at_risk", 600.0),
        ("60 minutes", "4000", "5000", "predicted_breach", -400.0),
    ] {
        update(
            fleet,
            &format!(
                "promised_from = now() - interval '120 minutes' + interval '{left}', expected_p50 = {p50},
                 expected_p90 = {p90} WHERE id = '{request}'"
            ),
        );
        let series = format!(r#"uplift_requests{{state="queued",purpose="test",sla_zone="{zone}"}}"#);
        eventually(&format!("{left}, {p50} s: {zone}"), SOON, async || {
            let figures = exporter.scrape().await;
            let slack = figures.0.get("uplift_worst_predicted_slack_seconds")?;
            let there = figures.0.get(&series) == Some(&1.0) && (slack - expected).abs() < 30.0;
            (there && figures.total("uplift_requests") == 1.0).then_some(())
        })
        .await;
    }
    update(
        fleet,
        &format!(
            "promised_from = '{before}', expected_p50 = NULL, expected_p90 = NULL WHERE id = '{request}'"
        ),
    );
    exporter.says(r#"uplift_requests{state="queued",purpose="test",sla_zone="ok"}"#, 1.0).await;
}

/// The breach counts when the deadline passes, although the request is still open.
async fn breached_while_it_waits(fleet: &Fleet, exporter: &Exporter, request: RequestId) {
    update(fleet, &format!("promised_from = now() - interval '150 minutes' WHERE id = '{request}'"));
    exporter.says(&sla("unknown", Purpose::Test, "breached"), 1.0).await;
    let figures = exporter.scrape().await;
    assert!(!figures.has("uplift_earliest_deadline"), "it is over, and hides none that is ahead");
}

async fn running(fleet: &Fleet, exporter: &Exporter, request: RequestId) {
    fleet.reaches(request, "stage <> 'fetch'").await;
    fleet.workers[0].signal("STOP");
    let stage = fleet.database.value(&format!("SELECT stage FROM requests WHERE id = '{request}'")).await;
    let began = time(fleet, &format!("SELECT started_at FROM attempts WHERE request_id = '{request}'")).await;
    let series = format!(r#"uplift_oldest_running_start_timestamp_seconds{{stage="{stage}"}}"#);
    exporter.says(&series, began).await;
    exporter.says(r#"uplift_requests{state="running",purpose="test",sla_zone="breached"}"#, 1.0).await;
    exporter.says(r#"uplift_worker_slots{state="busy"}"#, 1.0).await;
    exporter.says(r#"uplift_worker_slots{state="free"}"#, 0.0).await;
    exporter.says("uplift_last_claim_timestamp_seconds", began).await;
    let figures = exporter.scrape().await;
    let slack = figures.0["uplift_lease_slack_seconds"];
    assert!((0.0..=60.0).contains(&slack), "{slack}");
    let progress = figures.0["uplift_oldest_progress_timestamp_seconds"];
    assert!((began..began + 120.0).contains(&progress), "{progress} is not soon after {began}");
    assert!(!figures.has("uplift_oldest_queued") && !figures.has("uplift_worst_predicted"));
    let version = env!("CARGO_PKG_VERSION");
    exporter.says(&format!(r#"uplift_workers{{state="alive",version="{version}"}}"#), 1.0).await;
    fleet.workers[0].signal("CONT");
}

async fn delivered_late(exporter: &Exporter) {
    exporter.says(r#"uplift_attempts_total{outcome="delivered"}"#, 1.0).await;
    let figures = exporter.scrape().await;
    // 150 minutes, and what the upgrade took.
    for (edge, count) in [("7200", 0.0), ("10800", 1.0), ("+Inf", 1.0)] {
        let series = format!(
            r#"uplift_request_duration_seconds_bucket{{product="sample",purpose="test",le="{edge}"}}"#
        );
        assert_eq!(figures.0[&series], count, "{series}");
    }
    assert!(figures.0[r#"uplift_request_duration_seconds_sum{product="sample",purpose="test"}"#] > 9000.0);
    for stage in ["fetch", "restore", "upgrade", "dump", "settle"] {
        let count = format!(r#"uplift_stage_duration_seconds_count{{stage="{stage}"}}"#);
        assert_eq!(figures.0[&count], 1.0, "{stage}");
        assert!(figures.0[&count.replace("count", "sum")] > 0.0, "{stage}");
    }
    assert!(!figures.0.contains_key(r#"uplift_stage_duration_seconds_count{stage="prove"}"#));
    assert_eq!(figures.0[r#"uplift_schedule_to_start_seconds_count{purpose="test"}"#], 1.0);
    let step = r#"{product="sample",hop="1.0-2.0",step="split-partners"}"#;
    assert_eq!(figures.0[&format!("uplift_step_duration_seconds_count{step}")], 1.0);
    assert!(figures.0["uplift_restore_bytes_total"] > 1000.0);
    // Counted once, and for ever under what was known when it counted.
    assert_eq!(figures.0[&sla("unknown", Purpose::Test, "breached")], 1.0);
    assert_eq!(figures.0[&sla("sample", Purpose::Test, "breached")], 0.0);
    assert_eq!(figures.0[&sla("sample", Purpose::Test, "met")], 0.0);
    assert!(!figures.has("uplift_earliest_deadline") && !figures.has("uplift_oldest_running"));
    assert_eq!(figures.0[r#"uplift_worker_slots{state="free"}"#], 1.0);
}

/// What took exactly 120 minutes took at most 120 minutes, and kept the promise; a microsecond more did not.
async fn at_the_edges(fleet: &Fleet, exporter: &Exporter, request: RequestId) {
    let met = sla("sample", Purpose::Test, "met");
    let breached = sla("sample", Purpose::Test, "breached");
    let two_hours = r#"uplift_request_duration_seconds_bucket{product="sample",purpose="test",le="7200"}"#;
    let twenty_minutes = two_hours.replace("7200", "1200");
    // Each of them changes a figure, so that an old one cannot pass for it.
    for (took, counts) in [
        ("2 hours 0.000001 seconds", [0.0, 0.0, 0.0, 1.0]),
        ("2 hours", [0.0, 1.0, 1.0, 0.0]),
        ("20 minutes", [1.0, 1.0, 1.0, 0.0]),
        ("20 minutes 0.000001 seconds", [0.0, 1.0, 1.0, 0.0]),
    ] {
        update(fleet, &format!("promised_from = finished_at - interval '{took}' WHERE id = '{request}'"));
        for (series, count) in [&twenty_minutes, two_hours, &met, &breached].into_iter().zip(counts) {
            exporter.says(series, count).await;
        }
    }
}

async fn rejected_and_repaired_by_hand(fleet: &Fleet, exporter: &Exporter) {
    let text = fleet.file("text.sql");
    std::fs::write(&text, "This is not a dump.\n").unwrap();
    let request = fleet.submit(Purpose::Test, &text, "3.0", "text");
    fleet.rejected(request).await;
    exporter.says(r#"uplift_requests{state="rejected",purpose="test",sla_zone=""}"#, 1.0).await;
    exporter.says(r#"uplift_attempts_total{outcome="input_rejected"}"#, 1.0).await;
    exporter.says(r#"uplift_failures_total{class="input_rejected",pack="",hop=""}"#, 1.0).await;
    let figures = exporter.scrape().await;
    // A stage that an attempt ended in without a result has no duration: these are of the two that went well.
    assert_eq!(figures.0[r#"uplift_stage_duration_seconds_count{stage="fetch"}"#], 2.0);
    // It ended before its deadline: no promise was met or breached.
    assert_eq!(figures.total("uplift_sla_events_total"), 2.0);
    update(fleet, &format!("promised_from = finished_at - interval '3 hours' WHERE id = '{request}'"));
    exporter.says(&sla("unknown", Purpose::Test, "breached"), 2.0).await;
    // What no script says of itself is still of the hop that it happened in.
    let ended =
        r#"outcome = 'out_of_memory', failure = '{"code": "out_of_memory", "place": "1.0-2.0/models"}'"#;
    fleet.database.psql_command(&format!("UPDATE attempts SET {ended} WHERE request_id = '{request}'"));
    update(fleet, &format!("product = 'sample' WHERE id = '{request}'"));
    exporter.says(r#"uplift_failures_total{class="out_of_memory",pack="sample",hop="1.0-2.0"}"#, 1.0).await;
    update(fleet, &format!("state = 'intervention', finished_at = NULL WHERE id = '{request}'"));
    exporter.says(r#"uplift_requests{state="intervention",purpose="test",sla_zone="breached"}"#, 1.0).await;
    exporter.says(&sla("unknown", Purpose::Test, "breached"), 2.0).await;
}

/// A scrape always succeeds, and says what is missing.
async fn without_a_service(exporter: &Exporter) {
    exporter.ledger.set_down(true);
    exporter.says("uplift_ledger_up", 0.0).await;
    let figures = exporter.scrape().await;
    assert_eq!(figures.0["uplift_broker_up"], 1.0);
    assert!(!figures.has("uplift_requests") && !figures.has("uplift_sla_events_total"));
    exporter.ledger.set_down(false);
    exporter.says("uplift_ledger_up", 1.0).await;

    exporter.broker.set_down(true);
    exporter.says("uplift_broker_up", 0.0).await;
    let figures = exporter.scrape().await;
    assert_eq!(figures.0["uplift_ledger_up"], 1.0);
    assert!(figures.has("uplift_requests") && !figures.has("uplift_hint_queue_messages"));
    exporter.broker.set_down(false);
    exporter.says("uplift_broker_up", 1.0).await;
}

#[tokio::test]
async fn the_exporter_starts_before_its_ledger_does() {
    let fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    let exporter = Exporter::start_with(&fleet, true).await;
    exporter.says("uplift_ledger_up", 0.0).await;
    exporter.ledger.set_down(false);
    exporter.says("uplift_ledger_up", 1.0).await;
    drop(exporter);
    fleet.stop().await;
}

/// An exporter that reaches ledger and broker through proxies.
pub(crate) struct Exporter {
    process: Process,
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
    pub(crate) ledger: Proxy,
    pub(crate) broker: Proxy,
    config: PathBuf,
}

/// A scrape: values by series, as they are written.
#[derive(Debug)]
pub(crate) struct Figures(pub(crate) BTreeMap<String, f64>);

impl Exporter {
    pub(crate) async fn start(fleet: &Fleet) -> Self {
        Self::start_with(fleet, false).await
    }

    async fn start_with(fleet: &Fleet, ledger_down: bool) -> Self {
        let text = std::fs::read_to_string(fleet.file("uplift.toml")).unwrap();
        let mut config: toml::Table = text.parse().unwrap();
        let ledger = before(&mut config, "ledger").await;
        ledger.set_down(ledger_down);
        let broker = before(&mut config, "hints").await;
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = toml::Table::from_iter([("listen".to_owned(), address.to_string().into())]);
        config.insert("exporter".into(), listen.into());
        let file = fleet.file(&format!("exporter-{}.toml", address.port()));
        std::fs::write(&file, config.to_string()).unwrap();
        let process = run(&file);
        // The client wants one, although it speaks plain HTTP here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let exporter = Self { process, address, client, ledger, broker, config: file };
        exporter.is_ready().await;
        exporter
    }

    async fn is_ready(&self) {
        eventually("the exporter is ready", SOON, async || self.get("readyz").await).await;
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    pub(crate) async fn restart(&mut self) {
        self.process = run(&self.config);
        self.is_ready().await;
    }

    /// What a path answers, where it answers well.
    async fn get(&self, path: &str) -> Option<String> {
        let answer = self.client.get(format!("http://{}/{path}", self.address)).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    pub(crate) async fn scrape(&self) -> Figures {
        let text = self.get("metrics").await.expect("a scrape succeeds, whatever is down");
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Figures(samples.collect())
    }

    /// Waits until a series has this value.
    pub(crate) async fn says(&self, series: &str, value: f64) {
        eventually(&format!("{series} is {value}"), SOON, async || {
            (self.scrape().await.0.get(series) == Some(&value)).then_some(())
        })
        .await;
    }
}

impl Figures {
    /// Whether there is a series whose name begins so.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.keys().any(|series| series.starts_with(name))
    }

    /// The sum of a metric's series.
    fn total(&self, name: &str) -> f64 {
        self.0.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| value).sum()
    }
}

/// The series of promises met or breached.
fn sla(product: &str, purpose: Purpose, outcome: &str) -> String {
    format!(r#"uplift_sla_events_total{{product="{product}",purpose="{purpose}",outcome="{outcome}"}}"#)
}

fn run(config: &Path) -> Process {
    let arguments = ["--config", config.to_str().unwrap()];
    Process::start("uplift-exporter", &arguments, &config.with_extension("log"))
}

/// Puts a proxy before the server that a section of the configuration names.
async fn before(config: &mut toml::Table, section: &str) -> Proxy {
    let entry = config.get_mut(section).unwrap().get_mut("url").unwrap();
    let mut url: Url = entry.as_str().unwrap().parse().unwrap();
    let server = (url.host_str().unwrap(), url.port().unwrap()).to_socket_addrs().unwrap().next().unwrap();
    let proxy = Proxy::tcp(server).await;
    let Address::Tcp(address) = &proxy.address else { unreachable!("it was made before a port") };
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(address.port())).unwrap();
    *entry = url.as_str().into();
    proxy
}

/// Submits a small sample database.
pub(crate) async fn submit(fleet: &Fleet) -> RequestId {
    let dump = fleet.file("shop.sql.gz");
    if !dump.exists() {
        let source = Database::create("sample").await;
        source.psql_file(&repository("deploy/packs/sample/generate.sql"), &[("scale", "1")]);
        source.dump(&dump);
        source.remove().await;
    }
    fleet.submit(Purpose::Test, &dump, "3.0", "shop")
}

fn update(fleet: &Fleet, set: &str) {
    fleet.database.psql_command(&format!("UPDATE requests SET {set}"));
}

/// A point in time, in seconds since 1970.
async fn time(fleet: &Fleet, sql: &str) -> f64 {
    fleet.database.value(&format!("SELECT extract(epoch FROM ({sql}))")).await.parse().unwrap()
}
