//! Keeps the layers of `src/lib.rs` honest: who may import whom, what `core`
//! may name, how large a file may grow, and what the README promises.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level module may use of the others (itself always).
const LAYERS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("core", &["api"]),
    ("telemetry", &[]),
    ("git", &["api", "core"]),
    ("member", &["api", "core"]),
    ("apiserver", &["api", "core"]),
    ("simulator", &["api", "core", "apiserver"]),
    ("web", &["api", "core"]),
    ("hub", &["api", "core", "git", "member"]),
    (
        "app",
        &[
            "api",
            "core",
            "git",
            "member",
            "hub",
            "web",
            "apiserver",
            "telemetry",
        ],
    ),
    (
        "demo",
        &[
            "api",
            "core",
            "git",
            "member",
            "hub",
            "web",
            "apiserver",
            "simulator",
            "app",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "core",
            "git",
            "member",
            "hub",
            "web",
            "apiserver",
            "simulator",
            "app",
            "demo",
            "telemetry",
        ],
    ),
];

/// Names that the pure layer may not hold.
const IMPURE: &[&str] = &[
    "tokio::",
    "axum::",
    "git2::",
    "askama::",
    "hyper::",
    "std::fs",
    // Addresses are values; sockets are the world.
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "std::thread",
    "Instant",
    "HashMap",
    "HashSet",
    "Timestamp::now",
    "kube::Client",
    "kube::Api",
];

/// Lines of a file, tests included.
const MAX_LINES: usize = 800;

fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(&root).unwrap().to_owned(), text);
            }
        }
    }
    found
}

fn module(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file without comments and without its test module.
fn code(text: &str) -> String {
    text.split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Top-level modules named by `crate::X` in the code of a file.
fn used(code: &str) -> Vec<String> {
    code.split("crate::")
        .skip(1)
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    matches!(
        name.as_ref(),
        "tests" | "testing" | "example" | "scenarios" | "replay"
    ) || path
        .components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "testing")))
}

#[test]
fn a_layer_uses_only_the_layers_below() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module(&path);
        if matches!(module.as_str(), "main" | "lib") || is_test_file(&path) {
            continue;
        }
        let allowed = LAYERS
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{module} has no place among the layers; give it one"))
            .1;
        for used in used(&code(&text)) {
            let known = LAYERS.iter().any(|(name, _)| *name == used);
            if known && used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses crate::{used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn core_names_nothing_of_the_outside_world() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if module(&path) != "core" || is_test_file(&path) {
            continue;
        }
        let code = code(&text);
        for name in IMPURE {
            if code.contains(name) {
                wrong.push(format!("{} names {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_small_and_named_by_concept() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!(
                "{} has {lines} lines, more than {MAX_LINES}: split it by concept",
                path.display()
            ));
        }
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if matches!(
            stem.as_str(),
            "utils" | "util" | "helpers" | "helper" | "common" | "manager" | "misc" | "mod"
        ) {
            wrong.push(format!("{} is not named by a concept", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
