//! Arbitrary bytes from a server at the start of a session: the session starts or fails, and an
//! untrusted server learns nothing of the password.
//!
//! The first byte of an input selects whether SCRAM begins early and whether the server is trusted.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stagelink::testing::rehearse_session;
use tokio::runtime::{Builder, Runtime};

fuzz_target!(|input: &[u8]| {
    let [how, says @ ..] = input else {
        return;
    };
    let (is_early, is_trusted) = (how & 1 != 0, how & 2 != 0);
    RUNTIME.block_on(rehearse_session(says, is_early, is_trusted));
});

/// A runtime with a paused clock, so that no timeout is waited for.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("this machine runs a thread")
});
