//! The built program, started as the Deployment starts it, but for addresses
//! and paths of this machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::render::{container, rendered};
use crate::support::await_condition;
use crate::support::pod::Place;

/// Longest wait for one step.
pub const SOON: Duration = Duration::from_secs(90);

/// One process. Dropping it kills it.
pub struct Replica {
    child: Child,
    log: PathBuf,
    dashboard: u16,
    operators: u16,
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
    }
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Replica {
    /// Starts one with the hub's kubeconfig and git's configuration from
    /// `folder`, which gets its log and its cache.
    pub fn start(folder: &Path, name: &str) -> Self {
        let (dashboard, operators) = (port(), port());
        let log = folder.join(format!("{name}.log"));
        let cache = folder.join(format!("{name}-cache"));
        let place = Place {
            dashboard: format!("127.0.0.1:{dashboard}"),
            operators: format!("127.0.0.1:{operators}"),
            cache: cache.display().to_string(),
        };
        let deployment = rendered("deploy").unwrap();
        let mut flags: Vec<String> = container(&deployment)["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|flag| place.here(flag.as_str().unwrap()))
            .collect();
        flags.extend([
            format!(
                "--hub-kubeconfig={}",
                folder.join("hub.kubeconfig").display()
            ),
            format!("--git-config={}", folder.join("gitconfig").display()),
            "--allow-local-git".to_owned(),
            "--poll-interval=1".to_owned(),
            "--probe-interval=1".to_owned(),
        ]);
        let output = std::fs::File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pilothouse"))
            .args(flags)
            .env_clear()
            .envs([("HOME", &cache), ("TMPDIR", &cache)])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self {
            child,
            log,
            dashboard,
            operators,
        }
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let start = lines.len().saturating_sub(60);
        format!("--- {}\n{}", self.log.display(), lines[start..].join("\n"))
    }

    /// Waits until its readiness probe is answered.
    pub async fn await_ready(&self) -> String {
        await_condition("readiness", SOON, || async {
            let answer = get(self.operators, "/readyz?verbose", None).await;
            match answer {
                Ok((200, text)) => Ok(text),
                other => Err(format!("{other:?}\n{}", self.tail())),
            }
        })
        .await
    }

    /// A page of the dashboard, read with a token.
    pub async fn page(&self, path: &str, token: &str) -> Result<(u16, String), String> {
        get(self.dashboard, path, Some(token)).await
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        let answer = get(self.operators, "/metrics", None).await;
        let (status, text) = answer.unwrap();
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Ends it in order, as a rollout does.
    pub async fn end(mut self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status();
        assert!(status.unwrap().success());
        let deadline = Instant::now() + SOON;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < deadline, "it runs still\n{}", self.tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(code, Some(0), "{}", self.tail());
    }
}

async fn get(port: u16, path: &str, token: Option<&str>) -> Result<(u16, String), String> {
    let mut request = http::Request::get(format!("http://127.0.0.1:{port}{path}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.map_err(|e| e.to_string())?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await;
    let text = body.map_err(|e| e.to_string())?.to_bytes();
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}
