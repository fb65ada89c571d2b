//! The verdict of a failure on the credentials that were in use: a leaf, which every module may
//! import.

/// The verdict of a failure on the credentials that were in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staleness {
    /// The credentials have probably been replaced: the pool asks the provider for new ones.
    Stale,
    /// The server went away, and another may have taken its place. A restart looks alike, so
    /// the next attempt to connect decides.
    Suspect,
    /// The failure has nothing to do with the credentials.
    Unaffected,
}
