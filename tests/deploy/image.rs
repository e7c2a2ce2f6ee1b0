//! The image that `Containerfile` describes against the Deployment that runs
//! it. No container engine takes part.

use std::process::Command;

use serde_json::Value;

use crate::render::{container, pod, rendered, root};

/// Instructions of the last stage, which is the image.
fn instructions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root("Containerfile")).unwrap();
    let lines: Vec<(String, String)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(word, rest)| (word.to_owned(), rest.to_owned()))
        .collect();
    let last = lines.iter().rposition(|(word, _)| word == "FROM").unwrap();
    lines[last..].to_vec()
}

fn the_one(word: &str) -> String {
    let found: Vec<String> = instructions()
        .into_iter()
        .filter(|(instruction, _)| instruction == word)
        .map(|(_, rest)| rest)
        .collect();
    assert_eq!(found.len(), 1, "{word}: {found:?}");
    found[0].clone()
}

fn texts(list: &Value) -> Vec<String> {
    let values = list.as_array().into_iter().flatten();
    values
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_image_is_one_file_that_starts_itself() {
    let words: Vec<String> = instructions().into_iter().map(|(word, _)| word).collect();
    assert_eq!(words, ["FROM", "COPY", "USER", "EXPOSE", "ENTRYPOINT"]);
    assert_eq!(the_one("FROM"), "scratch");
    let file = the_one("COPY").rsplit_once(' ').unwrap().1.to_owned();
    let entry: Vec<String> = serde_json::from_str(&the_one("ENTRYPOINT")).unwrap();
    assert_eq!(entry, [file]);
}

/// `runAsNonRoot` refuses a user that has no number; OpenShift gives one of
/// its own, so the Deployment names none.
#[test]
fn the_user_is_a_number_and_not_root() {
    let user = the_one("USER");
    let (user, group) = user.split_once(':').unwrap();
    for number in [user, group] {
        assert!(number.parse::<u32>().unwrap() > 0);
    }
    let Some(objects) = rendered("deploy") else {
        return;
    };
    for context in [
        &pod(&objects)["securityContext"],
        &container(&objects)["securityContext"],
    ] {
        assert!(context["runAsUser"].is_null(), "{context}");
    }
    assert_eq!(pod(&objects)["securityContext"]["runAsNonRoot"], true);
}

#[test]
fn ports_are_those_that_the_arguments_open() {
    let Some(objects) = rendered("deploy") else {
        return;
    };
    let mut exposed: Vec<String> = the_one("EXPOSE").split(' ').map(str::to_owned).collect();
    exposed.sort();
    let container = container(&objects);
    let ports = container["ports"].as_array().unwrap();
    let mut declared: Vec<String> = ports
        .iter()
        .map(|port| port["containerPort"].to_string())
        .collect();
    declared.sort();
    let mut opened: Vec<String> = texts(&container["args"])
        .iter()
        .filter(|flag| flag.starts_with("--listen=") || flag.starts_with("--operators-listen="))
        .map(|flag| flag.rsplit_once(':').unwrap().1.to_owned())
        .collect();
    opened.sort();
    assert_eq!(exposed, declared);
    assert_eq!(exposed, opened);
}

/// The entry point is the image's, and it knows every flag.
#[test]
fn arguments_are_those_of_the_program() {
    let Some(objects) = rendered("deploy") else {
        return;
    };
    let container = container(&objects);
    assert!(container["command"].is_null());
    let flags = texts(&container["args"]);
    let (command, flags) = flags.split_first().unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_pilothouse"))
        .args([command, "--help"])
        .output()
        .unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in flags {
        let name = flag.split('=').next().unwrap();
        assert!(help.contains(&format!("{name} ")), "{name}");
    }
}

/// Only what is mounted can be written, and every path that the program is
/// told lies there.
#[test]
fn only_a_volume_is_written_and_nothing_runs_in_a_shell() {
    let Some(objects) = rendered("deploy") else {
        return;
    };
    let container = container(&objects);
    let context = &container["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let environment = container["env"].as_array().unwrap();
    for name in ["HOME", "TMPDIR"] {
        let entry = environment.iter().find(|entry| entry["name"] == name);
        assert_eq!(entry.unwrap()["value"], mount, "{name}");
    }
    let cache = texts(&container["args"])
        .into_iter()
        .find_map(|flag| flag.strip_prefix("--git-cache=").map(str::to_owned));
    assert!(cache.unwrap().starts_with(mount));
    for probe in ["livenessProbe", "readinessProbe"] {
        assert!(container[probe]["httpGet"].is_object(), "{probe}");
    }
}
