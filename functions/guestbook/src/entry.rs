//! An entry of the guestbook: its limits, and its storage.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stagelink::params;
use tokio_postgres::{Client, Row};

/// Stored entry.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Entry {
    id: i64,
    name: String,
    message: String,
    created_at: Timestamp,
}

/// A valid entry, before it is stored.
#[derive(Debug)]
pub(crate) struct NewEntry {
    name: String,
    message: String,
}

/// The body of a POST before validation. A missing field counts as empty.
#[derive(Debug, Deserialize)]
pub(crate) struct Draft {
    #[serde(default)]
    name: String,
    #[serde(default)]
    message: String,
}

/// Page of entries, newest first.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    /// Id where the next page starts, if there is one.
    pub(crate) next: Option<i64>,
}

impl Draft {
    /// Validates all fields at once, so that a form can show every error.
    ///
    /// # Errors
    ///
    /// One pair of field and reason for each invalid field.
    pub(crate) fn check(self) -> Result<NewEntry, Vec<(&'static str, String)>> {
        let name = self.name.trim();
        let message = self.message.trim();
        let wrong: Vec<_> = [
            ("name", wrong_with(name, NAME_CHARS, false)),
            ("message", wrong_with(message, MESSAGE_CHARS, true)),
        ]
        .into_iter()
        .filter_map(|(field, reason)| reason.map(|reason| (field, reason)))
        .collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(NewEntry {
            name: name.to_owned(),
            message: message.to_owned(),
        })
    }
}

impl NewEntry {
    /// Stores the entry. One round trip.
    pub(crate) async fn insert(&self, db: &Client) -> Result<Entry, tokio_postgres::Error> {
        let row = db
            .query_typed_one(
                "INSERT INTO guestbook (name, message) VALUES ($1, $2) \
                 RETURNING id, name, message, created_at",
                &params![self.name, self.message],
            )
            .await?;
        Entry::from_row(&row)
    }
}

impl Page {
    /// Reads the entries before the one with the id `before`, or the newest. One round trip.
    pub(crate) async fn read(
        db: &stagelink::Client,
        before: Option<i64>,
        limit: u8,
    ) -> Result<Self, tokio_postgres::Error> {
        let before = before.unwrap_or(i64::MAX);
        // One more row than requested shows whether there is a next page.
        let rows = db
            .query_cached(
                "SELECT id, name, message, created_at FROM guestbook \
                 WHERE id < $1 ORDER BY id DESC LIMIT $2",
                &params![before, i64::from(limit) + 1],
            )
            .await?;
        let mut entries: Vec<Entry> = rows.iter().map(Entry::from_row).collect::<Result<_, _>>()?;
        let more = entries.len() > usize::from(limit);
        entries.truncate(limit.into());
        let next = entries.last().filter(|_| more).map(|entry| entry.id);
        Ok(Self { entries, next })
    }
}

impl Entry {
    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            message: row.try_get(2)?,
            created_at: row.try_get(3)?,
        })
    }
}

fn wrong_with(text: &str, most: usize, lines: bool) -> Option<String> {
    let allowed = |c: char| !c.is_control() || (lines && matches!(c, '\n' | '\r' | '\t'));
    if text.is_empty() {
        Some("is missing or empty".to_owned())
    } else if text.chars().count() > most {
        Some(format!("is longer than {most} characters"))
    } else if !text.chars().all(allowed) {
        Some("holds control characters".to_owned())
    } else {
        None
    }
}

/// Maximum lengths, which the table enforces too.
const NAME_CHARS: usize = 80;
const MESSAGE_CHARS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, message: &str) -> Result<NewEntry, Vec<(&'static str, String)>> {
        Draft {
            name: name.to_owned(),
            message: message.to_owned(),
        }
        .check()
    }

    #[test]
    fn draft_is_trimmed() {
        let entry = check(" Ada ", "hello\nthere ").unwrap();
        assert_eq!(
            (entry.name.as_str(), entry.message.as_str()),
            ("Ada", "hello\nthere")
        );
    }

    #[test]
    fn draft_with_two_wrong_fields_names_both() {
        let wrong = check("  ", &"x".repeat(1001)).unwrap_err();
        assert_eq!(
            wrong,
            [
                ("name", "is missing or empty".to_owned()),
                ("message", "is longer than 1000 characters".to_owned())
            ]
        );
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(check(&"é".repeat(80), "m").is_ok());
        assert!(check(&"é".repeat(81), "m").is_err());
    }

    #[test]
    fn control_characters_are_refused() {
        assert!(check("a\nb", "m").is_err());
        assert!(check("a", "nul \u{0}").is_err());
    }
}
