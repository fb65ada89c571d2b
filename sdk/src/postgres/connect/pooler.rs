//! The recognition of a pooler, whose sessions other clients share.
//!
//! A host name tells some. For the others the number of the process that runs a statement tells: Postgres
//! itself sends it as a part of the cancel key, and a pooler makes up cancel keys of its own. How a
//! server authenticates tells nothing: there are poolers that offer channel binding, and direct
//! servers that do not.

use postgres_protocol::message::backend::DataRowBody;

use fallible_iterator::FallibleIterator as _;

use crate::config::Pooler;
use crate::credentials::DatabaseUrl;
use crate::postgres::connect::startup::CancelKey;
use crate::postgres::stage_mark;

/// Returns whether the server is a pooler. `None` where only a statement tells.
pub(super) fn is_pooler(setting: Pooler, url: &DatabaseUrl) -> Option<bool> {
    match setting {
        Pooler::Auto if url.names_pooler => Some(true),
        Pooler::Auto if url.names_direct => Some(false),
        Pooler::Auto => None,
        Pooler::Always => Some(true),
        Pooler::Never => Some(false),
    }
}

/// Builds the query that tells, for a server that is ready: [`early_query`] by itself. Its first
/// column is the stage mark, which needs a round trip there in any case.
///
/// [`early_query`]: crate::postgres::connect::startup::session_params::early_query
pub(super) fn query() -> String {
    format!(
        "SELECT ({}), pg_catalog.pg_backend_pid()",
        stage_mark::SETTINGS
    )
}

/// Warning of a pooler that only its cancel keys give away.
pub(super) const NOTICE: &str = "counts as a transaction pooler, since its cancel key is not that of \
    the process that runs the statements: the SDK sets no time limits in its sessions and prepares \
    nothing there. Set STAGELINK_POOLER=always to confirm that, or STAGELINK_POOLER=never if each \
    client has a session of its own";

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
    fn name_tells_without_a_statement() {
        let url = |host| DatabaseUrl::parse(&format!("postgres://u:p@{host}/d"), "a test").unwrap();
        for (setting, host, expected) in [
            (Pooler::Auto, "h", None),
            (Pooler::Auto, "a-pooler.neon.tech", Some(true)),
            (Pooler::Auto, "a.neon.tech", Some(false)),
            (Pooler::Always, "h", Some(true)),
            (Pooler::Always, "a.neon.tech", Some(true)),
            (Pooler::Never, "a-pooler.neon.tech", Some(false)),
        ] {
            let found = is_pooler(setting, &url(host));
            assert_eq!(found, expected, "{setting:?} {host}");
        }
    }
}
