//! `pilothouse demo`: an embedded hub, two simulated members with Submariner
//! and a local git repository, in one process and one directory.
//!
//! The demo sits above the shells: it only starts what the other modules are
//! and plays the world around them. No decision of the product knows it.

mod error;
mod fault;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use error::DemoError;
pub use fault::Fault;

/// What the demo is started with.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where everything of the demo is kept; created when absent.
    pub dir: PathBuf,
    /// Address of the dashboard.
    pub listen: SocketAddr,
    /// Leave the three applications to the user.
    pub empty: bool,
}

/// Runs the demo until Ctrl-C or SIGTERM.
///
/// # Errors
/// When the directory, a port or a part of the demo cannot be used. The
/// message says which one and what to do.
pub async fn run(options: DemoOptions) -> Result<(), DemoError> {
    Err(DemoError::NotRunning { dir: options.dir })
}

/// Does `fault` to the demo that runs on `dir`, and says what was done and
/// where to look.
///
/// # Errors
/// When no demo runs there, or it knows no such cluster.
pub async fn fault(dir: &Path, fault: Fault) -> Result<String, DemoError> {
    let _ = fault;
    Err(DemoError::NotRunning {
        dir: dir.to_owned(),
    })
}
