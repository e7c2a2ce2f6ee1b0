//! The embedded hub of `run --embedded`: one durable API server in a directory.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::apiserver::{OpenError, Options, ServeError, Server, StoreBroken};

/// File that keeps the port, so that kubeconfigs stay good over restarts.
const ADDRESS: &str = "api.address";
/// The administrator's kubeconfig.
const KUBECONFIG: &str = "kubeconfig";
/// Folder of the API server's store and certificates.
const STORE: &str = "hub";

/// Why the embedded hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A file cannot be read or written.
    #[error("cannot use {}; check that the data directory is writable", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The port is taken.
    #[error(
        "cannot listen on {address} for the hub's API; free it, or choose another with --api-listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("cannot open the hub in {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The API cannot be served.
    #[error("the hub's API ended")]
    Serve(#[source] ServeError),
    /// The disk takes no more.
    #[error("the hub ends")]
    Store(#[source] StoreBroken),
}

/// A running embedded hub.
pub struct EmbeddedHub {
    /// In-process client with administrator rights.
    pub client: Client,
    /// URL of its API.
    pub url: String,
    /// Kubeconfig of the administrator, mode 0600.
    pub kubeconfig: PathBuf,
    serving: JoinHandle<Result<(), EmbeddedError>>,
}

impl EmbeddedHub {
    /// Waits until the API ended. Call it after the shutdown was asked for.
    ///
    /// # Errors
    /// When it ended by itself, which asks for the shutdown too.
    pub async fn ended(self) -> Result<(), EmbeddedError> {
        self.serving.await.unwrap_or_else(|_| {
            tracing::warn!("the hub's API did not end cleanly");
            Ok(())
        })
    }
}

/// Opens the hub in `dir` and serves its API until `shutdown`, which is asked
/// for when the API cannot go on.
///
/// # Errors
/// When the directory or the address cannot be used.
pub async fn embedded_hub(
    dir: &Path,
    listen: Option<SocketAddr>,
    shutdown: CancellationToken,
) -> Result<EmbeddedHub, EmbeddedError> {
    fs::create_dir_all(dir).map_err(file(dir))?;
    let kept = dir.join(ADDRESS);
    let address = listen
        .or_else(|| fs::read_to_string(&kept).ok()?.trim().parse().ok())
        .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| EmbeddedError::Listen { address, source })?;
    let address = listener
        .local_addr()
        .map_err(|source| EmbeddedError::Listen { address, source })?;
    keep_address(&kept, address)?;
    let server = Server::open(Options::durable("hub", dir.join(STORE))).map_err(|source| {
        EmbeddedError::Open {
            path: dir.to_owned(),
            source,
        }
    })?;
    let url = format!("https://{address}");
    let kubeconfig = dir.join(KUBECONFIG);
    // Only its owner may read it.
    replace(&kubeconfig, &server.kubeconfig(&url), 0o600)?;
    let client = server.client();
    let serving = tokio::spawn(async move {
        let watched = server.clone();
        let ended = tokio::select! {
            served = server.serve(listener, shutdown.clone()) => served.map_err(EmbeddedError::Serve),
            broken = watched.broken() => Err(EmbeddedError::Store(broken)),
        };
        shutdown.cancel();
        ended
    });
    Ok(EmbeddedHub {
        client,
        url,
        kubeconfig,
        serving,
    })
}

/// Writes the address down when it is another. A full disk must not cost the
/// one that is there: kubeconfigs hold it.
fn keep_address(kept: &Path, address: SocketAddr) -> Result<(), EmbeddedError> {
    let line = format!("{address}\n");
    if fs::read_to_string(kept).is_ok_and(|there| there == line) {
        return Ok(());
    }
    replace(kept, &line, 0o644)
}

/// Replaces a file so that readers see the old or the new content.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), EmbeddedError> {
    let fresh = path.with_extension("new");
    let store = || {
        // One left by a killed process may have another mode.
        let _ = fs::remove_file(&fresh);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?
            .write_all(text.as_bytes())?;
        fs::rename(&fresh, path)
    };
    store().map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> EmbeddedError {
    let path = path.to_owned();
    move |source| EmbeddedError::File { path, source }
}
