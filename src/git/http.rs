//! HTTP to a git server: TLS settings of one Channel, statuses, redirects.

mod tls;

use std::error::Error as _;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::error::GitError;
use super::spec::{Auth, Credential};
use super::url::redact;

/// Redirects followed for one request, all on the same host.
const MAX_REDIRECTS: u8 = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Servers choose their answer by the prefix `git/`.
const AGENT: &str = concat!("git/2.0 (pilothouse ", env!("CARGO_PKG_VERSION"), ")");
const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const RESULT: &str = "application/x-git-upload-pack-result";

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A server as one Channel sees it: its own connections, TLS settings and
/// credential. Nothing here is shared with another credential.
pub(super) struct Endpoint {
    client: HttpClient,
    base: Uri,
    authorization: Option<HeaderValue>,
}

impl Endpoint {
    pub(super) fn new(base: Uri, auth: &Auth) -> Result<Self, GitError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(auth)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(45))
            .pool_max_idle_per_host(1)
            .build(https);
        Ok(Self {
            client,
            base,
            authorization: basic(&auth.credential)?,
        })
    }

    pub(super) fn base(&self) -> &Uri {
        &self.base
    }

    /// `GET /info/refs`; also returns the base URL that later requests of the
    /// same operation use, which differs after a redirect.
    pub(super) async fn advertisement(&self) -> Result<(Response<Incoming>, Uri), GitError> {
        let mut base = self.base.clone();
        for _ in 0..=MAX_REDIRECTS {
            let url = with_suffix(&base, "/info/refs?service=git-upload-pack")?;
            let request = self
                .request(Method::GET, &url, None)
                .body(Full::default())
                .map_err(|_| malformed(&base))?;
            let response = self.send(request, &base).await?;
            if !response.status().is_redirection() {
                self.check(&response, &base, ADVERTISEMENT)?;
                return Ok((response, base));
            }
            base = redirected(&url, &base, response.headers().get(LOCATION))?;
        }
        Err(GitError::NotGit {
            url: redact(&self.base.to_string()),
            reason: "too many redirects".to_owned(),
        })
    }

    /// `POST /git-upload-pack`, never redirected.
    pub(super) async fn upload_pack(
        &self,
        base: &Uri,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, GitError> {
        let url = with_suffix(base, "/git-upload-pack")?;
        let request = self
            .request(
                Method::POST,
                &url,
                Some("application/x-git-upload-pack-request"),
            )
            .header(ACCEPT, RESULT)
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| malformed(base))?;
        let response = self.send(request, base).await?;
        self.check(&response, base, RESULT)?;
        Ok(response)
    }

    fn request(
        &self,
        method: Method,
        url: &Uri,
        content: Option<&'static str>,
    ) -> http::request::Builder {
        let mut builder = Request::builder()
            .method(method)
            .uri(url)
            .header(USER_AGENT, AGENT);
        if let Some(content) = content {
            builder = builder.header(CONTENT_TYPE, content);
        }
        if let Some(value) = &self.authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        builder
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        base: &Uri,
    ) -> Result<Response<Incoming>, GitError> {
        let url = redact(&base.to_string());
        let mut attempts = 3;
        loop {
            attempts -= 1;
            match self.client.request(request.clone()).await {
                Ok(response) => return Ok(response),
                // A server that dislikes our certificate says so after the TLS
                // 1.3 handshake; if it closes before the request is written,
                // the reason is lost, and a second attempt may bring it out.
                Err(error) if attempts > 0 && closed_early(&error) => {}
                Err(error) => return Err(connection_error(&error, &url)),
            }
        }
    }

    fn check(
        &self,
        response: &Response<Incoming>,
        base: &Uri,
        expected: &str,
    ) -> Result<(), GitError> {
        let url = redact(&base.to_string());
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(GitError::Unauthorized {
                    url,
                    status: status.as_u16(),
                    advice: if self.authorization.is_some() {
                        "refused the credential; check the secret that the channel's secretRef names"
                    } else {
                        "wants a credential; name a secret with user and accessToken in the channel's secretRef"
                    },
                });
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(GitError::RepositoryNotFound { url });
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                return Err(unreachable_because(url, status));
            }
            _ if status.is_server_error() => return Err(unreachable_because(url, status)),
            _ => {
                return Err(GitError::NotGit {
                    url,
                    reason: format!("http {}", status.as_u16()),
                });
            }
        }
        let content = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("no content type");
        if content.starts_with(expected) {
            return Ok(());
        }
        Err(GitError::NotGit {
            url,
            reason: format!(
                "it answered {}",
                content.chars().take(60).collect::<String>()
            ),
        })
    }
}

fn unreachable_because(url: String, status: StatusCode) -> GitError {
    GitError::Unreachable {
        url,
        reason: format!("http {}", status.as_u16()),
    }
}

fn malformed(base: &Uri) -> GitError {
    GitError::InvalidUrl {
        url: redact(&base.to_string()),
        reason: "no request can be made of it".to_owned(),
    }
}

