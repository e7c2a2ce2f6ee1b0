//! The dashboard in a real browser: every page in both themes and on a narrow
//! screen, live changes without a reload, nothing on the console. Pictures go
//! to `target/screenshots`.
//!
//! Needs `chromium` and `chromedriver`. Without them the tests say so loudly
//! and pass, unless `PILOTHOUSE_REQUIRE` names `browser`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

#[path = "browser/driver.rs"]
mod driver;

use std::net::SocketAddr;
use std::sync::Arc;

use driver::Browser;
use jiff::Timestamp;
use pilothouse::core::mesh::CableState;
use pilothouse::core::view::{Facts, FleetView, Visible, example};
use pilothouse::web::access::{Access, Asked, Presented, Reader, Refusal};
use pilothouse::web::{WebOptions, WebState, router};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Path, name of the picture, and what a person would look for there.
const PAGES: [(&str, &str, &[&str]); 13] = [
    (
        "/",
        "overview",
        &[
            "Fleet",
            "What needs you",
            "aws-sub1",
            "cables connected both ways",
            "guestbook-app",
        ],
    ),
    (
        "/clusters",
        "clusters",
        &["edge-4", "Unreachable", "v1.33.4"],
    ),
    (
        "/clusters/edge-3",
        "cluster",
        &[
            "Applications here",
            "KindNotServed",
            "https://edge-3.example.com:6443",
        ],
    ),
    (
        "/cables",
        "cables",
        &[
            "connected",
            "error",
            "traffic fails one way",
            "libreswan",
            "203.0.113.22",
        ],
    ),
    (
        "/cables/aws-sub2/edge-3",
        "cable",
        &["edge-3 → aws-sub2", "9.02 ms", "redis-slave"],
    ),
    (
        "/applications",
        "applications",
        &["OutOfSync", "main@4f1c2ab"],
    ),
    (
        "/applications/guestbook/guestbook-app",
        "application",
        &[
            "Rendered",
            "Objects × clusters",
            "route.yaml:1",
            "not from edge-3",
            "halted at 1 of 2",
        ],
    ),
    ("/services", "services", &["redis-slave", "degraded"]),
    (
        "/services/guestbook/redis-slave",
        "service",
        &["imported", "computed", "NOERROR, empty", "172.30.12.77"],
    ),
    ("/placements", "placements", &["guestbook-pr", "held"]),
    (
        "/placements/placementrule/guestbook/guestbook-pr",
        "placement",
        &["chosen", "not chosen", "ManagedClusterConditionAvailable"],
    ),
    ("/activity", "activity", &["went from connected to error"]),
    (
        "/search?q=redis",
        "search",
        &["guestbook/redis-slave", "Service"],
    ),
];

