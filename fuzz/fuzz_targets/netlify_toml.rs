//! Arbitrary text as netlify.toml: it is used or refused without a panic, and a secret of
//! `[build.environment]` is in no message.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use stagelink_local::netlify::SiteConfig;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let secret = "[build.environment]\nTOKEN = \"c4n4ry-of-the-build\"\n";
    for text in [text.to_string(), format!("{text}\n{secret}")] {
        let messages = match SiteConfig::parse(&text, Path::new("/site")) {
            Ok(config) => {
                assert!(config.publish.starts_with("/site"));
                assert!(config.functions.starts_with("/site"));
                config.warnings.join("\n")
            }
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!messages.contains("c4n4ry-of-the-build"), "{messages}");
    }
});
