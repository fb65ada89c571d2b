//! Runs one test: its runtime, its stage, and the end of both.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::options::TestOptions;
use crate::stage::TestStage;

/// The runtime of a test.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Flavor {
    /// One thread, as in a function.
    #[default]
    CurrentThread,
    /// Several threads: the number, or one for each processor.
    MultiThread(Option<usize>),
}

/// Runs a test on a stage of its own, and drops its database at the end, also where the test panics.
///
/// # Panics
///
/// When the test does, and when there is no stage for it. The message says why.
#[track_caller]
pub fn run<F, Fut>(options: TestOptions, flavor: Flavor, test: F) -> Fut::Output
where
    F: FnOnce(TestStage) -> Fut,
    Fut: Future,
{
    let runtime = runtime(flavor);
    let stage = match runtime.block_on(TestStage::start(options)) {
        Ok(stage) => stage,
        Err(error) => panic!("there is no stage for this test: {error:?}"),
    };
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(stage.clone()))));
    runtime.block_on(stage.finish());
    // A task of the test that blocks its thread does not keep the next test from running.
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

fn runtime(flavor: Flavor) -> Runtime {
    let mut builder = match flavor {
        Flavor::CurrentThread => Builder::new_current_thread(),
        Flavor::MultiThread(_) => Builder::new_multi_thread(),
    };
    if let Flavor::MultiThread(Some(threads)) = flavor {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build();
    runtime.expect("the system lets a process have another thread")
}

const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);
