//! The client of requests to services, sites and deploys.

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

use crate::error::{Error, ErrorKind};

/// Begins a client that follows no redirect. It trusts the roots of the system, and those of
/// `STAGELINK_PROVIDER_ROOT_CERTIFICATES` as functions do.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when that variable has no whole certificate.
pub(crate) fn client() -> Result<ClientBuilder, Error> {
    let client = Client::builder()
        .redirect(Policy::none())
        .user_agent(concat!("stagelink/", env!("CARGO_PKG_VERSION")));
    let pem = std::env::var(ROOTS).unwrap_or_default();
    let roots = roots(&pem)?;
    Ok(roots
        .into_iter()
        .fold(client, ClientBuilder::add_root_certificate))
}

/// Builds a client.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when TLS cannot be set up.
pub(crate) fn build(client: ClientBuilder) -> Result<Client, Error> {
    client
        .build()
        .map_err(|error| Error::with_source(ErrorKind::Settings, "could not set up TLS", error))
}

/// Reads roots as PEM, also from consoles that keep no line breaks.
fn roots(pem: &str) -> Result<Vec<Certificate>, Error> {
    if pem.trim().is_empty() {
        return Ok(Vec::new());
    }
    let unusable = || {
        let message = "STAGELINK_PROVIDER_ROOT_CERTIFICATES holds no whole certificate: set it to the text of \
                       a PEM file, from -----BEGIN CERTIFICATE----- on";
        Error::new(ErrorKind::Settings, message)
    };
    // An editor may have written a byte order mark.
    let pem = pem.trim_start_matches('\u{feff}').replace("\\n", "\n");
    let read = Certificate::from_pem_bundle(pem.as_bytes());
    let roots = read.map_err(|_| unusable())?;
    match roots.is_empty() {
        true => Err(unusable()),
        false => Ok(roots),
    }
}

const ROOTS: &str = "STAGELINK_PROVIDER_ROOT_CERTIFICATES";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_are_no_certificates_are_refused_by_the_name_of_their_variable() {
        assert!(roots(" \n").unwrap().is_empty());
        for pem in ["c4n4ry", "-----BEGIN CERTIFICATE-----\nc4n4ry"] {
            let error = roots(pem).unwrap_err().to_string();
            assert!(error.starts_with(ROOTS), "{error}");
            assert!(!error.contains("c4n4ry"), "{error}");
        }
    }
}
