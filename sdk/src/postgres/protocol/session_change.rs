//! The statements that change their session, recognised by their text: a warning behind
//! transaction poolers, where a session belongs to all clients.
//!
//! Text does not show what a function, a trigger or a view does, so nothing else depends on this.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::postgres::protocol::frames::Frames;

/// The watch on one connection. It reads a text that recurs once.
pub(super) struct SessionChangeWatch {
    statements: Frames,
    /// Hashes of messages whose statements change nothing.
    harmless: HashSet<u64>,
    hasher: RandomState,
}

impl Default for SessionChangeWatch {
    fn default() -> Self {
        Self {
            statements: Frames::of_statements(),
            harmless: HashSet::new(),
            hasher: RandomState::new(),
        }
    }
}

impl SessionChangeWatch {
    /// Inspects bytes of the driver, and logs the warning where a statement needs it.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Self {
            statements,
            harmless,
            hasher,
        } = self;
        statements.feed(bytes, |tag, body| {
            if !matches!(tag, b'Q' | b'P') || harmless.contains(&hasher.hash_one(body)) {
                return;
            }
            warn_of_session_change(tag, body);
            if harmless.len() >= MOST {
                harmless.clear();
            }
            harmless.insert(hasher.hash_one(body));
        });
    }
}

/// More texts than a function has.
const MOST: usize = 256;

/// Logs a warning, once per process, if a message sends a statement that changes its session.
/// `tag` and `body` are those of a Query or Parse.
fn warn_of_session_change(tag: u8, body: &[u8]) {
    let text = match tag {
        b'Q' => Some(body),
        // The statement's name comes first.
        b'P' => body
            .iter()
            .position(|byte| *byte == 0)
            .map(|end| &body[end + 1..]),
        _ => None,
    };
    let text = text.and_then(|text| text.split(|byte| *byte == 0).next());
    let change = text.and_then(|text| session_change(&String::from_utf8_lossy(text)));
    if let Some(change) = change
        && !has_warned()
        && !WARNED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(
            change,
            "a statement changes its session behind a transaction pooler: the next statement may \
             run in another session, and another client gets this one. Use SET LOCAL inside of a \
             transaction, or Database::transaction_with"
        );
    }
}

/// Returns whether the warning was logged, so that no more statements need be read.
pub(super) fn has_warned() -> bool {
    WARNED.load(Ordering::Relaxed)
}

static WARNED: AtomicBool = AtomicBool::new(false);

/// Returns the kind of change that a statement of the text makes to its session, if it does.
fn session_change(text: &str) -> Option<&'static str> {
    without_literals(text).split(';').find_map(change)
}

/// Returns the change of one statement, which is in lower case and has no literals.
fn change(statement: &str) -> Option<&'static str> {
    let mut words = statement.split_whitespace();
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    let has = |part: &str| statement.contains(part);
    match first {
        "set" if !matches!(second, "local" | "transaction" | "constraints") => return Some("SET"),
        "listen" => return Some("LISTEN"),
        "prepare" if second != "transaction" => return Some("PREPARE"),
        "declare" if has(" with hold") => return Some("DECLARE … WITH HOLD"),
        "create" if (has(" temp ") || has(" temporary ")) && !has(" on commit drop") => {
            return Some("CREATE TEMP");
        }
        _ => {}
    }
    if has(" into temp ") || has(" into temporary ") {
        return Some("SELECT … INTO TEMP");
    }
    if has("pg_advisory_lock") || has("pg_try_advisory_lock") {
        return Some("pg_advisory_lock()");
    }
    let mut calls = statement.split("set_config").skip(1);
    calls
        .any(|call| arguments(call).contains("false"))
        .then_some("set_config(…, false)")
}

/// Returns the arguments of a call from the text behind the function's name.
fn arguments(call: &str) -> &str {
    let mut depth = 0_u32;
    let end = call.find(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ')' && depth == 0
    });
    &call[..end.unwrap_or(call.len())]
}

/// Returns the text in lower case without comments, and with nothing between the quotes of its
/// literals.
pub(super) fn without_literals(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    let mut code = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let skipped = match c {
            '\'' => after.split_once('\'').map(|(_, after)| after),
            '-' if after.starts_with('-') => {
                Some(after.split_once('\n').map_or("", |(_, after)| after))
            }
            '/' if after.starts_with('*') => after.split_once("*/").map(|(_, after)| after),
            '$' => dollar_tag(after).and_then(|tag| {
                let body = &after[tag.len() + 1..];
                let end = format!("${tag}$");
                body.split_once(&end).map(|(_, after)| after)
            }),
            c => {
                code.push(c);
                rest = after;
                continue;
            }
        };
        // The sign itself is left where nothing ends what it begins, as in `$1`.
        code.push(if skipped.is_some() { ' ' } else { c });
        rest = skipped.unwrap_or(after);
    }
    code
}

