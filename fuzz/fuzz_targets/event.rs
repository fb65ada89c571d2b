//! Arbitrary text as an event of Lambda with a client context: it becomes the request that it says,
//! or is refused, and ends no process.
//!
//! The text before the first NUL is the client context.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stagelink::testing::rehearse_event;

fuzz_target!(|input: &[u8]| {
    rehearse_event(input);
});
