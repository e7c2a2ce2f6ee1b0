//! How `demo fault` reaches the running demo: a ConfigMap of the hub that
//! says what is broken. The demo watches it and answers with an annotation.
//!
//! It says how things are to be, not what to do, so nothing is lost or done
//! twice. A demo that starts finds everything mended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::{DemoError, Fault, MEMBERS, place};
use crate::simulator::submariner;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "pilothouse-demo-faults";
/// Holds the serial number of the last state that the demo has taken over.
const DONE: &str = "pilothouse.dev/demo-faults-done";
const MANAGER: &str = "pilothouse-demo";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that is broken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Broken {
    /// (reporting cluster, other cluster).
    pub(super) cut: BTreeSet<(String, String)>,
    /// Clusters whose gateway is silent.
    pub(super) stale: BTreeSet<String>,
    pub(super) overlap: bool,
    /// Clusters whose API server is stopped.
    pub(super) stopped: BTreeSet<String>,
}

impl Broken {
    /// Breaks or mends.
    fn change(&mut self, fault: &Fault) {
        let pair = |a: &String, b: &String| (a.clone(), b.clone());
        match fault {
            Fault::CutCable { a, b, one_way } => {
                self.cut.insert(pair(a, b));
                if !one_way {
                    self.cut.insert(pair(b, a));
                }
            }
            Fault::RestoreCable { a, b } => {
                self.cut.remove(&pair(a, b));
                self.cut.remove(&pair(b, a));
            }
            Fault::StaleGateway { cluster, restore } => set(&mut self.stale, cluster, !restore),
            Fault::Overlap { restore } => self.overlap = !restore,
            Fault::StopCluster { name } => set(&mut self.stopped, name, true),
            Fault::StartCluster { name } => set(&mut self.stopped, name, false),
        }
    }

    fn to_data(&self) -> BTreeMap<String, String> {
        let cut = self.cut.iter().map(|(from, to)| format!("{from}>{to}"));
        BTreeMap::from([
            ("cut".to_owned(), cut.collect::<Vec<_>>().join(",")),
            ("stale".to_owned(), join(&self.stale)),
            ("overlap".to_owned(), self.overlap.to_string()),
            ("stopped".to_owned(), join(&self.stopped)),
        ])
    }

    /// Reads what is there; anybody who may write to the hub's `kube-system`
    /// wrote it, so words that are not ours are passed over.
    fn from_data(data: &BTreeMap<String, String>) -> Self {
        let words = |key| {
            let text = data.get(key).map_or("", String::as_str);
            text.split(',').filter(|word| !word.is_empty())
        };
        Self {
            cut: words("cut")
                .filter_map(|word| word.split_once('>'))
                .map(|(from, to)| (from.to_owned(), to.to_owned()))
                .collect(),
            stale: words("stale").map(str::to_owned).collect(),
            overlap: data.get("overlap").is_some_and(|text| text == "true"),
            stopped: words("stopped").map(str::to_owned).collect(),
        }
    }

    /// The part that Submariner's simulator plays.
    pub(super) fn of_mesh(&self) -> submariner::Faults {
        let mut faults = submariner::Faults::default();
        for (from, to) in &self.cut {
            faults.cut(from, to);
        }
        for cluster in &self.stale {
            faults.stale(cluster, true);
        }
        faults.overlap(self.overlap);
        faults
    }
}

fn set(names: &mut BTreeSet<String>, name: &str, present: bool) {
    if present {
        names.insert(name.to_owned());
    } else {
        names.remove(name);
    }
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(",")
}

/// The ConfigMap of the running demo.
#[derive(Clone)]
pub(super) struct Board(Api<ConfigMap>);

/// What the board says.
pub(super) struct Posted {
    pub(super) broken: Broken,
    /// Grows with every fault.
    serial: u64,
    done: bool,
}

impl Board {
    pub(super) fn new(hub: Client) -> Self {
        Self(Api::namespaced(hub, NAMESPACE))
    }

    /// For watching it.
    pub(super) fn api(&self) -> Api<ConfigMap> {
        self.0.clone()
    }