/// Words of low contrast, as `text ratio`: WCAG AA wants 4.5.
const PALE: &str = r#"
const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; })
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
return [...document.querySelectorAll(".chip, .muted, .lead, .why, .note, a, th, td, time, .tag, .fig .state, .rung")].filter((e) => e.textContent.trim() && e.checkVisibility() && !e.closest("svg") && !e.classList.contains("unseen") && !e.classList.contains("skip")).map((e) => {
  const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
  return [e.textContent.trim().slice(0, 40), (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
}).filter(([, ratio]) => ratio < 4.5).map(([text, ratio]) => `${text} ${ratio.toFixed(2)}`);
"#;

/// Whether the browser tests can run; fails when they must and cannot.
fn browser_is_there() -> bool {
    let Some(why) = driver::missing() else {
        return true;
    };
    let required = std::env::var("PILOTHOUSE_REQUIRE").unwrap_or_default();
    assert!(
        !required.contains("browser"),
        "the browser test is required: {why}"
    );
    eprintln!("\n*** LEFT OUT: browser test: {why} ***\n");
    false
}

struct Site {
    address: SocketAddr,
    views: watch::Sender<Arc<FleetView>>,
    shutdown: CancellationToken,
}

impl Site {
    async fn serve(facts: Facts) -> Self {
        Self::guarded(facts, Access::Open).await
    }

    async fn guarded(facts: Facts, access: Access) -> Self {
        let (views, view) = watch::channel(Arc::new(FleetView::build(facts)));
        let shutdown = CancellationToken::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = WebOptions::for_listener(address);
        let app = router(WebState::new(view, None, shutdown.clone(), options, access));
        let ended = shutdown.clone();
        tokio::spawn(async move {
            axum::serve(listener, app)
                .with_graceful_shutdown(ended.cancelled_owned())
                .await
        });
        Self {
            address,
            views,
            shutdown,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn expect_words(browser: &Browser, path: &str, words: &[&str]) {
    let text = browser.run("return document.body.innerText").await;
    let text = text.as_str().unwrap_or_default();
    for word in words {
        assert!(text.contains(word), "{path} does not say {word:?}:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_reads_well_in_both_themes_and_on_a_narrow_screen() {
    if !browser_is_there() {
        return;
    }
    let site = Site::serve(example::facts(Timestamp::now())).await;
    let browser = Browser::start().await;
    for (path, name, words) in PAGES {
        browser.size(1280, 900).await;
        for theme in ["light", "dark"] {
            browser.theme(theme).await;
            browser.open(&site.url(path)).await;
            browser
                .until("document.getElementById('connection').textContent === 'live'")
                .await;
            expect_words(&browser, path, words).await;
            assert_eq!(
                browser.run(PALE).await,
                json!([]),
                "{path} {theme}: too pale"
            );
            let icon = "document.querySelector('.icon').getBoundingClientRect().width > 10";
            browser.until(icon).await;
            browser.screenshot(&format!("{name}-{theme}")).await;
        }
        browser.size(400, 800).await;
        browser.theme("light").await;
        let wide = browser
            .run("return document.documentElement.scrollWidth")
            .await;
        assert!(
            wide.as_u64() <= Some(400),
            "{path} is {wide} px wide on a screen of 400"
        );
        browser.screenshot(&format!("{name}-narrow")).await;
        assert_eq!(
            browser.console_errors().await,
            Vec::<String>::new(),
            "{path}"
        );
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cable_is_seen_to_go_down_without_a_reload() {
    if !browser_is_there() {
        return;
    }
    let now = Timestamp::now();
    let mut whole = example::facts(now);
    for cable in &mut Arc::make_mut(&mut whole.mesh).cables {
        cable.backward.state = CableState::Connected;
        cable.forward.state = CableState::Connected;
    }
    let site = Site::serve(whole).await;
    let browser = Browser::start().await;
    browser.size(1280, 900).await;
    browser.open(&site.url("/cables")).await;
    browser
        .until("document.getElementById('connection').textContent === 'live'")
        .await;
    let cell = "document.querySelector('[data-key=\"edge-3 aws-sub2\"]')";
    browser
        .until(&format!("{cell}.innerText.includes('connected')"))
        .await;
    browser
        .run("window.sameDocument = true; document.querySelector('[href=\"/activity\"]').focus()")
        .await;

    let mut cut = example::facts(now);
    cut.generation = 2;
    site.views.send_replace(Arc::new(FleetView::build(cut)));
    browser
        .until(&format!("{cell}.innerText.includes('error')"))
        .await;
    browser
        .until("document.getElementById('announce').textContent.includes('down')")
        .await;
    let kept = "return [window.sameDocument, document.activeElement.getAttribute('href')]";
    assert_eq!(browser.run(kept).await, json!([true, "/activity"]));
    browser.screenshot("cable-cut-live").await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_reaches_the_search_and_a_lost_hub_is_said() {
    if !browser_is_there() {
        return;
    }
    let site = Site::serve(example::facts(Timestamp::now())).await;
    let browser = Browser::start().await;
    browser.open(&site.url("/")).await;
    browser
        .until("document.getElementById('connection').textContent === 'live'")
        .await;
    browser.press("/").await;
    browser.press("redis-slave\u{e007}").await;
    browser
        .until("location.pathname === '/search' && document.body.innerText.includes('3 hits')")
        .await;
    browser
        .until("document.getElementById('connection').textContent === 'live'")
        .await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    site.shutdown.cancel();
    browser
        .until("document.getElementById('connection').textContent.startsWith('disconnected for')")
        .await;
    browser.quit().await;
}

/// What a person would look for on the pages of the running demo.
const DEMO_PAGES: [(&str, &str, &[&str]); 10] = [
    (
        "/",
        "demo-overview",
        &[
            "Fleet",
            "aws-sub1",
            "aws-sub2",
            "guestbook-app",
            "cables connected both ways",
        ],
    ),
    (
        "/clusters",
        "demo-clusters",
        &["aws-sub1", "Reachable", "submariner"],
    ),
    (
        "/clusters/aws-sub1",
        "demo-cluster",
        &[
            "guestbook-app",
            "ManagedClusterConditionAvailable",
            "libreswan",
        ],
    ),
    (
        "/cables",
        "demo-cables",
        &["connected", "libreswan", "203.0.113.22", "aws-sub2"],
    ),
    (
        "/applications",
        "demo-applications",
        &["guestbook-app", "Synced", "Healthy", "Connected"],
    ),
    (
        "/applications/guestbook/guestbook-app",
        "demo-application",
        &[
            "Fetched",
            "Discoverable",
            "frontend",
            "redis-slave",
            "chosen",
        ],
    ),
    (
        "/services",
        "demo-services",
        &["redis-master", "redis-slave", "nginx", "discoverable"],
    ),
    (
        "/services/guestbook/redis-slave",
        "demo-service",
        &["imported", "redis-slave.guestbook.svc.clusterset.local"],
    ),
    (
        "/placements",
        "demo-placements",
        &["guestbook-pr", "PlacementRule"],
    ),
    ("/activity", "demo-activity", &["guestbook-app"]),
];

/// A running `pilothouse demo`.
struct Demo {
    process: std::process::Child,
    dir: tempfile::TempDir,
    url: String,
}

impl Demo {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_pilothouse"))
            .args(["demo", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir.path().join("demo"))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        let (found, url) = tokio::sync::oneshot::channel();
        // The rest of what it prints is read too, so that it is never blocked.
        std::thread::spawn(move || {
            use std::io::BufRead as _;
            let mut found = Some(found);
            for line in std::io::BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
            {
                println!("{line}");
                if let Some(url) = line.strip_prefix("Dashboard: ") {
                    let _ = found.take().map(|found| found.send(url.trim().to_owned()));
                }
            }
        });
        let url = tokio::time::timeout(std::time::Duration::from_secs(120), url).await;
        let url = url
            .expect("the demo comes up in time")
            .expect("the demo names its dashboard");
        Self { process, dir, url }
    }

    fn fault(&self, fault: &[&str]) {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_pilothouse"))
            .args(["demo", "fault"])
            .args(fault)
            .arg("--dir")
            .arg(self.dir.path().join("demo"))
            .status()
            .unwrap();
        assert!(status.success(), "{fault:?}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_seen_in_both_themes_and_its_cable_going_down_live() {
    if !browser_is_there() {
        return;
    }
    let demo = Demo::start().await;
    let browser = Browser::start().await;
    let live = "document.getElementById('connection').textContent === 'live'";
    browser.size(1280, 900).await;
    browser.open(&demo.url).await;
    browser
        .until("document.querySelectorAll('.fig[data-tone=ok]').length === 5")
        .await;
    for (path, name, words) in DEMO_PAGES {
        for theme in ["light", "dark"] {
            browser.theme(theme).await;
            browser.open(&format!("{}{path}", demo.url)).await;
            browser.until(live).await;
            expect_words(&browser, path, words).await;
            browser.screenshot(&format!("{name}-{theme}")).await;
        }
        assert_eq!(
            browser.console_errors().await,
            Vec::<String>::new(),
            "{path}"
        );
    }
    browser.theme("light").await;
    browser.open(&format!("{}/cables", demo.url)).await;
    browser.until(live).await;
    browser.run("window.sameDocument = true").await;
    let cell = "document.querySelector('[data-key=\"aws-sub1 aws-sub2\"]').dataset.tone";
    browser.until(&format!("{cell} === 'ok'")).await;
    demo.fault(&["cut-cable", "aws-sub1", "aws-sub2"]);
    browser.until(&format!("{cell} === 'bad'")).await;
    assert_eq!(browser.run("return window.sameDocument").await, json!(true));
    browser.screenshot("demo-cable-cut-live").await;
    browser.open(&demo.url).await;
    browser
        .until(
            "document.getElementById('needs').closest('section').innerText.includes('redis-slave')",
        )
        .await;
    browser.screenshot("demo-overview-cable-cut").await;
    demo.fault(&["restore-cable", "aws-sub1", "aws-sub2"]);
    browser
        .until("document.querySelectorAll('.fig[data-tone=ok]').length === 5")
        .await;
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_signs_in_with_a_token_and_out_again() {
    if !browser_is_there() {
        return;
    }
    let authoriser: pilothouse::web::access::Authoriser = Arc::new(|presented, _| {
        Box::pin(async move {
            match presented {
                Presented::Token(token) if token.reveal() == "right" => Ok(Reader {
                    name: "ada".into(),
                    visible: Arc::new(Visible::all()),
                }),
                _ => Err(Refusal::Unknown),
            }
        })
    });
    let access = Access::Asked(Asked {
        authoriser,
        proxy: None,
    });
    let site = Site::guarded(example::facts(Timestamp::now()), access).await;
    let browser = Browser::start().await;
    browser.size(1280, 900).await;
    browser.open(&site.url("/clusters?q=aws")).await;
    for theme in ["light", "dark"] {
        browser.theme(theme).await;
        browser
            .until("document.getElementById('token') !== null")
            .await;
        assert_eq!(browser.run(PALE).await, json!([]), "{theme}: too pale");
        browser.screenshot(&format!("login-{theme}")).await;
    }
    for (token, then) in [
        ("wrong", "document.querySelector('[role=alert]') !== null"),
        (
            "right",
            "location.pathname + location.search === '/clusters?q=aws'",
        ),
    ] {
        browser
            .until("document.getElementById('token') !== null")
            .await;
        let enter = format!(
            "document.getElementById('token').value = '{token}'; document.querySelector('button').click()"
        );
        browser.run(&enter).await;
        browser.until(then).await;
    }
    browser
        .until("document.getElementById('connection').textContent === 'live'")
        .await;
    expect_words(&browser, "/clusters", &["ada", "Sign out", "aws-sub1"]).await;
    let cookie = browser.run("return document.cookie").await;
    assert_eq!(cookie, json!(""), "scripts read no cookie");
    browser
        .run("document.querySelector('.leave button').click()")
        .await;
    browser.until("location.pathname === '/login'").await;
    browser.open(&site.url("/clusters")).await;
    browser.until("location.pathname === '/login'").await;
    browser.quit().await;
}
