//! The resources of an account, as they are stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::release_output::ReleaseOutput;
use super::stage::Stage;
use crate::api::DatabaseUrl;

/// The account's only user.
pub(super) struct User {
    pub(super) id: Uuid,
    pub(super) created_at: Timestamp,
}

impl User {
    /// E-mail address of the user, in a reserved domain.
    pub(super) const EMAIL: &'static str = "local@stagelink.example";

    pub(super) fn new() -> Self {
        Self {
            id: Uuid::new_v4(),
            created_at: Timestamp::now(),
        }
    }

    /// JSON of the user as the owner or author of another resource.
    pub(super) fn identity(&self) -> Value {
        json!({"id": self.id, "email": Self::EMAIL})
    }
}

/// An app. Its config vars and releases hold secrets, so it has no `Debug`.
pub(super) struct App {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) config: ConfigVars,
    /// By version, the oldest first; never empty.
    pub(super) releases: Vec<Release>,
    pub(super) created_at: Timestamp,
}

impl App {
    /// JSON of the app as other resources refer to it.
    pub(super) fn identity(&self) -> Value {
        json!({"id": self.id, "name": self.name})
    }
}

/// The config vars of an app. Their values are secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub(super) struct ConfigVars(pub(super) BTreeMap<String, String>);

impl ConfigVars {
    pub(super) fn json(&self) -> Value {
        json!(self.0)
    }
}

/// A release with the config vars of its time, which hold secrets, so it has no `Debug`.
pub(super) struct Release {
    pub(super) id: Uuid,
    pub(super) version: u64,
    pub(super) description: String,
    pub(super) config: ConfigVars,
    pub(super) plans: Vec<&'static str>,
    /// The slug, once one has been deployed or promoted.
    pub(super) slug: Option<Uuid>,
    pub(super) status: ReleaseStatus,
    /// Output of the release phase, if the release has one.
    pub(super) output: Option<ReleaseOutput>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// Status of a release. The one that Heroku has besides, `expired`, needs 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReleaseStatus {
    Pending,
    Succeeded,
    Failed,
}

impl ReleaseStatus {
    /// Name of the status in the API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A pipeline.
pub(super) struct Pipeline {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) created_at: Timestamp,
}

/// A pipeline coupling, which puts an app into a stage of a pipeline.
pub(super) struct Coupling {
    pub(super) id: Uuid,
    pub(super) app: Uuid,
    pub(super) pipeline: Uuid,
    pub(super) stage: Stage,
    pub(super) created_at: Timestamp,
}

/// A promotion of an app's release to other apps of its pipeline.
pub(super) struct Promotion {
    pub(super) id: Uuid,
    pub(super) pipeline: Uuid,
    pub(super) source: Uuid,
    pub(super) release: Uuid,
    pub(super) targets: Vec<PromotionTarget>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// An app that a promotion brings a slug to.
pub(super) struct PromotionTarget {
    pub(super) id: Uuid,
    pub(super) app: Uuid,
    /// The app's new release. The target has none if the user has no access to the app.
    pub(super) release: Option<Uuid>,
    pub(super) status: TargetStatus,
}

/// Status of a promotion's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TargetStatus {
    Pending,
    Succeeded,
    /// It has the error message.
    Failed(String),
}

/// A review app.
pub(super) struct ReviewApp {
    pub(super) id: Uuid,
    pub(super) pipeline: Uuid,
    pub(super) app: Option<Uuid>,
    pub(super) pull_request: u64,
    pub(super) status: ReviewStatus,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// Status of a review app, by Heroku's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewStatus {
    /// `pending`: Heroku has accepted the request for it.
    Pending,
    /// `creating`: Heroku is setting up its app.
    Creating,
    /// `created`: its app is ready.
    Created,
    /// `deleting`: Heroku is deleting its app.
    Deleting,
    /// `deleted`: its app is deleted.
    Deleted,
    /// `errored`: creating it failed.
    Errored,
}

impl ReviewStatus {
    /// Name of the status in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Errored => "errored",
        }
    }
}

/// An add-on: a Postgres database with the plan `heroku-postgresql:essential-0`.
pub(super) struct Addon {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// The app that is billed for it, here the only app that it is attached to.
    pub(super) app: Uuid,
    pub(super) url: DatabaseUrl,
    /// Id of the default credential in the data API.
    pub(super) credential: Uuid,
    pub(super) created_at: Timestamp,
}

/// An attachment, which gives an app the URL of an add-on as the config var `<name>_URL`.
pub(super) struct Attachment {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) app: Uuid,
    pub(super) addon: Uuid,
    pub(super) created_at: Timestamp,
}

impl Attachment {
    pub(super) fn new(name: String, app: Uuid, addon: Uuid) -> Self {
        Self {
            id: Uuid::new_v4(),
            name,
            app,
            addon,
            created_at: Timestamp::now(),
        }
    }

    /// Name of the config var.
    pub(super) fn config_var(&self) -> String {
        format!("{}_URL", self.name)
    }
}
