//! Child processes: started with a log file, ended by id, never outliving us.

use std::io::Write;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Lines of a log in a failure message.
const TAIL: usize = 25;

/// One running program.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `binary`; its output is appended to `DIRECTORY/NAME.log`. It gets
    /// a process group of its own, so that Ctrl-C reaches the test alone and
    /// the order of stopping stays ours.
    pub fn start(
        name: &'static str,
        binary: &Path,
        flags: &[String],
        directory: &Path,
    ) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let child = Command::new(binary)
            .args(flags)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        Ok(Self { name, child, log })
    }

    /// The program's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, once it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal by name (`TERM`, `STOP`, …). `kill` of the shell: signals
    /// have no safe call in the standard library.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\" 2>/dev/null"])
            .args([signal, &self.child.id().to_string()])
            .status()?;
        ensure!(status.success(), "{} does not take {signal}", self.name);
        Ok(())
    }

    /// SIGTERM, then up to `grace` for the exit, then SIGKILL.
    pub async fn stop(&mut self, grace: Duration) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        // It may end between the look and the signal: the wait below tells.
        let _ = self.signal("TERM");
        let deadline = Instant::now() + grace;
        while self.ended()?.is_none() {
            if Instant::now() > deadline {
                self.kill();
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends the process at once and waits for its exit.
    pub fn kill(&mut self) {
        // Fails only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The last lines of its log under a heading.
    pub fn tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        format!("--- {} ({})\n{last}\n", self.name, self.log.display())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends the guarded processes and removes their folder when this process is
/// gone, however it went: a shell waits for the end of its standard input,
/// which only we hold. It makes control planes in statics safe, which Rust
/// never drops.
pub struct Watchdog {
    child: Child,
    input: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts the watchdog of the control plane in `directory`.
    pub fn start(directory: &Path) -> Result<Self> {
        // The last line read is the list of ids that are alive.
        let script = "while read -r line; do ids=$line; done
            [ -z \"$ids\" ] || kill -s KILL $ids 2>/dev/null
            rm -rf -- \"$0\"";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    /// Replaces the list of guarded processes.
    pub fn guard<'a>(&mut self, processes: impl IntoIterator<Item = &'a Process>) -> Result<()> {
        let ids: Vec<String> = processes.into_iter().map(|p| p.id().to_string()).collect();
        let input = self.input.as_mut().context("watchdog is disarmed")?;
        writeln!(input, "{}", ids.join(" ")).context("watchdog is gone")
    }

    /// Ends the watchdog without its deed.
    pub fn disarm(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.input = None;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.disarm();
    }
}
