//! A check that the guide to troubleshooting has a section for each kind of error.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, ErrorKind, Phase};
use crate::problem::Problem;

/// Lists the kinds, and fails to compile where one is missing.
macro_rules! kinds {
    ($($kind:ident $(($phase:ident))?,)*) => {
        const KINDS: &[ErrorKind] = &[$(ErrorKind::$kind $((Phase::$phase))?),*];

        fn is_listed(kind: ErrorKind) -> bool {
            match kind {
                $(ErrorKind::$kind $((Phase::$phase))? => true,)*
            }
        }
    };
}

kinds! {
    Settings,
    Stage,
    App,
    DatabaseUrl,
    NoDatabase,
    ProviderRefused,
    RateLimited,
    ProviderUnavailable,
    ServerNotAuthenticated,
    DatabaseRefused,
    TooManyConnections,
    DatabaseMissing,
    WrongDatabase,
    DatabaseUnreachable,
    DatabaseReadOnly,
    OutcomeUnknown,
    IdempotencyKeyReused,
    Timeout(Resolve),
    Timeout(Connect),
    Timeout(Handshake),
    Timeout(Wait),
    Timeout(Query),
    Query,
}

#[test]
fn guide_has_a_section_for_each_kind() {
    let sections = sections();
    for &kind in KINDS {
        assert!(is_listed(kind));
        let Some(section) = sections.get(&format!("{kind:?}")) else {
            panic!("docs/guides/troubleshooting.md has no heading \"### {kind:?}\"");
        };
        let error = Error::new(kind, "");
        let message = error.public_message();
        let status = Problem::from(error).status().as_u16();
        let first = format!("{status}, \"{message}\"");
        assert!(
            section.starts_with(&first),
            "the section {kind:?} does not begin with: {first}"
        );
        assert!(
            section.len() > first.len() + 80,
            "the section {kind:?} has no cause and cure"
        );
    }
    let known = |heading: &&String| KINDS.iter().any(|kind| **heading == format!("{kind:?}"));
    let unknown: Vec<_> = sections.keys().filter(|heading| !known(heading)).collect();
    assert!(unknown.is_empty(), "no kind of error is called {unknown:?}");
}

/// Returns the texts beneath the headings of the guide's part on kinds, with single spaces.
fn sections() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/troubleshooting.md");
    let guide = std::fs::read_to_string(path).expect("the guide");
    let (_, part) = guide
        .split_once("\n## Kinds of errors\n")
        .expect("the part");
    let (part, _) = part.split_once("\n## ").expect("the next part");
    part.split("\n### ")
        .skip(1)
        .map(|section| {
            let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
            let words: Vec<_> = text.split_whitespace().collect();
            (heading.trim().to_owned(), words.join(" "))
        })
        .collect()
}
