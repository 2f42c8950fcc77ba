//! A headless Chromium, driven by WebDriver: <https://www.w3.org/TR/webdriver2/>.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use uplift_tests::{eventually, fleet::Fleet};

/// How long a page may take to show something, on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// What WebDriver calls a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Where screenshots go, where somebody wants to look at them.
const SHOTS: &str = "UPLIFT_TEST_SCREENSHOTS";

/// A browser with one window.
pub(crate) struct Browser {
    http: Client,
    session: String,
    server: String,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Opens one, so many pixels wide.
    pub(crate) async fn open(fleet: &Fleet, width: u32) -> Self {
        let _named = rustls::crypto::ring::default_provider().install_default();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, from the package chromium-driver");
        let (http, base) = (Client::new(), format!("http://127.0.0.1:{port}"));
        eventually("the driver is up", LIMIT, async || {
            http.get(format!("{base}/status")).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
        let profile = tempfile::tempdir().unwrap();
        let args = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            format!("--window-size={width},900"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        // A headless window is no narrower than 500 pixels unless it stands for a phone.
        let mut options = json!({ "args": args });
        if width < 500 {
            let metrics =
                json!({ "width": width, "height": 844, "pixelRatio": 1.0, "mobile": true, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = http.post(format!("{base}/session")).json(&wanted).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let session = format!("{base}/session/{id}");
        Self { session, http, server: fleet.server().to_owned(), driver, _profile: profile }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Value> {
        let mut request = self.http.request(method, format!("{}/{path}", self.session));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let good = answer.status().is_success();
        let value = answer.json::<Value>().await.unwrap()["value"].take();
        if good { Ok(value) } else { Err(value) }
    }

    /// Goes to a page of the dispatcher's.
    pub(crate) async fn goes_to(&self, path: &str) {
        let url = format!("{}{path}", self.server);
        self.call(Method::POST, "url", Some(json!({ "url": url }))).await.unwrap();
    }

    /// Opens a file.
    pub(crate) async fn goes_to_file(&self, file: &Path) {
        let url = format!("file://{}", file.display());
        self.call(Method::POST, "url", Some(json!({ "url": url }))).await.unwrap();
    }

    async fn find(&self, css: &str) -> Result<String, Value> {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.call(Method::POST, "element", Some(wanted)).await?;
        Ok(found[ELEMENT].as_str().unwrap().to_owned())
    }

    /// Waits for an element; a page that is loaded anew meanwhile is looked at again.
    async fn element(&self, css: &str) -> String {
        eventually(&format!("{css} on {}", self.address().await), LIMIT, async || self.find(css).await.ok())
            .await
    }

    /// Where it is, below the dispatcher's address.
    pub(crate) async fn address(&self) -> String {
        let url = self.call(Method::GET, "url", None).await.unwrap();
        url.as_str().unwrap().trim_start_matches(&self.server).to_owned()
    }

    pub(crate) async fn clicks(&self, css: &str) {
        let mut last = Value::Null;
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            let clicked = match self.find(css).await {
                Ok(found) => {
                    self.call(Method::POST, &format!("element/{found}/click"), Some(json!({}))).await
                }
                Err(error) => Err(error),
            };
            match clicked {
                Ok(_) => return,
                Err(error) => last = error["message"].clone(),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{css} on {} cannot be clicked: {last}", self.address().await);
    }

    /// Types into a field, in place of what is there.
    pub(crate) async fn types(&self, css: &str, text: &str) {
        let found = self.element(css).await;
        self.call(Method::POST, &format!("element/{found}/clear"), Some(json!({}))).await.unwrap();
        let keys = json!({ "text": text });
        self.call(Method::POST, &format!("element/{found}/value"), Some(keys)).await.unwrap();
    }

    /// Chooses a file.
    pub(crate) async fn chooses(&self, css: &str, file: &Path) {
        let found = self.element(css).await;
        let keys = json!({ "text": file.to_str().unwrap() });
        self.call(Method::POST, &format!("element/{found}/value"), Some(keys)).await.unwrap();
    }

    /// Picks an entry of a list by its value.
    pub(crate) async fn picks(&self, css: &str, value: &str) {
        self.clicks(&format!("{css} option[value='{value}']")).await;
    }

    /// Lets it send so many bytes a second from now on; as many as it can, with -1.
    pub(crate) async fn uploads_at(&self, rate: i64) {
        let limits = json!({
            "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate,
        });
        for command in [
            json!({ "cmd": "Network.enable", "params": {} }),
            json!({ "cmd": "Network.emulateNetworkConditions", "params": limits }),
        ] {
            self.call(Method::POST, "goog/cdp/execute", Some(command)).await.unwrap();
        }
    }

    /// Presses keys, wherever the focus is: `\u{e004}` is Tab, `\u{e007}` is Enter.
    pub(crate) async fn presses(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let actions =
            json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes.collect::<Vec<_>>() }] });
        self.call(Method::POST, "actions", Some(actions)).await.unwrap();
    }

    /// What an element shows.
    pub(crate) async fn text(&self, css: &str) -> String {
        eventually(&format!("the text of {css}"), LIMIT, async || {
            let found = self.find(css).await.ok()?;
            let text = self.call(Method::GET, &format!("element/{found}/text"), None).await.ok()?;
            Some(text.as_str().unwrap().to_owned())
        })
        .await
    }

    /// Waits until an element shows some words.
    pub(crate) async fn shows(&self, css: &str, words: &str) {
        eventually(&format!("`{words}` in {css}"), LIMIT, async || {
            let found = self.find(css).await.ok()?;
            let text = self.call(Method::GET, &format!("element/{found}/text"), None).await.ok()?;
            text.as_str().unwrap().contains(words).then_some(())
        })
        .await;
    }

    /// Asks the page something, by a script of the test's own.
    pub(crate) async fn asks(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.call(Method::POST, "execute/sync", Some(body)).await.unwrap()
    }

    /// Fails if the page is wider than its window, or the browser had something to complain about, such as what the
    /// policy forbids.
    pub(crate) async fn is_sound(&self, what: &str) {
        self.is_sound_but_for(what, "\0").await;
    }

    /// The same where the browser tells of a status that is right: a page that says what was refused.
    pub(crate) async fn is_sound_but_for(&self, what: &str, status: &str) {
        let fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(self.asks(fits).await, json!(true), "{what} is wider than its window");
        let log = self.call(Method::POST, "se/log", Some(json!({ "type": "browser" }))).await.unwrap();
        let bad: Vec<_> = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE").collect();
        let told =
            |entry: &&Value| !entry["message"].as_str().unwrap().contains(&format!("status of {status}"));
        let bad: Vec<_> = bad.into_iter().filter(told).collect();
        assert!(bad.is_empty(), "{what}: {bad:?}");
        self.is_accessible(what).await;
        if let Some(folder) = std::env::var_os(SHOTS) {
            self.shot(&Path::new(&folder).join(format!("{what}.png"))).await;
        }
    }

    /// Fails if axe (<https://github.com/dequelabs/axe-core>) finds what is serious, or worse, for people who cannot see well or
    /// use a mouse.
    async fn is_accessible(&self, what: &str) {
        self.asks(axe()).await;
        let script = "const done = arguments[arguments.length - 1]; \
            axe.run({ resultTypes: ['violations'] }).then((found) => done(found.violations \
                .filter(({ impact }) => ['serious', 'critical'].includes(impact)) \
                .map(({ id, nodes }) => id + ': ' + nodes.map((node) => node.html + ' ' + node.failureSummary).join('; '))), \
                (error) => done(['axe failed: ' + error]))";
        let body = json!({ "script": script, "args": [] });
        let found = self.call(Method::POST, "execute/async", Some(body)).await.unwrap();
        assert_eq!(found, json!([]), "{what}");
    }

    /// A picture of the whole page.
    async fn shot(&self, file: &Path) {
        let command = json!({ "cmd": "Page.captureScreenshot", "params": { "captureBeyondViewport": true } });
        let taken = self.call(Method::POST, "goog/cdp/execute", Some(command)).await.unwrap();
        let encoded = file.with_extension("base64");
        std::fs::write(&encoded, taken["data"].as_str().unwrap()).unwrap();
        let decoded = Command::new("base64").arg("-d").arg(&encoded).output().unwrap();
        std::fs::write(file, decoded.stdout).unwrap();
        std::fs::remove_file(encoded).unwrap();
    }

    /// Whether the page is to be light or dark.
    pub(crate) async fn prefers(&self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let command = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": feature } });
        self.call(Method::POST, "goog/cdp/execute", Some(command)).await.unwrap();
    }

    pub(crate) async fn close(mut self) {
        let _ = self.http.delete(&self.session).send().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The program that looks at pages, as it came from PyPI.
fn axe() -> &'static str {
    static AXE: OnceLock<String> = OnceLock::new();
    AXE.get_or_init(|| {
        let programs =
            std::env::var_os("UPLIFT_TEST_PYTHON_TOOLS").expect("UPLIFT_TEST_PYTHON_TOOLS, by `cargo xtask`");
        let libraries = Path::new(&programs).parent().unwrap().join("lib");
        let python = std::fs::read_dir(libraries).unwrap().next().unwrap().unwrap().path();
        let file = python.join("site-packages/axe_playwright_python/axe.min.js");
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    })
}
