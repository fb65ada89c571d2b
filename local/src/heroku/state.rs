//! The state of the stand-in: one account and everything in it, in memory.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::Account;
use super::addons::Addon;
use super::apps::App;
use super::attachments::Attachment;
use super::pipelines::{Coupling, Pipeline};
use super::review_apps::ReviewApp;

/// All that the account has. What can be done with it stands in the file of each resource.
pub(super) struct Cloud {
    pub(super) account: Account,
    pub(super) catalog: Catalog,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) apps: Vec<App>,
    pub(super) couplings: Vec<Coupling>,
    pub(super) review_apps: Vec<ReviewApp>,
    pub(super) addons: Vec<Addon>,
    pub(super) attachments: Vec<Attachment>,
}

/// What Heroku offers and every app refers to: each with an id and a name.
pub(super) struct Catalog {
    pub(super) generation: Named,
    pub(super) region: Named,
    pub(super) stack: Named,
    pub(super) addon_service: Named,
    pub(super) plan: Named,
}

/// Something with an id and a name that never change.
pub(super) struct Named {
    pub(super) id: Uuid,
    pub(super) name: &'static str,
}

impl Cloud {
    /// An account with nothing in it.
    pub(super) fn new() -> Self {
        Self {
            account: Account::new(),
            catalog: Catalog {
                generation: Named::new("cedar"),
                region: Named::new("us"),
                // The stack that Heroku recommends (heroku/base-images, 2026-07-14).
                stack: Named::new("heroku-26"),
                addon_service: Named::new("heroku-postgresql"),
                plan: Named::new("heroku-postgresql:essential-0"),
            },
            pipelines: Vec::new(),
            apps: Vec::new(),
            couplings: Vec::new(),
            review_apps: Vec::new(),
            addons: Vec::new(),
            attachments: Vec::new(),
        }
    }
}

impl Named {
    fn new(name: &'static str) -> Self {
        Self {
            id: Uuid::new_v4(),
            name,
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({"id": self.id, "name": self.name})
    }
}

/// Whether a resource with this id and name is the one that is asked for.
pub(super) fn is(id: Uuid, name: &str, asked: &str) -> bool {
    name == asked || Uuid::try_parse(asked).is_ok_and(|asked| asked == id)
}

/// A time as the API writes it: UTC, to the second.
pub(super) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether a name is made of `a-z`, `0-9` and `-`, begins with a letter and has a
/// length in the range.
pub(super) fn is_name(name: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