    pub(super) fn name() -> &'static str {
        NAME
    }

    pub(super) fn read(map: &ConfigMap) -> Posted {
        let data = map.data.clone().unwrap_or_default();
        let serial = data.get("serial").and_then(|text| text.parse().ok());
        let serial = serial.unwrap_or_default();
        let done = map
            .annotations()
            .get(DONE)
            .and_then(|text| text.parse().ok());
        Posted {
            broken: Broken::from_data(&data),
            serial,
            done: done == Some(serial),
        }
    }

    /// Writes an unbroken world, at the start of a demo.
    ///
    /// # Errors
    /// When the hub refuses.
    pub(super) async fn clear(&self) -> Result<(), DemoError> {
        let mut data = Broken::default().to_data();
        data.insert("serial".to_owned(), "0".to_owned());
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "annotations": {DONE: "0"}},
            "data": data,
        });
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&map);
        within(self.0.patch(NAME, &params, &patch)).await.map(drop)
    }

    /// Says that what was posted is done.
    ///
    /// # Errors
    /// When the hub refuses.
    pub(super) async fn answer(&self, posted: &Posted) -> Result<(), DemoError> {
        if posted.done {
            return Ok(());
        }
        let done = json!({"metadata": {"annotations": {DONE: posted.serial.to_string()}}});
        let (params, patch) = (PatchParams::default(), Patch::Merge(&done));
        within(self.0.patch(NAME, &params, &patch)).await.map(drop)
    }

    /// Posts a change and waits until the demo has done it.
    async fn post(&self, fault: &Fault) -> Result<(), DemoError> {
        let serial = loop {
            let mut map = within(self.0.get(NAME)).await?;
            let posted = Self::read(&map);
            let mut broken = posted.broken;
            broken.change(fault);
            let serial = posted.serial + 1;
            let mut data = broken.to_data();
            data.insert("serial".to_owned(), serial.to_string());
            map.data = Some(data);
            map.metadata = ObjectMeta {
                managed_fields: None,
                ..map.metadata
            };
            match tokio::time::timeout(TIMEOUT, self.0.replace(NAME, &PostParams::default(), &map))
                .await
            {
                // Another fault came between: look again.
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
                Ok(Err(error)) => return Err(failed(error)),
                Ok(Ok(_)) => break serial,
                Err(late) => return Err(failed(late)),
            }
        };
        let done = async {
            loop {
                let map = self.0.get(NAME).await?;
                let posted = Self::read(&map);
                if posted.serial > serial || posted.done {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(done).await
    }
}

async fn within<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, DemoError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(answer) => answer.map_err(failed),
        Err(late) => Err(failed(late)),
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DemoError {
    DemoError::part("the running demo does not take the fault", error)
}

/// Does one fault to the demo that runs on `dir`.
pub(super) async fn send(dir: &Path, fault: &Fault) -> Result<String, DemoError> {
    for name in fault.clusters() {
        if !MEMBERS.contains(&name) {
            return Err(DemoError::UnknownCluster {
                name: name.to_owned(),
            });
        }
    }
    let path = place::running_hub(dir)?;
    let client = connect(&path).await?;
    Board::new(client).post(fault).await?;
    Ok(fault.done())
}

async fn connect(path: &Path) -> Result<Client, DemoError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        DemoError::part(format!("cannot use {}", path.display()), error)
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(|e| failed(e.into()))?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.map_err(|e| failed(e.into()))?).map_err(|e| failed(e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(one_way: bool) -> Fault {
        Fault::CutCable {
            a: "aws-sub1".to_owned(),
            b: "aws-sub2".to_owned(),
            one_way,
        }
    }

    #[test]
    fn what_is_broken_survives_the_config_map() {
        let mut broken = Broken::default();
        for fault in [
            cut(false),
            Fault::StaleGateway {
                cluster: "aws-sub1".to_owned(),
                restore: false,
            },
            Fault::Overlap { restore: false },
            Fault::StopCluster {
                name: "aws-sub2".to_owned(),
            },
        ] {
            broken.change(&fault);
            assert_eq!(Broken::from_data(&broken.to_data()), broken);
        }
        assert_eq!(broken.cut.len(), 2);
    }

    #[test]
    fn every_fault_can_be_mended() {
        let name = || "aws-sub1".to_owned();
        for (fault, mend) in [
            (
                cut(true),
                Fault::RestoreCable {
                    a: "aws-sub2".to_owned(),
                    b: name(),
                },
            ),
            (
                Fault::StaleGateway {
                    cluster: name(),
                    restore: false,
                },
                Fault::StaleGateway {
                    cluster: name(),
                    restore: true,
                },
            ),
            (
                Fault::Overlap { restore: false },
                Fault::Overlap { restore: true },
            ),
            (
                Fault::StopCluster { name: name() },
                Fault::StartCluster { name: name() },
            ),
        ] {
            let mut broken = Broken::default();
            broken.change(&fault);
            assert_ne!(broken, Broken::default());
            broken.change(&mend);
            assert_eq!(broken, Broken::default(), "{mend:?}");
        }
    }

    #[test]
    fn foreign_words_are_passed_over() {
        let data = BTreeMap::from([
            ("cut".to_owned(), "x,,a>b".to_owned()),
            ("overlap".to_owned(), "perhaps".to_owned()),
        ]);
        let broken = Broken::from_data(&data);
        assert_eq!(broken.cut.len(), 1);
        assert!(!broken.overlap);
    }
}
