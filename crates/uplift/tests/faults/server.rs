//! A dispatcher and a store in one, which fail as their script says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const REQUEST: &str = "01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77";
pub(crate) const LINES: [&str; 4] = ["one", "Größe \u{1b}[31m🦀", "three", "four"];
pub(crate) const RESULT: &str = "-- the upgraded dump\n";
/// Five parts of the test's dump.
const PART_BYTES: u64 = 7;

/// What goes wrong, and what is there.
#[derive(Clone, Default)]
pub(crate) struct Script {
    /// The links of the first batch have expired.
    pub(crate) refuse_first_links: bool,
    /// The connection breaks when this part comes for the first time.
    pub(crate) break_part: Option<u32>,
    /// The parts that the store has.
    pub(crate) there: Vec<u32>,
    /// The store has the scripts.
    pub(crate) scripts_there: bool,
    /// The scripts that the request was handed in with.
    pub(crate) scripts: Option<Value>,
    /// The request's state; empty is `awaiting_upload`.
    pub(crate) state: &'static str,
    /// The log ends, with the request in this state.
    pub(crate) end: Option<&'static str>,
    /// The result is not what was promised.
    pub(crate) wrong_hash: bool,
}

/// What came.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) wish: Value,
    pub(crate) completed: Value,
    pub(crate) parts: BTreeMap<u32, Bytes>,
    pub(crate) scripts: Option<Bytes>,
    /// `Last-Event-ID` of each connection to the log.
    pub(crate) resumed_at: Vec<String>,
    /// `Range` of each connection to the result.
    pub(crate) ranges: Vec<String>,
    batches: usize,
    broken: BTreeSet<u32>,
}

struct Shared {
    script: Script,
    address: SocketAddr,
    seen: Mutex<Seen>,
}

