//! Answers about deploys: each is compared with what was asked for, since a cache, a proxy or a login page
//! before Netlify answers, too.

use serde::Deserialize;

use crate::api::Response;
use crate::error::{Error, ErrorKind};
use crate::netlify::Site;
use crate::netlify::deploy::Deploy;

impl Site {
    /// Reads the answer about the deploy with this id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] for an answer of another form, or about another deploy or site.
    pub(super) fn read_deploy(
        &self,
        response: &Response,
        id: &str,
        action: &str,
    ) -> Result<Deploy, Error> {
        let deploy = self.of_this_site(self.api.read(response, action)?, action)?;
        match deploy.id == id {
            true => Ok(deploy),
            false => Err(is_about(action, &format!("the deploy {}", deploy.id))),
        }
    }

    /// Reads the answer to the creation of a deploy with this title.
    ///
    /// # Errors
    ///
    /// Those of [`read_deploy`](Self::read_deploy).
    pub(super) fn read_new_deploy(
        &self,
        response: &Response,
        title: &str,
        action: &str,
    ) -> Result<Deploy, Error> {
        let deploy = self.of_this_site(self.api.read(response, action)?, action)?;
        match deploy.title.as_deref().is_none_or(|of| of == title) {
            true => Ok(deploy),
            false => Err(is_about(action, &format!("the deploy {}", deploy.id))),
        }
    }

    /// Reads a list of deploys of this site.
    ///
    /// # Errors
    ///
    /// Those of [`read_deploy`](Self::read_deploy).
    pub(super) fn read_deploys(
        &self,
        response: &Response,
        action: &str,
    ) -> Result<Vec<Deploy>, Error> {
        let deploys: Vec<Deploy> = self.api.read(response, action)?;
        let deploys = deploys.into_iter();
        deploys
            .map(|deploy| self.of_this_site(deploy, action))
            .collect()
    }

    /// Reads the published deploy from the answer about this site.
    ///
    /// # Errors
    ///
    /// Those of [`read_deploy`](Self::read_deploy).
    pub(super) fn read_published(
        &self,
        response: &Response,
        action: &str,
    ) -> Result<Option<Deploy>, Error> {
        let site: PublishedJson = self.api.read(response, action)?;
        if site.id != self.id {
            return Err(self.is_about_site(action, &site.id));
        }
        let published = site.published_deploy;
        published
            .map(|deploy| self.of_this_site(deploy, action))
            .transpose()
    }

    /// Returns a deploy, unless it says that it belongs to another site.
    fn of_this_site(&self, deploy: Deploy, action: &str) -> Result<Deploy, Error> {
        match &deploy.site_id {
            Some(site) if *site != self.id => Err(self.is_about_site(action, site)),
            _ => Ok(deploy),
        }
    }

    fn is_about_site(&self, action: &str, site: &str) -> Error {
        is_about(action, &format!("the site {}", self.api.one_line(site)))
    }
}

/// Returns the error for an answer about something else than what was asked for.
pub(super) fn is_about(action: &str, other: &str) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("could not {action}: Netlify answered about {other}"),
    )
}

/// An answer without the members is of something before Netlify, and says nothing of what is published.
#[derive(Deserialize)]
struct PublishedJson {
    id: String,
    #[serde(deserialize_with = "Option::deserialize")]
    published_deploy: Option<Deploy>,
}

#[cfg(test)]
mod tests;
