//! The search for a site by its name.

use serde::Deserialize as _;
use serde_json::Value as Json;

use crate::api::Api;
use crate::error::{Error, ErrorKind};
use crate::netlify::SiteJson;

/// Finds a site by its exact name among those whose names hold it, which may fill several pages.
/// Other sites may be of any form.
///
/// # Errors
///
/// Those of the requests; [`ErrorKind::Refused`] where the site itself is not of the documented form,
/// or more sites match than are looked through.
pub(super) async fn find(api: &Api, site: &str, action: &str) -> Result<Option<SiteJson>, Error> {
    let size = PAGE.to_string();
    for page in 1..=MOST_PAGES {
        let page = page.to_string();
        let query = [
            ("name", site),
            ("filter", "all"),
            ("page", &page),
            ("per_page", &size),
        ];
        let list = api.get(&["sites"], &query).await?;
        let list: Vec<Json> = api.read(&list, action)?;
        if let Some(found) = list.iter().find(|found| found["name"] == site) {
            let found = SiteJson::deserialize(found);
            return found.map(Some).map_err(|_| {
                let message = format!(
                    "could not {action}: Netlify's description of it is not of the documented form"
                );
                Error::new(ErrorKind::Refused, message)
            });
        }
        if list.len() < PAGE {
            return Ok(None);
        }
    }
    let most = PAGE * MOST_PAGES;
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "could not {action}: it is not among the first {most} sites whose names hold this name; name the site by its id"
        ),
    ))
}

/// Makes sure that a name may be sent and shown: a URL in its place may hold a password.
///
/// # Errors
///
/// [`ErrorKind::Settings`], without the text.
pub(super) fn ensure_name(site: &str) -> Result<(), Error> {
    match site.contains("://") || crate::settings_file::is_secret_text(site) {
        true => Err(Error::new(
            ErrorKind::Settings,
            "the Netlify site is named by a URL or a secret: name it by its name or id, in --site, \
             NETLIFY_SITE_ID, or netlify.site of stagelink.toml",
        )),
        false => Ok(()),
    }
}

/// The number of sites that a request asks for: Netlify's most.
const PAGE: usize = 100;

const MOST_PAGES: usize = 50;
