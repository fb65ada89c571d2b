//! Capture of the bytes that clients send to a server that is not theirs, after decryption.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::CANARY;

/// Bytes that clients sent, by connection, beginning with the startup message.
#[derive(Clone, Debug, Default)]
pub struct ClientCapture(Arc<Mutex<Vec<Vec<u8>>>>);

/// Appends the bytes of one connection to a capture.
#[derive(Debug)]
pub(crate) struct CaptureWriter {
    capture: ClientCapture,
    number: usize,
}

impl ClientCapture {
    /// Returns the number of connections whose TLS handshake completed.
    pub fn connections(&self) -> usize {
        self.inner().len()
    }

    /// Returns whether a client sent this text.
    pub fn has(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.inner()
            .iter()
            .any(|said| said.windows(text.len()).any(|part| part == text))
    }

    /// Returns whether a client sent anything that depends on its password, or that is meant for
    /// its own server only. The first message of SCRAM is neither: it contains a mechanism and a
    /// random nonce, and clients may send it before the server asks for it.
    ///
    /// # Panics
    ///
    /// When a client sent the password itself.
    pub fn has_sensitive_data(&self) -> bool {
        assert!(!self.has(CANARY), "a client sent the password");
        self.inner()
            .iter()
            .flat_map(|said| messages(said))
            .any(|(tag, body)| !(tag == TERMINATE || tag == PASSWORD && body.starts_with(SCRAM)))
    }

    pub(crate) fn open_writer(&self) -> CaptureWriter {
        let mut inner = self.inner();
        inner.push(Vec::new());
        CaptureWriter {
            capture: self.clone(),
            number: inner.len() - 1,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CaptureWriter {
    pub(crate) fn append(&self, bytes: &[u8]) {
        self.capture.inner()[self.number].extend(bytes);
    }
}

/// Splits the bytes after the startup message into messages with their tags. A truncated message
/// counts up to its end.
fn messages(said: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    let (_, mut rest) = split_at_length(said);
    while let Some((&tag, message)) = rest.split_first() {
        let (body, after) = split_at_length(message);
        found.push((tag, body));
        rest = after;
    }
    found
}

/// Splits bytes at a length, which counts itself: the body, and the bytes after it.
fn split_at_length(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, body)) = bytes.split_first_chunk::<4>() else {
        return (&[], &[]);
    };
    let length = u32::from_be_bytes(*length).saturating_sub(4) as usize;
    body.split_at(length.min(body.len()))
}

const PASSWORD: u8 = b'p';
const TERMINATE: u8 = b'X';
const SCRAM: &[u8] = b"SCRAM-SHA-256";

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(parts: &[&[u8]]) -> ClientCapture {
        let capture = ClientCapture::default();
        capture.open_writer().append(&parts.concat());
        capture
    }

    const START: &[u8] = b"\0\0\0\x08\0\x03\0\0";

    #[test]
    fn first_scram_message_is_not_sensitive_and_its_proof_is() {
        let first: &[u8] = b"p\0\0\0\x15SCRAM-SHA-256\0n,,";
        assert!(!capture(&[START, first, b"X\0\0\0\x04"]).has_sensitive_data());
        assert!(capture(&[START, first, b"p\0\0\0\x08c=bi"]).has_sensitive_data());
    }

    #[test]
    fn query_is_sensitive() {
        assert!(capture(&[START, b"Q\0\0\0\x05;"]).has_sensitive_data());
    }

    #[test]
    #[should_panic(expected = "a client sent the password")]
    fn password_in_any_message_is_found() {
        capture(&[START, b"p\0\0\0\x0b", CANARY.as_bytes()]).has_sensitive_data();
    }
}
