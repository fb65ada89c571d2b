//! Deploys of a site, as Netlify's API returns them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::error::{Error, ErrorKind};
use crate::netlify::Site;

/// A deploy of a site. Only the id is always there.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Deploy {
    /// A text that is a segment of a path as it is.
    #[serde(deserialize_with = "id")]
    pub(crate) id: String,
    /// The site that it belongs to.
    pub(crate) site_id: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) commit_ref: Option<String>,
    /// The build that made it, where Netlify built it.
    pub(crate) build_id: Option<String>,
    /// The program that uploaded it. The open-api does not have it; netlify-cli 27 sends `cli`.
    pub(crate) deploy_source: Option<String>,
    pub(crate) created_at: Option<String>,
    pub(crate) published_at: Option<String>,
    /// `None` where the answer has no such member. Null is seen in answers about deploys that are not
    /// locked.
    #[serde(default, deserialize_with = "null_as_false")]
    pub(crate) locked: Option<bool>,
    pub(crate) draft: Option<bool>,
    /// Netlify's reason, where its state is `error`.
    pub(crate) error_message: Option<String>,
    /// The SHA-1 of the files that Netlify does not have yet.
    pub(crate) required: Option<Vec<String>>,
    /// The SHA-256 of the functions' archives that Netlify does not have yet.
    pub(crate) required_functions: Option<Vec<String>>,
    /// The site's own address for the production context, else that of the branch.
    #[serde(default, deserialize_with = "address")]
    pub(crate) ssl_url: Option<String>,
    #[serde(default, deserialize_with = "address")]
    pub(crate) deploy_ssl_url: Option<String>,
    pub(crate) links: Option<DeployLinks>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeployLinks {
    #[serde(deserialize_with = "address")]
    permalink: Option<String>,
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match !id.is_empty() && id.bytes().all(is_allowed) {
        true => Ok(id),
        false => Err(D::Error::custom("not the id of a deploy")),
    }
}

/// Reads an address, which commands show and visit. A text with other characters than a URL's is none.
pub(super) fn address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let address = Option::<String>::deserialize(deserializer)?;
    Ok(address.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic())))
}

/// Reads a member that is there, where null means false.
pub(super) fn null_as_false<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    let value = Option::deserialize(deserializer)?;
    Ok(Some(value.unwrap_or(false)))
}

impl Deploy {
    /// Returns the state; an empty text where Netlify does not say it.
    pub(crate) fn state(&self) -> &str {
        self.state.as_deref().unwrap_or_default()
    }

    /// Returns whether all of it is there, and it can be served.
    pub(crate) fn is_ready(&self) -> bool {
        self.state() == "ready"
    }

    /// Returns whether it ended without becoming ready.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.state(), "error" | "rejected")
    }

    /// Returns the address that leads to this deploy for as long as it exists.
    pub(crate) fn permalink(&self) -> Option<&str> {
        self.links.as_ref()?.permalink.as_deref()
    }

    /// Returns the address at which its context's visitors see it once it is published.
    pub(crate) fn address(&self) -> Option<&str> {
        let (site, branch) = (self.ssl_url.as_deref(), self.deploy_ssl_url.as_deref());
        match self.context.as_deref() {
            Some("production") => site.or(branch),
            _ => branch.or(site),
        }
    }

    /// Returns whether it is a ready deploy of its branch's own context: neither a draft, nor the
    /// preview of a pull request from that branch.
    fn is_of_branch_itself(&self) -> bool {
        let context = self.context.as_deref().unwrap_or_default();
        self.draft != Some(true)
            && self.state.as_deref() == Some("ready")
            && !matches!(context, "deploy-preview" | "production")
    }
}

impl Site {
    /// Returns the deploy that the site's visitors see, as the answer that found the site has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] when it is not of the documented form.
    pub(crate) fn published_deploy(&self) -> Result<Option<Deploy>, Error> {
        let Some(json) = &self.published else {
            return Ok(None);
        };
        Deploy::deserialize(json).map(Some).map_err(|_| {
            Error::new(
                ErrorKind::Refused,
                "Netlify's description of the published deploy is not of the documented form",
            )
        })
    }

    /// Returns the newest ready deploy of a branch, in one request.
    ///
    /// # Errors
    ///
    /// The error of the request; and [`ErrorKind::Refused`] where other deploys of the branch, such
    /// as previews of its pull requests, fill the first page.
    pub(crate) async fn newest_deploy(&self, branch: &str) -> Result<Option<Deploy>, Error> {
        let action = format!("read the deploys of branch {branch}");
        let page = PAGE.to_string();
        let query = [("branch", branch), ("state", "ready"), ("per_page", &page)];
        let response = self
            .api
            .get(&["sites", &self.id, "deploys"], &query, &action)
            .await?;
        let deploys = self.read_deploys(&response, &action)?;
        let count = deploys.len();
        let mut own = deploys.into_iter().filter(|deploy| {
            deploy.branch.as_deref() == Some(branch) && deploy.is_of_branch_itself()
        });
        match own.next() {
            None if count >= PAGE => Err(Error::new(
                ErrorKind::Refused,
                format!("could not {action}: the newest {count} are all previews or drafts"),
            )),
            found => Ok(found),
        }
    }
}

/// The number of deploys that a request asks for.
const PAGE: usize = 20;
