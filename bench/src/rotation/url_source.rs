//! The sources to have a database's URL that are compared.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// A source for a function to have the URL of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UrlSource {
    /// With stagelink: sealed at deploy time, asked for again when it has gone stale.
    Stagelink,
    /// Asked for, and kept for some time.
    CachedUrl,
    /// Copied into the function's environment.
    CopiedUrl,
}

/// What a function may know of where its database is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatabaseLocation<'a> {
    pub(crate) database_url: &'a str,
    pub(crate) heroku_url: &'a str,
    pub(crate) heroku_token: &'a str,
    pub(crate) cache: Duration,
}

impl UrlSource {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Stagelink, Self::CachedUrl, Self::CopiedUrl];

    /// As a person calls it.
    pub(crate) fn title(self, cache: Duration) -> String {
        match self {
            Self::Stagelink => "stagelink".to_owned(),
            Self::CachedUrl => format!("{} s cache", cache.as_secs()),
            Self::CopiedUrl => "copied URL".to_owned(),
        }
    }

    /// The program of the function that takes this source.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Stagelink => "guestbook",
            Self::CachedUrl => "cached-url",
            Self::CopiedUrl => "copied-url",
        }
    }

    /// The variables of that function.
    pub(crate) fn variables(self, known: DatabaseLocation<'_>) -> BTreeMap<String, String> {
        let url = known.database_url;
        let variables = match self {
            Self::Stagelink => vec![
                ("STAGELINK_STAGE", "staging".to_owned()),
                ("STAGELINK_CREDENTIALS", format!("staging={url}")),
                ("STAGELINK_HEROKU_PIPELINE", PIPELINE.to_owned()),
                ("STAGELINK_HEROKU_API_URL", known.heroku_url.to_owned()),
                ("HEROKU_API_KEY", known.heroku_token.to_owned()),
            ],
            Self::CachedUrl => vec![
                ("CACHE_SECONDS", known.cache.as_secs().to_string()),
                ("HEROKU_APP", APP.to_owned()),
                ("HEROKU_API_URL", known.heroku_url.to_owned()),
                ("HEROKU_API_KEY", known.heroku_token.to_owned()),
            ],
            Self::CopiedUrl => vec![("DATABASE_URL", url.to_owned())],
        };
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// The pipeline on the local Heroku, and its app in the stage staging.
pub(crate) const PIPELINE: &str = "guestbook";
pub(crate) const APP: &str = "guestbook-staging";
