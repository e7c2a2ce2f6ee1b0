//! Who may look: how a request tells who asks, and what is answered to whom
//! may not.
//!
//! Three ways are read, in the order of kube-apiserver's own authenticators:
//! the user headers of a trusted proxy, `Authorization: Bearer`, and the
//! cookie of the login page. Whether a token is good and what its identity
//! may read, the [`Authoriser`] decides that the composition root gave.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures::future::BoxFuture;

use super::frame::TWINS;
use super::{WebState, login, refusals};
use crate::core::mesh::cidr::Cidr;
use crate::core::view::address::encode;
use crate::core::view::{FleetView, Visible};

/// A bearer token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token of the characters that RFC 6750 allows; `None` for others.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        (!text.is_empty() && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// The token, for the review of it alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a request shows of who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// A token, still to be checked.
    Token(Token),
    /// A user whom a trusted proxy has checked.
    Proxied {
        /// Name.
        user: String,
        /// Groups.
        groups: Vec<String>,
    },
}

/// Who reads, and what that identity may read.
#[derive(Clone, Debug)]
pub struct Reader {
    /// User name.
    pub name: String,
    /// Rights.
    pub visible: Arc<Visible>,
}

/// Why nobody was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The token is not, or no longer, accepted.
    Unknown,
    /// The hub's API could not be asked. With a sentence that holds no secret.
    Unavailable(String),
}

/// Says who it is and what of the view that identity may read. Bounded in
/// time, and cheap when asked again.
pub type Authoriser = Arc<
    dyn Fn(Presented, Arc<FleetView>) -> BoxFuture<'static, Result<Reader, Refusal>> + Send + Sync,
>;

/// Who may look at the dashboard.
#[derive(Clone)]
pub enum Access {
    /// Everyone who reaches the listener, at everything.
    Open,
    /// Who is known to the hub's API, at what that identity may read.
    Asked(Asked),
}

/// How identities are asked for.
#[derive(Clone)]
pub struct Asked {
    /// Checks them.
    pub authoriser: Authoriser,
    /// The proxy whose word is taken, if any.
    pub proxy: Option<TrustedProxy>,
}

/// A proxy that has checked who asks, as kube-apiserver's requestheader
/// authenticator knows them. Trust rests on the address of the connection
/// alone: whoever can connect from there can be anyone. So the proxy belongs
/// into the same pod, with 127.0.0.1 as its address.
#[derive(Clone, Debug)]
pub struct TrustedProxy {
    /// Where its connections come from.
    pub from: Vec<Network>,
    /// Header with the user name.
    pub user: HeaderName,
    /// Header with a group; it may come several times.
    pub group: HeaderName,
}

/// An address, or a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(Cidr);

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => single(address),
            Err(_) => Cidr::parse(text),
        };
        network
            .map(Self)
            .ok_or_else(|| format!("{text:?} is neither an address nor a range such as 10.0.0.0/8"))
    }
}

fn single(address: IpAddr) -> Option<Cidr> {
    let length = if address.is_ipv4() { 32 } else { 128 };
    Cidr::parse(&format!("{address}/{length}"))
}

impl Network {
    fn holds(self, address: IpAddr) -> bool {
        // An IPv4 peer of a dual-stack listener comes as ::ffff:a.b.c.d.
        single(address.to_canonical()).is_some_and(|address| self.0.overlaps(address))
    }
}

impl TrustedProxy {
    /// The user that the proxy names; `None` when the connection is not the
    /// proxy's, or when it names nobody.
    fn user(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<Presented> {
        let peer = peer?;
        if !self.from.iter().any(|network| network.holds(peer)) {
            return None;
        }
        // Two names would be a header that the proxy passed on and its own.
        let mut names = headers.get_all(&self.user).iter();
        let (Some(name), None) = (names.next(), names.next()) else {
            return None;
        };
        let user = name.to_str().ok()?.trim().to_owned();
        let groups = headers.get_all(&self.group).iter();
        let groups = groups
            .filter_map(|group| group.to_str().ok())
            .map(|group| group.trim().to_owned())
            .filter(|group| !group.is_empty());
        (!user.is_empty()).then(|| Presented::Proxied {
            user,
            groups: groups.collect(),
        })
    }
}

impl Asked {
    fn presented(&self, parts: &Parts) -> Option<Presented> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(peer)| peer.ip());
        self.proxy
            .as_ref()
            .and_then(|proxy| proxy.user(&parts.headers, peer))
            .or_else(|| bearer(&parts.headers).map(Presented::Token))
            .or_else(|| login::cookie(&parts.headers).map(Presented::Token))
    }
}

