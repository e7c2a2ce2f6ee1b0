//! Rows of the binary alone.

use std::time::Instant;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::product::{Product, binary};
use crate::table::{Goal, Rows};

/// Size of the file.
pub fn size(rows: &mut Rows) -> Result<()> {
    let bytes = std::fs::metadata(binary())?.len();
    let note = binary().display().to_string();
    let note = note.rsplit("target/").next().unwrap_or_default().to_owned();
    rows.add(
        "binary size",
        bytes as f64 / 1e6,
        "MB",
        Goal::AtMost(25.0),
        &note,
    );
    Ok(())
}

/// From the start of `pilothouse demo` in an empty folder until both members,
/// the cable and the three applications are well, as the demo itself says.
pub async fn demo(rows: &mut Rows) -> Result<()> {
    let directory = TempDir::with_prefix("pilothouse-bench-")?;
    for what in [
        "demo: start → all healthy",
        "demo: started again → all healthy",
    ] {
        let start = Instant::now();
        let arguments = ["demo", "--dir", "demo", "--listen", "127.0.0.1:0"];
        let mut product = Product::start(directory.path(), &arguments)?;
        product.said("Try next").await?;
        let took = start.elapsed();
        let output = product.output();
        ensure!(
            !output.contains("not everything is well"),
            "the demo is not well: {output}"
        );
        rows.add_time(
            what,
            took,
            Goal::None,
            "3 API servers, 2 members, 3 applications",
        );
        if what.contains("again") {
            let (now, _) = product.memory()?;
            rows.add(
                "demo: resident memory",
                now,
                "MiB",
                Goal::None,
                "all servers in it",
            );
        }
        product.stop().await?;
    }
    Ok(())
}