/// Returns the tag of a dollar quote whose first sign has been read.
fn dollar_tag(after: &str) -> Option<&str> {
    let (tag, _) = after.split_once('$')?;
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_that_changes_its_session_is_recognised() {
        for (text, expected) in [
            ("SET statement_timeout = 0", "SET"),
            ("  -- why\n/* a */ set\n role other", "SET"),
            ("SELECT 1; SET SESSION work_mem TO 1", "SET"),
            (
                "SELECT set_config('app.tenant', $1, false)",
                "set_config(…, false)",
            ),
            (
                "SELECT pg_catalog.SET_CONFIG($1, $2, FALSE), 1",
                "set_config(…, false)",
            ),
            (
                "SELECT set_config('a', lower($1), false), 1",
                "set_config(…, false)",
            ),
            ("LISTEN news", "LISTEN"),
            ("SELECT pg_advisory_lock($1)", "pg_advisory_lock()"),
            (
                "SELECT pg_try_advisory_lock_shared(1)",
                "pg_advisory_lock()",
            ),
            ("CREATE TEMP TABLE a (b int)", "CREATE TEMP"),
            (
                "create or replace temporary view a as select 1",
                "CREATE TEMP",
            ),
            ("SELECT 1 AS a INTO TEMP b", "SELECT … INTO TEMP"),
            ("PREPARE a AS SELECT 1", "PREPARE"),
            (
                "BEGIN; DECLARE a CURSOR WITH HOLD FOR SELECT 1",
                "DECLARE … WITH HOLD",
            ),
        ] {
            assert_eq!(session_change(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn statement_that_changes_only_its_transaction_or_nothing_is_let_pass() {
        for text in [
            "",
            ";;",
            "SELECT 1",
            "BEGIN; SET LOCAL statement_timeout TO 1; SET TRANSACTION READ ONLY",
            "SET CONSTRAINTS ALL DEFERRED",
            "UPDATE a SET b = 'c; SET d'",
            "INSERT INTO a VALUES ('it''s; LISTEN', $1, $$; SET b$$, $x$; SET c$x$)",
            "SELECT set_config('app.tenant', $1, true)",
            "SELECT set_config($1, 'false', true)",
            "SELECT set_config($1, $2, true), paid = false FROM orders",
            "CREATE TEMP TABLE a (b int) ON COMMIT DROP",
            "SELECT pg_advisory_xact_lock(1)",
            "PREPARE TRANSACTION 'a'",
            "BEGIN; DECLARE a CURSOR FOR SELECT 1",
            "SELECT pg_catalog.set_config(name, value, true) FROM unnest($1, $2) AS setting (name)",
            "-- SET a\nSELECT 1 -- ; SET b",
            "SELECT '",
        ] {
            assert_eq!(session_change(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn first_statement_behind_a_pooler_is_warned_of_once_and_not_quoted() {
        use std::sync::{Arc, Mutex};

        use tokio::io::AsyncWriteExt as _;
        use tracing_subscriber as subscriber;

        use crate::postgres::protocol::Tapped;

        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Log {
            fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(text);
                Ok(text.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        let log = Log::default();
        let writer = log.clone();
        let to_log = subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        let _logs = tracing::subscriber::set_default(to_log);
        let message = |tag: u8, body: &str| {
            let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
            [&[tag][..], &length, body.as_bytes()].concat()
        };
        let (mut stream, tap) = Tapped::new(tokio::io::sink(), usize::MAX);
        stream.write_all(&4_u32.to_be_bytes()).await.unwrap();
        stream
            .write_all(&message(b'Q', "SET a TO b\0"))
            .await
            .unwrap();
        assert!(log.0.lock().unwrap().is_empty(), "not behind a pooler");
        tap.warn_of_session_changes();
        for part in message(b'P', "\0SELECT set_config('a', 'secret', false)\0\0\0").chunks(7) {
            stream.write_all(part).await.unwrap();
        }
        stream
            .write_all(&message(b'Q', "SET a TO 'secret'\0"))
            .await
            .unwrap();
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("WARN").count(), 1, "{text}");
        assert!(
            text.contains("SET LOCAL") && text.contains("set_config"),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_borne(text: String, body: Vec<u8>) {
            session_change(&text);
            session_change(&format!("'{text}$a${text}--{text}"));
            warn_of_session_change(b'P', &body);
        }
    }
}
