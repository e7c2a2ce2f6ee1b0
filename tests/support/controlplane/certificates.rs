//! Keys and certificates of one control plane, so that clients verify the
//! server and the server knows its admin.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// What was made: everything lies in files, the kubeconfig also here.
pub struct Certificates {
    /// Kubeconfig of a member of `system:masters`, with certificates inside.
    pub kubeconfig: String,
}

impl Certificates {
    /// Writes `ca.crt`, `apiserver.{crt,key}`, `accounts.{key,pub}` and
    /// `kubeconfig` into `directory`.
    pub fn write(directory: &Path, name: &str, service_cidr: &str, port: u16) -> Result<Self> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name
            .push(DnType::CommonName, format!("{name} test CA"));
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let server_key = KeyPair::generate()?;
        let mut server = CertificateParams::new([
            "localhost".to_owned(),
            "kubernetes".to_owned(),
            "kubernetes.default".to_owned(),
            "kubernetes.default.svc".to_owned(),
        ])?;
        server
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        for address in [Ipv4Addr::LOCALHOST, first_service(service_cidr)?] {
            server
                .subject_alt_names
                .push(SanType::IpAddress(IpAddr::V4(address)));
        }
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_pem = server.signed_by(&server_key, &issuer)?.pem();

        let admin_key = KeyPair::generate()?;
        let mut admin = CertificateParams::default();
        admin.distinguished_name.push(DnType::CommonName, "admin");
        admin
            .distinguished_name
            .push(DnType::OrganizationName, "system:masters");
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let admin_pem = admin.signed_by(&admin_key, &issuer)?.pem();

        let accounts = KeyPair::generate()?;
        let kubeconfig = kubeconfig(name, port, &ca_pem, &admin_pem, &admin_key.serialize_pem());
        for (file, text) in [
            ("ca.crt", &ca_pem),
            ("apiserver.crt", &server_pem),
            ("apiserver.key", &server_key.serialize_pem()),
            ("accounts.key", &accounts.serialize_pem()),
            ("accounts.pub", &accounts.public_key_pem()),
            ("kubeconfig", &kubeconfig),
        ] {
            write_private(&directory.join(file), text)?;
        }
        Ok(Self { kubeconfig })
    }
}

/// The address of the service `kubernetes`: the first of the range.
fn first_service(cidr: &str) -> Result<Ipv4Addr> {
    let (network, _) = cidr.split_once('/').context("service range is no CIDR")?;
    let network: Ipv4Addr = network.parse()?;
    Ok(Ipv4Addr::from_bits(network.to_bits() + 1))
}

fn kubeconfig(name: &str, port: u16, ca: &str, certificate: &str, key: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: {name}
contexts:
- name: {name}
  context: {{cluster: {name}, user: admin}}
clusters:
- name: {name}
  cluster:
    server: https://127.0.0.1:{port}
    certificate-authority-data: {}
users:
- name: admin
  user:
    client-certificate-data: {}
    client-key-data: {}
",
        STANDARD.encode(ca),
        STANDARD.encode(certificate),
        STANDARD.encode(key),
    )
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