fn bearer(headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Token::parse(token.trim()))?
}

/// The view of whoever asks; a handler that takes it is answered by nobody else.
pub(crate) struct Seen {
    pub(crate) view: Arc<FleetView>,
    /// `None` in open mode.
    pub(crate) reader: Option<Reader>,
    /// What the request showed, to be checked again while a page is followed.
    pub(crate) presented: Option<Presented>,
}

impl WebState {
    /// The current view as the identity may see it, checked anew.
    pub(crate) async fn seen_by(&self, presented: Option<&Presented>) -> Result<Seen, Refusal> {
        let whole = Arc::clone(&self.view.borrow());
        let Access::Asked(asked) = &self.access else {
            return Ok(Seen {
                view: whole,
                reader: None,
                presented: None,
            });
        };
        let presented = presented.ok_or(Refusal::Unknown)?;
        let reader = (asked.authoriser)(presented.clone(), Arc::clone(&whole)).await?;
        Ok(Seen {
            view: self.cuts.of(&whole, &reader.visible),
            reader: Some(reader),
            presented: Some(presented.clone()),
        })
    }
}

impl FromRequestParts<WebState> for Seen {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Response> {
        let presented = match &state.access {
            Access::Open => None,
            Access::Asked(asked) => asked.presented(parts),
        };
        let seen = state.seen_by(presented.as_ref()).await;
        seen.map_err(|refusal| match refusal {
            Refusal::Unknown => unknown(parts, presented.is_some()),
            Refusal::Unavailable(sentence) => {
                refusals::unavailable(state, parts.uri.path(), &sentence)
            }
        })
    }
}

/// People are sent to the login page; programs are told what to send.
fn unknown(parts: &Parts, presented: bool) -> Response {
    let path = parts.uri.path();
    let program = path.starts_with(TWINS)
        || path == "/live"
        || parts.headers.contains_key(header::AUTHORIZATION);
    if !program {
        return Redirect::to(&login_for(&parts.uri, presented)).into_response();
    }
    let error = if presented {
        "the token is not accepted"
    } else {
        "send Authorization: Bearer TOKEN"
    };
    let body = serde_json::json!({"error": error});
    let ask = [(header::WWW_AUTHENTICATE, "Bearer realm=\"pilothouse\"")];
    (StatusCode::UNAUTHORIZED, ask, axum::Json(body)).into_response()
}

fn login_for(uri: &Uri, presented: bool) -> String {
    let to = uri.path_and_query().map_or("/", |to| to.as_str());
    let again = if presented { "&again=1" } else { "" };
    format!("/login?to={}{again}", encode(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_the_characters_of_tokens_are_taken() {
        for (text, taken) in [
            ("eyJh.b-_~+/=", true),
            ("", false),
            ("a b", false),
            ("a;b", false),
            ("a\r\nb", false),
            ("ä", false),
        ] {
            assert_eq!(Token::parse(text).is_some(), taken, "{text:?}");
        }
        assert!(!format!("{:?}", Token::parse("secret")).contains("secret"));
    }

    #[test]
    fn a_proxy_is_believed_by_its_address_only() {
        let proxy = TrustedProxy {
            from: vec!["127.0.0.1".parse().unwrap(), "10.1.0.0/16".parse().unwrap()],
            user: HeaderName::from_static("x-remote-user"),
            group: HeaderName::from_static("x-remote-group"),
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("ada"));
        headers.append("x-remote-group", HeaderValue::from_static("dev"));
        headers.append("x-remote-group", HeaderValue::from_static("cn=ops,ou=x"));
        for (peer, believed) in [
            (Some("127.0.0.1"), true),
            (Some("::ffff:127.0.0.1"), true),
            (Some("10.1.2.3"), true),
            (Some("10.2.2.3"), false),
            (Some("::1"), false),
            (None, false),
        ] {
            let peer = peer.map(|peer| peer.parse::<IpAddr>().unwrap());
            let user = proxy.user(&headers, peer);
            let expected = believed.then(|| Presented::Proxied {
                user: "ada".into(),
                groups: vec!["dev".into(), "cn=ops,ou=x".into()],
            });
            assert_eq!(user, expected, "{peer:?}");
        }
        headers.append("x-remote-user", HeaderValue::from_static("root"));
        assert_eq!(proxy.user(&headers, Some([127, 0, 0, 1].into())), None);
    }

    #[test]
    fn a_network_is_an_address_or_a_range() {
        for text in ["10.0.0.0/33", "localhost", "", "10.0.0.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
    }
}
