//! Several dispatchers at once: a customer may talk to either, both sweep, and one of them may die.

use std::{collections::BTreeMap, path::Path, time::Duration};

use lapin::{
    Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions},
    types::FieldTable,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use uplift_core::{Epoch, Lease, RequestId, WorkerId};
use uplift_tests::{
    SOON, eventually,
    fleet::{Fleet, Options},
    process::Process,
    services::Services,
};

use super::{Extra, PAUSED, delivered_once, dump, outcomes, push_pausing_pack};
use crate::http;

#[tokio::test(flavor = "multi_thread")]
async fn two_dispatchers_work_as_one_until_one_of_them_is_killed() {
    let mut fleet = Fleet::with(Options { workers: 0, ..Options::default() }).await;
    let (second, other) = fleet.second_dispatcher().await;
    let first = fleet.server().to_owned();
    push_pausing_pack(&fleet);
    let dump = dump(&fleet, "shop", Extra { pause: 6, ..Extra::default() }).await;

    // Both sweep: what one of them, being frozen, leaves alone is the other one's.
    let a = hand_in(&fleet, [&first, &other], &dump, "a").await;
    let lost_a = dead_worker_takes(&fleet, a).await;
    let b = hand_in(&fleet, [&other, &first], &dump, "b").await;
    let lost_b = dead_worker_takes(&fleet, b).await;
    swept_by(&fleet, &second, &fleet.dispatcher, &lost_a).await;
    swept_by(&fleet, &fleet.dispatcher, &second, &lost_b).await;

    // One hint each, however many sweep.
    fleet.ledger.set_max_running("acme", 100).await.unwrap();
    let c = hand_in(&fleet, [&first, &other], &dump, "c").await;
    let hinted = [a, b, c].map(|request| (request, 1));
    wait_for_hints(&fleet, 3).await;
    // The fault would be that one of the next rounds hints again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(hints(&fleet).await, BTreeMap::from(hinted));

    for _ in 0..2 {
        fleet.add_worker();
    }
    let mut seen: Vec<(u64, String)> = Vec::new();
    let mut following = follow(&fleet, &first, a, 0).await;
    while !seen.iter().any(|(_, text)| text.ends_with("/pause")) {
        seen.extend(following.next().await.expect("the log goes on"));
    }
    fleet.reaches(a, PAUSED).await;
    // Killed while one request runs, another one is followed, and a third one has half of its upload.
    let d = submit(&fleet, &first, &dump, "d").await;
    let part = put_part(&fleet, &first, d, &dump).await;
    fleet.dispatcher.kill();
    assert!(following.next().await.is_none(), "a dead dispatcher's log goes on");
    assert_eq!(submit(&fleet, &other, &dump, "d").await, d, "the same key is the same request");
    complete(&fleet, &other, d, &part).await;

    let mut following = follow(&fleet, &other, a, seen.last().unwrap().0).await;
    while let Some(lines) = following.next().await {
        seen.extend(lines);
    }
    for (request, epoch) in [(a, 2), (b, 2), (c, 1), (d, 1)] {
        assert_eq!(delivered_once(&fleet, request).await.epoch, Epoch(epoch));
    }
    let whole = fleet.ledger.log_after(a, 0).await.unwrap().lines;
    assert_eq!(seen, whole.into_iter().map(|(number, line)| (number, line.text)).collect::<Vec<_>>());
    wait_for_hints(&fleet, 0).await;
    // The one that lives tidies up.
    fleet.dispatcher = second;
    fleet.stop().await;
}

/// A request that is submitted at one dispatcher, and whose upload ends at the other.
async fn hand_in(fleet: &Fleet, [here, there]: [&str; 2], dump: &Path, name: &str) -> RequestId {
    let request = submit(fleet, here, dump, name).await;
    let part = put_part(fleet, there, request, dump).await;
    complete(fleet, there, request, &part).await;
    request
}

/// Submitted under the database's name as its key.
pub(super) async fn submit(fleet: &Fleet, server: &str, dump: &Path, name: &str) -> RequestId {
    let wish = json!({
        "database": name, "purpose": "test", "target": "3.0", "file_name": "shop.sql",
        "bytes": std::fs::metadata(dump).unwrap().len(),
    });
    let created = post(fleet, server, "requests", &[("idempotency-key", name)], &wish).await;
    created["request"]["id"].as_str().unwrap().parse().unwrap()
}

/// Sends a dump of one part to the store; gives the part's tag.
async fn put_part(fleet: &Fleet, server: &str, request: RequestId, dump: &Path) -> String {
    let path = format!("requests/{request}/upload/parts");
    let links = post(fleet, server, &path, &[], &json!({ "parts": [1] })).await;
    let url = links["links"][0]["url"].as_str().unwrap();
    let put = reqwest::Client::new().put(url).body(std::fs::read(dump).unwrap()).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::OK);
    put.headers()["etag"].to_str().unwrap().to_owned()
}

