//! The environment variables by which programs of libpq, such as psql, connect as the SDK did.

use secrecy::{ExposeSecret, SecretString};

use crate::credentials::{Binding, Roots, TlsPolicy};
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::pool::inspect::DatabaseInfo;

impl DatabaseInfo {
    /// Returns the environment variables with which a program of libpq, such as psql, connects to this
    /// database, and demands of the server no less than the proof that it gave to the SDK.
    ///
    /// They demand SCRAM channel binding (`channel_binding=require`) where that was the proof, and a
    /// certificate for the host's name (`sslmode=verify-full`) where that was. libpq cannot pin a key,
    /// so channel binding takes the place of a pinned one. Where a certificate is demanded and
    /// `PGSSLROOTCERT` is not among the variables, the caller sets it to a file with the roots.
    ///
    /// The caller removes all other variables of libpq (`PG*`) from the program's environment, since
    /// they would override what is left out here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ServerNotAuthenticated`] when the server gave no proof, and
    /// [`ErrorKind::DatabaseUrl`] when the password is no text in UTF-8.
    pub fn libpq_variables(&self) -> Result<Vec<(&'static str, SecretString)>, Error> {
        let url = &self.credentials.url;
        let password = str::from_utf8(url.password.expose_secret()).map_err(|_| {
            Error::new(
                ErrorKind::DatabaseUrl,
                "the password is not in UTF-8, so an environment variable cannot hold it",
            )
        })?;
        let mut variables: Vec<(&'static str, SecretString)> = vec![
            ("PGHOST", url.host.as_str().into()),
            ("PGPORT", url.port.to_string().into()),
            ("PGUSER", url.user.as_str().into()),
            ("PGPASSWORD", password.into()),
            ("PGDATABASE", url.database.as_str().into()),
            // Encryption by Kerberos would be tried first, and proves another server.
            ("PGGSSENCMODE", "disable".into()),
        ];
        if let Some(address) = url.address {
            variables.push(("PGHOSTADDR", address.to_string().into()));
        }
        if let Some(options) = &url.options {
            variables.push(("PGOPTIONS", options.as_str().into()));
        }
        let demands = tls_variables(&url.tls, self.server_auth)?;
        variables.extend(demands.into_iter().map(|(name, text)| (name, text.into())));
        Ok(variables)
    }
}

/// Returns the variables that demand a proof of the server.
fn tls_variables(
    policy: &TlsPolicy,
    proof: ServerAuth,
) -> Result<Vec<(&'static str, String)>, Error> {
    let (binds, verifies) = match proof {
        ServerAuth::ChannelBinding | ServerAuth::Pin => (true, false),
        ServerAuth::Certificate => (policy.binding() == Binding::Required, true),
        ServerAuth::Unauthenticated => {
            return Err(Error::new(
                ErrorKind::ServerNotAuthenticated,
                "the server proves nothing, and another program would not notice a \
                 man-in-the-middle either",
            ));
        }
    };
    let mut variables = Vec::new();
    if binds {
        variables.push(("PGCHANNELBINDING", "require".to_owned()));
    }
    let (mode, roots) = match policy {
        TlsPolicy::Verify {
            hostname, roots, ..
        } => {
            let mode = if *hostname {
                "verify-full"
            } else {
                "verify-ca"
            };
            (mode, Some(roots))
        }
        _ if verifies => ("verify-full", None),
        _ => ("require", None),
    };
    variables.push(("PGSSLMODE", mode.to_owned()));
    match roots {
        Some(Roots::File(path)) => {
            variables.push(("PGSSLROOTCERT", path.to_string_lossy().into_owned()));
        }
        Some(Roots::System) => variables.push(("PGSSLROOTCERT", "system".to_owned())),
        // A file of roots in the user's folder would make libpq verify what channel binding proves.
        _ if mode == "require" => variables.push(("PGSSLROOTCERT", NO_FILE.to_owned())),
        _ => {}
    }
    Ok(variables)
}

/// A path that does not exist, which libpq ignores where it does not verify certificates.
const NO_FILE: &str = "/dev/null/no-root-certificates";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::DatabaseUrl;

    fn demands(parameters: &str, proof: ServerAuth) -> Result<String, ErrorKind> {
        let url = format!("postgres://u:p@h/d?{parameters}");
        let url = DatabaseUrl::parse(&url, "a test").unwrap();
        let variables = tls_variables(&url.tls, proof).map_err(|error| error.kind())?;
        let texts = variables
            .iter()
            .map(|(name, text)| format!("{name}={text}"));
        Ok(texts.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn proof_of_the_server_is_demanded_of_libpq_too() {
        use ServerAuth::{Certificate, ChannelBinding, Pin, Unauthenticated};
        let bound = "PGCHANNELBINDING=require PGSSLMODE=require \
                     PGSSLROOTCERT=/dev/null/no-root-certificates";
        let full = "PGSSLMODE=verify-full";
        for (parameters, proof, expected) in [
            ("", ChannelBinding, bound),
            ("sslmode=require", Pin, bound),
            ("", Certificate, full),
            ("sslmode=verify-full", Certificate, full),
            (
                "sslmode=verify-full&channel_binding=require",
                Certificate,
                "PGCHANNELBINDING=require PGSSLMODE=verify-full",
            ),
            (
                "sslmode=verify-ca&sslrootcert=/a.pem",
                Certificate,
                "PGSSLMODE=verify-ca PGSSLROOTCERT=/a.pem",
            ),
            (
                "sslmode=verify-full&sslrootcert=system",
                ChannelBinding,
                "PGCHANNELBINDING=require PGSSLMODE=verify-full PGSSLROOTCERT=system",
            ),
        ] {
            assert_eq!(
                demands(parameters, proof).as_deref(),
                Ok(expected),
                "{parameters}"
            );
        }
        let refused = Err(ErrorKind::ServerNotAuthenticated);
        assert_eq!(demands("", Unauthenticated), refused);
    }
}
