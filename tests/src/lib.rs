//! Fixtures of the end-to-end tests.
//!
//! Each test has its own database on a Postgres server that the whole run shares, its own Heroku,
//! and functions as real processes. No port or name is fixed, so two runs at the same time do not
//! collide.
//!
//! All passwords contain [`CANARY`]. The logs and responses of functions are searched for it and
//! for the token as they are read: a test in which a secret leaks fails.

mod answer_project;
mod canary;
mod client;
mod client_capture;
mod failing_relay;
mod function_harness;
mod heroku_fixture;
mod http_capture;
mod load;
mod load_report;
mod mitm;
mod own_server;
mod patience;
mod postgres;
mod process_tree;
mod programs;
mod provider_fixture;
mod server_identity;
mod shop_clouds;
mod site;
mod small_project;
mod stub_server;
mod target;
mod tls_library;
mod tls_relay;

pub use crate::answer_project::answer_project;
pub use crate::answer_project::answering;
pub use crate::answer_project::write_answering_functions;
pub use crate::canary::CANARY;
pub use crate::canary::Record;
pub use crate::client::Answer;
pub use crate::client::send;
pub use crate::client::send_to_secret_keeper;
pub use crate::client_capture::ClientCapture;
pub use crate::failing_relay::FailingRelay;
pub use crate::failing_relay::RelayFailure;
pub use crate::function_harness::FunctionHarness;
pub use crate::heroku_fixture::HerokuFixture;
pub use crate::http_capture::CapturedRequest;
pub use crate::http_capture::HttpCapture;
pub use crate::load::Load;
pub use crate::load::LoadProgress;
pub use crate::load::Plan;
pub use crate::load_report::LoadReport;
pub use crate::load_report::Outcome;
pub use crate::load_report::StoredWrites;
pub use crate::mitm::Mitm;
pub use crate::mitm::MitmBehavior;
pub use crate::own_server::Auth;
pub use crate::own_server::OwnServer;
pub use crate::own_server::pooled;
pub use crate::patience::PATIENT;
pub use crate::patience::expect_count;
pub use crate::patience::patient_limits;
pub use crate::postgres::NETWORK_DELAY;
pub use crate::postgres::as_superuser;
pub use crate::postgres::at;
pub use crate::postgres::database;
pub use crate::postgres::end_sessions;
pub use crate::postgres::proxy;
pub use crate::postgres::server;
pub use crate::postgres::through;
pub use crate::process_tree::assert_all_end;
pub use crate::process_tree::command_line;
pub use crate::process_tree::descendants;
pub use crate::process_tree::descendants_where;
pub use crate::process_tree::descendants_with;
pub use crate::process_tree::is_running;
pub use crate::programs::artifacts_target;
pub use crate::programs::built_artifacts;
pub use crate::programs::functions;
pub use crate::programs::migrate;
pub use crate::programs::root;
pub use crate::programs::run_command;
pub use crate::programs::sdk_example;
pub use crate::programs::stagelink_command;
pub use crate::programs::target_folder;
pub use crate::provider_fixture::FakeProvider;
pub use crate::provider_fixture::ProviderFixture;
pub use crate::server_identity::Authority;
pub use crate::server_identity::Identity;
pub use crate::server_identity::pin;
pub use crate::shop_clouds::ShopClouds;
pub use crate::site::{cloud_config, site};
pub use crate::small_project::SmallProject;
pub use crate::small_project::write_small_function;
pub use crate::stub_server::StubBehavior;
pub use crate::stub_server::StubServer;
pub use crate::target::Target;
pub use crate::tls_library::TLS_LIBRARY;
pub use crate::tls_library::tls_library;
pub use crate::tls_relay::TlsRelay;
