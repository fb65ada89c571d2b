//! The script that sets up TLS and the login rules when the image has created its cluster.

use crate::certificate::ServerCertificate;
use crate::server_settings::{CERTIFICATE_FILE, HBA_RULES, KEY_FILE};

/// Returns the init script for a server with this certificate.
///
/// The script enables TLS in `postgresql.conf`. Server options cannot do it: the
/// image passes them to its first, temporary server too, which has no
/// certificate yet.
pub(super) fn init_script(certificate: &ServerCertificate) -> String {
    let ServerCertificate {
        certificate_pem,
        key_pem,
    } = certificate;
    format!(
        "(
umask 077
cat > \"$PGDATA/{CERTIFICATE_FILE}\" <<'PEM'
{certificate_pem}
PEM
cat > \"$PGDATA/{KEY_FILE}\" <<'PEM'
{key_pem}
PEM
cat > \"$PGDATA/pg_hba.conf\" <<'RULES'
{HBA_RULES}RULES
cat >> \"$PGDATA/postgresql.conf\" <<'SETTINGS'
ssl = on
ssl_cert_file = '{CERTIFICATE_FILE}'
ssl_key_file = '{KEY_FILE}'
ssl_min_protocol_version = 'TLSv1.2'
SETTINGS
)
"
    )
}
