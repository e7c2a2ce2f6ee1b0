//! A git server for tests: `git http-backend` behind a small HTTP server on
//! loopback, with TLS, authentication and faults; and repositories to serve.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::{Fetcher, FetcherOptions, ObjectId};

/// A bare repository whose commits tests write.
pub(super) struct Origin {
    pub(super) dir: tempfile::TempDir,
    git: git2::Repository,
}

impl Origin {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options
            .bare(true)
            .external_template(false)
            .initial_head("main");
        let git = git2::Repository::init_opts(dir.path().join("app.git"), &options).unwrap();
        Self { dir, git }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("app.git")
    }

    pub(super) fn file_url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// A commit on `branch` whose tree is exactly `files`; a content that
    /// begins with `->` is the target of a symbolic link.
    pub(super) fn commit(&self, branch: &str, files: &[(&str, &str)]) -> ObjectId {
        let mut index = git2::Index::new().unwrap();
        for (path, content) in files {
            let (mode, content) = match content.strip_prefix("->") {
                Some(target) => (0o120_000, target),
                None => (0o100_644, *content),
            };
            let id = self.git.blob(content.as_bytes()).unwrap();
            let zero = git2::IndexTime::new(0, 0);
            let entry = git2::IndexEntry {
                ctime: zero,
                mtime: zero,
                dev: 0,
                ino: 0,
                mode,
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path: path.as_bytes().to_vec(),
            };
            index.add(&entry).unwrap();
        }
        let tree = index.write_tree_to(&self.git).unwrap();
        self.commit_tree(branch, tree, "Change files\n\nBody.")
    }

    pub(super) fn commit_tree(&self, branch: &str, tree: git2::Oid, message: &str) -> ObjectId {
        let name = format!("refs/heads/{branch}");
        let parent = self.git.refname_to_id(&name).ok();
        let parent = parent.map(|id| self.git.find_commit(id).unwrap());
        let author =
            git2::Signature::new("Ada", "ada@example.com", &git2::Time::new(1_700_000_000, 0))
                .unwrap();
        let tree = self.git.find_tree(tree).unwrap();
        let parents: Vec<_> = parent.iter().collect();
        let id = self
            .git
            .commit(Some(&name), &author, &author, message, &tree, &parents)
            .unwrap();
        ObjectId(id)
    }

    /// Drops the branch, so that the next commit on it is a forced update.
    pub(super) fn delete_branch(&self, branch: &str) {
        self.git
            .find_reference(&format!("refs/heads/{branch}"))
            .unwrap()
            .delete()
            .unwrap();
    }

    pub(super) fn move_branch(&self, branch: &str, to: ObjectId) {
        let name = format!("refs/heads/{branch}");
        self.git.reference(&name, to.0, true, "moved").unwrap();
    }

    /// An annotated tag.
    pub(super) fn tag(&self, name: &str, at: ObjectId) -> git2::Oid {
        let object = self.git.find_object(at.0, None).unwrap();
        let author = git2::Signature::now("Ada", "ada@example.com").unwrap();
        self.git
            .tag(name, &object, &author, "Release", false)
            .unwrap()
    }

    pub(super) fn git(&self) -> &git2::Repository {
        &self.git
    }
}

/// A fetcher with its own cache; `change` adjusts the options.
pub(super) fn fetcher(change: impl FnOnce(&mut FetcherOptions)) -> (Fetcher, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = FetcherOptions::new(dir.path().join("git"));
    options.timeout = Duration::from_secs(20);
    change(&mut options);
    (Fetcher::new(options).unwrap(), dir)
}

/// How the server behaves; shared, so that tests change it while it runs.
#[derive(Clone, Default)]
pub(super) struct Behaviour {
    /// The only accepted `Authorization` header.
    pub(super) authorization: Option<String>,
    /// Answer everything with this status.
    pub(super) status: Option<u16>,
    /// Answer a GET below `/old` with a redirect to this URL plus the rest.
    pub(super) moved_to: Option<String>,
    /// Never answer.
    pub(super) hang: bool,
    /// Cut the body of the pack after this many bytes.
    pub(super) cut: Option<usize>,
}

