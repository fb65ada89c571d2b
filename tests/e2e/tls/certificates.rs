//! Kinds of certificates that databases show, and names as libpq reads them.

use std::process::Command;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};
use stagelink_tests::{Auth, Identity, OwnServer, tls_library};

use super::{accepted, open, refused, roots, verify, with};

/// A certificate to make. By default it signs itself with a key on P-256, and is for localhost,
/// as a name and as an address.
struct Kind {
    key: PKey<Private>,
    version: i32,
    hash: MessageDigest,
    is_ca: bool,
    common_name: Option<&'static str>,
    names: Vec<&'static str>,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            key: ec(Nid::X9_62_PRIME256V1),
            version: 2,
            hash: MessageDigest::sha256(),
            is_ca: false,
            common_name: None,
            names: vec!["localhost", "127.0.0.1"],
        }
    }
}

fn ec(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).expect("a curve");
    let key = EcKey::generate(&group).expect("a key");
    PKey::from_ec_key(key).expect("a key")
}

/// Makes a certificate with a key that rustls does not support.
pub(crate) fn on_p521() -> Identity {
    let kind = Kind {
        key: ec(Nid::SECP521R1),
        ..Kind::default()
    };
    kind.itself()
}

fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key")
}

impl Kind {
    /// Makes the certificate. With an issuer that one signs it, otherwise its own key does.
    fn make(&self, issuer: Option<(&X509, &PKey<Private>)>) -> X509 {
        let mut name = X509Name::builder().expect("a name");
        name.append_entry_by_text("O", "stagelink").expect("a name");
        if let Some(common) = self.common_name {
            name.append_entry_by_text("CN", common).expect("a name");
        }
        let name = name.build();
        let mut builder = X509::builder().expect("a certificate");
        let mut make = || {
            builder.set_version(self.version)?;
            let serial = Asn1Integer::from_bn(&*BigNum::from_u32(7)?)?;
            builder.set_serial_number(&serial)?;
            builder.set_subject_name(&name)?;
            builder.set_issuer_name(issuer.map_or(&name, |(root, _)| root.subject_name()))?;
            builder.set_pubkey(&self.key)?;
            builder.set_not_before(&*Asn1Time::from_unix(0)?)?;
            builder.set_not_after(&*Asn1Time::days_from_now(10)?)?;
            if self.version == 2 {
                if self.is_ca {
                    builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
                }
                if !self.names.is_empty() {
                    let mut names = SubjectAlternativeName::new();
                    for name in &self.names {
                        match name.parse::<std::net::IpAddr>() {
                            Ok(_) => names.ip(name),
                            Err(_) => names.dns(name),
                        };
                    }
                    let names = names.build(&builder.x509v3_context(None, None))?;
                    builder.append_extension(names)?;
                }
            }
            builder.sign(issuer.map_or(&self.key, |(_, key)| key), self.hash)
        };
        make().expect("a certificate");
        builder.build()
    }

    fn identity(&self, certificate: &X509) -> Identity {
        let text = |pem: Vec<u8>| String::from_utf8(pem).expect("PEM");
        Identity {
            certificate_pem: text(certificate.to_pem().expect("PEM")),
            key_pem: text(self.key.private_key_to_pem_pkcs8().expect("PEM")),
        }
    }

    fn itself(self) -> Identity {
        self.identity(&self.make(None))
    }
}

/// A certificate that is signed with RSA-PSS, which the crate `openssl` does not make.
fn signed_with_rsa_pss() -> Identity {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10",
        ])
        .args(["-subj", "/CN=localhost", "-sigopt", "rsa_padding_mode:pss"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &at("key"), "-out", &at("certificate")])
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
    let read = |name| std::fs::read_to_string(at(name)).expect("a file");
    Identity {
        certificate_pem: read("certificate"),
        key_pem: read("key"),
    }
}

