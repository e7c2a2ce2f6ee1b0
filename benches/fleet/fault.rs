//! Whether a member in trouble delays another: pushes in pairs, one while all
//! is well and one during the fault, in changing order.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _};

use crate::ground::HUB;
use crate::rows::{first_push, push};
use crate::stage::{GENERATION, NAMESPACE, Stage, eventually};
use crate::support::slow::SlowLine;
use crate::table::{Goal, Rows};

/// The member in trouble: the hub's own server, behind a line.
const TROUBLED: &str = "troubled";
/// Pairs of each fault.
const PAIRS: usize = 40;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Refused,
    BlackHole,
    Slow,
}

impl Trouble {
    fn words(self) -> &'static str {
        match self {
            Self::Refused => "refuses connections",
            Self::BlackHole => "accepts and never answers",
            Self::Slow => "takes 5 s an answer",
        }
    }
}

/// The line to the troubled member.
struct Line {
    line: Option<SlowLine>,
    port: u16,
    server: u16,
}

impl Line {
    async fn open(server: u16) -> Result<Self> {
        let line = SlowLine::to(server).await?;
        let port = line.port();
        Ok(Self {
            line: Some(line),
            port,
            server,
        })
    }

    fn fail(&mut self, trouble: Trouble) {
        let line = self.line.take();
        match trouble {
            Trouble::Refused => {}
            Trouble::BlackHole | Trouble::Slow => {
                let seconds = if matches!(trouble, Trouble::Slow) {
                    5
                } else {
                    86_400
                };
                if let Some(line) = &line {
                    line.delay(Duration::from_secs(seconds));
                }
                self.line = line;
            }
        }
    }

    /// A line that held bytes back is cut, so that nothing waits for them.
    async fn mend(&mut self) -> Result<()> {
        self.line = None;
        self.line = Some(SlowLine::between(self.port, self.server).await?);
        Ok(())
    }
}

/// Pushes to two members, one of them in trouble half of the time.
pub async fn trouble(stage: &mut Stage, rows: &mut Rows) -> Result<()> {
    stage.stop_product().await?;
    let (url, _) = stage.kubeconfig_of(HUB)?;
    let port = url.rsplit(':').next().context("no port")?.parse()?;
    let mut line = Line::open(port).await?;
    stage.join(TROUBLED, HUB, Some(line.port)).await?;
    stage
        .start_product_with("15", &["--probe-interval", "1"])
        .await?;
    first_push(stage).await?;
    caught_up(stage, "first").await?;
    for trouble in [Trouble::Refused, Trouble::BlackHole, Trouble::Slow] {
        pairs(stage, &mut line, trouble, rows).await?;
    }
    Ok(())
}

async fn pairs(stage: &Stage, line: &mut Line, trouble: Trouble, rows: &mut Rows) -> Result<()> {
    let at = Some(&stage.replicas()?.leader);
    let (mut well, mut ratios) = (Vec::new(), Vec::new());
    for number in 0..PAIRS {
        let mut took = [Duration::ZERO; 2];
        // Whoever comes first may find a machine in another mood.
        for fault in [number % 2 == 0, number % 2 != 0] {
            if fault {
                line.fail(trouble);
            }
            let generation = format!("{trouble:?}-{number}-{fault}");
            took[usize::from(fault)] = push(stage, &generation, at).await?;
            if fault {
                line.mend().await?;
            }
            caught_up(stage, &generation).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        well.push(took[0]);
        ratios.push(took[1].as_secs_f64() / took[0].as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    well.sort();
    let what = format!("push → live while another {}: ratio", trouble.words());
    let note = format!(
        "median of {PAIRS} interleaved pairs, {:.2} to {:.2}; {:.0} ms while all is well",
        ratios[0],
        ratios[PAIRS - 1],
        well[PAIRS / 2].as_secs_f64() * 1e3
    );
    rows.add(&what, ratios[PAIRS / 2], "", Goal::AtMost(1.05), &note);
    Ok(())
}

/// Waits until the troubled member has the push as well.
async fn caught_up(stage: &Stage, generation: &str) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(stage.hub.calls.clone(), NAMESPACE);
    eventually("the troubled member has caught up", async || {
        let map = maps.get_opt("push").await?;
        Ok(map.is_some_and(|map| {
            map.annotations().get(GENERATION).map(String::as_str) == Some(generation)
        }))
    })
    .await
}
