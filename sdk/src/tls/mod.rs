//! The parts that TLS to a database and to a provider share: algorithms, certificates, roots, and
//! the judge of certificates.

pub(crate) mod algorithms;
pub(crate) mod certificate;
mod der;
pub(crate) mod handshake_signature;
pub(crate) mod judge;
pub(crate) mod roots;
pub(crate) mod x509;

/// Judges a certificate by one root, and reads what SCRAM binds to.
#[cfg(feature = "testing")]
pub(crate) fn rehearse(own: &[u8], root: &[u8]) {
    use rustls::pki_types::{CertificateDer, UnixTime};

    let own = CertificateDer::from(own).into_owned();
    let root = CertificateDer::from(root);
    let facts = certificate::Certificate::new(own, vec![root.clone().into_owned()]);
    let shown = judge::Shown {
        own: &facts.own,
        chain: &facts.chain,
    };
    let by =
        |roots: &[CertificateDer<'_>], host| judge::verify(shown, roots, host, UnixTime::now());
    assert!(by(&[], None).is_err(), "trusted without a root");
    let root = std::slice::from_ref(&root);
    if ["db.test", "127.0.0.1"]
        .into_iter()
        .any(|host| by(root, Some(host)).is_ok())
    {
        assert_eq!(by(root, None), Ok(()), "trusted by its name alone");
        assert!(facts.key().is_some(), "trusted without a key");
    }
}
