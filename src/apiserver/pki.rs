//! Certificates, keys and tokens of one server: a CA of its own, a serving
//! certificate, an administrator's certificate and token. A durable server
//! keeps the CA and the token, so kubeconfig files outlive a restart; the
//! other certificates are made anew at each start.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use super::OpenError;
use super::object;

/// What is kept on disk, mode 0600.
#[derive(Serialize, Deserialize)]
struct Kept {
    ca_certificate: String,
    ca_key: String,
    admin_token: String,
    token_key: String,
}

/// A certificate and its key, PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// The secrets of one server.
pub(super) struct Pki {
    pub(super) ca_certificate: String,
    pub(super) serving: Pair,
    pub(super) admin: Pair,
    pub(super) admin_token: String,
    pub(super) token_key: [u8; 32],
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pki(redacted)")
    }
}

fn setup(what: impl std::fmt::Display) -> OpenError {
    OpenError::Setup {
        what: what.to_string(),
    }
}

impl Pki {
    /// Makes everything, or loads what `dir` keeps.
    pub(super) fn open(
        dir: Option<&Path>,
        cluster: &str,
        names: &[String],
    ) -> Result<Self, OpenError> {
        let kept = match dir {
            Some(dir) => Kept::in_dir(dir, cluster)?,
            None => Kept::make(cluster)?,
        };
        let ca_key = KeyPair::from_pem(&kept.ca_key).map_err(setup)?;
        let ca = Issuer::from_ca_cert_pem(&kept.ca_certificate, ca_key).map_err(setup)?;
        let mut all = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        all.extend(names.iter().cloned());
        let server = subject(all, &format!("pilothouse-{cluster}"), None)?;
        let admin = subject(Vec::new(), "pilothouse-admin", Some("system:masters"))?;
        let mut key = [0; 32];
        let bytes = STANDARD.decode(&kept.token_key).map_err(setup)?;
        if bytes.len() != key.len() {
            return Err(setup("the kept token key is damaged"));
        }
        key.copy_from_slice(&bytes);
        Ok(Self {
            serving: issue(server, &ca, ExtendedKeyUsagePurpose::ServerAuth)?,
            admin: issue(admin, &ca, ExtendedKeyUsagePurpose::ClientAuth)?,
            ca_certificate: kept.ca_certificate,
            admin_token: kept.admin_token,
            token_key: key,
        })
    }
}

impl Kept {
    fn make(cluster: &str) -> Result<Self, OpenError> {
        let key = KeyPair::generate().map_err(setup)?;
        let mut ca = subject(Vec::new(), &format!("pilothouse-ca-{cluster}"), None)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate = ca.self_signed(&key).map_err(setup)?;
        let random = || object::random::<32>().map_err(setup);
        let token = random()?;
        Ok(Self {
            ca_certificate: certificate.pem(),
            ca_key: key.serialize_pem(),
            admin_token: token.iter().map(|b| format!("{b:02x}")).collect(),
            token_key: STANDARD.encode(random()?),
        })
    }

    fn in_dir(dir: &Path, cluster: &str) -> Result<Self, OpenError> {
        let path = dir.join("pki.json");
        let failed = |source| OpenError::DataDir {
            path: path.display().to_string(),
            source,
        };
        match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| failed(std::io::Error::other(error)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let kept = Self::make(cluster)?;
                let text = serde_json::to_vec_pretty(&kept).map_err(setup)?;
                write_private(&path, &text).map_err(failed)?;
                Ok(kept)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let new = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

fn subject(
    names: Vec<String>,
    common_name: &str,
    organization: Option<&str>,
) -> Result<CertificateParams, OpenError> {
    let mut params = CertificateParams::new(names).map_err(setup)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
    }
    let year = i32::from(Timestamp::now().to_zoned(TimeZone::UTC).year());
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + 10, 1, 1);
    Ok(params)
}

fn issue(
    mut params: CertificateParams,
    ca: &Issuer<'_, KeyPair>,
    usage: ExtendedKeyUsagePurpose,
) -> Result<Pair, OpenError> {
    let key = KeyPair::generate().map_err(setup)?;
    params.extended_key_usages = vec![usage];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, ca).map_err(setup)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_durable_ca_and_token_stay_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Pki::open(Some(dir.path()), "c", &[]).unwrap();
        let second = Pki::open(Some(dir.path()), "c", &["example.test".to_owned()]).unwrap();
        assert_eq!(first.ca_certificate, second.ca_certificate);
        assert_eq!(first.admin_token, second.admin_token);
        let file = std::fs::metadata(dir.path().join("pki.json")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn debug_shows_no_secret() {
        let pki = Pki::open(None, "c", &[]).unwrap();
        assert_eq!(format!("{pki:?}"), "Pki(redacted)");
    }
}
