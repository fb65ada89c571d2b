//! The state of the local Heroku: one account and its resources, in memory.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::records::{Addon, App, Attachment, Coupling, Pipeline, Promotion, ReviewApp, User};

/// The account with its resources. The operations are in the file of each resource.
pub(super) struct Account {
    pub(super) user: User,
    pub(super) catalog: Catalog,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) apps: Vec<App>,
    pub(super) couplings: Vec<Coupling>,
    pub(super) promotions: Vec<Promotion>,
    pub(super) review_apps: Vec<ReviewApp>,
    pub(super) addons: Vec<Addon>,
    pub(super) attachments: Vec<Attachment>,
}

/// Heroku's own resources that every app refers to.
pub(super) struct Catalog {
    pub(super) generation: CatalogItem,
    pub(super) region: CatalogItem,
    pub(super) stack: CatalogItem,
    pub(super) addon_service: CatalogItem,
    pub(super) plan: CatalogItem,
}

/// A resource of the catalog, with a constant id and name.
pub(super) struct CatalogItem {
    pub(super) id: Uuid,
    pub(super) name: &'static str,
}

impl Account {
    /// Creates an account without apps, pipelines and add-ons.
    pub(super) fn new() -> Self {
        Self {
            user: User::new(),
            catalog: Catalog {
                generation: CatalogItem::new("cedar"),
                region: CatalogItem::new("us"),
                // The stack that Heroku recommends (heroku/base-images, 2026-07-14).
                stack: CatalogItem::new("heroku-26"),
                addon_service: CatalogItem::new("heroku-postgresql"),
                plan: CatalogItem::new("heroku-postgresql:essential-0"),
            },
            pipelines: Vec::new(),
            apps: Vec::new(),
            couplings: Vec::new(),
            promotions: Vec::new(),
            review_apps: Vec::new(),
            addons: Vec::new(),
            attachments: Vec::new(),
        }
    }
}

impl CatalogItem {
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

/// Returns whether `id_or_name` is this id or this name.
pub(super) fn matches_id_or_name(id: Uuid, name: &str, id_or_name: &str) -> bool {
    name == id_or_name || Uuid::try_parse(id_or_name).is_ok_and(|given| given == id)
}

/// Formats a time as the API does: UTC, to the second.
pub(super) fn format_timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns whether a name consists of `a-z`, `0-9` and `-`, begins with a letter and has a length
/// in the range.
pub(super) fn is_valid_name(name: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
