//! The proofs that the database and its server have to give.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::config::TlsLibrary;
use crate::error::{Error, ErrorKind};
use crate::stage::{Stage, StageKind};

/// The proofs that a stage's database and its server have to give, and how to connect to them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerSettings {
    /// Public keys, one of which the server has to prove, whatever its certificate says. Empty by
    /// default: no key is expected.
    pub pins: Vec<ServerPin>,
    /// Root certificates, as PEM text, in place of the system's. `None` by default: the system's.
    pub roots: Option<String>,
    /// Accepts an encrypted connection to a server that does not authenticate itself. A
    /// man-in-the-middle can read the password then, so it is `false` by default, and refused for
    /// production.
    pub danger_unauthenticated: bool,
    /// Refuses a database that carries no mark of its stage. `false` by default, so
    /// that a database can be used before it is marked; one that carries another
    /// stage's mark is refused in any case.
    pub require_mark: bool,
    /// Starts with the TLS handshake instead of an SSLRequest: one round trip less with Postgres
    /// 17 and newer. With an older server each process loses one connection. `false` by default;
    /// once a server has sent its version, the SDK adapts to it.
    pub direct_tls: bool,
    /// Starts SCRAM before the server asks for it: one round trip less. `true` by default; with a
    /// server that asks for another method each process loses one connection.
    pub early_scram: bool,
    /// The library that encrypts connections. [`TlsLibrary::Rustls`] by default.
    pub tls_library: TlsLibrary,
    /// The use of a transaction pooler. [`Pooler::Auto`] by default.
    pub pooler: Pooler,
    /// The name of sessions in `pg_stat_activity`, unless the URL sets one. By default the
    /// function's name, or `stagelink`.
    pub application_name: String,
}

/// The use of a transaction pooler: one that lends its sessions by the transaction, as PgBouncer
/// and the poolers of Heroku, Neon and Supabase do.
///
/// Other clients would see the settings of such a session, and a prepared statement may be gone
/// at the next transaction. So the SDK neither sets nor prepares anything there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooler {
    /// Takes the provider's pooler, if it has one. The SDK recognises a pooler by its host name,
    /// or because its cancel key is not that of the process that runs a statement.
    #[default]
    Auto,
    /// Treats every server as a pooler.
    Always,
    /// Treats no server as a pooler, and does not take the provider's.
    Never,
}

impl FromStr for Pooler {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(settings(
                "STAGELINK_POOLER is none of auto, always and never",
            )),
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            pins: Vec::new(),
            roots: None,
            danger_unauthenticated: false,
            require_mark: false,
            direct_tls: false,
            early_scram: true,
            tls_library: TlsLibrary::default(),
            pooler: Pooler::Auto,
            application_name: "stagelink".to_owned(),
        }
    }
}

impl ServerSettings {
    /// Refuses an unauthenticated server for production.
    pub(crate) fn check_for(&self, stage: Stage) -> Result<(), Error> {
        if self.danger_unauthenticated && stage.kind() == StageKind::Production {
            return Err(settings(
                "STAGELINK_DANGER_UNAUTHENTICATED is set, which production does not take: remove \
                 it, and pin the server's key with STAGELINK_SERVER_PIN (`stagelink mark show` \
                 tells it) or give its root certificate",
            ));
        }
        Ok(())
    }
}

/// The public key of a server: the SHA-256 of its SubjectPublicKeyInfo.
///
/// Written as curl's `--pinnedpubkey` is (<https://curl.se/docs/manpage.html>,
/// 2026-02): `sha256//` and the hash in Base64. A certificate that is renewed with
/// the same key keeps its pin.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerPin([u8; 32]);

impl ServerPin {
    /// The pin of a key, given its SubjectPublicKeyInfo in DER.
    pub(crate) fn of_key(der: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(der).into())
    }
}

