//! Certificates made at run time: who a server says that it is, and who vouches for it.

use openssl::base64;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::PKey;
use openssl::ssl::{AlpnError, SslAcceptor, SslAcceptorBuilder, SslMethod, select_next_proto};
use openssl::x509::X509;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// Somebody who signs certificates, for clients to trust or not.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both PEM: what a server shows.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key.
    pub key_pem: String,
}

impl Authority {
    /// A new one of this name.
    ///
    /// # Panics
    ///
    /// When that fails, as all functions of this file do.
    pub fn new(name: &str) -> Self {
        let mut parameters = named(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(parameters, key()).expect("a certificate"))
    }

    /// Its certificate, which a client has to have to trust it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine's own names.
    pub fn certify(&self) -> Identity {
        self.sign(&named(SERVER, &THIS_MACHINE), &key())
    }

    /// One for another host.
    pub fn certify_another_host(&self) -> Identity {
        self.sign(&named(SERVER, &["db.example"]), &key())
    }

    /// One for this machine's own names that ran out.
    pub fn certify_long_ago(&self) -> Identity {
        let mut parameters = named(SERVER, &THIS_MACHINE);
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
        self.sign(&parameters, &key())
    }

    /// A new certificate for the key of another.
    pub fn renew(&self, old: &Identity) -> Identity {
        let key = KeyPair::from_pem(&old.key_pem).expect("a key");
        self.sign(&named(SERVER, &THIS_MACHINE), &key)
    }

    fn sign(&self, parameters: &CertificateParams, key: &KeyPair) -> Identity {
        let signed = parameters.signed_by(key, &self.0);
        Identity {
            certificate_pem: signed.expect("a certificate").pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

impl Identity {
    /// One that nobody vouches for, as Heroku's are.
    pub fn self_signed() -> Self {
        Self::self_signed_by(&key())
    }

    /// The same with an Ed25519 key: its signature names no hash, which the channel
    /// binding of Postgres would need.
    pub fn self_signed_without_hash() -> Self {
        // Made by OpenSSL, which cannot read the form in which rcgen writes these keys.
        let key = PKey::generate_ed25519().and_then(|key| key.private_key_to_pem_pkcs8());
        let key = String::from_utf8(key.expect("a key")).expect("PEM");
        Self::self_signed_by(&KeyPair::from_pem(&key).expect("a key"))
    }

    fn self_signed_by(key: &KeyPair) -> Self {
        let signed = named(SERVER, &THIS_MACHINE).self_signed(key);
        Self {
            certificate_pem: signed.expect("a certificate").pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// The pin of its key, as `curl --pinnedpubkey` has it.
    pub fn pin(&self) -> String {
        pin(&self.certificate_pem)
    }

    /// A server's side of TLS that shows it, and that takes Postgres's protocol by ALPN
    /// from a client that begins with TLS at once.
    pub(crate) fn acceptor(&self) -> SslAcceptorBuilder {
        let mut acceptor =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("TLS");
        let key = PKey::private_key_from_pem(self.key_pem.as_bytes()).expect("a key");
        acceptor.set_private_key(&key).expect("a key");
        acceptor
            .set_certificate(&x509(&self.certificate_pem))
            .expect("a certificate");
        acceptor.set_alpn_select_callback(|_, offered| {
            select_next_proto(b"\x0apostgresql", offered).ok_or(AlpnError::NOACK)
        });
        acceptor
    }
}

/// The pin of a certificate's key, as `curl --pinnedpubkey` has it.
pub fn pin(certificate_pem: &str) -> String {
    let key = x509(certificate_pem).public_key().expect("a key");
    let info = key.public_key_to_der().expect("a key");
    let hash = hash(MessageDigest::sha256(), &info).expect("a hash");
    format!("sha256//{}", base64::encode_block(&hash))
}

pub(crate) fn x509(pem: &str) -> X509 {
    X509::from_pem(pem.as_bytes()).expect("a certificate")
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).expect("names");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// The subject of all servers' certificates. Were it the issuer's, they would pass for
/// self-signed ones.
const SERVER: &str = "a test's server";

const THIS_MACHINE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
