//! A database URL in libpq's syntax. Every part is either supported or refused, never ignored.
//!
//! Source: <https://www.postgresql.org/docs/18/libpq-connect.html> (2026-02).

mod parts;
mod pasted;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use self::parts::Parts;
use crate::credentials::{Binding, TlsPolicy};
use crate::error::{Error, ErrorKind};

/// A parsed database URL: the server, the role, the database, and how the server has to
/// authenticate itself.
///
/// ```
/// use stagelink::DatabaseUrl;
///
/// let url = DatabaseUrl::parse("postgres://user:pass%21word@db.example.com:5432/shop", "my notes")?;
/// assert_eq!(url.host(), "db.example.com");
/// assert!(!format!("{url:?}").contains("pass"));
/// assert!(DatabaseUrl::parse("postgres://u:p@h/d?sslmode=disable", "my notes").is_err());
/// # Ok::<(), stagelink::Error>(())
/// ```
///
/// | parameter | support |
/// | --- | --- |
/// | `sslmode` | `require` (the default), `verify-ca`, `verify-full`; weaker modes are refused |
/// | `ssl` | `true`, or a mode as in `sslmode`, which takes precedence |
/// | `sslrootcert` | a file of root certificates, or `system` |
/// | `channel_binding` | `require`, `prefer`; `disable` only with `verify-ca` or `verify-full` |
/// | `connect_timeout` | seconds; used where it is less than `STAGELINK_CONNECT_TIMEOUT_MS` |
/// | `application_name`, `options` | passed to the server |
/// | `keepalives`, `keepalives_idle`, `keepalives_interval`, `keepalives_count`, `tcp_user_timeout` | as in libpq |
/// | `host`, `hostaddr`, `port`, `user`, `password`, `dbname` | as the URL's own parts |
/// | `sslnegotiation` | `direct` starts with the TLS handshake, which saves a round trip with Postgres 17 and newer; other servers get an SSLRequest. `postgres` always sends an SSLRequest |
/// | `target_session_attrs=any`, `client_encoding=UTF8`, `gssencmode=disable` or `prefer`, `sslsni=1`, `sslcompression=0`, `load_balance_hosts=disable`, `ssl_min_protocol_version=TLSv1.2` | accepted: the SDK behaves so |
///
/// Any other parameter or value is refused, with its name in the error.
#[derive(Clone)]
pub struct DatabaseUrl {
    text: SecretString,
    pub(crate) host: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: SecretSlice<u8>,
    pub(crate) database: String,
    pub(crate) tls: TlsPolicy,
    pub(crate) binding: Binding,
    /// True if the host name is that of a pooler.
    pub(crate) names_pooler: bool,
    /// True if the host name is that of a proxy whose sessions are a client's own.
    pub(crate) names_direct: bool,
    pub(crate) direct_tls: Option<bool>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) application_name: Option<String>,
    pub(crate) options: Option<String>,
    pub(crate) tcp: Tcp,
}

/// The options of the TCP socket.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) keepalives: bool,
    pub(crate) keepalives_idle: Option<Duration>,
    pub(crate) keepalives_interval: Option<Duration>,
    pub(crate) keepalives_count: Option<u32>,
    pub(crate) user_timeout: Option<Duration>,
}

impl DatabaseUrl {
    /// Parses a URL. `origin` says where it was found ("DATABASE_URL of app shop"), for messages.
    ///
    /// A URL that was pasted with what surrounded it is understood: in quotes, in a line such as
    /// `export DATABASE_URL=…`, as the argument of `psql`, or with the scheme of another library
    /// (`jdbc:postgresql:`, `postgresql+asyncpg:`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DatabaseUrl`] when the URL does not parse or requests something
    /// unsupported. The message names the part, and no value that may be secret.
    pub fn parse(url: &str, origin: &str) -> Result<Self, Error> {
        let parsed = pasted::url_in(url).and_then(|url| {
            let text = url.as_ref().into();
            Parts::read(&url)?.build(text)
        });
        parsed.map_err(|reason| {
            Error::new(
                ErrorKind::DatabaseUrl,
                format!("{origin} is not a usable database URL: {reason}"),
            )
        })
    }

