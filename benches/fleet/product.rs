//! The product as it ships: the built binary in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The binary under test: the one that was built beside this bench, in the
/// same profile, or what `PILOTHOUSE_BENCH_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("PILOTHOUSE_BENCH_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_pilothouse").into(), PathBuf::from)
}

/// Longest time for it to print what is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `pilothouse`; dropping it kills it.
pub struct Product {
    child: Child,
    log: PathBuf,
}

impl Product {
    /// Starts the binary in `dir` with its output in a file there.
    pub fn start(dir: &Path, arguments: &[&str]) -> Result<Self> {
        let log = dir.join(format!("product-{}.log", std::process::id()));
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env(
                "RUST_LOG",
                std::env::var("PILOTHOUSE_BENCH_LOG").unwrap_or("warn".to_owned()),
            )
            .current_dir(dir);
        Self::spawn(command, log)
    }

    /// Starts a command with its output in the file `log`, and without the
    /// machine's configuration of git.
    pub fn spawn(mut command: Command, log: PathBuf) -> Result<Self> {
        let output = std::fs::File::create(&log)?;
        let child = command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", binary().display()))?;
        Ok(Self { child, log })
    }

    /// Waits for a line with `text` and returns what follows it there.
    pub async fn said(&mut self, text: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = std::fs::read_to_string(&self.log)?;
            let complete = output.rfind('\n').map_or("", |end| &output[..end]);
            let rest = complete.lines().find_map(|line| line.split_once(text));
            if let Some((_, rest)) = rest {
                return Ok(rest.trim().to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("pilothouse ended with {status}: {output}");
            }
            if Instant::now() > deadline {
                bail!("pilothouse did not say {text:?}: {output}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until it leads, and says where its dashboard listens.
    pub async fn leads(&mut self) -> Result<String> {
        self.said("dashboard on http://").await
    }

    /// Resident memory now and at its peak, in MiB.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let text = line.with_context(|| format!("no {name}"))?;
            let kib: f64 = text.trim().trim_end_matches(" kB").parse()?;
            Ok(kib / 1024.0)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// User and system time used so far.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("no stat")?;
        let ticks: Vec<u64> = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        // USER_HZ is 100 on every Linux that we run on.
        Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
    }

    /// The process id, for those who profile it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it in order and waits.
    pub async fn stop(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("pilothouse did not end within 20 s of SIGTERM");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
