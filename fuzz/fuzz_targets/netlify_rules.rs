//! Arbitrary `_redirects` and `_headers` files and requests: each rule is read or refused with its
//! line, and a request is matched without a panic, whatever its path.
//!
//! An input is the file, a NUL, the path, a NUL, and the query.

#![no_main]

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use stagelink_local::netlify::{
    HeaderRule, Redirect, engine_answer, parse_headers_file, parse_redirects_file,
};

fuzz_target!(|input: &[u8]| {
    let input = String::from_utf8_lossy(input);
    let mut parts = input.split('\0');
    let file = parts.next().unwrap_or_default();
    let path = parts.next().unwrap_or("/");
    let query = parts.next();
    let lines = file.split('\n').count();

    let (rules, errors) = parse_redirects_file(file);
    assert!(rules.len() + errors.len() <= lines);
    let is_line = |line: usize| (1..=lines).contains(&line);
    assert!(rules.iter().all(|(line, _)| is_line(*line)));
    assert!(errors.iter().all(|error| is_line(error.line)));
    let redirects: Vec<Redirect> = rules
        .iter()
        .filter_map(|(_, rule)| Redirect::new(rule).ok())
        .collect();
    if let Some((_, status, _)) = engine_answer(&redirects, path, query, &HeaderMap::new()) {
        assert!([200, 301, 302, 303, 307, 308, 404, 410].contains(&status));
    }

    let (blocks, errors) = parse_headers_file(file);
    assert!(errors.iter().all(|error| is_line(error.line)));
    for (line, block) in &blocks {
        assert!(is_line(*line) && !block.values.is_empty());
        if let Ok(rule) = HeaderRule::new(block, &mut Vec::new()) {
            rule.is_match(path);
        }
    }
});
