#![doc = include_str!("../README.md")]

mod clock;
mod credentials;
mod deadline;
mod ending;
mod error;
mod link;
mod params;
mod postgres;
mod problem;
mod runtime;
mod settings;
mod stage;
mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use crate::credentials::Credentials;
pub use crate::credentials::FixedUrl;
pub use crate::credentials::Heroku;
pub use crate::credentials::Neon;
pub use crate::credentials::Provider;
pub use crate::credentials::Render;
pub use crate::error::Error;
pub use crate::error::ErrorKind;
pub use crate::error::Phase;
pub use crate::link::Examination;
pub use crate::link::IDEMPOTENCY_TABLE;
pub use crate::link::IdempotencyKey;
pub use crate::link::Link;
pub use crate::link::client;
pub use crate::params::ArrayElement;
pub use crate::params::SqlType;
#[doc(hidden)]
pub use crate::params::private;
pub use crate::postgres::Client;
pub use crate::postgres::DatabaseUrl;
pub use crate::postgres::Proof;
pub use crate::postgres::StageMark;
pub use crate::postgres::Transaction;
pub use crate::problem::Problem;
pub use crate::runtime::IntoService;
pub use crate::runtime::run;
pub use crate::settings::HerokuApp;
pub use crate::settings::HerokuSettings;
pub use crate::settings::Limits;
pub use crate::settings::NeonSettings;
pub use crate::settings::Pooler;
pub use crate::settings::ProviderSettings;
pub use crate::settings::RenderSettings;
pub use crate::settings::ServerPin;
pub use crate::settings::ServerSettings;
pub use crate::settings::Settings;
pub use crate::stage::Stage;
pub use crate::telemetry::Phases;
