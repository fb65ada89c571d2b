//! Arbitrary bytes in both directions of a connection: the outcome of a write does not depend on how
//! the network splits them, and what took effect stays told.
//!
//! An input is a list of pieces: a byte whose highest bit says that the server sends and whose others
//! are the length, and the bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stagelink::testing::rehearse_tap;

fuzz_target!(|input: &[u8]| rehearse_tap(input));
