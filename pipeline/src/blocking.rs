//! Long work of the processor and the disk, beside the futures of a command.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

use crate::error::{Error, ErrorKind};

/// Runs work that takes long without a pause, such as the reading of an artifact, on a thread of its own. The
/// futures of the command go on meanwhile, so that a signal is noticed. Dropped, the work still comes to its end.
///
/// # Errors
///
/// Those of the work, and [`ErrorKind::Settings`] where the runtime ends before it begins.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(error) => Err(Error::with_source(
            ErrorKind::Settings,
            "the command ends, so its work was not begun",
            error,
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn other_futures_of_one_thread_go_on_beside_the_work() {
        let (go_on, goes_on) = mpsc::channel();
        let wait = move || {
            let waited = goes_on.recv_timeout(Duration::from_secs(10));
            waited.map_err(|error| Error::with_source(ErrorKind::Settings, "it was kept", error))
        };
        let beside = async { go_on.send(7).unwrap() };
        let (done, ()) = tokio::join!(run(wait), beside);
        assert_eq!(done.unwrap(), 7);
    }
}