/// Serves the directory of one [`Origin`] until it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Tls>,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    root: PathBuf,
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<String>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn start(origin: &Origin) -> Self {
        Self::serve(origin, None).await
    }

    pub(super) async fn start_tls(origin: &Origin, want_client: bool) -> Self {
        Self::serve(origin, Some(Tls::new(want_client))).await
    }

    async fn serve(origin: &Origin, tls: Option<Tls>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            root: origin.dir.path().to_owned(),
            behaviour: Mutex::default(),
            requests: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let acceptor = tls.as_ref().map(|tls| tls.acceptor.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    match acceptor {
                        None => connection(TokioIo::new(socket), state).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(socket).await {
                                connection(TokioIo::new(stream), state).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            tls,
            state,
            task,
        }
    }

    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}/app.git", self.address.port())
    }

    pub(super) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.behaviour.lock().unwrap());
    }

    /// The requests since the last call, as `METHOD path`.
    pub(super) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }
}

async fn connection<I>(io: I, state: Arc<State>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(io, service)
        .await;
}

fn plain(status: u16, text: &'static str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "text/plain")
        .body(Full::new(Bytes::from_static(text.as_bytes())))
        .unwrap()
}

async fn answer(request: Request<Incoming>, state: &Arc<State>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let line = format!("{} {path}", request.method());
    state.requests.lock().unwrap().push(line);
    let behaviour = state.behaviour.lock().unwrap().clone();
    if behaviour.hang {
        std::future::pending::<()>().await;
    }
    if let Some(status) = behaviour.status {
        return plain(status, "as told");
    }
    if let (Some(to), Some(rest)) = (&behaviour.moved_to, path.strip_prefix("/old")) {
        let query = request.uri().query().unwrap_or_default();
        return Response::builder()
            .status(StatusCode::MOVED_PERMANENTLY)
            .header("location", format!("{to}{rest}?{query}"))
            .body(Full::default())
            .unwrap();
    }
    let given = request.headers().get("authorization");
    let given = given
        .and_then(|value| value.to_str().ok())
        .map(ToOwned::to_owned);
    if behaviour.authorization.is_some() && behaviour.authorization != given {
        return plain(401, "who are you");
    }
    let root = state.root.clone();
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let output = tokio::task::spawn_blocking(move || backend(&root, &parts, &body)).await;
    let mut response = cgi_response(&output.unwrap());
    if let (Some(cut), "POST") = (behaviour.cut, &line_method(&state.requests)[..]) {
        let bytes = response
            .body_mut()
            .clone()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        *response.body_mut() = Full::new(bytes.slice(..cut.min(bytes.len())));
        response.headers_mut().remove("content-length");
    }
    response
}

fn line_method(requests: &Mutex<Vec<String>>) -> String {
    let requests = requests.lock().unwrap();
    let last = requests.last().cloned().unwrap_or_default();
    last.split(' ').next().unwrap_or_default().to_owned()
}

fn backend(root: &Path, parts: &http::request::Parts, body: &[u8]) -> Vec<u8> {
    let header = |name: &str| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    child.wait_with_output().unwrap().stdout
}

fn cgi_response(output: &[u8]) -> Response<Full<Bytes>> {
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = if name.eq_ignore_ascii_case("status") {
            response.status(value.split(' ').next().unwrap().parse::<u16>().unwrap())
        } else {
            response.header(name, value)
        };
    }
    let body = Bytes::copy_from_slice(&output[end + 4..]);
    response.body(Full::new(body)).unwrap()
}

/// A certificate authority with a server and a client certificate.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    pub(super) ca: String,
    pub(super) client_cert: String,
    pub(super) client_key: String,
}

impl Tls {
    fn new(want_client: bool) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let signed = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            let cert = params.signed_by(&key, &issuer).unwrap();
            (cert, key)
        };
        let (server, server_key) = signed("localhost");
        let (client, client_key) = signed("client");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if want_client {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(ca.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from(server.der().to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = builder.with_single_cert(chain, key).unwrap();
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca: ca.pem(),
            client_cert: client.pem(),
            client_key: client_key.serialize_pem(),
        }
    }
}
