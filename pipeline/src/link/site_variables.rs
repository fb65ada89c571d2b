//! The variables of a site, and of the account that owns it.

use crate::error::Error;
use crate::link::request::LinkRequest;
use crate::netlify::{DeployContext, Site, Variable, VariableValue};

/// A site and its variables when it was looked up.
#[derive(Debug)]
pub struct SiteVariables {
    /// `None` where Netlify was not asked: the site counts as new.
    pub(super) site: Option<Site>,
    pub(super) name: String,
    /// The site's own variables.
    pub(super) own: Vec<Variable>,
    /// The variables of its account. `None` where they cannot be read.
    pub(super) account: Option<Vec<Variable>>,
}

impl SiteVariables {
    /// Looks up the site of a request at Netlify.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) for an unusable URL,
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) when Netlify does not find the site or
    /// refuses the token, [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when it does
    /// not answer.
    pub async fn look_up(request: &LinkRequest) -> Result<Self, Error> {
        let Some(netlify) = &request.netlify else {
            return Ok(Self {
                site: None,
                name: request.site.clone(),
                own: Vec::new(),
                account: None,
            });
        };
        let site = Site::find(netlify, &request.site, request.has_scopes).await?;
        Ok(Self {
            name: site.name().to_owned(),
            own: site.variables().await?,
            account: site.account_variables().await?,
            site: Some(site),
        })
    }

    /// The site's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the site's own variables.
    pub fn count(&self) -> usize {
        self.own.len()
    }

    /// Returns whether Netlify was asked for the site's variables.
    pub fn is_known(&self) -> bool {
        self.site.is_some()
    }

    /// The site's own variable of this name.
    pub(super) fn own(&self, key: &str) -> Option<&Variable> {
        self.own.iter().find(|variable| variable.key == key)
    }

    /// The account's variables that could be read.
    pub(super) fn of_account(&self) -> &[Variable] {
        self.account.as_deref().unwrap_or_default()
    }

    /// The value that a variable has in a context, from the site or else from its account.
    pub(super) fn value_in(&self, key: &str, context: &DeployContext) -> Option<&VariableValue> {
        let account = self.of_account().iter().find(|of| of.key == key);
        let own = self.own(key).and_then(|own| own.value_in(context));
        own.or_else(|| account?.value_in(context))
    }
}
