//! The parts of a run that each of its files needs.

use crate::error::Error;
use crate::migrations::event::MigrationListener;
use crate::migrations::file::MigrationFile;
use crate::migrations::history::History;
use crate::migrations::lock;
use crate::migrations::observer::Observer;
use crate::migrations::options::MigrationOptions;
use crate::migrations::session::Session;

/// A run that holds the lock.
pub(super) struct Run<'a> {
    pub(super) session: Session,
    pub(super) observer: Observer,
    pub(super) history: History,
    pub(super) options: &'a MigrationOptions,
    pub(super) listener: &'a MigrationListener<'a>,
}

impl Run<'_> {
    /// Makes the session ready for a file.
    pub(super) async fn begin(&self, file: &MigrationFile) -> Result<(), Error> {
        let what = format!("could not begin {}", file.path());
        let name = file.to_string();
        let ready = self.session.reset(&name);
        self.session.answered(&what, ready).await?;
        let released = lock::release_others(&self.session.client);
        self.session.answered(&what, released).await
    }
}
