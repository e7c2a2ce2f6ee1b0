//! The TLS listener: HTTP/1.1 and HTTP/2 by ALPN, client certificates asked
//! for but not required.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;

use super::ServeError;
use super::faults::{Fault, FaultSwitch};
use super::front::Certified;
use super::pki::Pki;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open requests may take to end after shutdown.
const GRACE: Duration = Duration::from_secs(2);
const MAX_CONNECTIONS: usize = 4096;

/// rustls' side of the certificates.
pub(super) fn config(pki: &Pki) -> Result<ServerConfig, ServeError> {
    let build = || -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(
            pki.ca_certificate.as_bytes(),
        )?)?;
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()?;
        let certificate = CertificateDer::from_pem_slice(pki.serving.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(pki.serving.key.as_bytes())?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    };
    build().map_err(ServeError::Tls)
}

/// Serves `router` until `shutdown`, then ends open watches (`closing`) and
/// gives requests a short time to finish.
pub(super) async fn serve(
    listener: TcpListener,
    config: ServerConfig,
    router: Router,
    faults: FaultSwitch,
    shutdown: CancellationToken,
    closing: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    let stop = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: let some go first.
                tracing::warn!(%error, "the API listener cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            continue;
        };
        if faults.get() == Fault::Drop {
            continue;
        }
        let (acceptor, router) = (acceptor.clone(), router.clone());
        let (faults, stop) = (faults.clone(), stop.clone());
        connections.spawn(async move {
            tokio::select! {
                () = connection(stream, acceptor, router, stop.clone()) => {}
                () = faults.wait_for(Fault::Drop) => {}
            }
            drop(slot);
        });
    }
    closing.cancel();
    stop.cancel();
    connections.close();
    // Whoever is not done by then is cut off.
    let _ = tokio::time::timeout(GRACE, connections.wait()).await;
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    stop: CancellationToken,
) {
    // Small answers at once; a refusal only costs speed.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
    let Ok(Ok(tls)) = handshake.await else {
        return;
    };
    let certified = tls
        .get_ref()
        .1
        .peer_certificates()
        .is_some_and(|c| !c.is_empty());
    let service = ServiceBuilder::new()
        .map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            if certified {
                request.extensions_mut().insert(Certified);
            }
            request
        })
        .service(router);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(1000);
    let serving = builder.serve_connection(TokioIo::new(tls), TowerToHyperService::new(service));
    tokio::pin!(serving);
    tokio::select! {
        // A broken connection is the client's affair.
        _ = serving.as_mut() => return,
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}
