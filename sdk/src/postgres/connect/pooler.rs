//! The recognition of a pooler, whose sessions other clients share.
//!
//! A name or an offer of channel binding tells most servers apart. Some poolers offer channel binding
//! too: without a name that tells, they need `STAGELINK_POOLER=always`. A server that offers none may be
//! a pooler, but also one that asks for an MD5 hash, a password or nothing, or one behind a proxy
//! that terminates TLS. Then the number of the process that runs a statement tells: Postgres itself
//! sends it as a part of the cancel key, and a pooler makes up cancel keys of its own.

use postgres_protocol::message::backend::DataRowBody;

use fallible_iterator::FallibleIterator as _;

use crate::config::Pooler;
use crate::credentials::DatabaseUrl;
use crate::postgres::connect::startup::{CancelKey, SaslMechanisms};
use crate::postgres::stage_mark;

/// Returns whether the server is a pooler. `None` where only a statement tells.
pub(super) fn is_pooler(
    setting: Pooler,
    url: &DatabaseUrl,
    mechanisms: SaslMechanisms,
) -> Option<bool> {
    match setting {
        Pooler::Auto if url.names_pooler => Some(true),
        // Wrong for a pooler that offers channel binding: it needs `Pooler::Always`.
        Pooler::Auto => mechanisms.scram_plus.then_some(false),
        Pooler::Always => Some(true),
        Pooler::Never => Some(false),
    }
}

/// Builds the query that tells. Its first column is the stage mark, which needs a round trip there
/// in any case.
pub(super) fn query() -> String {
    format!(
        "SELECT ({}), pg_catalog.pg_backend_pid()",
        stage_mark::SETTINGS
    )
}

/// Returns whether the row that answers the query is from a pooler's session.
pub(super) fn is_of_pooler(row: &DataRowBody, key: CancelKey) -> bool {
    let pid = row.ranges().nth(1).ok().flatten().flatten();
    let pid = pid.and_then(|range| row.buffer().get(range));
    let pid = pid.and_then(|pid| std::str::from_utf8(pid).ok()?.parse().ok());
    pid != Some(key.process_id)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use postgres_protocol::message::backend::Message;

    use super::*;

    fn row(columns: &[Option<&str>]) -> DataRowBody {
        let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
        for column in columns {
            let length = column.map_or(-1, |text| i32::try_from(text.len()).unwrap());
            body.extend(length.to_be_bytes());
            body.extend(column.unwrap_or_default().as_bytes());
        }
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        let mut message = BytesMut::from(&[&b"D"[..], &length, &body].concat()[..]);
        match Message::parse(&mut message).unwrap() {
            Some(Message::DataRow(row)) => row,
            _ => panic!("not a row"),
        }
    }

    #[test]
    fn session_of_the_process_in_the_cancel_key_is_direct() {
        let key = CancelKey {
            process_id: 4711,
            secret_key: 1,
        };
        assert!(!is_of_pooler(&row(&[None, Some("4711")]), key));
        for columns in [
            &[None, Some("4712")][..],
            &[None, Some("-4711")],
            &[Some("4711"), None],
            &[Some("4711")],
            &[],
        ] {
            assert!(is_of_pooler(&row(columns), key), "{columns:?}");
        }
        // A pooler that sends no cancel key.
        let none = CancelKey::default();
        assert!(is_of_pooler(&row(&[None, Some("4711")]), none));
    }

    #[test]
    fn name_or_channel_binding_tells_without_a_statement() {
        let url = |host| DatabaseUrl::parse(&format!("postgres://u:p@{host}/d"), "a test").unwrap();
        let offers = |scram_plus| SaslMechanisms {
            scram_plus,
            scram: true,
        };
        for (setting, host, scram_plus, expected) in [
            (Pooler::Auto, "h", true, Some(false)),
            (Pooler::Auto, "h", false, None),
            (Pooler::Auto, "a-pooler.neon.tech", true, Some(true)),
            (Pooler::Auto, "a-pooler.neon.tech", false, Some(true)),
            (Pooler::Always, "h", true, Some(true)),
            (Pooler::Never, "a-pooler.neon.tech", false, Some(false)),
        ] {
            let found = is_pooler(setting, &url(host), offers(scram_plus));
            assert_eq!(found, expected, "{setting:?} {host} {scram_plus}");
        }
    }
}