impl FromStr for ServerPin {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Settings`] for any other form.
    fn from_str(text: &str) -> Result<Self, Error> {
        text.strip_prefix("sha256//")
            .and_then(|hash| STANDARD.decode(hash).ok())
            .and_then(|hash| hash.try_into().ok())
            .map(Self)
            .ok_or_else(|| {
                settings(
                    "STAGELINK_SERVER_PIN is not of the form sha256//HASH, where HASH is the \
                     Base64 of 32 bytes; several are separated by a semicolon",
                )
            })
    }
}

impl fmt::Display for ServerPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256//{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for ServerPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerPin({self})")
    }
}

/// The variables as they stand in the environment.
#[derive(Clone, Deserialize)]
pub(super) struct ServerVariables {
    stagelink_server_pin: Option<String>,
    stagelink_root_certificates: Option<String>,
    stagelink_danger_unauthenticated: Option<String>,
    stagelink_require_mark: Option<String>,
    stagelink_direct_tls: Option<String>,
    stagelink_early_scram: Option<String>,
    stagelink_pooler: Option<String>,
    aws_lambda_function_name: Option<String>,
}

impl ServerVariables {
    /// Returns whether a variable is one of these, beside those that begin with `STAGELINK_`.
    pub(super) fn knows(name: &str) -> bool {
        name == "AWS_LAMBDA_FUNCTION_NAME"
    }

    pub(super) fn parse(self) -> Result<ServerSettings, Error> {
        let defaults = ServerSettings::default();
        Ok(ServerSettings {
            pins: pins(&self.stagelink_server_pin.unwrap_or_default())?,
            roots: self
                .stagelink_root_certificates
                .map(|text| pem("STAGELINK_ROOT_CERTIFICATES", text))
                .transpose()?,
            danger_unauthenticated: switch(
                "STAGELINK_DANGER_UNAUTHENTICATED",
                self.stagelink_danger_unauthenticated,
                defaults.danger_unauthenticated,
            )?,
            require_mark: switch(
                "STAGELINK_REQUIRE_MARK",
                self.stagelink_require_mark,
                defaults.require_mark,
            )?,
            direct_tls: switch(
                "STAGELINK_DIRECT_TLS",
                self.stagelink_direct_tls,
                defaults.direct_tls,
            )?,
            early_scram: switch(
                "STAGELINK_EARLY_SCRAM",
                self.stagelink_early_scram,
                defaults.early_scram,
            )?,
            tls_library: defaults.tls_library,
            pooler: self
                .stagelink_pooler
                .as_deref()
                .map_or(Ok(defaults.pooler), str::parse)?,
            application_name: self
                .aws_lambda_function_name
                .unwrap_or(defaults.application_name),
        })
    }
}

/// Reads the pins of a variable. A text without any would accept each server, so an empty part is an
/// error: it most often was the value of another variable, which is not set.
fn pins(text: &str) -> Result<Vec<ServerPin>, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parts = text.strip_suffix(';').unwrap_or(text).split(';');
    let pins = parts.map(|part| match part.trim() {
        "" => Err(settings(
            "STAGELINK_SERVER_PIN has an empty part: set it to a pin such as sha256//…, or to several \
             with one ; between two",
        )),
        pin => pin.parse(),
    });
    pins.collect()
}

/// Reads a variable that is `true` or `false`.
///
/// # Errors
///
/// [`ErrorKind::Settings`] for any other value, which the message does not repeat.
pub(super) fn switch(name: &str, text: Option<String>, default: bool) -> Result<bool, Error> {
    match text.as_deref().map(str::trim) {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(settings(format!("{name} is neither true nor false"))),
    }
}

/// Certificates as PEM, also from consoles that keep no line breaks.
pub(super) fn pem(name: &str, text: String) -> Result<String, Error> {
    let pem = text.replace("\\n", "\n");
    let count = |part| pem.matches(part).count();
    match (
        count("-----BEGIN CERTIFICATE-----"),
        count("-----END CERTIFICATE-----"),
    ) {
        (begun, ended) if begun > 0 && begun == ended => Ok(pem),
        _ => Err(settings(format!(
            "{name} holds no whole certificate: set it to the text of a PEM file, from \
             -----BEGIN CERTIFICATE----- on"
        ))),
    }
}

fn settings(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Settings, message)
}
