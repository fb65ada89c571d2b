//! Arbitrary bytes as a server's certificate and as a root: they are judged without a panic, and
//! nothing is trusted without a root.
//!
//! The first two bytes of an input are the length of the certificate; the rest is the root.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stagelink::testing::rehearse_certificate;

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (own, root) = rest.split_at(length);
    rehearse_certificate(own, root);
});
