//! A request of the driver, and what has arrived of the server's response.

/// A request, which ends with Query or Sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Request {
    /// A Sync alone, which has no effect.
    #[default]
    Sync,
    /// The Close that the driver sends when a prepared statement is dropped, and a Sync.
    Close,
    Work,
    /// A COPY from the client whose data and their end were sent ahead of its only Sync: it is
    /// answered once.
    WholeCopy,
    /// The end of a COPY that has not begun, or is over. If it begins, the server ignores the Sync
    /// ahead of the data, and this belongs to the request before it. Else the response is a
    /// ReadyForQuery alone.
    CopyEnd,
}

/// The content of a response, from one ReadyForQuery to the next.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// True if a message of it has arrived.
    pub(super) has_begun: bool,
    /// Number of commands that completed.
    pub(super) completed: u32,
    /// True if one of them was a COMMIT.
    pub(super) committed: bool,
    /// True if one of them was a ROLLBACK, or a COMMIT that became one.
    pub(super) rolled_back: bool,
    pub(super) failed: bool,
    /// True if Postgres itself reported the failure.
    pub(super) refused: bool,
    /// True if the session ends in an orderly way: Postgres reported so, or a pooler that found no
    /// server for the request.
    pub(super) fatal: bool,
    /// True if a COPY failed as its data was read.
    pub(super) failed_at_data: bool,
}

impl Request {
    /// Returns whether this may have an effect.
    pub(super) fn is_work(&self) -> bool {
        matches!(self, Self::Work | Self::WholeCopy)
    }
}

impl Response {
    /// Records a command that completed, by its tag.
    pub(super) fn complete(&mut self, tag: &[u8]) {
        self.completed += 1;
        match tag {
            b"COMMIT\0" => self.committed = true,
            b"ROLLBACK\0" => self.rolled_back = true,
            _ => {}
        }
    }
}
