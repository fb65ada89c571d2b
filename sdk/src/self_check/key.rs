//! The key of the self-checks of one deploy.

use std::fmt;
use std::io;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::Sha256;

use crate::error::{Error, ErrorKind};
use crate::self_check::VARIABLE;

/// The secret that a deploy's functions share with the one who promotes it, made for that deploy.
///
/// It signs requests and reports of self-checks and is good for nothing else. Its bytes are
/// overwritten when the last clone is dropped, and `Debug` shows none of them.
#[derive(Clone)]
pub struct SelfCheckKey(Arc<SecretBox<[u8; KEY_BYTES]>>);

impl SelfCheckKey {
    /// Makes a random key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the system has no random bytes.
    pub fn generate() -> Result<Self, Error> {
        let mut filled = Ok(());
        let key = SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| {
            filled = fill_random(bytes);
        });
        filled.map(|()| Self(Arc::new(key)))
    }

    /// Reads the form of [`to_text`](Self::to_text), with white space around it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] for any other text, which the message does not repeat.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut decoded = Ok(());
        let key = SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| {
            decoded = hex::decode_to_slice(text.trim(), bytes);
        });
        decoded.map(|()| Self(Arc::new(key))).map_err(|_| {
            Error::new(
                ErrorKind::Settings,
                format!("{VARIABLE} is not a key of 64 hexadecimal digits"),
            )
        })
    }

    /// Returns the text of the variable [`VARIABLE`]: 64 hexadecimal digits.
    pub fn to_text(&self) -> SecretString {
        hex::encode(self.0.expose_secret()).into()
    }

    /// Signs a text of this domain, in hexadecimal. No text of one domain is a text of another.
    pub(super) fn sign(&self, domain: &'static str, text: &[u8]) -> String {
        hex::encode(self.mac(domain, text).finalize().into_bytes())
    }

    /// Returns whether a signature in hexadecimal is that of the text, in constant time.
    pub(super) fn is_valid(&self, domain: &'static str, text: &[u8], signature: &str) -> bool {
        let mut bytes = [0; SIGNATURE_BYTES];
        hex::decode_to_slice(signature, &mut bytes).is_ok()
            && self.mac(domain, text).verify_slice(&bytes).is_ok()
    }

    fn mac(&self, domain: &'static str, text: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret());
        mac.expect("HMAC takes a key of any length")
            .chain_update(domain)
            .chain_update([0])
            .chain_update(text)
    }
}

impl fmt::Debug for SelfCheckKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfCheckKey").finish_non_exhaustive()
    }
}

/// Fills a slice with random bytes of the system.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when it has none.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| {
        let message = "could not get random bytes for a self-check";
        Error::with_source(ErrorKind::Settings, message, io::Error::other(error))
    })
}

const KEY_BYTES: usize = 32;

const SIGNATURE_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_parses_back_from_its_text_and_debug_shows_nothing() {
        let key = SelfCheckKey::generate().unwrap();
        let text = key.to_text();
        let again = SelfCheckKey::parse(&format!(" {}\n", text.expose_secret())).unwrap();
        assert_eq!(again.to_text().expose_secret(), text.expose_secret());
        assert_eq!(text.expose_secret().len(), 64);
        assert_eq!(format!("{key:?}"), "SelfCheckKey { .. }");
        let other = SelfCheckKey::generate().unwrap();
        assert_ne!(other.to_text().expose_secret(), text.expose_secret());
    }

    #[test]
    fn text_of_another_form_is_refused_and_not_repeated() {
        let digits = "0c4f".repeat(16);
        for text in [
            "",
            "c4n4ry",
            &digits[1..],
            &format!("{digits}00"),
            &digits.replacen('c', "g", 1),
            &digits.replacen("0c", "+c", 1),
        ] {
            let error = SelfCheckKey::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings);
            let report = error.report().to_string();
            assert!(report.contains(VARIABLE), "{report}");
            assert!(text.is_empty() || !report.contains(text), "{report}");
        }
        SelfCheckKey::parse(&digits.to_uppercase()).unwrap();
    }

    #[test]
    fn signature_is_of_one_text_one_domain_and_one_key() {
        let key = SelfCheckKey::generate().unwrap();
        let signature = key.sign("one", b"text");
        assert!(key.is_valid("one", b"text", &signature));
        assert!(!key.is_valid("two", b"text", &signature));
        assert!(!key.is_valid("one", b"test", &signature));
        assert!(!key.is_valid("on", b"etext", &signature));
        let other = SelfCheckKey::generate().unwrap();
        assert!(!other.is_valid("one", b"text", &signature));
        for signature in ["", "zz", &signature[2..], &format!("{signature}00")] {
            assert!(!key.is_valid("one", b"text", signature), "{signature}");
        }
    }
}
