//! One history of requests, played to the embedded API server and to a real
//! kube-apiserver: where clients can tell the difference, there is none, but
//! for what [`differences`] names with its reason.
#![allow(
    clippy::too_many_lines,
    reason = "a table: one step a line of the contract"
)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test ends where its fixture does"
)]
#![allow(
    unreachable_pub,
    reason = "a module of a test binary, not of a library"
)]

#[path = "contract/built_ins.rs"]
mod built_ins;
#[path = "contract/commands.rs"]
mod commands;
#[path = "contract/config_maps.rs"]
mod config_maps;
#[path = "contract/custom.rs"]
mod custom;
#[path = "contract/definitions.rs"]
mod definitions;
#[path = "contract/differences.rs"]
mod differences;
#[path = "contract/documents.rs"]
mod documents;
#[path = "contract/dry_runs.rs"]
mod dry_runs;
#[path = "contract/endings.rs"]
mod endings;
#[path = "contract/histories.rs"]
mod histories;
#[path = "contract/lists.rs"]
mod lists;
#[path = "contract/step.rs"]
mod step;
#[path = "support/support.rs"]
mod support;
#[path = "contract/watches.rs"]
mod watches;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pilothouse::apiserver::{Options, Server};
use serde_json::json;
use step::{CRDS, Player, Step, WIDGETS, agree, get, post};
use support::controlplane::Binaries;
use support::{ControlPlane, ControlPlaneOptions, have};
use tokio::sync::Mutex;

/// Two control planes at once are too much for a small machine.
static ONE_PLANE: Mutex<()> = Mutex::const_new(());

fn steps() -> Vec<Step> {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "contract"}});
    let mut steps = vec![
        post("namespace", "/api/v1/namespaces", namespace),
        post("definition", CRDS, custom::definition()),
    ];
    steps.extend(config_maps::config_maps());
    steps.extend(built_ins::built_ins());
    // The real server serves a new definition a moment later.
    steps.push(get("served", WIDGETS).until(200));
    steps.extend(custom::custom());
    steps.extend(lists::lists());
    steps.extend(watches::watches());
    steps.extend(dry_runs::dry_runs());
    steps.extend(endings::endings());
    steps.extend(definitions::definitions());
    steps.extend(documents::documents());
    steps
}

/// A real server with the embedded one's Service addresses.
async fn real_server(name: &str) -> ControlPlane {
    let options = ControlPlaneOptions {
        workloads: false,
        service_cidr: "172.31.0.0/16".to_owned(),
        ..ControlPlaneOptions::default()
    };
    ControlPlane::start(name, options).await.unwrap()
}

#[tokio::test]
async fn answers_are_those_of_kube_apiserver() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let _one = ONE_PLANE.lock().await;
    let plane = real_server("contract").await;
    let mut real = Player::new(plane.client().await.unwrap());
    let server = Server::open(Options::in_memory("contract")).unwrap();
    let mut ours = Player::new(server.client());
    // Tokens of a state that both servers forgot, in each one's own form.
    real.knows(
        "forgotten",
        &URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"c\u0000"}"#),
    );
    ours.knows("forgotten", &URL_SAFE_NO_PAD.encode("1\nlists\nb"));
    let mut faults = Vec::new();
    let mut known = differences::DIFFERENCES.to_vec();
    let only = std::env::var("PILOTHOUSE_STEPS").ok();
    for mut step in steps() {
        if differences::WORDS.contains(&step.name.as_str()) {
            step = step.alike(step::Reason);
        }
        let answers = tokio::join!(real.play(&step), ours.play(&step));
        if only
            .as_ref()
            .is_some_and(|only| step.name.contains(only.as_str()))
        {
            eprintln!(
                "{}\n  real {:?}\n  ours {:?}",
                step.name, answers.0, answers.1
            );
        }
        let fault = agree(&step, answers.0, answers.1).err();
        let listed = known.iter().position(|(name, _)| *name == step.name);
        match (fault, listed) {
            (Some(_), Some(at)) => drop(known.remove(at)),
            (Some(fault), None) => faults.push(fault),
            _ => {}
        }
    }
    plane.stop().await.unwrap();
    faults.extend(
        known
            .iter()
            .map(|(name, _)| format!("{name}: listed as a difference, and is none\n")),
    );
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
