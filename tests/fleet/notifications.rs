//! What customers are told, by a server for mail and by webhooks whose receiver fails, hangs, redirects and wants no more.

use std::{
    collections::VecDeque,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use uplift_core::Purpose;
use uplift_tests::{
    SOON, eventually,
    fleet::{Fleet, Options},
    request::json as output_json,
    services::variable,
};

use crate::dumps;

/// What the receiver does with the next request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    Hang,
    Redirect,
}

/// A request that came in.
#[derive(Clone, Debug)]
struct Heard {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Heard {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no header {name}: {self:?}"))
    }

    /// Whether its signature is that of the secret.
    fn is_signed_with(&self, secret: &str) -> bool {
        let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let (id, time) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        mac.update(format!("{id}.{time}.{}", self.body).as_bytes());
        self.header("webhook-signature") == format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }
}

/// A receiver of webhooks. Without an answer of its own a request gets 204.
#[derive(Clone)]
struct Receiver {
    port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Self { port, heard: Arc::default(), answers: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        receiver
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let (head, length) = loop {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                break (head.to_owned(), length.unwrap().parse::<usize>().unwrap());
            }
        };
        while bytes.len() < head.len() + 4 + length {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        let mut lines = head.lines();
        let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let body = String::from_utf8(bytes[head.len() + 4..].to_vec()).unwrap();
        self.heard.lock().unwrap().push(Heard { path, headers, body });
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(204));
        let answer = match answer {
            Answer::Status(status) => {
                format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            }
            Answer::Redirect => format!(
                "HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:{}/elsewhere\r\ncontent-length: 0\r\n\
                 connection: close\r\n\r\n",
                self.port
            ),
            Answer::Hang => return std::future::pending().await,
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn answers(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// All that was heard, once it is so many.
    async fn heard(&self, count: usize) -> Vec<Heard> {
        eventually("the webhook is told", SOON, async || {
            let heard = self.heard.lock().unwrap().clone();
            (heard.len() >= count).then_some(heard)
        })
        .await
    }
}

/// A server for mail, which writes down what it takes.
struct MailServer {
    server: Child,
    log: PathBuf,
}

impl MailServer {
    fn start(fleet: &Fleet, port: u16) -> Self {
        let log = fleet.file("mail.log");
        let python = PathBuf::from(variable("UPLIFT_TEST_PYTHON_TOOLS")).join("python3");
        let mut command = Command::new(python);
        command.args(["-u", "-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}")]);
        command.args(["-c", "aiosmtpd.handlers.Debugging", "stdout"]);
        let file = std::fs::File::create(&log).unwrap();
        let server = command.stdin(Stdio::null()).stdout(file).spawn().unwrap();
        Self { server, log }
    }

    async fn took(&self, words: &str) -> String {
        eventually(words, SOON, async || {
            let text = std::fs::read_to_string(&self.log).unwrap();
            text.contains(words).then_some(text)
        })
        .await
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The pauses between attempts are days in all: the next one comes now.
async fn its_time_comes(fleet: &Fleet) {
    let sql = "UPDATE notifications SET next_at = now() WHERE next_at IS NOT NULL";
    sqlx::query(sql).execute(&mut fleet.database.connect().await).await.unwrap();
}

async fn told(fleet: &Fleet, webhook: &str, what: &str) -> Value {
    eventually(what, SOON, async || {
        let told = output_json(&fleet.run(&["webhooks", "deliveries", webhook, "--json"]));
        let found = told
            .as_array()
            .unwrap()
            .iter()
            .find(|told| told["said"].as_str().is_some_and(|said| said.contains(what)));
        found.cloned()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_told_by_mail_and_by_webhooks_whatever_the_other_side_does() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail = free.local_addr().unwrap().port();
    drop(free);
    let settings = format!(
        "webhooks_to_private = true\npublic_url = \"https://upgrade.example.com\"\n\
         mail = {{ url = \"smtp://127.0.0.1:{mail}\", from = \"Uplift <uplift@example.com>\" }}"
    );
    let mut fleet = Fleet::with(Options { dispatcher: settings, workers: 0, ..Options::default() }).await;
    fleet.push_pack(&uplift_tests::repository("deploy/packs/sample"));
    let receiver = Receiver::start().await;
    let added = output_json(&fleet.run(&["webhooks", "add", &receiver.url(), "--json"]));
    let (webhook, secret) = (added["id"].as_str().unwrap(), added["secret"].as_str().unwrap());
    let shop = dumps::sample().await;
    let dump = fleet.file("shop.sql");
    shop.dump(&dump);

    // It fails, hangs, redirects, and takes it at last; the dispatcher is another one by then.
    for answer in [Answer::Status(500), Answer::Hang, Answer::Redirect] {
        receiver.answers(answer);
    }
    let mut submission = fleet.submission(Purpose::Test, &dump, "3.0", "shop");
    let submitted = output_json(&submission.args(["--email", "me@example.com", "--json"]).output().unwrap());
    let request = submitted["id"].as_str().unwrap().parse().unwrap();
    told(&fleet, webhook, "500").await;
    its_time_comes(&fleet).await;
    receiver.heard(2).await;
    told(&fleet, webhook, "reach it").await;
    fleet.restart_dispatcher().await;
    let server = MailServer::start(&fleet, mail);
    its_time_comes(&fleet).await;
    receiver.heard(3).await;
    told(&fleet, webhook, "redirects are not followed").await;
    its_time_comes(&fleet).await;
    let heard = receiver.heard(4).await;
    assert!(heard.iter().all(|heard| heard.path == "/hook" && heard.is_signed_with(secret)), "{heard:#?}");
    let ids: Vec<&str> = heard.iter().map(|heard| heard.header("webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let message: Value = serde_json::from_str(&heard[3].body).unwrap();
    assert_eq!(message["type"], "request.in_progress");
    assert_eq!(
        (&message["data"]["request"], &message["data"]["database"], &message["data"]["target"]),
        (&submitted["id"], &json!("shop"), &json!("3.0"))
    );

    // The mail that nobody took at first came, too.
    fleet.add_worker();
    fleet.delivered(request).await;
    let heard = receiver.heard(5).await;
    assert_eq!(serde_json::from_str::<Value>(&heard[4].body).unwrap()["type"], "request.delivered");
    let text = server.took("test of shop to 3.0: delivered").await;
    assert!(text.contains("test of shop to 3.0: in progress"), "{text}");
    for words in [
        "From: Uplift <uplift@example.com>",
        "To: me@example.com",
        "Message-ID: <",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        "https://upgrade.example.com/requests/",
    ] {
        assert!(text.contains(words), "no {words}: {text}");
    }

    // It wants no more; then it does.
    receiver.answers(Answer::Status(410));
    let garbage = dumps::file(&fleet, "garbage.sql", b"no dump\n");
    let rejected = fleet.hand_in(Purpose::Test, &garbage, "3.0", "garbage").await;
    assert_eq!(rejected.code, Some(10), "{rejected:?}");
    let gone = told(&fleet, webhook, "410").await;
    let listed = output_json(&fleet.run(&["webhooks", "list", "--json"]));
    assert!(listed[0]["disabled_why"].as_str().unwrap().contains("410"), "{listed}");
    let before = receiver.heard(6).await.len();
    let rejected = fleet.hand_in(Purpose::Test, &garbage, "3.0", "garbage").await;
    assert_eq!(rejected.code, Some(10), "{rejected:?}");
    // What is to be told is written with what happened: there is nothing that could still come.
    let rows = format!("SELECT count(*) FROM notifications WHERE request_id = '{}'", rejected.id());
    assert_eq!(fleet.database.value(&rows).await, "0", "it is told more");
    let id = gone["id"].as_str().unwrap();
    assert!(!fleet.run(&["webhooks", "replay", id]).status.success());
    fleet.must(&["webhooks", "enable", webhook]);
    fleet.must(&["webhooks", "replay", id]);
    let heard = receiver.heard(before + 1).await;
    assert_eq!(heard[before].header("webhook-id"), id);
    told(&fleet, webhook, "204").await;

    // What they find wrong is answered, one report at a time, and they are told.
    let reported = request.to_string();
    fleet.must(&["discrepancy", &reported, "The journal begins with 0"]);
    let again = fleet.run(&["discrepancy", &reported, "and so do others"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is being looked at"), "{again:?}");
    let open = output_json(&fleet.run(&["--json", "ops", "interventions", "list", "--request", &reported]));
    let words = "Statements from before March are not in the dump";
    fleet.must(&["ops", "interventions", "answer", open[0]["id"].as_str().unwrap(), words]);
    let heard = receiver.heard(before + 2).await;
    assert_eq!(serde_json::from_str::<Value>(&heard[before + 1].body).unwrap()["type"], "request.answered");
    assert!(server.took("test of shop to 3.0: answered").await.contains(words));
    assert!(fleet.must(&["status", &reported]).contains(words));
    assert!(
        !fleet.run(&["discrepancy", &rejected.id().to_string(), "x"]).status.success(),
        "it was not delivered"
    );

    // Others have none of it.
    let stranger = fleet.token_of("globex");
    for arguments in
        [["webhooks", "deliveries", webhook], ["webhooks", "remove", webhook], ["webhooks", "replay", id]]
    {
        let output = fleet.uplift().env("UPLIFT_TOKEN", &stranger).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no such"), "{output:?}");
    }
    fleet.must(&["webhooks", "remove", webhook]);
    shop.remove().await;
    fleet.stop().await;
}

#[tokio::test]
async fn nobody_is_sent_into_the_network_or_mail_where_there_is_none() {
    let fleet = Fleet::start().await;
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/",
    ] {
        let output = fleet.run(&["webhooks", "add", url]);
        assert_eq!(output.status.code(), Some(1), "{url}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("`url`"), "{output:?}");
    }
    // A name is looked up when it is used, and must not lead inside either.
    let added = output_json(&fleet.run(&["webhooks", "add", "https://localhost:1/", "--json"]));
    let dump = dumps::sample().await;
    let file = fleet.file("shop.sql");
    dump.dump(&file);
    let request = fleet.submit(Purpose::Test, &file, "3.0", "shop");
    told(&fleet, added["id"].as_str().unwrap(), "has no address of the internet").await;
    fleet.delivered(request).await;
    let mut submission = fleet.submission(Purpose::Test, &file, "3.0", "shop");
    let output = submission.args(["--email", "me@example.com"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("sends no mail"), "{output:?}");
    dump.remove().await;
    fleet.stop().await;
}
