//! The parts of a database URL as text: what stands where, percent-decoded as libpq does.

use percent_encoding::percent_decode_str;
use secrecy::SecretSlice;

use super::Reason;

/// The parts of a URL as text, before they are validated together.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) host: Option<String>,
    pub(super) hostaddr: Option<String>,
    pub(super) port: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretSlice<u8>>,
    pub(super) database: Option<String>,
    pub(super) ssl: Option<String>,
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
    pub(super) sslnegotiation: Option<String>,
    pub(super) channel_binding: Option<String>,
    pub(super) connect_timeout: Option<String>,
    pub(super) application_name: Option<String>,
    pub(super) options: Option<String>,
    pub(super) keepalives: Option<String>,
    pub(super) keepalives_idle: Option<String>,
    pub(super) keepalives_interval: Option<String>,
    pub(super) keepalives_count: Option<String>,
    pub(super) tcp_user_timeout: Option<String>,
}

impl Parts {
    pub(super) fn read(url: &str) -> Result<Self, Reason> {
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("it contains white space; percent-encode it".to_owned());
        }
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or("it does not start with postgres:// or postgresql://")?;
        if rest.contains('#') {
            return Err("it contains a #; write it as %23".to_owned());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        // A password with an unescaped / or ? would end the host early. The rest would count as a
        // name, and a message would show it.
        if database.contains('@') || query.contains('@') {
            return Err(
                "it contains an @ after its host; write /, ? and @ in the user, the password and \
                 the parameters as %2F, %3F and %40"
                    .to_owned(),
            );
        }
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (user, server),
            None => ("", authority),
        };
        let mut parts = Self::default();
        parts.read_user(user)?;
        parts.read_server(server)?;
        if database.contains('/') {
            return Err("the database name contains a /; write it as %2F".to_owned());
        }
        parts.database = non_empty(decode("the database name", database)?);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("a parameter has no =")?;
            let name = decode("a parameter's name", name)?;
            parts.set(&name, value)?;
        }
        Ok(parts)
    }

    fn read_user(&mut self, text: &str) -> Result<(), Reason> {
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (text, None),
        };
        if text.contains('@') {
            return Err("the user or password contains an @; write it as %40".to_owned());
        }
        self.user = non_empty(decode("the user", user)?);
        if let Some(password) = password {
            self.password = Some(decode_bytes("the password", password)?.into());
        }
        Ok(())
    }

    fn read_server(&mut self, text: &str) -> Result<(), Reason> {
        if text.contains(',') {
            return Err("it names several hosts; name one".to_owned());
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("its host has a [ without a ]")?;
                match port.strip_prefix(':') {
                    Some(port) => (host, port),
                    None if port.is_empty() => (host, ""),
                    None => return Err("its host goes on after the ]".to_owned()),
                }
            }
            None if is_bare_ipv6(text) => {
                return Err(
                    "its host is an IPv6 address without brackets; write it as [ADDRESS]:PORT"
                        .to_owned(),
                );
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        self.host = non_empty(decode("the host", host)?);
        self.port = non_empty(port.to_owned());
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Reason> {
        if name == "password" {
            self.password = Some(decode_bytes("the password", value)?.into());
            return Ok(());
        }
        let value = decode("a parameter's value", value)?;
        let slot = match name {
            "host" => &mut self.host,
            "hostaddr" => &mut self.hostaddr,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "dbname" => &mut self.database,
            "ssl" => &mut self.ssl,
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "sslnegotiation" => &mut self.sslnegotiation,
            "channel_binding" => &mut self.channel_binding,
            "connect_timeout" => &mut self.connect_timeout,
            "application_name" => &mut self.application_name,
            "options" => &mut self.options,
            "keepalives" => &mut self.keepalives,
            "keepalives_idle" => &mut self.keepalives_idle,
            "keepalives_interval" => &mut self.keepalives_interval,
            "keepalives_count" => &mut self.keepalives_count,
            "tcp_user_timeout" => &mut self.tcp_user_timeout,
            _ => return check_accepted(name, &value),
        };
        // As libpq, which also refuses an empty value of the two that say what proves the server.
        if value.is_empty() && matches!(name, "sslmode" | "channel_binding") {
            return Err(format!(
                "the parameter {name} is empty; give it a value or remove it"
            ));
        }
        // An empty value of another counts as not set.
        *slot = Some(value).filter(|value| !value.is_empty());
        Ok(())
    }
}

/// Returns whether the server's part of a URL is an IPv6 address without brackets, with or without
/// a port: nothing tells them apart.
fn is_bare_ipv6(server: &str) -> bool {
    let is_of_address = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    server.matches(':').count() > 1 && server.chars().all(is_of_address)
}

/// Accepts parameters that request the behaviour of the SDK; refuses all others.
fn check_accepted(name: &str, value: &str) -> Result<(), Reason> {
    let shown: String = name.chars().take(40).collect();
    let fits = match name {
        "target_session_attrs" => value == "any",
        "client_encoding" => matches!(
            value.to_ascii_lowercase().as_str(),
            "utf8" | "utf-8" | "auto"
        ),
        "gssencmode" => matches!(value, "disable" | "prefer"),
        "sslsni" => value == "1",
        "sslcompression" => value == "0",
        "load_balance_hosts" => value == "disable",
        "ssl_min_protocol_version" => value == "TLSv1.2",
        _ => {
            return Err(format!(
                "the parameter {shown:?} is not supported; remove it"
            ));
        }
    };
    if fits {
        Ok(())
    } else {
        Err(format!(
            "the parameter {shown} has a value that is not supported; remove it"
        ))
    }
}

fn decode(what: &str, text: &str) -> Result<String, Reason> {
    String::from_utf8(decode_bytes(what, text)?).map_err(|_| format!("{what} is not UTF-8"))
}

/// Percent-decodes as strictly as libpq: a % needs two hexadecimal digits, and %00 is refused.
fn decode_bytes(what: &str, text: &str) -> Result<Vec<u8>, Reason> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.as_bytes().get(..2);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(format!(
                "{what} contains a % without two hexadecimal digits; write a % as %25"
            ));
        }
        rest = after;
    }
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    if bytes.contains(&0) {
        return Err(format!(
            "{what} contains %00, which Postgres does not accept"
        ));
    }
    Ok(bytes)
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
