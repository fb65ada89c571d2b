//! Publishing: which deploy a site's visitors see, the lock that keeps it, and deploys by id or title.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};

use crate::api::Request;
use crate::error::{Error, ErrorKind};
use crate::netlify::Site;
use crate::netlify::deploy::Deploy;

impl Site {
    /// Reads the deploy that the site's visitors see at this moment.
    ///
    /// # Errors
    ///
    /// Those of the request, and [`ErrorKind::Refused`] for an answer of another form.
    pub(crate) async fn read_published_deploy(&self) -> Result<Option<Deploy>, Error> {
        let action = format!("read the published deploy of the site {}", self.name);
        let response = self.persist(of_get(&["sites", &self.id]), &action).await?;
        self.read_published(&response, &action)
    }

    /// Reads a deploy.
    ///
    /// # Errors
    ///
    /// Those of the request, and [`ErrorKind::Refused`] for an answer of another form.
    pub(crate) async fn deploy(&self, id: &str) -> Result<Deploy, Error> {
        let action = format!("read the deploy {id}");
        let path = ["sites", &self.id, "deploys", id];
        let response = self.persist(of_get(&path), &action).await?;
        self.read_deploy(&response, id, &action)
    }

    /// Reads a deploy; `None` where Netlify has it no longer.
    ///
    /// # Errors
    ///
    /// Those of the request, and [`ErrorKind::Refused`] for an answer of another form.
    pub(crate) async fn find_deploy(&self, id: &str) -> Result<Option<Deploy>, Error> {
        let action = format!("read the deploy {id}");
        let path = ["sites", &self.id, "deploys", id];
        let response = self.persist(of_get(&path), &action).await?;
        match response.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => self.read_deploy(&response, id, &action).map(Some),
        }
    }

    /// Returns the ready deploys of the production context that were made after a moment, in the format
    /// of RFC 3339, among the site's newest 100.
    ///
    /// # Errors
    ///
    /// Those of the request, and [`ErrorKind::Refused`] for an answer of another form.
    pub(crate) async fn production_deploys_since(&self, since: &str) -> Result<Vec<Deploy>, Error> {
        let action = format!("read the deploys of the site {}", self.name);
        let size = PAGE.to_string();
        let request = Request {
            path: &["sites", &self.id, "deploys"],
            query: &[
                ("production", "true"),
                ("state", "ready"),
                ("per_page", &size),
            ],
            ..Request::default()
        };
        let response = self.persist(request, &action).await?;
        let mut deploys = self.read_deploys(&response, &action)?;
        let moment = |text: &str| text.parse::<Timestamp>().ok();
        deploys.retain(|deploy| {
            let made = deploy.created_at.as_deref().and_then(moment);
            made > moment(since)
        });
        Ok(deploys)
    }

    /// Returns the address of the site's production context, without a trailing slash.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where Netlify does not tell it.
    pub(crate) fn address(&self) -> Result<String, Error> {
        let address = self.address.as_deref().map(|url| url.trim_end_matches('/'));
        address.map(str::to_owned).ok_or_else(|| {
            let message = format!(
                "Netlify does not tell the address of the site {}",
                self.name
            );
            Error::new(ErrorKind::Refused, message)
        })
    }

    /// Returns the number of requests that were sent to Netlify's API so far.
    pub(crate) fn requests(&self) -> u64 {
        self.api.requests()
    }

    /// Returns the deploys of this title, the newest first, among the site's newest 500.
    ///
    /// # Errors
    ///
    /// Those of the requests, and [`ErrorKind::Refused`] for an answer of another form.
    pub(crate) async fn deploys_of_title(&self, title: &str) -> Result<Vec<Deploy>, Error> {
        let action = format!("read the deploys of the site {}", self.name);
        let mut found = Vec::new();
        for page in 1..=MOST_PAGES {
            let (page, size) = (page.to_string(), PAGE.to_string());
            let request = Request {
                path: &["sites", &self.id, "deploys"],
                query: &[("page", &page), ("per_page", &size)],
                ..Request::default()
            };
            let response = self.persist(request, &action).await?;
            let deploys = self.read_deploys(&response, &action)?;
            let is_last = deploys.len() < PAGE;
            let of_title = deploys.into_iter();
            found.extend(of_title.filter(|deploy| deploy.title.as_deref() == Some(title)));
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// Publishes a ready deploy: the site's visitors see it from now on.
    ///
    /// Netlify documents nothing of a lock that is there: look at it afterwards.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where Netlify does not publish it, [`ErrorKind::Unavailable`] where it is
    /// not known whether it did.
    pub(crate) async fn restore(&self, id: &str) -> Result<Deploy, Error> {
        let action = format!("publish the deploy {id}");
        // Publishing the same deploy again changes nothing.
        self.post(&self.restore_path(id), id, &action).await
    }

    fn restore_path<'a>(&'a self, id: &'a str) -> [&'a str; 5] {
        ["sites", &self.id, "deploys", id, "restore"]
    }

    /// Publishes a ready deploy, and makes sure that the site's visitors see it. An answer does not say so:
    /// it may be lost, or come of something before Netlify. Returns the deploy with its lock.
    ///
    /// # Errors
    ///
    /// Those of [`restore`](Self::restore), and [`ErrorKind::Promotion`] where Netlify did nothing.
    pub(crate) async fn publish(&self, id: &str) -> Result<Deploy, Error> {
        let restored = self.restore(id).await;
        match self.read_published_deploy().await? {
            Some(published) if published.id == id => {
                self.settle(&Method::POST, &self.restore_path(id));
                Ok(published)
            }
            _ => Err(restored.err().unwrap_or_else(|| {
                Error::new(
                    ErrorKind::Promotion,
                    format!("Netlify did not publish the deploy {id}"),
                )
            })),
        }
    }

    /// Stops automatic publishing, at the published deploy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where the deploy is not locked then.
    pub(crate) async fn lock(&self, id: &str) -> Result<Deploy, Error> {
        self.set_lock(id, true).await
    }

    /// Starts automatic publishing again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where the deploy is still locked.
    pub(crate) async fn unlock(&self, id: &str) -> Result<Deploy, Error> {
        self.set_lock(id, false).await
    }

    async fn set_lock(&self, id: &str, is_wanted: bool) -> Result<Deploy, Error> {
        let (verb, action) = match is_wanted {
            true => ("lock", format!("lock publishing at the deploy {id}")),
            false => ("unlock", format!("unlock publishing at the deploy {id}")),
        };
        let deploy = self.post(&["deploys", id, verb], id, &action).await?;
        match deploy.locked.unwrap_or(false) == is_wanted {
            true => Ok(deploy),
            false => Err(has_changed_nothing(&action)),
        }
    }

    /// Deletes a deploy that is not published. Returns false where there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where Netlify keeps it, as it does a published one.
    pub(crate) async fn delete_deploy(&self, id: &str) -> Result<bool, Error> {
        let action = format!("delete the deploy {id}");
        let request = Request {
            method: Method::DELETE,
            path: &["deploys", id],
            ..Request::default()
        };
        let response = self.persist(request, &action).await?;
        let deleted = match response.status {
            // The first attempt may have deleted it.
            StatusCode::NOT_FOUND => response.attempts > 1,
            StatusCode::NO_CONTENT => true,
            // Netlify answers 204, so this is of something before it.
            status if status.is_success() => match self.find_deploy(id).await? {
                None => true,
                Some(_) => return Err(has_changed_nothing(&action)),
            },
            _ => return Err(self.api.refusal(&response, &action)),
        };
        self.settle_deploy(id);
        Ok(deleted)
    }

    /// Ends a deploy that is not ready yet, so that it does not become public. Returns false for one that is
    /// ready by now, which stays.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where Netlify leaves it under way, [`ErrorKind::Unavailable`] where that is not
    /// known.
    pub(crate) async fn cancel_deploy(&self, id: &str) -> Result<bool, Error> {
        let action = format!("cancel the deploy {id}");
        let sent = self.post(&["deploys", id, "cancel"], id, &action).await;
        if let Err(error) = sent {
            match self.find_deploy(id).await {
                Ok(Some(deploy)) if deploy.is_ready() => return Ok(false),
                Ok(Some(deploy)) if deploy.has_failed() => {}
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Err(error),
            }
        }
        self.settle_deploy(id);
        Ok(true)
    }

    /// Sends a change of the deploy with this id.
    async fn post(&self, path: &[&str], id: &str, action: &str) -> Result<Deploy, Error> {
        let request = Request {
            method: Method::POST,
            path,
            ..Request::default()
        };
        let response = self.persist(request, action).await?;
        self.read_deploy(&response, id, action)
    }
}

fn has_changed_nothing(action: &str) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("could not {action}: Netlify took the request, and changed nothing"),
    )
}

fn of_get<'a>(path: &'a [&'a str]) -> Request<'a> {
    Request {
        path,
        ..Request::default()
    }
}

const PAGE: usize = 100;
const MOST_PAGES: usize = 5;

#[cfg(test)]
mod tests;
