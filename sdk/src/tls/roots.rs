//! Root certificates: from a PEM text, or the system's.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::x509::X509;

/// Reads the certificates of a PEM text. Other sections count as comments.
///
/// # Errors
///
/// A text that is no PEM, or a block that is no certificate. The error quotes nothing of the text: a private
/// key may be behind the certificate.
pub(crate) fn from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let certificates = CertificateDer::pem_slice_iter(without_mark(pem));
    let certificates: Result<Vec<_>, _> = certificates.collect();
    // The error of the library holds what it could not read.
    let certificates = certificates.map_err(|_| NOT_PEM)?;
    match certificates.iter().all(|der| X509::read(der).is_some()) {
        true => Ok(certificates),
        false => Err(NO_CERTIFICATE),
    }
}

const NO_CERTIFICATE: &str = "a PEM block is no certificate";
const NOT_PEM: &str = "a PEM block does not end with its -----END line, or is no Base64; if the text has lost its \
     line breaks, write each as \\n";

/// Removes the byte order mark of UTF-8 that editors of Windows write: behind it the first block
/// would not be found.
fn without_mark(pem: &[u8]) -> &[u8] {
    pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem)
}

#[cfg(target_os = "linux")]
pub(crate) use self::linux::system;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::platform::system;

/// Returns whether the environment names the system's roots, by a variable of OpenSSL's.
pub(crate) fn are_named() -> bool {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .any(|name| crate::config::is_set(name))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::Path;
    use std::sync::OnceLock;

    use super::*;

    /// Returns the system's roots, which are read once per process: its bundle; where it has none,
    /// or where `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, its folders too.
    pub(crate) fn system() -> &'static [CertificateDer<'static>] {
        static ROOTS: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
        ROOTS.get_or_init(|| {
            let found = openssl_probe::probe();
            let mut roots = found.cert_file.as_deref().map(of_file).unwrap_or_default();
            if roots.is_empty() || are_named() {
                for folder in found.cert_dir {
                    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
                    roots.extend(files.flat_map(|file| of_file(&file.path())));
                }
            }
            roots
        })
    }

    /// Reads the certificates of a file. What is none is left out: the file is the system's.
    fn of_file(path: &Path) -> Vec<CertificateDer<'static>> {
        let pem = std::fs::read(path).unwrap_or_default();
        CertificateDer::pem_slice_iter(without_mark(&pem))
            .flatten()
            .collect()
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::sync::OnceLock;

    use super::*;

    /// Returns the system's roots, which are read once per process.
    pub(crate) fn system() -> &'static [CertificateDer<'static>] {
        static ROOTS: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
        ROOTS.get_or_init(|| rustls_native_certs::load_native_certs().certs)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[test]
    fn error_quotes_nothing_of_the_text() {
        let names = ["db.test".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let whole = [cert.pem(), signing_key.serialize_pem()].concat();
        let cut = &whole[..whole.len() - 40];
        for text in [
            whole.replace('\n', " "),
            cut.to_owned(),
            whole.replace("MI", "?!"),
        ] {
            let error = from_pem(text.as_bytes()).unwrap_err();
            assert!([NOT_PEM, NO_CERTIFICATE].contains(&error), "{error}");
        }
    }

    #[test]
    fn byte_order_mark_hides_no_certificate() {
        let pem = || {
            let names = ["db.test".to_owned()];
            let CertifiedKey { cert, .. } = generate_simple_self_signed(names).unwrap();
            cert.pem()
        };
        let both = [pem(), pem()].concat();
        let marked = format!("\u{feff}{both}");
        let read = from_pem(marked.as_bytes()).unwrap();
        assert_eq!(read, from_pem(both.as_bytes()).unwrap());
        assert_eq!(read.len(), 2);
    }
}
