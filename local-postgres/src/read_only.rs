//! The setting that makes the transactions of a database read-only by default.

use postgres_protocol::escape::escape_identifier;

/// Returns the statement that sets it for a database, or resets it.
pub(crate) fn change(database: &str, is_read_only: bool) -> String {
    let change = match is_read_only {
        true => "set default_transaction_read_only = on",
        false => "reset default_transaction_read_only",
    };
    format!("alter database {} {change}", escape_identifier(database))
}
