//! Who makes a request: an administrator by client certificate or token, or
//! a service account by a token of ours. Nothing is authorised beyond that;
//! whoever is known may do everything.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::failure::Failure;
use super::object;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// The administrator: also what in-process components are.
    pub(super) fn admin() -> Self {
        Self::of("pilothouse-admin", &["system:masters"])
    }

    /// A named caller with groups.
    pub(super) fn of(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().chain(&["system:authenticated"]);
        Self {
            name: name.to_owned(),
            uid: String::new(),
            groups: groups.map(|g| (*g).to_owned()).collect(),
            extra: BTreeMap::new(),
        }
    }

    fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let all = format!("system:serviceaccounts:{namespace}");
        let mut identity = Self::of(
            &format!("system:serviceaccount:{namespace}:{name}"),
            &["system:serviceaccounts", &all],
        );
        identity.uid = uid.to_owned();
        identity
    }

    /// `UserInfo` of the authentication API.
    pub(super) fn to_user_info(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if !self.uid.is_empty() {
            info["uid"] = json!(self.uid);
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

/// What a service account's token says.
pub(super) struct Claims<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// Of the account: another one of the same name is not meant.
    pub(super) uid: &'a str,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
}

/// Checks bearer tokens and signs those of service accounts.
pub(super) struct Tokens {
    admin: String,
    key: [u8; 32],
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(redacted)")
    }
}

impl Tokens {
    /// `admin` is the administrator's token, `key` signs the others.
    pub(super) fn new(admin: String, key: [u8; 32]) -> Self {
        Self { admin, key }
    }

    fn signature(&self, text: &str) -> Option<Vec<u8>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(text.as_bytes());
        Some(mac.finalize().into_bytes().to_vec())
    }

    /// A service account's token: a JWT signed with HS256.
    pub(super) fn issue(&self, of: &Claims<'_>) -> Result<String, Failure> {
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = encode(json!({"alg": "HS256", "typ": "JWT"}));
        let id = object::random::<16>()?;
        let Claims {
            namespace,
            name,
            uid,
            issued,
            expires,
        } = of;
        let claims = encode(json!({
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
            "iat": issued.as_second(),
            "nbf": issued.as_second(),
            "exp": expires.as_second(),
            "jti": URL_SAFE_NO_PAD.encode(id),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        }));
        let text = format!("{head}.{claims}");
        let signature = self
            .signature(&text)
            .ok_or_else(|| Failure::internal("cannot sign a token"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whose token this is, `None` when nobody's.
    pub(super) fn check(&self, token: &str, now: Timestamp) -> Option<Identity> {
        if bool::from(token.as_bytes().ct_eq(self.admin.as_bytes())) {
            return Some(Identity::admin());
        }
        let (text, signature) = token.rsplit_once('.')?;
        let given = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !bool::from(self.signature(text)?.as_slice().ct_eq(&given)) {
            return None;
        }
        let claims = URL_SAFE_NO_PAD.decode(text.split_once('.')?.1).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        if claims["exp"].as_i64()? <= now.as_second() {
            return None;
        }
        let claims = &claims["kubernetes.io"];
        Some(Identity::service_account(
            claims["namespace"].as_str()?,
            claims["serviceaccount"]["name"].as_str()?,
            claims["serviceaccount"]["uid"].as_str()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_known_until_they_expire() {
        let tokens = Tokens::new("secret".to_owned(), [7; 32]);
        let now: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let later: Timestamp = "2024-01-01T01:00:00Z".parse().unwrap();
        let claims = Claims {
            namespace: "ns",
            name: "robot",
            uid: "u1",
            issued: now,
            expires: later,
        };
        let token = tokens.issue(&claims).unwrap();
        let identity = tokens.check(&token, now).unwrap();
        assert_eq!(identity.name, "system:serviceaccount:ns:robot");
        assert_eq!(tokens.check("secret", now), Some(Identity::admin()));
        assert_eq!(tokens.check(&token, later), None);
        for bad in ["", "secre", "a.b.c", &token[..token.len() - 2]] {
            assert_eq!(tokens.check(bad, now), None, "{bad}");
        }
        let other = Tokens::new("secret".to_owned(), [8; 32]);
        assert_eq!(other.check(&token, now), None);
    }

    #[test]
    fn debug_shows_no_token() {
        let tokens = Tokens::new("hidden".to_owned(), [7; 32]);
        assert!(!format!("{tokens:?}").contains("hidden"));
    }
}
