//! Arbitrary text as deploy-time credentials with SCRAM keys: they are read or refused, and no secret
//! is shown.
//!
//! The first `*` of an input stands for the password, so that the fuzzer can put it anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stagelink::testing::rehearse_credentials;
use stagelink_fuzz::{CANARY, is_password, with_canary};

fuzz_target!(|text: &str| {
    let Some(variable) = with_canary(text) else {
        return;
    };
    let shown = rehearse_credentials(&variable);
    let (url, keys) = match variable.split_once("#scram=") {
        Some((url, keys)) => (url, keys),
        None => (&*variable, ""),
    };
    let url = url.split_once('=').map_or(url, |(_, url)| url);
    if is_password(url) || keys.contains(CANARY) {
        assert!(!shown.contains(CANARY), "a secret is shown: {shown}");
    }
});
