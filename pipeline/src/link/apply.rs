//! The application of a plan, one change after the other.

use crate::error::{Error, ErrorKind};
use crate::link::diff::Change;
use crate::link::look_up::SiteVariables;
use crate::link::plan::LinkPlan;
use crate::netlify::Site;

impl LinkPlan {
    /// Makes the changes of the plan, one after the other, and calls `on_change` before each. A
    /// run that was interrupted is completed by a new plan.
    ///
    /// # Errors
    ///
    /// The error of the first change that fails, with the number of changes before it;
    /// [`ErrorKind::Settings`] when this is not the plan's site, or Netlify was not asked for it.
    pub async fn apply(
        &self,
        site: &SiteVariables,
        mut on_change: impl FnMut(&Change),
    ) -> Result<(), Error> {
        let site = site.site.as_ref().filter(|site| site.name() == self.site);
        let site = site.ok_or_else(|| {
            let message = format!(
                "could not apply the plan: it is not of the site {}",
                self.site
            );
            Error::new(ErrorKind::Settings, message)
        })?;
        let changes = self.changes();
        for (made, change) in changes.iter().enumerate() {
            on_change(change);
            apply_change(site, change).await.map_err(|error| {
                error.context(format!(
                    "{made} of {} changes were made before this; link again to make all",
                    changes.len()
                ))
            })?;
        }
        Ok(())
    }
}

async fn apply_change(site: &Site, change: &Change) -> Result<(), Error> {
    match change {
        Change::Create {
            key,
            is_secret,
            values,
        } => site.create_variable(key, *is_secret, values).await,
        Change::Replace {
            key,
            is_secret,
            values,
            ..
        } => site.replace_variable(key, *is_secret, values).await,
        Change::Set {
            key,
            context,
            value,
            ..
        } => site.set_value(key, context, value).await,
        Change::Unset { key, id, .. } => site.remove_value(key, id).await,
    }
}
