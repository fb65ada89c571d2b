//! The sources of the database's URL that the demo compares.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// A source from which a function gets the URL of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UrlSource {
    /// stagelink: credentials from deploy time, looked up again when they are stale.
    Stagelink,
    /// A lookup at Heroku's API, cached for a fixed time.
    CachedUrl,
    /// A copy in the function's environment.
    CopiedUrl,
}

/// Information with which a function finds its database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatabaseLocation<'a> {
    pub(crate) database_url: &'a str,
    pub(crate) heroku_url: &'a str,
    pub(crate) heroku_token: &'a str,
    pub(crate) cache: Duration,
}

impl UrlSource {
    /// All sources, in the order of the report.
    pub const ALL: [Self; 3] = [Self::Stagelink, Self::CachedUrl, Self::CopiedUrl];

    /// Title in the report.
    pub(crate) fn title(self, cache: Duration) -> String {
        match self {
            Self::Stagelink => "stagelink".to_owned(),
            Self::CachedUrl => format!("{} s cache", cache.as_secs()),
            Self::CopiedUrl => "copied URL".to_owned(),
        }
    }

    /// The program of the function that uses this source.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Stagelink => "guestbook",
            Self::CachedUrl => "cached-url",
            Self::CopiedUrl => "copied-url",
        }
    }

    /// The environment variables of that function.
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

/// The pipeline on the local Heroku API, and its app in the stage staging.
pub(crate) const PIPELINE: &str = "guestbook";
pub(crate) const APP: &str = "guestbook-staging";
