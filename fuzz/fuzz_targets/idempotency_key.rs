//! Arbitrary bytes as the header `Idempotency-Key`: a key of visible ASCII, or a 400.

#![no_main]

use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use stagelink::IdempotencyKey;

fuzz_target!(|input: &[u8]| {
    let mut request = Request::new(Vec::new());
    for value in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append("idempotency-key", value);
        }
    }
    let count = request.headers().len();
    match IdempotencyKey::from_request(&request) {
        Ok(None) => assert_eq!(count, 0),
        Ok(Some(key)) => {
            assert_eq!(count, 1, "one of several keys was taken");
            let again = IdempotencyKey::from_request(&request);
            assert_eq!(again.expect("a key"), Some(key));
            let value = &request.headers()["idempotency-key"];
            let text = value.to_str().expect("a key is visible ASCII");
            assert!(!text.trim().is_empty());
        }
        Err(problem) => assert_eq!(problem.status(), 400),
    }
});
