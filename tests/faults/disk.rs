//! The embedded hub's disk takes no more.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;

use crate::support::await_condition;
use crate::world::SOON;

/// `pilothouse run --embedded`; killed when dropped.
struct Hub {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Hub {
    /// Starts it with files of at most so many blocks of 512 bytes: a write
    /// beyond fails with EFBIG, as one on a full disk does with ENOSPC.
    fn start(dir: &Path, blocks: Option<u32>) -> Self {
        let limit = blocks.map_or_else(String::new, |blocks| {
            format!("trap '' XFSZ; ulimit -f {blocks}; ")
        });
        let mut child = Command::new("sh")
            .args(["-c", &format!("{limit}exec \"$@\""), "sh"])
            .arg(env!("CARGO_BIN_EXE_pilothouse"))
            .args(["run", "--embedded", "--listen", "127.0.0.1:0"])
            .args(["--operators-listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let out = child.stderr.take().unwrap();
        let into = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                *into.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, said }
    }

    /// Waits until its API answers its own kubeconfig.
    async fn client(&self, dir: &Path) -> Client {
        await_condition("the hub's dashboard", SOON, || async {
            let said = self.said.lock().unwrap().clone();
            if said.contains("dashboard on") {
                Ok(())
            } else {
                Err(said)
            }
        })
        .await;
        let kubeconfig = Kubeconfig::read_from(dir.join("kubeconfig")).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options);
        Client::try_from(config.await.unwrap()).unwrap()
    }

    /// Waits until it has ended by itself; its exit code and words.
    async fn ended(mut self) -> (Option<i32>, String) {
        let child = Mutex::new(&mut self.child);
        await_condition("the hub to end", SOON, || async {
            match child.lock().unwrap().try_wait().unwrap() {
                Some(_) => Ok(()),
                None => Err("still running".to_owned()),
            }
        })
        .await;
        let code = self.child.wait().unwrap().code();
        (code, self.said.lock().unwrap().clone())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn letter(number: usize) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {"name": format!("letter-{number}")},
        "data": {"text": format!("{number} ").repeat(30_000)},
    }))
    .unwrap()
}

/// It says so and ends, instead of going on from what no disk holds; what it
/// acknowledged is there when there is room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_store_full() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(dir.path(), Some(12_000));
    let letters: Api<ConfigMap> = Api::namespaced(hub.client(dir.path()).await, "default");
    let mut acknowledged = 0;
    let refused = loop {
        assert!(acknowledged < 1_000, "there is no limit");
        match letters
            .create(&PostParams::default(), &letter(acknowledged))
            .await
        {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(acknowledged > 3, "{acknowledged}: {refused}");
    let (code, said) = hub.ended().await;
    assert!(code.is_some_and(|code| code != 0), "{code:?}: {said}");
    assert!(said.contains("check the disk and restart"), "{said}");

    let hub = Hub::start(dir.path(), None);
    let letters: Api<ConfigMap> = Api::namespaced(hub.client(dir.path()).await, "default");
    for number in 0..acknowledged {
        let found = letters.get(&format!("letter-{number}")).await.unwrap();
        assert_eq!(found.data, letter(number).data);
    }
    let made = letters.create(&PostParams::default(), &letter(2_000)).await;
    made.unwrap();
}