    /// Returns the URL with its password.
    pub(crate) fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }

    /// Returns whether both URLs are the same text.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.text.expose_secret() == other.text.expose_secret()
    }

    /// Returns the server's host name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the role.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns the text of the URL with its password, for a program that connects by it.
    pub fn to_secret(&self) -> SecretString {
        self.text.clone()
    }

    /// Returns the URL with an option that makes the transactions of its sessions read-only by default, beside
    /// its own options. A session can undo it, so it stops mistakes alone.
    ///
    /// The SDK takes a refused write on such a session for the wish of the URL, and not for a
    /// sign of a failover: it neither tries again nor asks the provider.
    #[must_use]
    pub fn with_read_only_sessions(&self) -> Self {
        let mut url = self.clone();
        let options = match &self.options {
            Some(own) => format!("{own} {READ_ONLY_OPTION}"),
            None => READ_ONLY_OPTION.to_owned(),
        };
        let text = self.text.expose_secret();
        let separator = if text.contains('?') { '&' } else { '?' };
        let encoded = utf8_percent_encode(&options, NON_ALPHANUMERIC);
        // Of two parameters with one name the later counts, in libpq too.
        url.text = format!("{text}{separator}options={encoded}").into();
        url.options = Some(options);
        url
    }

    /// Returns whether the URL's own options make its sessions read-only, so that a refused write is no
    /// sign of a failover.
    pub(crate) fn wants_read_only_sessions(&self) -> bool {
        self.options.as_deref().is_some_and(is_read_only_option)
    }

    /// Returns whether the URL makes other clients authenticate the server too, as libpq does with
    /// `sslmode=verify-full`, `verify-ca` or `channel_binding=require`. The SDK always does.
    pub fn authenticates_server(&self) -> bool {
        match &self.tls {
            TlsPolicy::Auto => false,
            TlsPolicy::ChannelBinding | TlsPolicy::Verify { .. } => true,
        }
    }
}

/// Returns whether options for the server make a session's transactions read-only by default. Of several settings the last
/// one counts.
fn is_read_only_option(options: &str) -> bool {
    let mut settings = options.split_whitespace().filter_map(|word| {
        let setting = word
            .strip_prefix("--")
            .or(word.strip_prefix("-c"))
            .unwrap_or(word);
        let (name, value) = setting.split_once('=')?;
        (name.replace('-', "_") == "default_transaction_read_only").then_some(value)
    });
    settings.next_back().is_some_and(|value| {
        ["on", "true", "yes", "1"]
            .iter()
            .any(|on| value.eq_ignore_ascii_case(on))
    })
}

const READ_ONLY_OPTION: &str = "-c default_transaction_read_only=on";

/// Returns whether a host name is that of a pooler: Neon's, whose proxy offers channel binding
/// (neon.com/docs/connect/connection-pooling, 2026-02), ends its first label in `-pooler`;
/// Supabase's are below `pooler.supabase.com`
/// (supabase.com/docs/guides/database/connecting-to-postgres, 2026-02).
fn is_pooler_name(host: &str) -> bool {
    let mut labels = host.split('.');
    labels
        .next()
        .is_some_and(|label| label.ends_with("-pooler"))
        || labels.any(|label| label == "pooler")
}

/// Returns whether a host name is that of Neon's proxy without its pooler. The proxy makes up the
/// cancel keys of direct sessions too, so that these look like a pooler's.
fn is_direct_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.ends_with(".neon.tech") && !is_pooler_name(&host)
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUrl")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Reason for which a text is no usable URL. It holds no value that may be secret.
type Reason = String;

