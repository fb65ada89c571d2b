//! The search for a site by its name.

use serde::Deserialize as _;
use serde_json::Value as Json;

use crate::api::Api;
use crate::error::{Error, ErrorKind};
use crate::netlify::{SiteJson, answers};

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
        let list = api.get(&["sites"], &query, action).await?;
        let list: Vec<Json> = api.read(&list, action)?;
        if let Some(found) = named(&list, site) {
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

/// Returns the site of exactly this name.
fn named<'a>(list: &'a [Json], site: &str) -> Option<&'a Json> {
    list.iter().find(|found| found["name"] == site)
}

/// Makes sure that an answer is about the site that was asked for, by its name or id. Netlify also finds a
/// site by its domain, which no member of the answer has to repeat.
///
/// # Errors
///
/// [`ErrorKind::Refused`], with the site that was found.
pub(super) fn ensure_found(found: &SiteJson, site: &str, action: &str) -> Result<(), Error> {
    let is_named = |text: &str| text.eq_ignore_ascii_case(site);
    let is_asked_for = is_named(&found.id) || found.name.as_deref().is_some_and(is_named);
    match is_asked_for || site.contains('.') {
        true => Ok(()),
        false => {
            let name = found.name.as_deref().unwrap_or(&found.id);
            let name = stagelink::one_line(name);
            Err(answers::is_about(action, &format!("the site {name}")))
        }
    }
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

#[cfg(test)]
mod tests {
    use stagelink_local::netlify_api::NetlifyApi;

    use super::*;
    use crate::api::ApiAccess;
    use crate::netlify::NETLIFY;

    #[test]
    fn other_sites_may_be_of_any_form() {
        let list = serde_json::json!([null, {"name": null}, {"id": 1}, {"name": "shop-2"}, {"name": "shop"}]);
        let list: Vec<Json> = serde_json::from_value(list).unwrap();
        assert_eq!(named(&list, "shop"), Some(&list[4]));
        assert_eq!(named(&list, "sho"), None);
    }

    #[tokio::test]
    async fn site_is_found_behind_those_whose_names_hold_its_name() {
        let netlify = NetlifyApi::start(0).await.unwrap();
        for number in 0..2 * PAGE {
            netlify.create_site(&format!("shop-{number}")).unwrap();
        }
        let token = netlify.token().to_owned();
        let access = ApiAccess::new(netlify.url(), token.into(), "NETLIFY_AUTH_TOKEN");
        let api = Api::new(&NETLIFY, &access).unwrap();
        assert!(find(&api, "shop", "find it").await.unwrap().is_none());
        netlify.create_site("shop").unwrap();
        let found = find(&api, "shop", "find it").await.unwrap();
        assert_eq!(found.and_then(|found| found.name).as_deref(), Some("shop"));
    }

    #[test]
    fn text_that_may_hold_a_secret_is_no_name() {
        for text in [
            "postgres://u:pa/c4n4ry@h/d",
            "https://c4n4ry.netlify.app",
            "password=c4n4ry",
        ] {
            let error = ensure_name(text).unwrap_err().report();
            assert!(!error.contains("c4n4ry"), "{error}");
        }
        ensure_name("shop-1").unwrap();
    }
}