/// A running server; it ends with its runtime.
pub(crate) struct Server {
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { script, address, seen: Mutex::default() });
        let requests = Router::new()
            .route("/", get(show))
            .route("/upload", get(there))
            .route("/upload/parts", post(links))
            .route("/upload/complete", post(complete))
            .route("/log", get(log))
            .route("/result", get(result));
        let router = Router::new()
            .route("/api/v1/requests", post(submit))
            .nest(&format!("/api/v1/requests/{REQUEST}"), requests)
            .route("/store/{part}", put(part))
            .route("/store/scripts", put(scripts))
            .route("/store/result", get(fetch))
            .with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { shared, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request(state: &str, wrong_hash: bool) -> Value {
    let of = if wrong_hash { "something else" } else { RESULT };
    let result =
        json!({ "file_name": "shop-18.0.sql", "bytes": RESULT.len(), "sha256": sha256(of.as_bytes()) });
    let failure = json!({
        "message": "the dump is truncated",
        "failure": { "code": "input_rejected", "message": "the dump is truncated" },
    });
    json!({
        "id": REQUEST, "account": "acme", "database": "shop", "purpose": "test", "product": null,
        "source_version": null, "target": "18.0", "state": state,
        "failure": if matches!(state, "rejected" | "intervention") { failure } else { Value::Null },
        "progress": null, "result": if state == "delivered" { result } else { Value::Null }, "attempt": 1,
        "accepted_at": null, "cancelling": false, "created_at": "2026-01-01T00:00:00Z", "uploaded_at": null,
        "deadline": null, "started_at": null, "finished_at": null,
    })
}

async fn submit(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(wish): Json<Value>) -> Response {
    assert!(headers.contains_key("idempotency-key"));
    assert_eq!(headers[header::AUTHORIZATION], "Bearer a-secret");
    let mut created =
        json!({ "request": request("awaiting_upload", false), "part_bytes": PART_BYTES, "parts": 5 });
    if wish.get("scripts").is_some() {
        created["scripts"] = format!("http://{}/store/scripts?batch=1", shared.address).into();
    }
    shared.seen.lock().unwrap().wish = wish;
    (StatusCode::CREATED, Json(created)).into_response()
}

/// The request as it was handed in.
fn handed_in(shared: &Shared, state: &str) -> Value {
    let mut request = request(state, shared.script.wrong_hash);
    request["scripts"] = shared.script.scripts.clone().unwrap_or_default();
    request
}

async fn show(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let state = if shared.script.state.is_empty() { "awaiting_upload" } else { shared.script.state };
    Json(handed_in(&shared, state))
}

async fn there(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let part = |&part: &u32| json!({ "part": part, "etag": format!("\"tag-{part}\""), "bytes": PART_BYTES });
    let parts: Vec<Value> = shared.script.there.iter().map(part).collect();
    let mut state = json!({ "part_bytes": PART_BYTES, "parts": parts });
    let attached =
        shared.script.scripts.is_some() || shared.seen.lock().unwrap().wish.get("scripts").is_some();
    if attached && !shared.script.scripts_there {
        state["scripts"] = format!("http://{}/store/scripts?batch=2", shared.address).into();
    }
    Json(state)
}

async fn links(State(shared): State<Arc<Shared>>, Json(wanted): Json<Value>) -> Json<Value> {
    let mut seen = shared.seen.lock().unwrap();
    seen.batches += 1;
    let batch = seen.batches;
    let link = |part: &Value| json!({ "part": part, "url": format!("http://{}/store/{part}?batch={batch}", shared.address) });
    Json(json!({ "links": wanted["parts"].as_array().unwrap().iter().map(link).collect::<Vec<_>>() }))
}

async fn part(
    State(shared): State<Arc<Shared>>,
    Path(part): Path<u32>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StatusCode> {
    assert!(!headers.contains_key(header::AUTHORIZATION), "the store must not see the token");
    assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string().as_str());
    if shared.script.refuse_first_links && query["batch"] == "1" {
        return Err(StatusCode::FORBIDDEN);
    }
    let mut seen = shared.seen.lock().unwrap();
    if shared.script.break_part == Some(part) && seen.broken.insert(part) {
        return Ok(broken(b"half an ans"));
    }
    seen.parts.insert(part, body);
    Ok(([(header::ETAG, format!("\"tag-{part}\""))], "").into_response())
}

/// The first connection over a link that has not expired breaks.
async fn scripts(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StatusCode> {
    assert!(!headers.contains_key(header::AUTHORIZATION), "the store must not see the token");
    if shared.script.refuse_first_links && query["batch"] == "1" {
        return Err(StatusCode::FORBIDDEN);
    }
    let mut seen = shared.seen.lock().unwrap();
    if seen.broken.insert(0) {
        return Ok(broken(b"half an ans"));
    }
    seen.scripts = Some(body);
    Ok(([(header::ETAG, "\"tag\"")], "").into_response())
}

async fn complete(State(shared): State<Arc<Shared>>, Json(completed): Json<Value>) -> Json<Value> {
    shared.seen.lock().unwrap().completed = completed;
    Json(request("queued", false))
}

/// The first connection breaks inside a character, the second between two lines, the third stays.
async fn log(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap().to_owned()).unwrap_or_default();
    shared.seen.lock().unwrap().resumed_at.push(last.clone());
    let from: usize = last.parse().unwrap_or(0);
    let mut text = String::from(": hello\n\n");
    for (index, line) in LINES.iter().enumerate().skip(from) {
        let line = json!({ "at": "2026-01-01T00:00:00Z", "level": "info", "text": line });
        text.push_str(&format!("id: {}\r\nevent: line\r\ndata: {line}\r\n\r\n", index + 1));
    }
    if let Some(state) = shared.script.end {
        match from {
            0 => return events(broken(&text.as_bytes()[..text.find('ö').unwrap() + 1])),
            1 => return events(broken(&text.as_bytes()[..text.find("id: 4").unwrap()])),
            _ => text.push_str(&format!("event: end\ndata: {}\n\n", request(state, false))),
        }
    }
    let stays = stream::iter([Ok::<_, io::Error>(text)]).chain(stream::pending());
    events(Body::from_stream(stays).into_response())
}

fn events(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, "text/event-stream".parse().unwrap());
    response
}

async fn result(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let url = format!("http://{}/store/result", shared.address);
    Json(json!({ "url": url, "file_name": "shop-18.0.sql" }))
}

/// The first connection breaks behind 13 bytes.
async fn fetch(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let range =
        headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned()).unwrap_or_default();
    let mut seen = shared.seen.lock().unwrap();
    seen.ranges.push(range.clone());
    match range.as_str() {
        "" if seen.ranges.len() == 1 => broken(&RESULT.as_bytes()[..13]),
        "" => RESULT.into_response(),
        range => {
            let from: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
            let place = format!("bytes {from}-{}/{}", RESULT.len() - 1, RESULT.len());
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, place)], &RESULT[from..]).into_response()
        }
    }
}

/// An answer whose connection breaks behind these bytes.
fn broken(bytes: &[u8]) -> Response {
    let bytes = Bytes::copy_from_slice(bytes);
    let cut = stream::iter([Ok(bytes), Err(io::Error::other("cut"))]);
    // Between the two the bytes have to leave, or the connection breaks before them.
    Body::from_stream(cut.then(async |piece| {
        tokio::task::yield_now().await;
        piece
    }))
    .into_response()
}
