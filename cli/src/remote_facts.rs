//! The facts of the remote stage that the terminal and the board show. They hold no secret.

use serde::Serialize;
use stagelink_pipeline::RemoteAccess;

/// A stage's real database, and how the local functions reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RemoteFacts {
    pub(crate) stage: String,
    pub(crate) kind: String,
    /// The app, or the database where it is of no app.
    pub(crate) app: String,
    /// The source of the credential, such as a config var.
    pub(crate) origin: String,
    pub(crate) server: String,
    pub(crate) database: String,
    pub(crate) role: String,
    pub(crate) version: Option<String>,
    /// The proof that the server gave of itself.
    pub(crate) server_auth: String,
    /// True if a proof shows that nothing can be written.
    pub(crate) is_proved: bool,
    /// The reason why nothing is written.
    pub(crate) access: String,
    /// The number of the credentials: 1 at the start, and one more with each change.
    pub(crate) generation: u64,
    pub(crate) since: String,
}

impl RemoteFacts {
    pub(crate) fn of(access: &RemoteAccess, app: &str, generation: u64) -> Self {
        let info = &access.info;
        Self {
            stage: info.stage.name().to_owned(),
            kind: info.stage.kind().to_string(),
            app: app.to_owned(),
            origin: info.origin.clone(),
            server: info.server.clone(),
            database: info.database.clone(),
            role: info.role.clone(),
            version: info.server_version.clone(),
            server_auth: info.server_auth.to_string(),
            is_proved: access.proof.is_some(),
            access: match access.proof {
                Some(proof) => format!("read-only: {proof}"),
                None => GUARDED.to_owned(),
            },
            generation,
            since: jiff::Timestamp::now().to_string(),
        }
    }
}

/// The access of `--guarded`.
pub(crate) const GUARDED: &str = "guarded: read-only by default, which only stops mistakes, since a \
     statement such as BEGIN READ WRITE undoes it";
