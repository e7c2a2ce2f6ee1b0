//! One API server of the demo: the hub's or a member's.

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::place::Place;
use crate::apiserver::{Options, Server};

/// An API server whose kubeconfig is written.
pub(super) struct Cluster {
    pub(super) server: Server,
    /// As the kubeconfig has it.
    pub(super) url: String,
    /// A credential.
    kubeconfig: String,
}

impl Cluster {
    /// Opens the server that keeps its objects in the demo's directory, and
    /// binds its listener.
    ///
    /// # Errors
    /// When its port or its files cannot be used.
    pub(super) async fn open(
        place: &mut Place,
        name: &str,
        service_cidr: &str,
    ) -> Result<(Self, TcpListener), DemoError> {
        let (listener, port) = place.listen(name).await?;
        let mut options = Options::durable(name, place.path(name));
        options.service_cidr = service_cidr.to_owned();
        let opened = tokio::task::spawn_blocking(move || Server::open(options)).await;
        let what = format!("cannot open the API server {name} of the demo");
        let server = match opened {
            Ok(opened) => opened.map_err(|error| DemoError::part(&what, error))?,
            Err(error) => return Err(DemoError::part(what, error)),
        };
        let url = format!("https://127.0.0.1:{port}");
        let kubeconfig = server.kubeconfig(&url);
        place.write_kubeconfig(name, &kubeconfig)?;
        let cluster = Self {
            server,
            url,
            kubeconfig,
        };
        Ok((cluster, listener))
    }

    /// The kubeconfig as text. A credential: log it never.
    pub(super) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Serves clients outside until `shutdown`.
    pub(super) fn serve(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let server = self.server.clone();
        async move {
            let name = server.name().to_owned();
            if let Err(error) = server.serve(listener, shutdown).await {
                tracing::error!(cluster = name, %error, "an API server of the demo ended");
            }
        }
    }
}