#[tokio::test]
async fn certificates_of_all_kinds_bind_are_pinned_and_are_their_own_roots() {
    let ca = Kind {
        is_ca: true,
        common_name: Some("the root"),
        ..Kind::default()
    };
    let root = ca.make(None);
    let root_pem = String::from_utf8(root.to_pem().expect("PEM")).expect("PEM");
    let issue = |kind: Kind| kind.identity(&kind.make(Some((&root, &ca.key))));
    let v1 = || Kind {
        version: 0,
        common_name: Some("127.0.0.1"),
        ..Kind::default()
    };
    let of_ca = || Kind {
        is_ca: true,
        ..Kind::default()
    };
    let with_hash = |hash| Kind {
        key: rsa(),
        hash,
        ..Kind::default()
    };
    let kinds = [
        ("P-256", Kind::default().itself(), None),
        (
            "P-384",
            Kind {
                key: ec(Nid::SECP384R1),
                hash: MessageDigest::sha384(),
                ..Kind::default()
            }
            .itself(),
            None,
        ),
        ("RSA", with_hash(MessageDigest::sha512()).itself(), None),
        ("SHA-1", with_hash(MessageDigest::sha1()).itself(), None),
        ("SHA-224", with_hash(MessageDigest::sha224()).itself(), None),
        ("CA:TRUE", of_ca().itself(), None),
        ("X.509 v1", v1().itself(), None),
        ("issued", issue(Kind::default()), Some(&root_pem)),
        ("issued, CA:TRUE", issue(of_ca()), Some(&root_pem)),
        ("issued, X.509 v1", issue(v1()), Some(&root_pem)),
        // The last one: the superuser's client cannot bind to it.
        ("RSA-PSS signature", signed_with_rsa_pss(), None),
    ];
    for version in ["TLSv1.2", "TLSv1.3"] {
        let mut server = OwnServer::start(&Identity::self_signed()).await;
        server.set("ssl_max_protocol_version", version).await;
        let url = server.database(Auth::Scram).await.url();
        for (kind, identity, issuer) in &kinds {
            let what = format!("{kind}, {version}");
            server.set_identity(identity).await;
            let pin = identity.pin();
            let file = roots(issuer.unwrap_or(&identity.certificate_pem));
            accepted(&what, &with(&url, "channel_binding=require"), &[]).await;
            accepted(&what, &url, &[("STAGELINK_SERVER_PIN", &pin)]).await;
            // A certificate of version 1 has its name and address as common names, and the platform's library
            // reads no address there.
            let has_address = tls_library() == "rustls" || !kind.contains("v1");
            let modes = ["verify-ca", "verify-full"];
            for mode in &modes[..1 + usize::from(has_address)] {
                let parameters = verify(mode, file.path());
                accepted(&what, &with(&url, &parameters), &[]).await;
            }
            let other = roots(&Identity::self_signed().certificate_pem);
            refused(&what, &with(&url, &verify("verify-ca", other.path())), &[]).await;
        }
    }
}

#[tokio::test]
async fn keys_that_rustls_does_not_support_are_named_and_native_tls_accepts_them() {
    let rustls = ("STAGELINK_TLS_LIBRARY", "rustls");
    let native = ("STAGELINK_TLS_LIBRARY", "native-tls");
    let mut server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    server.set_identity(&on_p521()).await;
    let error = refused("P-521", &url, &[rustls]).await;
    let report = error.report().to_string();
    assert!(report.contains("an EC key on P-521"), "{report}");
    accepted("P-521", &url, &[native]).await;
    // With TLS 1.2 the server shows no certificate: the client offers no exchange on P-521.
    server.set("ssl_max_protocol_version", "TLSv1.2").await;
    let error = refused("P-521", &url, &[rustls]).await;
    let report = error.report().to_string();
    assert!(report.contains("of TLS in common"), "{report}");
    accepted("P-521", &url, &[native]).await;
}

#[tokio::test]
async fn names_are_those_that_libpq_accepts() {
    // The platform's library reads names by rules of its own.
    if tls_library() != "rustls" {
        return;
    }
    let mut server = OwnServer::start(&Identity::self_signed()).await;
    let url = server.database(Auth::Scram).await.url();
    let (before, after) = url.split_once("@127.0.0.1:").expect("a URL with a host");
    let (credentials, port) = (before.split_once("://").expect("a URL").1, after);
    for (common_name, names, hosts) in [
        (
            None,
            vec!["db.test"],
            &["db.test", "DB.Test", "a.db.test"][..],
        ),
        (
            None,
            vec!["*.db.test"],
            &["a.db.test", "a.b.db.test", "db.test"],
        ),
        (
            None,
            vec!["*.test", "other.test"],
            &["db.test", "other.test", "test"],
        ),
        (None, vec!["a*.test", "*"], &["ab.test", "test"]),
        (Some("db.test"), vec![], &["db.test", "other.test"]),
        (Some("*.db.test"), vec![], &["a.db.test"]),
        (
            Some("db.test"),
            vec!["other.test"],
            &["db.test", "other.test"],
        ),
        (
            Some("db.test"),
            vec!["127.0.0.1"],
            &["db.test", "127.0.0.1", "127.0.0.2"],
        ),
        (Some("127.0.0.1"), vec!["db.test"], &["127.0.0.1"]),
        (
            Some("127.0.0.1"),
            vec!["127.0.0.2"],
            &["127.0.0.1", "127.0.0.2"],
        ),
        (None, vec!["::1"], &["::1", "0:0:0:0:0:0:0:1", "::2"]),
    ] {
        let kind = Kind {
            common_name,
            names: names.clone(),
            ..Kind::default()
        };
        let identity = kind.itself();
        server.set_identity(&identity).await;
        let file = roots(&identity.certificate_pem);
        let parameters = format!("hostaddr=127.0.0.1&{}", verify("verify-full", file.path()));
        for host in hosts {
            let in_url = match host.contains(':') {
                true => format!("[{host}]"),
                false => (*host).to_owned(),
            };
            let url = format!("postgres://{credentials}@{in_url}:{port}?{parameters}");
            let psql = Command::new("psql")
                .args(["-X", "--command", "SELECT 1", &url])
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .output()
                .expect("psql runs");
            let ours = open(&url, &[]).await;
            let report = ours.as_ref().err().map(|error| error.report().to_string());
            assert_eq!(
                ours.is_ok(),
                psql.status.success(),
                "{common_name:?}, {names:?} for {host}: {report:?}, psql: {}",
                String::from_utf8_lossy(&psql.stderr)
            );
        }
    }
}
