//! The facts that opening a connection to a stage's database reveals.

use std::time::Duration;

use stagelink::{ConnectTimings, DatabaseInfo, ServerAuth, Stage, StageMark};

/// The facts of a stage's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConnectionFacts {
    pub(super) stage: Stage,
    pub(super) database: String,
    pub(super) server: String,
    /// The source of the credentials.
    pub(super) origin: String,
    /// True if the project's owner writes the URL, as opposed to a provider.
    pub(super) owns_url: bool,
    /// True if the URL alone makes any client authenticate the server.
    pub(super) url_authenticates: bool,
    pub(super) server_auth: ServerAuth,
    pub(super) mark: StageMark,
    pub(super) is_pooled: bool,
    /// True if the URL of the database behind the pooler is known.
    pub(super) has_direct: bool,
    pub(super) is_read_only: bool,
    /// True if the server takes a TLS handshake at once and the settings do not use that.
    pub(super) could_use_direct_tls: bool,
    pub(super) round_trip: Duration,
    /// The time from the name's look-up to a session.
    pub(super) opened_in: Duration,
    /// The options by which other commands find the same database, such as ` --local`.
    pub(super) options: String,
}

impl ConnectionFacts {
    pub(super) fn new(
        info: &DatabaseInfo,
        timings: Option<ConnectTimings>,
        from_request: FromRequest<'_>,
    ) -> Self {
        let opened_in = timings.map(|of| of.connect + of.tls + of.authenticate);
        Self {
            stage: info.stage,
            database: info.database.clone(),
            server: info.server.clone(),
            origin: info.origin.clone(),
            owns_url: from_request.owns_url,
            url_authenticates: info.credentials.url().authenticates_server(),
            server_auth: info.server_auth,
            mark: info.mark.clone(),
            is_pooled: info.is_pooled,
            has_direct: info.credentials.direct().is_some(),
            is_read_only: info.is_read_only,
            could_use_direct_tls: info.direct_tls && !from_request.uses_direct_tls,
            round_trip: info.round_trip,
            opened_in: opened_in.unwrap_or_default(),
            options: from_request.options.to_owned(),
        }
    }
}

/// The facts that the request has of a stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct FromRequest<'a> {
    pub(super) owns_url: bool,
    pub(super) uses_direct_tls: bool,
    pub(super) options: &'a str,
}
