//! The releases of an app, by which Heroku tells when its config vars changed.

use jiff::Timestamp;
use reqwest::header::{HeaderValue, RANGE};
use serde::Deserialize;

use super::{Heroku, Named};
use crate::api::Request;
use crate::error::Error;

/// A release that changed the URL of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UrlChange {
    /// The app's name, where Heroku tells it.
    pub(crate) app: Option<String>,
    /// The number of the release, as in `v12`.
    pub(crate) version: u64,
    pub(crate) at: Timestamp,
}

impl Heroku {
    /// Returns the newest release of an app that changed a config var with the URL of a database, among its
    /// newest 100: a rotation, a failover, another add-on, or a value by hand.
    ///
    /// # Errors
    ///
    /// Those of the request.
    pub(crate) async fn last_url_change(
        &self,
        app: &str,
        config_var: &str,
    ) -> Result<Option<UrlChange>, Error> {
        let action = format!("read the releases of the app {app}");
        let newest = HeaderValue::from_static("version ..; order=desc, max=100");
        let request = Request {
            path: &["apps", app, "releases"],
            header: Some((RANGE, newest)),
            ..Request::default()
        };
        let response = self.api.send(request, &action).await?;
        let releases: Vec<Release> = self.api.read(&response, &action)?;
        Ok(newest_change(&releases, config_var))
    }
}

#[derive(Deserialize)]
struct Release {
    version: Option<u64>,
    created_at: Option<Timestamp>,
    description: Option<String>,
    app: Option<Named>,
}

fn newest_change(releases: &[Release], config_var: &str) -> Option<UrlChange> {
    let changes = releases.iter().filter_map(|release| {
        let is_one = changes_url(release.description.as_deref()?, config_var);
        let app = release.app.as_ref().map(|app| app.name.clone());
        is_one.then_some(UrlChange {
            app,
            version: release.version?,
            at: release.created_at?,
        })
    });
    changes.max_by_key(|change| change.version)
}

/// Returns whether a release with this description changed the URL: `Update DATABASE by heroku-postgresql`,
/// `Attach DATABASE (@postgresql-flat-1)` or `Set DATABASE_URL config vars`.
fn changes_url(description: &str, config_var: &str) -> bool {
    let name = config_var.strip_suffix("_URL").unwrap_or(config_var);
    let of_addon = ["Update", "Attach", "Promote"].iter().any(|verb| {
        let rest = description
            .strip_prefix(verb)
            .and_then(|rest| rest.strip_prefix(' '));
        let rest = rest.and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    let mut words = description.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    of_addon || words.any(|word| word == config_var)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_release_that_changed_the_url_is_told_and_a_deploy_is_none() {
        let json = r#"[
            {"version":4,"created_at":"2026-11-04T00:00:00Z","description":"Deploy 1a2b3c4"},
            {"version":2,"created_at":"2026-11-02T00:00:00Z",
             "description":"Update DATABASE by heroku-postgresql","app":{"name":"shop"}},
            {"version":3,"created_at":"2026-11-03T00:00:00Z",
             "description":"Update DATABASE_GREEN by heroku-postgresql"},
            {"version":1,"created_at":"2026-11-01T00:00:00Z","description":"Attach DATABASE (@x)"},
            {"version":null,"created_at":null,"description":null}]"#;
        let releases: Vec<Release> = serde_json::from_str(json).unwrap();
        let change = newest_change(&releases, "DATABASE_URL").unwrap();
        assert_eq!((change.version, change.app.as_deref()), (2, Some("shop")));
        assert_eq!(change.at.to_string(), "2026-11-02T00:00:00Z");
        assert_eq!(newest_change(&releases, "OTHER_URL"), None);
        assert!(changes_url("Set DATABASE_URL config vars", "DATABASE_URL"));
        assert!(!changes_url(
            "Set MY_DATABASE_URL config vars",
            "DATABASE_URL"
        ));
    }
}
