//! Root certificates: from a PEM text, or the system's.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::x509::X509;
use crate::config::paths;

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

/// Returns whether the environment names the system's roots, by a variable of OpenSSL's. An empty one names
/// nothing.
pub(crate) fn are_named() -> bool {
    [FILE, FOLDERS]
        .into_iter()
        .any(|name| paths(name).is_some())
}

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::path::Path;
    use std::sync::OnceLock;

    use super::*;

    /// Returns the system's roots, which are read once per process: its bundle; where it has none, those of
    /// its folders.
    ///
    /// As with OpenSSL, `SSL_CERT_FILE` names a file in place of the bundle, and `SSL_CERT_DIR` folders in
    /// place of the system's. Both together leave nothing of the system's.
    ///
    /// # Errors
    ///
    /// The path that one of them names and that cannot be read: other roots in its place would be a surprise.
    pub(crate) fn system() -> Result<&'static [CertificateDer<'static>], &'static str> {
        static ROOTS: OnceLock<Result<Vec<CertificateDer<'static>>, String>> = OnceLock::new();
        let roots = ROOTS.get_or_init(|| read(paths(FILE), paths(FOLDERS)));
        roots.as_deref().map_err(String::as_str)
    }

    fn read(
        file: Option<OsString>,
        folders: Option<OsString>,
    ) -> Result<Vec<CertificateDer<'static>>, String> {
        let mut roots = match &file {
            Some(path) => of_file(Path::new(path)).map_err(|error| {
                format!(
                    "could not read {} ({FILE}): {error}",
                    path.to_string_lossy()
                )
            })?,
            // Without the variable it finds the system's.
            None => {
                let bundle = openssl_probe::probe().cert_file;
                let bundle = bundle.and_then(|path| of_file(&path).ok());
                bundle.unwrap_or_default()
            }
        };
        if let Some(folders) = folders {
            for folder in std::env::split_paths(&folders) {
                let read = of_folder(&folder).map_err(|error| {
                    format!("could not read {} ({FOLDERS}): {error}", folder.display())
                })?;
                roots.extend(read);
            }
        } else if roots.is_empty() || file.is_some() {
            let folders = openssl_probe::candidate_cert_dirs();
            roots.extend(folders.flat_map(|folder| of_folder(folder).unwrap_or_default()));
        }
        Ok(roots)
    }

    /// Reads the certificates of a file. What is none is left out: the file is the system's.
    fn of_file(path: &Path) -> std::io::Result<Vec<CertificateDer<'static>>> {
        let pem = std::fs::read(path)?;
        let certificates = CertificateDer::pem_slice_iter(without_mark(&pem));
        Ok(certificates.flatten().collect())
    }

    fn of_folder(path: &Path) -> std::io::Result<Vec<CertificateDer<'static>>> {
        let files = std::fs::read_dir(path)?.flatten();
        // A folder of the system's has other files, too.
        Ok(files
            .flat_map(|file| of_file(&file.path()).unwrap_or_default())
            .collect())
    }

    #[cfg(test)]
    mod tests {
        use rcgen::{CertifiedKey, generate_simple_self_signed};

        use super::*;

        #[test]
        fn named_file_and_folder_leave_nothing_of_the_systems() {
            let folder = tempfile::tempdir().unwrap();
            let pem = || {
                let CertifiedKey { cert, .. } =
                    generate_simple_self_signed(["a".to_owned()]).unwrap();
                cert.pem()
            };
            let file = folder.path().join("one.pem");
            std::fs::write(&file, pem()).unwrap();
            let others = folder.path().join("others");
            std::fs::create_dir(&others).unwrap();
            let named = |path: &Path| Some(path.to_owned().into_os_string());
            assert_eq!(read(named(&file), named(&others)).unwrap().len(), 1);
            std::fs::write(others.join("a.0"), pem()).unwrap();
            assert_eq!(read(named(&file), named(&others)).unwrap().len(), 2);
            let both = std::env::join_paths([&others, folder.path()]).unwrap();
            assert_eq!(read(named(&file), Some(both)).unwrap().len(), 3);

            let missing = folder.path().join("missing");
            for (file, folders, variable) in [
                (named(&missing), None, FILE),
                (named(&file), named(&missing), FOLDERS),
            ] {
                let error = read(file, folders).unwrap_err();
                assert!(
                    error.contains(variable) && error.contains("missing"),
                    "{error}"
                );
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::sync::OnceLock;

    use super::*;

    /// Returns the system's roots, which are read once per process; or those alone that the variables name.
    ///
    /// # Errors
    ///
    /// The file or folder that one of the variables names and that cannot be read.
    pub(crate) fn system() -> Result<&'static [CertificateDer<'static>], &'static str> {
        static ROOTS: OnceLock<Result<Vec<CertificateDer<'static>>, String>> = OnceLock::new();
        let roots = ROOTS.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            match found.errors.first().filter(|_| are_named()) {
                Some(error) => Err(format!(
                    "could not read what {FILE} or {FOLDERS} names: {error}"
                )),
                None => Ok(found.certs),
            }
        });
        roots.as_deref().map_err(String::as_str)
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
