#![doc = include_str!("../README.md")]

#[cfg(feature = "axum")]
mod axum;
mod clock;
mod config;
mod credentials;
mod database;
mod deadline;
mod error;
mod happy_eyeballs;
#[cfg(feature = "lambda")]
mod lambda;
mod local_spans;
mod log_line;
mod meaning;
mod one_line;
mod params;
mod postgres;
mod problem;
mod provider;
pub mod self_check;
mod stage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tls;
#[cfg(test)]
mod troubleshooting;

#[cfg(feature = "axum")]
pub use crate::axum::Idempotent;
pub use crate::config::HerokuApp;
pub use crate::config::HerokuSettings;
pub use crate::config::HttpsSettings;
pub use crate::config::Limits;
pub use crate::config::NeonSettings;
pub use crate::config::Pooler;
pub use crate::config::ProviderChoice;
pub use crate::config::ProviderSettings;
pub use crate::config::RenderSettings;
pub use crate::config::ServerPin;
pub use crate::config::ServerSettings;
pub use crate::config::Settings;
pub use crate::config::SettingsBuilder;
pub use crate::config::TlsLibrary;
pub use crate::config::ensure_known_names;
pub use crate::config::is_performance_variable;
pub use crate::config::unknown_names;
pub use crate::credentials::Credentials;
pub use crate::credentials::DatabaseUrl;
pub use crate::database::Database;
#[cfg(feature = "lambda")]
pub use crate::database::Databases;
pub use crate::database::IDEMPOTENCY_TABLE;
pub use crate::database::IdempotencyKey;
pub use crate::database::LocalSettings;
pub use crate::database::Rows;
pub use crate::database::client;
pub use crate::error::Error;
pub use crate::error::ErrorKind;
pub use crate::error::Phase;
#[cfg(feature = "lambda")]
pub use crate::lambda::Event;
#[cfg(feature = "lambda")]
pub use crate::lambda::IntoService;
#[cfg(feature = "lambda")]
pub use crate::lambda::init_log_subscriber;
#[cfg(feature = "lambda")]
pub use crate::lambda::run;
#[cfg(feature = "lambda")]
pub use crate::lambda::run_concurrent;
#[cfg(feature = "lambda")]
pub use crate::lambda::run_with_events;
#[cfg(feature = "lambda")]
pub use crate::lambda::run_with_streaming_response;
pub use crate::one_line::one_line;
#[doc(hidden)]
pub use crate::params::__private;
pub use crate::params::ArrayElement;
pub use crate::params::SqlType;
pub use crate::postgres::Client;
pub use crate::postgres::ConnectTimings;
pub use crate::postgres::DatabaseInfo;
pub use crate::postgres::DetachedClient;
pub use crate::postgres::ServerAuth;
pub use crate::postgres::StageMark;
pub use crate::postgres::Transaction;
pub use crate::problem::Problem;
pub use crate::provider::Heroku;
pub use crate::provider::Neon;
pub use crate::provider::Provider;
pub use crate::provider::Render;
pub use crate::provider::ResolveRequest;
pub use crate::provider::StaticUrl;
pub use crate::stage::{Stage, StageKind};

pub use deadpool_postgres;
pub use secrecy::SecretString;
pub use tokio_postgres;
