//! The request of a self-check, with its signature.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::self_check::{SelfCheckKey, path};

/// The question to one function of one deploy, for a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCheckRequest {
    deploy: String,
    function: String,
    nonce: String,
    /// Seconds since the epoch.
    expiry: u64,
}

impl SelfCheckRequest {
    /// The time that a request may be ahead of its expiry, by the function's clock.
    pub const LIFETIME: Duration = Duration::from_secs(60);

    /// Makes a request for a function of a deploy. `deploy` is any text of the caller's, `nonce` is
    /// new for each request (see [`nonce`](crate::self_check::nonce)), and the expiry is at most
    /// [`LIFETIME`](Self::LIFETIME) ahead.
    pub fn new(deploy: &str, function: &str, nonce: &str, expiry: SystemTime) -> Self {
        let since = expiry.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            deploy: deploy.to_owned(),
            function: function.to_owned(),
            nonce: nonce.to_owned(),
            expiry: since.as_secs(),
        }
    }

    /// Returns the signed value of the header [`HEADER`](crate::self_check::HEADER):
    /// `v1.DEPLOY.FUNCTION.NONCE.EXPIRY.SIGNATURE`. Other characters than ASCII's letters, digits,
    /// `-` and `_` are percent-encoded in each of the texts.
    pub fn header(&self, key: &SelfCheckKey) -> String {
        let [deploy, function, nonce] = [&self.deploy, &self.function, &self.nonce]
            .map(|text| utf8_percent_encode(text, ENCODED));
        let signed = format!("{VERSION}.{deploy}.{function}.{nonce}.{}", self.expiry);
        let signature = key.sign(DOMAIN, signed.as_bytes());
        format!("{signed}.{signature}")
    }

    /// Reads the header of a request that came by this path. `None` unless it has the key's
    /// signature, is for the function of that path, and expires within
    /// [`LIFETIME`](Self::LIFETIME), give or take five seconds by which two clocks may differ.
    pub fn accept(
        header: &str,
        key: &SelfCheckKey,
        requested_path: &str,
        now: SystemTime,
    ) -> Option<Self> {
        if header.len() > LONGEST_BYTES {
            return None;
        }
        let (signed, signature) = header.rsplit_once('.')?;
        // Nothing of a text without a signature is looked at.
        if !key.is_valid(DOMAIN, signed.as_bytes(), signature) {
            return None;
        }
        let mut parts = signed.split('.');
        if parts.next() != Some(VERSION) {
            return None;
        }
        let mut text = || decoded(parts.next()?);
        let (deploy, function, nonce) = (text()?, text()?, text()?);
        let expiry = parts.next()?.parse().ok()?;
        if parts.next().is_some() {
            return None;
        }
        let request = Self {
            deploy,
            function,
            nonce,
            expiry,
        };
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let (skew, lifetime) = (SKEW.as_secs(), Self::LIFETIME.as_secs());
        let is_in_time =
            expiry.saturating_add(skew) >= now && expiry <= now.saturating_add(lifetime + skew);
        (is_in_time && path(&request.function) == requested_path).then_some(request)
    }

    /// Returns the caller's name of the deploy.
    pub fn deploy(&self) -> &str {
        &self.deploy
    }

    /// Returns the name of the function.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Returns the text that the report has to repeat.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

const VERSION: &str = "v1";

const DOMAIN: &str = "stagelink self-check request";

/// The difference between two clocks that is let pass.
const SKEW: Duration = Duration::from_secs(5);

/// The longest header that is looked at.
const LONGEST_BYTES: usize = 2048;

/// Neither the dots between the parts nor what a header cannot hold.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
