//! Every alert comes by its real cause, is told, and goes again; every panel and rule has something to show. Prometheus and
//! Alertmanager are Debian's, the promise is two minutes, and the rules' clock runs 60 times as fast.

mod asked;

use std::{path::PathBuf, time::Duration};

use lapin::{BasicProperties, Connection, ConnectionProperties, options::BasicPublishOptions};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use uplift_core::{Purpose, RequestId};
use uplift_tests::{
    eventually,
    fleet::{Fleet, Options, free_port},
    request::{LIMIT, json},
    services::variable,
    watch::Watch,
};

use crate::{
    exporter::Exporter,
    faults::{self, Extra, PAUSED},
};

/// Their windows are of days even on the faster clock: `alerts_test.yaml` alone sees them come and go.
const TOO_SLOW: [&str; 2] = ["UpliftBurnRateSlow", "UpliftRetentionLate"];

/// Panels and rules that have nothing to show, since everything here is younger than a day.
const NOTHING: [&str; 3] = ["Retention that is due", "Retention is late by", "UpliftRetentionLate"];

/// A fleet that is watched.
struct Stage {
    fleet: Fleet,
    watch: Watch,
    exporters: [Exporter; 2],
    /// Where the workers that will be started listen.
    listen: Vec<String>,
    canary: PathBuf,
    quick: PathBuf,
    slow: PathBuf,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_comes_and_goes_by_its_cause_and_every_panel_has_something_to_show() {
    let mut stage = Stage::set().await;
    let first = stage.nobody_works().await;
    stage.a_canary_counts_nowhere_else().await;
    stage.an_attempt_stands_still_and_an_estimate_is_off().await;
    stage.people_are_waited_for().await;
    stage.fleet.workers[first].signal("TERM");
    eventually("the worker has drained", LIMIT, async || stage.fleet.workers[first].ended()).await;
    let late = stage.promises_break().await;
    stage.a_worker_hangs(late).await;
    stage.the_dispatcher_hangs().await;
    stage.all_of_them_were_told();
    stage.everything_has_something_to_show().await;
    let Stage { fleet, watch, exporters, .. } = stage;
    drop((watch, exporters));
    fleet.stop().await;
}

impl Stage {
    async fn set() -> Self {
        let dispatcher = format!("127.0.0.1:{}", free_port());
        let fleet = Fleet::with(Options {
            workers: 0,
            dispatcher: format!(
                "target_minutes = 2\nwebhooks_to_private = true\nmetrics_listen = \"{dispatcher}\""
            ),
            ..Options::default()
        })
        .await;
        faults::push_pausing_pack(&fleet);
        let exporters = [Exporter::start(&fleet).await, Exporter::start(&fleet).await];
        let listen: Vec<String> = (0..4).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let watched = exporters.each_ref().map(|exporter| exporter.address.to_string());
        let jobs: [(&str, &[String]); 3] =
            [("uplift-exporter", &watched), ("uplift-dispatcher", &[dispatcher]), ("uplift-worker", &listen)];
        let watch = Watch::start(fleet.directory.path(), &jobs).await;
        let quick = faults::dump(&fleet, "quick", Extra::default()).await;
        let slow = faults::dump(&fleet, "slow", Extra { pause: 45, ..Extra::default() }).await;
        let canary = fleet.file("canary.token");
        let token =
            ["ops", "tokens", "create", "--account", "canary", "--role", "canary", "--label", "sample"];
        std::fs::write(&canary, fleet.must(&token)).unwrap();
        Self { fleet, watch, exporters, listen, canary, quick, slow }
    }

    fn worker(&mut self, slots: &str) -> usize {
        let listen = self.listen[self.fleet.workers.len()].clone();
        self.fleet.add_worker_with(&[("SLOTS", slots), ("LISTEN", &listen)])
    }

    fn submit(&self, dump: &str, database: &str) -> RequestId {
        self.fleet.submit(Purpose::Test, &self.fleet.file(&format!("{dump}.sql")), "3.0", database)
    }

