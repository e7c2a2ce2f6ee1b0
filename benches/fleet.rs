//! The product end to end, in figures beside their goals.
//!
//! ```text
//! cargo bench --bench fleet -- [--on embedded|real|both] [--only NAME]... [--quick]
//! cargo bench --bench fleet -- --on real --shipped [--only NAME]... [--quick]
//! ```
//!
//! The product is the built binary in a process of its own. The hub and one
//! member are either this project's API servers or real control planes
//! (`KUBEBUILDER_ASSETS`, see tests/controlplane/build.sh); git is served over
//! HTTP. With `--shipped` the product is what `deploy/overlays/two-replicas`
//! installs: two replicas, with the rights of its ServiceAccount on the hub and
//! with those of `deploy/member` on the member. Everything is on loopback and ends with the bench.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "modules of a bench, some shared with the tests"
)]

#[path = "fleet/applications.rs"]
mod applications;
#[path = "fleet/binary.rs"]
mod binary;
#[path = "fleet/fault.rs"]
mod fault;
#[path = "fleet/git_server.rs"]
mod git_server;
#[path = "fleet/ground.rs"]
mod ground;
#[path = "fleet/product.rs"]
mod product;
#[path = "fleet/replicas.rs"]
mod replicas;
#[path = "fleet/rows.rs"]
mod rows;
#[path = "fleet/shipped.rs"]
mod shipped;
#[path = "fleet/stage.rs"]
mod stage;
#[path = "../tests/support/support.rs"]
mod support;
#[path = "fleet/table.rs"]
mod table;
#[path = "fleet/takeover.rs"]
mod takeover;
#[path = "fleet/watching.rs"]
mod watching;
#[path = "fleet/web.rs"]
mod web;

use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use ground::{Ground, On};
use stage::Stage;
use table::Rows;

/// Measures the product end to end.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Which servers.
    #[arg(long, value_enum, default_value = "both")]
    on: Servers,
    /// Two replicas with the shipped rights instead of one as admin; needs
    /// `--on real`.
    #[arg(long)]
    shipped: bool,
    /// Only these groups of rows.
    #[arg(long, value_enum)]
    only: Vec<Group>,
    /// 10 quiet seconds instead of a minute.
    #[arg(long)]
    quick: bool,
    /// cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Servers {
    Embedded,
    Real,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Size of the binary.
    Binary,
    /// Start of the demo.
    Demo,
    /// Idle memory; pushes announced by webhook.
    Webhook,
    /// 200 applications; as it ships, the leader's end too.
    Applications,
    /// Pushes found by polling.
    Poll,
    /// A kind that comes to be served.
    Kind,
    /// A member in trouble beside another.
    Fault,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            done = run(&arguments) => done,
            // Dropping what runs ends it.
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    })
}

async fn run(arguments: &Arguments) -> Result<()> {
    anyhow::ensure!(
        !arguments.shipped || arguments.on == Servers::Real,
        "--shipped needs --on real: the embedded API stores RBAC and does not enforce it"
    );
    println!("{}", table::machine());
    println!(
        "git: `git http-backend` over HTTP on loopback; a push ends when its commit is in the served repository"
    );
    let wants = |group| arguments.only.is_empty() || arguments.only.contains(&group);
    let mut alone = Rows::default();
    if wants(Group::Binary) {
        binary::size(&mut alone)?;
    }
    if wants(Group::Demo) {
        binary::demo(&mut alone).await?;
    }
    alone.print("the binary alone");
    let real = if arguments.shipped {
        On::Shipped
    } else {
        On::Real
    };
    for (on, wanted) in [(On::Embedded, Servers::Embedded), (real, Servers::Real)] {
        if arguments.on != wanted && arguments.on != Servers::Both {
            continue;
        }
        let mut rows = Rows::default();
        let done = on_ground(on, arguments, &mut rows, wants).await;
        rows.print(on.describe());
        done?;
    }
    Ok(())
}

async fn on_ground(
    on: On,
    arguments: &Arguments,
    rows: &mut Rows,
    wants: impl Fn(Group) -> bool,
) -> Result<()> {
    if ![
        Group::Webhook,
        Group::Applications,
        Group::Poll,
        Group::Kind,
        Group::Fault,
    ]
    .into_iter()
    .any(&wants)
    {
        return Ok(());
    }
    let start = Instant::now();
    let mut stage = Stage::new(Ground::start(on).await?, on == On::Shipped).await?;
    eprintln!(
        "{on:?}: servers ready after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    if wants(Group::Webhook) {
        rows::webhook(&mut stage, rows).await?;
    }
    if wants(Group::Applications) {
        applications::applications(&mut stage, rows, arguments).await?;
    }
    if wants(Group::Poll) {
        rows::poll(&mut stage, rows).await?;
    }
    if wants(Group::Fault) {
        fault::trouble(&mut stage, rows).await?;
    }
    if wants(Group::Kind) {
        rows::kind(&mut stage, rows).await?;
    }
    let warnings = stage.warnings();
    if !warnings.trim().is_empty() {
        eprintln!(
            "what the product said (warnings):\n{}",
            warnings.lines().take(20).collect::<Vec<_>>().join("\n")
        );
    }
    stage.stop_product().await?;
    anyhow::ensure!(
        !warnings.contains(" is forbidden: "),
        "the product lacks a right, so its figures are not those of the product as it ships"
    );
    Ok(())
}
