//! The variables of a site, and of the account that owns it.

use crate::error::Error;
use crate::link::request::LinkRequest;
use crate::link::value_place::ValuePlace;
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
        Some(self.found_in(key, context)?.1)
    }

    /// The place of the value that a variable has in a context.
    pub(super) fn place_in(&self, key: &str, context: &DeployContext) -> Option<ValuePlace> {
        let (variable, value, is_of_account) = self.found_in(key, context)?;
        Some(ValuePlace::new(variable, &value.context, is_of_account))
    }

    /// The variable and the value that a context has of it, and whether it is the account's.
    fn found_in(
        &self,
        key: &str,
        context: &DeployContext,
    ) -> Option<(&Variable, &VariableValue, bool)> {
        let own = self.own.iter().map(|of| (of, false));
        let account = self.of_account().iter().map(|of| (of, true));
        own.chain(account)
            .filter(|(variable, _)| variable.key == key)
            .find_map(|(variable, is_of_account)| {
                Some((variable, variable.value_in(context)?, is_of_account))
            })
    }
}
