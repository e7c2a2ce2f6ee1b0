//! Every kubectl against both servers: the same commands print the same.

#[path = "commands/list.rs"]
mod list;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::StreamExt as _;
use pilothouse::apiserver::{Options, Server};
use tempfile::TempDir;

use super::support::{await_condition, controlplane::Binaries, have, kubectls};
use super::{ONE_PLANE, custom, real_server};
use list::{COMMANDS, DIFFERENCES, MAPS, MORE, ONE, WEB, WRONG};

/// One server as one kubectl sees it.
struct Side {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    directory: PathBuf,
    /// The namespace, and what the names of everything outside of it begin
    /// with: all kubectls use the servers at once.
    tag: String,
}

impl Side {
    fn new(kubectl: &Path, tag: &str, directory: PathBuf, kubeconfig: &str) -> Self {
        std::fs::create_dir_all(&directory).unwrap();
        let definition = custom::definition().to_string();
        for (name, text) in [
            ("kubeconfig", kubeconfig),
            ("web.yaml", WEB),
            ("changed.yaml", &WEB.replace("nginx:1.25", "nginx:1.26")),
            ("maps.yaml", MAPS),
            ("one.yaml", ONE),
            ("more.yaml", MORE),
            ("wrong.yaml", WRONG),
            ("definition.json", &own(&definition, tag)),
        ] {
            std::fs::write(directory.join(name), text).unwrap();
        }
        Self {
            kubectl: kubectl.to_owned(),
            kubeconfig: directory.join("kubeconfig"),
            directory,
            tag: tag.to_owned(),
        }
    }

    /// What a command printed, and how it ended.
    fn run(&self, line: &str) -> String {
        let output = Command::new(&self.kubectl)
            .args(own(line, &self.tag).split(' '))
            .args(["-n", &self.tag, "--request-timeout=20s"])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.directory)
            .env("TMPDIR", &self.directory)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        format!("{}\n{said}", output.status.code().unwrap_or(-1))
    }
}

/// Takes out what no two servers agree on: places, times, addresses, and the
/// words of the documentation, which is that of another release.
fn settled(line: &str, said: &str) -> String {
    let explains = line.starts_with("explain");
    let diffs = line.starts_with("diff");
    if line.starts_with("create token") {
        // A token has three parts.
        let parts = said.lines().nth(1).unwrap_or_default().split('.').count();
        return format!("{} {parts}", said.lines().next().unwrap_or_default());
    }
    let kept = said.lines().filter(|line| {
        let is_field = line.starts_with("  ") && line.contains('<') || line.contains(':');
        let is_context = !line.starts_with(['+', '-', '0', '1', 'e']);
        !(diffs && is_context)
            && !(explains && (line.starts_with("    ") || !is_field))
            // Enumerations are no part of the schemas here.
            && !(explains && line.trim_start().starts_with("enum:"))
            && !line.starts_with("diff -u")
            // The real plane's Deployment controller adds a line.
            && !line.starts_with("@@")
            && !line.contains("deployment.kubernetes.io/revision")
            && !line.contains("resourceVersion:")
            && !line.contains("generation:")
    });
    let words = kept.map(|line| {
        let own = |word: &str| {
            word.contains("/LIVE-")
                || word.contains("/MERGED-")
                || word.starts_with("https://127.0.0.1")
                || word.chars().filter(char::is_ascii_digit).count() > 7
                || word.ends_with('s') && word[..word.len() - 1].parse::<u32>().is_ok()
        };
        let words = line.split_whitespace();
        words
            .map(|word| if own(word) { "~" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    });
    words.collect::<Vec<_>>().join("\n")
}

/// A line or a file with names that no other kubectl uses.
fn own(text: &str, tag: &str) -> String {
    text.replace("{ns}", tag)
        .replace("namespace commands", &format!("namespace {tag}"))
        .replace("contract-", &format!("{tag}-"))
        .replace("contract.example.com", &format!("{tag}.example.com"))
        .replace("widgets", &format!("{tag}widgets"))
        .replace("Widget", &format!("{}Widget", tag.to_uppercase()))
        .replace("\"wd\"", &format!("\"{tag}w\""))
}

/// Longest wait for the schema of a new definition.
const SCHEMA: Duration = Duration::from_secs(30);
/// Kubectls at a time: each is two processes, and the servers work too.
const AT_ONCE: usize = 2;

/// What one kubectl prints of both.
struct Pair {
    real: Side,
    ours: Side,
}

impl Pair {
    async fn play(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for line in COMMANDS {
            if *line == "explain widgets.spec" {
                self.await_schema(line).await;
            }
            let (theirs, own) = tokio::task::block_in_place(|| {
                std::thread::scope(|scope| {
                    let theirs = scope.spawn(|| self.real.run(line));
                    let own = self.ours.run(line);
                    (theirs.join().unwrap(), own)
                })
            });
            let (theirs, own) = (settled(line, &theirs), settled(line, &own));
            let kubectl = self.real.kubectl.display();
            match (
                theirs == own,
                DIFFERENCES.iter().any(|(known, _)| known == line),
            ) {
                (true, true) => {
                    faults.push(format!(
                        "{kubectl} {line}: listed as a difference, and is none\n"
                    ));
                }
                (false, false) => {
                    faults.push(format!("{kubectl} {line}\nreal {theirs}\nours {own}\n"));
                }
                _ => {}
            }
        }
        faults
    }

    /// The real server publishes a definition's schema some time after.
    async fn await_schema(&self, line: &str) {
        await_condition("the schema to be published", SCHEMA, || async {
            match tokio::task::block_in_place(|| self.real.run(line)) {
                said if said.starts_with("0\n") => Ok(()),
                said => Err(said),
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_kubectl_says_the_same_of_both() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let _one = ONE_PLANE.lock().await;
    let plane = real_server("commands").await;
    let server = Server::open(Options::in_memory("commands")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let kubeconfigs = [plane.kubeconfig(), server.kubeconfig(&url)];
    tokio::spawn(server.serve(listener, Default::default()));
    let scratch = TempDir::new().unwrap();
    let mut binaries = kubectls().unwrap_or_default();
    // Control planes may be found without naming their folder.
    if !binaries.iter().any(|binary| binary == plane.kubectl()) {
        binaries.push(plane.kubectl().to_owned());
    }
    let pairs = binaries.iter().enumerate().map(|(at, kubectl)| {
        let tag = format!("k{at}");
        let [real, ours] = ["real", "ours"].map(|side| scratch.path().join(&tag).join(side));
        Pair {
            real: Side::new(kubectl, &tag, real, &kubeconfigs[0]),
            ours: Side::new(kubectl, &tag, ours, &kubeconfigs[1]),
        }
    });
    let faults: Vec<Vec<String>> = futures::stream::iter(pairs)
        .map(|pair| tokio::spawn(async move { pair.play().await }))
        .buffer_unordered(AT_ONCE)
        .map(Result::unwrap)
        .collect()
        .await;
    let faults = faults.concat();
    plane.stop().await.unwrap();
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
