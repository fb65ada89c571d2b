//! Arbitrary bytes of a driver and of a pooler's server: no statement gets a name at the server.
//!
//! An input is a list of pieces: a byte whose highest bit says that the server sends and whose others
//! are the length, and the bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stagelink::testing::rehearse_client_statements;

fuzz_target!(|input: &[u8]| rehearse_client_statements(input));
