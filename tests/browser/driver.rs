//! A WebDriver client: chromedriver over plain HTTP and JSON, as much of it
//! as the browser test needs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

/// A page load or a script may take this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running chromedriver with one headless browser.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

/// Why there is no browser.
pub(crate) fn missing() -> Option<String> {
    let found = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    };
    let absent: Vec<&str> = ["chromedriver", "chromium"]
        .into_iter()
        .filter(|name| !found(name))
        .collect();
    (!absent.is_empty()).then(|| {
        format!(
            "{} not found (Debian: apt-get install chromium chromium-driver)",
            absent.join(" and ")
        )
    })
}

impl Browser {
    /// Starts chromedriver on a free port and opens a headless browser.
    pub(crate) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let stdout = driver.stdout.take().expect("stdout is piped");
        let port = tokio::task::spawn_blocking(move || port_of(stdout))
            .await
            .expect("reads the port");
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        let profile = browser._profile.path().display().to_string();
        let args = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={profile}"),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser.send("POST", "/session", &wanted).await;
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Sends a command and returns its value.
    async fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let call = async {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .expect("chromedriver answers");
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .expect("HTTP");
            tokio::spawn(connection);
            let text = if method == "POST" {
                body.to_string()
            } else {
                String::new()
            };
            let request = http::Request::builder()
                .method(method)
                .uri(path)
                .header("host", "127.0.0.1")
                .header("content-type", "application/json")
                .body(Full::new(bytes::Bytes::from(text)))
                .expect("a request");
            let response = sender.send_request(request).await.expect("a response");
            response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes()
        };
        let bytes = tokio::time::timeout(PATIENCE, call)
            .await
            .expect("chromedriver answers in time");
        let mut answer: Value = serde_json::from_slice(&bytes).expect("JSON");
        let value = answer["value"].take();
        assert!(
            value["error"].is_null(),
            "{method} {path}: {} {}",
            value["error"],
            value["message"]
        );
        value
    }

    async fn post(&self, command: &str, body: &Value) -> Value {
        self.send(
            "POST",
            &format!("/session/{}/{command}", self.session),
            body,
        )
        .await
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.post(
            "goog/cdp/execute",
            &json!({"cmd": command, "params": params}),
        )
        .await
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.post("url", &json!({"url": url})).await;
    }

    /// Prefers light or dark.
    pub(crate) async fn theme(&self, theme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
    }

    /// Sets the size of the view port.
    pub(crate) async fn size(&self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Runs a function body and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
            .await
    }

    /// Presses keys in whatever has the focus.
    pub(crate) async fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}))
            })
            .collect();
        self.post(
            "actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}),
        )
        .await;
    }

    /// Waits until a condition (a JavaScript expression) holds.
    pub(crate) async fn until(&self, condition: &str) {
        let poll = async {
            while self.run(&format!("return Boolean({condition})")).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, poll).await.is_err() {
            let text = self.run("return document.body.innerText").await;
            panic!(
                "never became true: {condition}\n{}",
                text.as_str().unwrap_or_default()
            );
        }
    }

    /// Writes a picture of the whole page, `target/screenshots/NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let taken = self
            .devtools(
                "Page.captureScreenshot",
                json!({"captureBeyondViewport": true, "format": "png"}),
            )
            .await;
        let data = taken["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .expect("base64");
        let folder = folder();
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("a picture is written");
    }

    /// What the console said since it was last asked, errors only.
    pub(crate) async fn console_errors(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({"type": "browser"})).await;
        let severe = entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE");
        severe
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Closes the browser.
    pub(crate) async fn quit(self) {
        self.send(
            "DELETE",
            &format!("/session/{}", self.session),
            &Value::Null,
        )
        .await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // chromedriver closes its browser when it is asked to end.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Where the pictures go.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots")
}

/// Reads `ChromeDriver was started successfully on port N.`
fn port_of(stdout: impl std::io::Read) -> u16 {
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("chromedriver writes text");
        if let Some((_, port)) = line.rsplit_once("on port ")
            && line.contains("successfully")
        {
            return port.trim_end_matches('.').parse().expect("a port");
        }
    }
    panic!("chromedriver ended without naming its port");
}
