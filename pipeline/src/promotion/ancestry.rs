//! The commits of a promotion: it takes back none that the target has and the source has not.

use stagelink::Stage;

use crate::error::{Error, ErrorKind};
use crate::promotion::request::Checkout;

/// The stages of a promotion, each with the commit that it runs, where that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commits<'a> {
    pub(super) from: (Stage, Option<&'a str>),
    pub(super) to: (Stage, Option<&'a str>),
}

impl Commits<'_> {
    /// Makes sure that the source's commit has the target's among its ancestors. It has not after a
    /// correction in production alone. Where a commit is not known, it adds a note.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] when it has not, and when the repository cannot tell.
    pub(super) async fn ensure_none_is_taken_back(
        self,
        checkout: &dyn Checkout,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        let Self {
            from: (from, newer),
            to: (to, older),
        } = self;
        let (Some(newer), Some(older)) = (newer, older) else {
            notes.push(format!(
                "whether {from} has all that {to} has cannot be told: a commit of the two is not known"
            ));
            return Ok(());
        };
        if newer == older {
            return Ok(());
        }
        match checkout.descends(newer, older).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(
                ErrorKind::Promotion,
                format!(
                    "stage {to} runs the commit {older}, which is not among the ancestors of {newer}, \
                     that stage {from} runs: the promotion would take it back; merge it, and deploy to \
                     {from} anew"
                ),
            )),
            Err(reason) => Err(Error::new(
                ErrorKind::Promotion,
                format!(
                    "whether {newer}, that stage {from} runs, has {older}, that {to} runs, among its \
                     ancestors cannot be told ({reason}): fetch both commits into this repository"
                ),
            )),
        }
    }
}
