//! From when until when a credential counts, read from the credential itself.
//!
//! Claims of a token are read without checking its signature (only the member
//! can), so they say when to renew and what to show, never whom to trust.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::core::object::Digest;

/// Lifetime of a token that `cluster join` asks for. A member may give less
/// (EKS: a day; `--service-account-max-token-expiration` elsewhere).
pub const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Parts of 1,000 of its life after which a credential is renewed, as
/// kubelet's projected tokens and ManagedServiceAccounts are (80 %).
const RENEW_FROM: u64 = 800;
/// Parts of 1,000 over which the renewals of a fleet are spread after that.
const RENEW_SPREAD: u64 = 50;
/// Longest text of a token that is looked into, in bytes.
const MAX_TOKEN: usize = 64 * 1024;

/// From when until when a credential counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When it was issued, if it says so.
    pub issued: Option<Timestamp>,
    /// When it ends.
    pub expires: Timestamp,
}

impl Validity {
    /// Its whole life; [`TOKEN_LIFETIME`] when it does not say when it began.
    #[must_use]
    pub fn lifetime(&self) -> SignedDuration {
        self.issued
            .map(|issued| self.expires.duration_since(issued))
            .filter(SignedDuration::is_positive)
            .unwrap_or(TOKEN_LIFETIME)
    }

    /// When it is to be renewed: at 80 % of its life, spread over another 5 %
    /// by `seed` (the cluster's name), so that a fleet that was joined at once
    /// is not renewed at once.
    #[must_use]
    pub fn renew_at(&self, seed: &str) -> Timestamp {
        let digest = Digest::of_bytes(seed.as_bytes()).to_string();
        let spread = digest.bytes().fold(0_u64, |sum, byte| {
            (sum * 31 + u64::from(byte)) % (RENEW_SPREAD + 1)
        });
        let left = 1_000 - RENEW_FROM - spread;
        // A life is positive and below 10^12 s, so nothing overflows.
        let seconds = u64::try_from(self.lifetime().as_secs()).unwrap_or(0) * left / 1_000;
        let before = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0));
        self.expires.checked_sub(before).unwrap_or(self.expires)
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires <= now
    }
}

/// A ServiceAccount of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Claims of a JWT, unverified. `None` for any other token.
fn claims(token: &str) -> Option<Value> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let mut parts = token.trim().split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// When a token ends, if it is a JWT that ends.
pub(super) fn of_token(token: &str) -> Option<Validity> {
    let claims = claims(token)?;
    let time = |claim: &str| {
        let seconds = claims.get(claim)?.as_f64()?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a NumericDate may have a fraction; what is out of range is no time"
        )]
        Timestamp::from_second(seconds as i64).ok()
    };
    Some(Validity {
        issued: time("iat").or_else(|| time("nbf")),
        expires: time("exp")?,
    })
}

/// The ServiceAccount whose token this is, by its `sub`.
pub(super) fn account_of_token(token: &str) -> Option<Account> {
    let claims = claims(token)?;
    let subject = claims.get("sub")?.as_str()?;
    let (namespace, name) = subject
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')?;
    let plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
            })
    };
    // They become parts of a URL's path.
    (plain(namespace) && plain(name)).then(|| Account {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

/// Validity of the first certificate of base64-encoded PEM
/// (`client-certificate-data`).
pub(super) fn of_certificate(data: &str) -> Option<Validity> {
    let pem = STANDARD.decode(data.trim()).ok()?;
    let der = CertificateDer::from_pem_slice(&pem).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let validity = certificate.validity();
    Some(Validity {
        issued: Timestamp::from_second(validity.not_before.timestamp()).ok(),
        expires: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!(
            "{}.{}.sig",
            encode(&json!({"alg": "RS256"})),
            encode(claims)
        )
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_says_when_it_ends_and_whose_it_is() {
        let token = token(&json!({
            "iat": 1_767_225_600, "exp": 1_767_312_000,
            "sub": "system:serviceaccount:pilothouse-agent:pilothouse",
        }));
        let validity = of_token(&token).unwrap();
        assert_eq!(validity.issued, Some(at("2026-01-01T00:00:00Z")));
        assert_eq!(validity.expires, at("2026-01-02T00:00:00Z"));
        let account = account_of_token(&token).unwrap();
        assert_eq!(account.namespace, "pilothouse-agent");
        assert_eq!(account.name, "pilothouse");
    }

    #[test]
    fn other_tokens_say_nothing() {
        for opaque in ["", "abc", "a.b.c", "a.b.c.d", "kubeconfig-u-abc:xyz"] {
            assert_eq!(of_token(opaque), None, "{opaque}");
            assert_eq!(account_of_token(opaque), None, "{opaque}");
        }
        // Tokens of kind service-account-token have no end.
        assert_eq!(of_token(&token(&json!({"sub": "x"}))), None);
        assert_eq!(of_token(&token(&json!({"exp": 1e300}))), None);
        for subject in [
            "alice",
            "system:serviceaccount:a/../b:c",
            "system:serviceaccount:a:",
        ] {
            assert_eq!(account_of_token(&token(&json!({"sub": subject}))), None);
        }
    }

    #[test]
    fn renewal_begins_between_80_and_85_per_cent_of_its_life() {
        let validity = Validity {
            issued: Some(at("2026-01-01T00:00:00Z")),
            expires: at("2026-01-11T00:00:00Z"),
        };
        let mut times = std::collections::BTreeSet::new();
        for number in 0..100 {
            let due = validity.renew_at(&format!("cluster{number}"));
            assert!(due >= at("2026-01-09T00:00:00Z") && due <= at("2026-01-09T12:00:00Z"));
            times.insert(due);
        }
        assert!(times.len() > 10, "{times:?}");
        let backwards = Validity {
            issued: Some(validity.expires),
            expires: validity.expires,
        };
        assert_eq!(backwards.lifetime(), TOKEN_LIFETIME);
    }

    #[test]
    fn a_certificate_says_when_it_ends() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let pem = params.self_signed(&key).unwrap().pem();
        let validity = of_certificate(&STANDARD.encode(pem)).unwrap();
        assert_eq!(validity.issued, Some(at("2026-01-01T00:00:00Z")));
        assert_eq!(validity.expires, at("2027-01-01T00:00:00Z"));
        assert_eq!(of_certificate("bm90IGEgY2VydA=="), None);
    }
}
