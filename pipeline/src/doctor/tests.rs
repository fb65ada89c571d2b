//! Facts of a sound stage, of which the tests of each check change a part.

use std::time::Duration;

use stagelink::{ServerAuth, Stage, StageMark};

use crate::doctor::connection_facts::ConnectionFacts;
use crate::doctor::server_facts::ServerFacts;

pub(super) fn connection() -> ConnectionFacts {
    ConnectionFacts {
        stage: Stage::STAGING,
        database: "notes".to_owned(),
        server: "db.example:5432".to_owned(),
        origin: "DATABASE_URL of app notes-staging on Heroku".to_owned(),
        owns_url: false,
        url_authenticates: false,
        server_auth: ServerAuth::ChannelBinding,
        mark: StageMark::Of(Stage::STAGING),
        is_pooled: false,
        has_direct: false,
        is_read_only: false,
        could_use_direct_tls: false,
        round_trip: Duration::from_millis(12),
        opened_in: Duration::from_millis(80),
        options: String::new(),
    }
}

pub(super) fn server() -> ServerFacts {
    ServerFacts {
        version: 170_005,
        is_follower: false,
        role_limit: Some(20),
        database_limit: None,
        server_limit: 97,
        role_sessions: 1,
        database_sessions: 1,
        server_sessions: 1,
        transaction_id_age: 1_000,
        freeze_max_age: 200_000_000,
        clock_ahead_secs: 0.0,
        answered_in: Duration::from_millis(12),
        statement_in: Duration::from_millis(12),
        long_transactions: Vec::new(),
        more_transactions: 0,
        hidden_sessions: 0,
        invalid_indexes: Vec::new(),
        more_indexes: 0,
    }
}