    async fn nobody_works(&mut self) -> usize {
        self.watch.fires("UpliftNoWorkerAlive").await;
        let worker = self.worker("2");
        self.watch.resolves("UpliftNoWorkerAlive").await;
        worker
    }

    fn send_canary(&self) {
        let token = self.canary.to_str().unwrap();
        self.fleet.must(&["canary", "--token-file", token, "-i", self.quick.to_str().unwrap(), "-t", "3.0"]);
    }

    /// But it is seen where it is looked for.
    async fn a_canary_counts_nowhere_else(&self) {
        let customers = self.fleet.run(&["canary", "-i", self.quick.to_str().unwrap(), "-t", "3.0"]);
        let said = String::from_utf8_lossy(&customers.stderr).into_owned();
        assert!(customers.status.code() == Some(2) && said.contains("--role canary"), "{said}");
        self.send_canary();
        let accepted =
            "SELECT extract(epoch FROM accepted_at) FROM requests WHERE canary AND deleted_at IS NOT NULL";
        let accepted: f64 = self.fleet.database.value(accepted).await.parse().unwrap();
        let exporter = &self.exporters[0];
        exporter.says("uplift_canary_last_success_timestamp_seconds", accepted).await;
        let figures = exporter.scrape().await;
        assert!(figures.has("uplift_canary_duration_seconds"));
        for name in ["request_duration", "stage_duration", "step_duration", "schedule", "restore"] {
            assert!(!figures.has(&format!("uplift_{name}")), "a canary counts in {name}");
        }
        exporter.says(r#"uplift_attempts_total{outcome="delivered"}"#, 0.0).await;
        assert!(!figures.has(r#"uplift_requests{state="delivered""#));
        exporter.says(r#"uplift_sla_events_total{product="sample",purpose="test",outcome="met"}"#, 0.0).await;
    }

    /// One step takes longer than anybody sees it go on; and what was expected to take as long as last time takes far longer.
    async fn an_attempt_stands_still_and_an_estimate_is_off(&self) {
        let quick = self.submit("quick", "shop");
        self.fleet.delivered(quick).await;
        let slower = self.fleet.submit(Purpose::Test, &self.slow, "3.0", "shop");
        let slow = self.submit("slow", "slow");
        self.a_hint_is_unreadable().await;
        self.watch.fires("UpliftStuckAttempt").await;
        for request in [slower, slow] {
            self.fleet.delivered(request).await;
        }
        self.watch.resolves("UpliftStuckAttempt").await;
        self.watch.fires("UpliftEstimatesOff").await;
        for _ in 0..2 {
            let quick = self.submit("quick", "shop");
            self.fleet.delivered(quick).await;
        }
        self.watch.resolves("UpliftEstimatesOff").await;
    }

    async fn a_hint_is_unreadable(&self) {
        let url = variable("UPLIFT_TEST_AMQP_URL");
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("{}.hints.test", self.fleet.name());
        let properties = BasicProperties::default();
        let sent = channel.basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            b"not a hint",
            properties,
        );
        sent.await.unwrap().await.unwrap();
        self.watch.fires("UpliftDeadLetters").await;
        let dead = format!("{}.hints.dead", self.fleet.name());
        channel.queue_purge(dead.into(), lapin::options::QueuePurgeOptions::default()).await.unwrap();
        self.watch.resolves("UpliftDeadLetters").await;
    }

    /// Three accounts fail alike: their interventions wait for somebody, and the hop is held.
    async fn people_are_waited_for(&self) {
        let text = std::fs::read_to_string(&self.quick).unwrap();
        let broken = text.replace("\npause\t0\n", "\npause\tfor a while\n");
        assert_ne!(text, broken);
        std::fs::write(self.fleet.file("broken.sql"), broken).unwrap();
        for account in ["one", "two", "three"] {
            let token = self.fleet.token_of(account);
            let mut submission =
                self.fleet.submission(Purpose::Test, &self.fleet.file("broken.sql"), "3.0", "shop");
            json(&submission.env("UPLIFT_TOKEN", token).output().unwrap());
        }
        self.watch.fires("UpliftInterventionsUnclaimed").await;
        self.watch.fires("UpliftHopHeld").await;
        let held = self.submit("quick", "held");
        self.exporters[0].says("uplift_held_requests", 1.0).await;
        for intervention in self.list(&["ops", "interventions", "list"]) {
            self.fleet.must(&["ops", "interventions", "claim", intervention["id"].as_str().unwrap()]);
        }
        self.watch.resolves("UpliftInterventionsUnclaimed").await;
        for hold in self.list(&["ops", "holds", "list"]) {
            let id = hold["id"].as_str().unwrap();
            self.fleet.must(&[
                "ops",
                "holds",
                "release",
                id,
                "--reason",
                "the dumps were broken, not the pack",
            ]);
        }
        self.watch.resolves("UpliftHopHeld").await;
        self.fleet.delivered(held).await;
        self.nobody_is_waited_for();
    }

    fn nobody_is_waited_for(&self) {
        for intervention in self.list(&["ops", "interventions", "list"]) {
            let id = intervention["id"].as_str().unwrap();
            self.fleet.must(&["ops", "interventions", "reject", id, "--reason", "the dump is broken"]);
        }
    }

    fn list(&self, arguments: &[&str]) -> Vec<Value> {
        let listed = json(&self.fleet.run(&[arguments, &["--json"]].concat()));
        listed.as_array().cloned().expect("a list")
    }

    /// Five requests wait for workers; the first of them begins when there is less time left than it takes.
    async fn promises_break(&mut self) -> Vec<RequestId> {
        self.exporters_and_what_they_ask_are_down().await;
        for alert in ["UpliftBreachPredicted", "UpliftDeadlineNear", "UpliftBreached", "UpliftBurnRateFast"] {
            self.watch.from_now(alert);
        }
        let submitted = Instant::now();
        let mut late = vec![self.submit("slow", "slow")];
        late.extend(["a", "b", "c", "d"].map(|database| self.submit("quick", database)));
        self.watch.fires("UpliftNoWorkerAlive").await;
        sleep_until(submitted + Duration::from_secs(72)).await;
        self.worker("1");
        self.watch.fires("UpliftBreachPredicted").await;
        self.watch.fires("UpliftDeadlineNear").await;
        self.watch.fires("UpliftBreached").await;
        self.watch.fires("UpliftBurnRateFast").await;
        for alert in ["UpliftBreachPredicted", "UpliftDeadlineNear", "UpliftBreached", "UpliftBurnRateFast"] {
            self.watch.resolves(alert).await;
        }
        late
    }

    async fn exporters_and_what_they_ask_are_down(&mut self) {
        self.exporters[1].kill();
        self.watch.fires("UpliftExporterInstanceDown").await;
        self.exporters[0].kill();
        self.watch.fires("UpliftExporterDown").await;
        for exporter in &mut self.exporters {
            exporter.restart().await;
        }
        self.watch.resolves("UpliftExporterDown").await;
        self.watch.resolves("UpliftExporterInstanceDown").await;
        let down = |down| {
            for exporter in &self.exporters {
                exporter.ledger.set_down(down);
                exporter.broker.set_down(down);
            }
        };
        down(true);
        self.watch.fires("UpliftLedgerDown").await;
        self.watch.fires("UpliftBrokerDown").await;
        down(false);
        self.watch.resolves("UpliftLedgerDown").await;
        self.watch.resolves("UpliftBrokerDown").await;
    }

    /// It holds an attempt and a free slot, and does nothing with either. No canary comes back meanwhile.
    async fn a_worker_hangs(&mut self, late: Vec<RequestId>) {
        for request in late {
            self.fleet.delivered(request).await;
        }
        let last = self.fleet.workers.len() - 1;
        self.fleet.workers[last].signal("TERM");
        eventually("the worker has drained", LIMIT, async || self.fleet.workers[last].ended()).await;
        let worker = self.worker("2");
        let slow = self.submit("slow", "slow");
        self.fleet.reaches(slow, PAUSED).await;
        self.fleet.workers[worker].signal("STOP");
        let quick = self.submit("quick", "shop");
        self.watch.fires("UpliftNoClaim").await;
        self.watch.fires("UpliftLeaseSlackLow").await;
        self.fleet.workers[worker].signal("CONT");
        self.watch.resolves("UpliftNoClaim").await;
        self.watch.resolves("UpliftLeaseSlackLow").await;
        self.fleet.delivered(quick).await;
        self.fleet.delivered(slow).await;
        self.a_worker_is_killed(worker).await;
        self.watch.fires("UpliftCanaryLate").await;
        self.watch.from_now("UpliftCanaryLate");
        self.send_canary();
        self.watch.resolves("UpliftCanaryLate").await;
    }

    /// What it did is done again by another one.
    async fn a_worker_is_killed(&mut self, worker: usize) {
        let lost = r#"uplift_failures_total{class="lease_lost",pack="",hop=""}"#;
        let before = self.exporters[0].scrape().await.0[lost];
        let quick = self.submit("quick", "shop");
        self.fleet.reaches(quick, "state = 'running'").await;
        self.fleet.workers[worker].kill();
        self.worker("2");
        self.fleet.delivered(quick).await;
        self.exporters[0].says(lost, before + 1.0).await;
    }

    /// Nobody tells customers what has come of their requests, and nobody removes what failed attempts leave.
    async fn the_dispatcher_hangs(&self) {
        let receiver = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", receiver.local_addr().unwrap());
        let answer = axum::routing::post(|| async {});
        tokio::spawn(async { axum::serve(receiver, axum::Router::new().route("/", answer)).await });
        self.fleet.must(&["webhooks", "add", &url]);
        let slow = self.submit("slow", "slow");
        self.fleet.reaches(slow, PAUSED).await;
        // Nobody has the time to remove what it leaves before there is nobody who does.
        let broken = self.submit("broken", "broken");
        self.fleet.reaches(broken, "state = 'running'").await;
        self.fleet.dispatcher.signal("STOP");
        self.watch.fires("UpliftNotificationsLate").await;
        self.watch.fires("UpliftLeftovers").await;
        self.fleet.dispatcher.signal("CONT");
        self.watch.resolves("UpliftNotificationsLate").await;
        self.watch.resolves("UpliftLeftovers").await;
        self.fleet.delivered(slow).await;
        self.nobody_is_waited_for();
    }

    /// What was told is all that there is, and reads well.
    fn all_of_them_were_told(&self) {
        let heard = self.watch.heard();
        for alert in asked::alerts().iter().filter(|alert| !TOO_SLOW.contains(&alert.as_str())) {
            let told = |status| {
                heard
                    .iter()
                    .any(|told| told["labels"]["alertname"] == alert.as_str() && told["status"] == status)
            };
            assert_eq!((told("firing"), told("resolved")), (true, true), "{alert}");
        }
        for told in heard {
            for (name, text) in told["annotations"].as_object().unwrap() {
                let text = text.as_str().unwrap();
                let bad = ["<no value>", "<error", "{{", "NaN", "Inf"].iter().any(|bad| text.contains(bad));
                assert!(!bad && !text.is_empty(), "{name} of {}: {text}", told["labels"]["alertname"]);
            }
        }
    }

    /// Every query of a panel, and every rule's expression, as Prometheus answers it over the whole time.
    async fn everything_has_something_to_show(&self) {
        let mut empty = Vec::new();
        for (place, query) in [asked::panels(), asked::rules()].concat() {
            let there = !self.watch.ever(&query).await.is_empty();
            if there == NOTHING.iter().any(|nothing| place.ends_with(nothing)) {
                empty.push(format!("{place}: {query} has {}", if there { "data" } else { "none" }));
            }
        }
        assert!(empty.is_empty(), "{}", empty.join("\n"));
    }
}
