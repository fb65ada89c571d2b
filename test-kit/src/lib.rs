#![doc = include_str!("../README.md")]

mod error;
mod event;
mod function;
mod migrate;
mod migrations;
mod migrations_folder;
mod options;
mod relay;
mod response;
mod run;
mod server;
mod stage;
mod stream;

pub use stagelink_test_macros::test;

pub use crate::error::Error;
pub use crate::event::Platform;
pub use crate::function::TestFunction;
pub use crate::function::TestRequest;
pub use crate::migrate::migrate;
pub use crate::options::TestOptions;
pub use crate::response::TestResponse;
pub use crate::run::Flavor;
pub use crate::run::run;
pub use crate::stage::FromTestStage;
pub use crate::stage::TestStage;
pub use crate::stream::TestStream;

pub use stagelink_local_postgres::ServerSource;