impl Parts {
    fn build(self, text: SecretString) -> Result<DatabaseUrl, Reason> {
        let host = self
            .host
            .or_else(|| self.hostaddr.clone())
            .ok_or("it names no host")?;
        if host.starts_with('/') || host.starts_with('@') {
            return Err("its host is a Unix socket; only TCP with TLS is supported".to_owned());
        }
        if host.contains(',') {
            return Err("it names several hosts; name one".to_owned());
        }
        if host.contains(char::is_control) {
            return Err("its host contains a control character".to_owned());
        }
        let address = self
            .hostaddr
            .map(|address| address.parse().map_err(|_| "hostaddr is not an IP address"))
            .transpose()?;
        let port = match self.port {
            None => 5432,
            Some(text) => text
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or("its port is not a number from 1 to 65535")?,
        };
        let user = self.user.ok_or("it names no user")?;
        let password = self
            .password
            .filter(|password| !password.expose_secret().is_empty())
            .ok_or("it has no password")?;
        if is_placeholder(password.expose_secret()) {
            return Err(
                "a placeholder stands in place of its password; put the password in".into(),
            );
        }
        let ssl = self.ssl.as_deref().map(mode_of_ssl).transpose()?;
        let tls = TlsPolicy::from_parameters(
            self.sslmode.as_deref().or(ssl),
            self.sslrootcert.as_deref(),
            self.channel_binding.as_deref(),
        )?;
        Ok(DatabaseUrl {
            text,
            database: self.database.unwrap_or_else(|| user.clone()),
            names_pooler: is_pooler_name(&host),
            names_direct: is_direct_name(&host),
            host,
            address,
            port,
            user,
            password,
            binding: tls.binding(),
            tls,
            direct_tls: match self.sslnegotiation.as_deref() {
                None => None,
                Some("direct") => Some(true),
                Some("postgres") => Some(false),
                Some(_) => return Err("sslnegotiation is neither postgres nor direct".to_owned()),
            },
            connect_timeout: seconds("connect_timeout", self.connect_timeout.as_deref())?
                .filter(|time| !time.is_zero()),
            application_name: self.application_name,
            options: self.options,
            tcp: Tcp {
                keepalives: match self.keepalives.as_deref() {
                    None | Some("1") => true,
                    Some("0") => false,
                    Some(_) => return Err("keepalives is neither 0 nor 1".to_owned()),
                },
                keepalives_idle: seconds("keepalives_idle", self.keepalives_idle.as_deref())?,
                keepalives_interval: seconds(
                    "keepalives_interval",
                    self.keepalives_interval.as_deref(),
                )?,
                keepalives_count: self
                    .keepalives_count
                    .map(|text| text.parse().map_err(|_| "keepalives_count is not a number"))
                    .transpose()?,
                user_timeout: self
                    .tcp_user_timeout
                    .map(|text| text.parse().map_err(|_| "tcp_user_timeout is not a number"))
                    .transpose()?
                    .map(Duration::from_millis),
            },
        })
    }
}

/// Returns whether a password is what dashboards and APIs show instead of one.
fn is_placeholder(password: &[u8]) -> bool {
    let text = str::from_utf8(password).unwrap_or_default();
    let is_mask = text.chars().count() >= 3 && text.chars().all(|c| matches!(c, '*' | '•'));
    let bare = text.trim_matches(['[', ']', '<', '>']);
    let is_bracketed = bare.len() + 2 == text.len();
    let names_password = ["PASSWORD", "YOUR-PASSWORD", "YOUR_PASSWORD"]
        .iter()
        .any(|name| bare.eq_ignore_ascii_case(name));
    is_mask || (is_bracketed && names_password)
}

/// Returns the `sslmode` that a value of `ssl` stands for, as JDBC and asyncpg write it.
fn mode_of_ssl(value: &str) -> Result<&str, Reason> {
    match value {
        "true" | "1" | "on" | "require" => Ok("require"),
        "verify-ca" | "verify-full" => Ok(value),
        _ => Err(
            "ssl has a value that permits a connection without encryption, or is unknown; \
                  use sslmode=require"
                .to_owned(),
        ),
    }
}

fn seconds(name: &str, text: Option<&str>) -> Result<Option<Duration>, Reason> {
    text.map(|text| {
        text.parse()
            .map(Duration::from_secs)
            .map_err(|_| format!("{name} is not a number of seconds"))
    })
    .transpose()
}

#[cfg(test)]
mod tests;
