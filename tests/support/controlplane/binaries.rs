//! Where the binaries are: `KUBEBUILDER_ASSETS`, the convention of
//! controller-runtime's envtest, holds etcd, kube-apiserver and kubectl; the
//! others lie beside them or in `PILOTHOUSE_CONTROLPLANE_BIN`.

use std::path::PathBuf;

use super::super::tier::Missing;

/// Paths of everything that a control plane consists of.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// etcd
    pub etcd: PathBuf,
    /// kube-apiserver
    pub apiserver: PathBuf,
    /// kube-controller-manager
    pub controller_manager: PathBuf,
    /// kube-scheduler
    pub scheduler: PathBuf,
    /// kubectl of the server's version
    pub kubectl: PathBuf,
    /// kwok
    pub kwok: PathBuf,
    /// kwok's stage files, without which it ends at once.
    pub stages: Vec<PathBuf>,
}

impl Binaries {
    /// Looks the binaries up, or says what is missing and how to build it.
    pub fn find() -> Result<Self, Missing> {
        let folders: Vec<PathBuf> = ["KUBEBUILDER_ASSETS", "PILOTHOUSE_CONTROLPLANE_BIN"]
            .into_iter()
            .filter_map(std::env::var_os)
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .collect();
        if folders.is_empty() {
            return Err(missing("KUBEBUILDER_ASSETS is not set".to_owned()));
        }
        let find = |name: &str| {
            folders
                .iter()
                .map(|folder| folder.join(name))
                .find(|path| path.exists())
                .ok_or_else(|| {
                    let places: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
                    missing(format!("{name} is not in {}", places.join(" or ")))
                })
        };
        let stages = yaml_files(find("kwok-stages")?);
        if stages.is_empty() {
            return Err(missing("kwok-stages holds no stage file".to_owned()));
        }
        Ok(Self {
            etcd: find("etcd")?,
            apiserver: find("kube-apiserver")?,
            controller_manager: find("kube-controller-manager")?,
            scheduler: find("kube-scheduler")?,
            kubectl: find("kubectl")?,
            kwok: find("kwok")?,
            stages,
        })
    }
}

fn missing(why: String) -> Missing {
    Missing::new(
        why,
        "run tests/controlplane/build.sh OUTDIR (needs Go, about 5 minutes) and set KUBEBUILDER_ASSETS=OUTDIR",
    )
}

fn yaml_files(folder: PathBuf) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}