fn with_suffix(base: &Uri, suffix: &str) -> Result<Uri, GitError> {
    let text = base.to_string();
    format!("{}{suffix}", text.trim_end_matches('/'))
        .parse()
        .map_err(|_| malformed(base))
}

/// The new base after a redirect of `url`: the same host only, and never from
/// https to http. Another port would be another server, except that http may
/// move to https. The credential therefore never reaches another host.
fn redirected(url: &Uri, base: &Uri, location: Option<&HeaderValue>) -> Result<Uri, GitError> {
    let shown = redact(&base.to_string());
    let not_git = |reason: &str| GitError::NotGit {
        url: shown.clone(),
        reason: reason.to_owned(),
    };
    let location = location
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| not_git("a redirect without a location"))?;
    let target: Uri = if location.starts_with('/') && !location.starts_with("//") {
        let scheme = url.scheme_str().unwrap_or("https");
        let authority = url.authority().map_or("", |a| a.as_str());
        format!("{scheme}://{authority}{location}").parse()
    } else {
        location.parse()
    }
    .map_err(|_| not_git("a redirect to no url"))?;
    let same_host = match (target.host(), url.host()) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    let user_info = target.authority().is_some_and(|a| a.as_str().contains('@'));
    let same_port = target.port_u16() == url.port_u16();
    let allowed = match (url.scheme_str(), target.scheme_str()) {
        (Some("http"), Some("https")) => true,
        (Some(from), Some(to)) => from == to && same_port,
        _ => false,
    };
    if !same_host || !allowed || user_info {
        return Err(GitError::Redirected {
            url: shown,
            target: redact(location),
        });
    }
    let text = target.to_string();
    text.split_once("/info/refs")
        .and_then(|(head, _)| head.parse().ok())
        .ok_or_else(|| not_git("it redirects to a page"))
}

fn basic(credential: &Credential) -> Result<Option<HeaderValue>, GitError> {
    let Credential::Basic { user, token } = credential else {
        return Ok(None);
    };
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{token}"));
    let mut value =
        HeaderValue::try_from(format!("Basic {text}")).map_err(|_| GitError::InvalidAuth {
            what: "accessToken",
            reason: "it cannot be sent in a header".to_owned(),
        })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Whether the connection was closed before the request went out.
fn closed_early(error: &hyper_util::client::legacy::Error) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_canceled)
}

/// Sorts a failed connection: trust, our client certificate, or the network.
fn connection_error(error: &hyper_util::client::legacy::Error, url: &str) -> GitError {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        match tls_error(cause) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                return GitError::Untrusted {
                    url: url.to_owned(),
                    reason: plain(&why.to_string()),
                };
            }
            Some(rustls::Error::AlertReceived(alert)) => {
                use rustls::AlertDescription as Alert;
                if matches!(
                    alert,
                    Alert::CertificateRequired
                        | Alert::BadCertificate
                        | Alert::UnknownCA
                        | Alert::CertificateUnknown
                        | Alert::CertificateExpired
                        | Alert::AccessDenied
                ) {
                    return GitError::ClientCertificateRefused {
                        url: url.to_owned(),
                        reason: format!("{alert:?}"),
                    };
                }
            }
            _ => {}
        }
        reason = cause.to_string();
        source = cause.source();
    }
    if closed_early(error) {
        reason = "it closed the connection at once; it may want a client certificate".to_owned();
    }
    GitError::Unreachable {
        url: url.to_owned(),
        reason: plain(&reason),
    }
}

/// The TLS error inside a chain of I/O errors, which hide it from `source`.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    let inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls_error(inner)
}

/// A reason fit for one line: no control characters, at most 200 characters.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(from: &str, location: &str) -> Result<String, GitError> {
        let base: Uri = from.parse().unwrap();
        let url = with_suffix(&base, "/info/refs?service=git-upload-pack").unwrap();
        let location = HeaderValue::from_str(location).unwrap();
        redirected(&url, &base, Some(&location)).map(|uri| uri.to_string())
    }

    #[test]
    fn redirects_stay_on_the_host_or_become_https() {
        for (from, location, to) in [
            (
                "https://h/a",
                "/b.git/info/refs?service=git-upload-pack",
                "https://h/b.git",
            ),
            (
                "https://h/a",
                "https://H/b/info/refs?service=x",
                "https://h/b",
            ),
            (
                "http://h/a",
                "https://h/a/info/refs?service=x",
                "https://h/a",
            ),
        ] {
            let got = redirect(from, location).unwrap();
            assert_eq!(got.to_ascii_lowercase(), to, "{location}");
        }
        for (from, location) in [
            ("https://h/a", "https://other/a/info/refs"),
            ("https://h/a", "http://h/a/info/refs"),
            ("https://h/a", "https://h:8443/a/info/refs"),
            ("https://h/a", "//other/a/info/refs"),
            ("https://h/a", "https://h@other/a/info/refs"),
            ("https://h/a", "https://x:y@h/a/info/refs"),
            ("https://h/a", "file:///etc/info/refs"),
        ] {
            assert!(redirect(from, location).is_err(), "{location}");
        }
    }
}