async fn complete(fleet: &Fleet, server: &str, request: RequestId, etag: &str) {
    let parts = json!({ "parts": [{ "part": 1, "etag": etag }] });
    let path = format!("requests/{request}/upload/complete");
    post(fleet, server, &path, &[], &parts).await;
}

async fn post(fleet: &Fleet, server: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
    let answer = http::send(server, fleet.token(), Method::POST, path, headers, &body.to_string()).await;
    let (status, said) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{path}: {status} {said}");
    serde_json::from_str(&said).unwrap()
}

/// Takes the only claimable request and its hint, as a worker does that dies at once.
async fn dead_worker_takes(fleet: &Fleet, request: RequestId) -> Lease {
    let (connection, channel) = broker().await;
    let message = eventually("the request is hinted at", SOON, async || {
        channel.basic_get(queue(fleet).into(), BasicGetOptions::default()).await.unwrap()
    })
    .await;
    let claimed = fleet.ledger.claim(WorkerId::new(), Duration::from_secs(3600)).await.unwrap();
    message.acker.ack(BasicAckOptions::default()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
    let lease = claimed.expect("the request is claimable").lease;
    assert_eq!(lease.request(), request);
    lease
}

/// A lease runs out while one of the dispatchers does not move: the other one ends the attempt, once, and hints again.
async fn swept_by(fleet: &Fleet, awake: &Process, frozen: &Process, lost: &Lease) {
    let request = lost.request();
    frozen.signal("STOP");
    let expire =
        format!("UPDATE requests SET lease_until = now() - interval '1 second' WHERE id = '{request}'");
    sqlx::query(sqlx::AssertSqlSafe(expire)).execute(&mut fleet.database.connect().await).await.unwrap();
    fleet.reaches(request, "state = 'queued' AND hinted_at IS NOT NULL").await;
    frozen.signal("CONT");
    let ended = |log: String| {
        let about =
            |line: &&str| line.contains("an attempt was ended") && line.contains(&request.to_string());
        log.lines().filter(about).count()
    };
    assert_eq!((ended(awake.log()), ended(frozen.log())), (1, 0));
    assert_eq!(outcomes(fleet, request).await, [("lease_lost".to_owned(), "fetch".to_owned())]);
}

/// Waits until so many hints wait at the broker.
async fn wait_for_hints(fleet: &Fleet, count: u32) {
    let (connection, channel) = broker().await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    eventually(&format!("{count} hints wait"), SOON, async || {
        let asked = channel.queue_declare(queue(fleet).into(), passive, FieldTable::default()).await;
        (asked.unwrap().message_count() == count).then_some(())
    })
    .await;
    connection.close(200, "done".into()).await.unwrap();
}

/// How many hints at which requests wait at the broker; they stay there, but each look counts against the limit of
/// their deliveries.
async fn hints(fleet: &Fleet) -> BTreeMap<RequestId, usize> {
    let (connection, channel) = broker().await;
    let mut hints = BTreeMap::new();
    while let Some(message) =
        channel.basic_get(queue(fleet).into(), BasicGetOptions::default()).await.unwrap()
    {
        let body: Value = serde_json::from_slice(&message.data).unwrap();
        *hints.entry(body["request"].as_str().unwrap().parse().unwrap()).or_default() += 1;
    }
    // What was not acknowledged goes back.
    connection.close(200, "done".into()).await.unwrap();
    hints
}

async fn broker() -> (Connection, lapin::Channel) {
    let connection =
        Connection::connect(&Services::real().amqp, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

fn queue(fleet: &Fleet) -> String {
    format!("{}.hints.test", fleet.name())
}

/// A log that is being followed.
struct Following {
    answer: Response,
    text: String,
}

/// Follows a log behind a line, as a program does that is not ours.
async fn follow(fleet: &Fleet, server: &str, request: RequestId, line: u64) -> Following {
    let line = line.to_string();
    let headers = [("accept", "text/event-stream"), ("last-event-id", line.as_str())];
    let path = format!("requests/{request}/log");
    let answer = http::send(server, fleet.token(), Method::GET, &path, &headers, "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    Following { answer, text: String::new() }
}

impl Following {
    /// The lines of the next events, with their numbers; `None` once the stream has ended, or broke.
    async fn next(&mut self) -> Option<Vec<(u64, String)>> {
        let piece = self.answer.chunk().await.ok().flatten()?;
        self.text.push_str(std::str::from_utf8(&piece).expect("events come whole"));
        let whole = self.text.rfind("\n\n").map_or(0, |end| end + 2);
        let events: String = self.text.drain(..whole).collect();
        Some(events.split_terminator("\n\n").filter_map(line).collect())
    }
}

/// A line's number and text, where an event is a line.
fn line(event: &str) -> Option<(u64, String)> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let number = field("id:")?.parse().unwrap();
    let data: Value = serde_json::from_str(field("data:")?).unwrap();
    Some((number, data["text"].as_str().unwrap().to_owned()))
}
