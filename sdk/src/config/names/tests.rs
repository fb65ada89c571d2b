//! Misspelled names, and the completeness of the lists of names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::Settings;

/// Names that tests and documents use as examples of unknown ones.
const EXAMPLES: &[&str] = &[
    "STAGELINK_REQUIRE_MARKS",
    "STAGELINK_CONFIG_VARS",
    "STAGELINK_POOLSIZE",
    "STAGELINK_TELEMETRY_ENDPOINT",
    "STAGELINK_REQUIRE_MERKZ",
    "STAGELINK_PIPELINE",
    "STAGELINK_TIMEOUT",
    "STAGELINK_API_URL",
    "STAGELINK_EMPTY",
    "STAGELINK_CREDENTIAL",
];

fn read_all() -> impl Iterator<Item = &'static str> {
    OF_SAFETY.iter().chain(OF_PERFORMANCE).copied()
}

fn known() -> impl Iterator<Item = &'static str> {
    let elsewhere = OF_COMMANDS.iter().chain(FORMER).chain(READ_ELSEWHERE);
    read_all().chain(elsewhere.copied())
}

fn refusal(name: &str) -> Option<String> {
    check([name]).err().map(|error| {
        assert_eq!(error.kind(), ErrorKind::Settings);
        error.to_string()
    })
}

#[test]
fn known_names_and_those_of_other_programs_are_accepted() {
    for name in known() {
        assert!(Unknown::new(name).is_none(), "{name}");
    }
    for name in [
        "PATH",
        "DATABASE_URL",
        "HEROKU_API_KEY",
        "STAGE",
        "STAGELINK",
        "OLD_STAGELINK_STAGE",
        "TF_VAR_stagelink_stage",
        "",
    ] {
        assert!(Unknown::new(name).is_none(), "{name}");
    }
}

#[test]
fn name_within_two_edits_of_a_variable_of_safety_is_refused_with_both() {
    for &known in OF_SAFETY {
        let (start, end) = known.split_at(known.len() / 2);
        let mut misspelled = vec![
            format!("{known}S"),
            format!("{known}_2"),
            format!("_{known}"),
            known[..known.len() - 1].to_owned(),
            known[1..].to_owned(),
            known.replacen("STAGELINK_", "STAGELINK", 1),
            known.replacen("STAGELINK_", "STAGE_LINK_", 1),
            known.replacen("STAGELINK_", "STAGLINK_", 1),
            format!("{start}ZZ{end}"),
            // Another case, and other separators.
            known.to_lowercase(),
            known.replacen("STAGELINK", "Stagelink", 1),
            format!("{}s", known.to_lowercase()),
            known.replace('_', "-"),
            known.replace('_', "."),
            format!("{known} "),
        ];
        let mut swapped = known.as_bytes().to_vec();
        let last = swapped.len() - 1;
        swapped.swap(last, last - 1);
        misspelled.push(String::from_utf8(swapped).unwrap());
        for name in misspelled.iter().filter(|name| !is_known(name)) {
            let refusal = refusal(name).unwrap_or_else(|| panic!("{name:?} was accepted"));
            assert!(refusal.contains(name.as_str()), "{name:?}: {refusal}");
            assert!(refusal.contains(known), "{name:?}: {refusal}");
        }
    }
}

proptest::proptest! {
    /// Each edit inserts, removes or replaces a byte, or swaps two neighbours.
    #[test]
    fn name_within_two_edits_is_always_compared(
        name in proptest::sample::select(read_all().collect::<Vec<_>>()),
        edits in proptest::collection::vec((0_usize..64, 0..4, "[A-Z_]"), 0..=MISSPELLED),
    ) {
        let mut edited = name.as_bytes().to_vec();
        for (at, kind, with) in edits {
            // Most edits are in the prefix.
            let (at, with) = (at % (edited.len() - 1).min(14), with.as_bytes()[0]);
            match kind {
                0 => edited.insert(at, with),
                1 => drop(edited.remove(at)),
                2 => edited[at] = with,
                _ => edited.swap(at, at + 1),
            }
        }
        let edited = String::from_utf8(edited).unwrap();
        proptest::prop_assert!(may_be_own(&edited), "{edited}");
    }
}

#[test]
fn environment_of_an_operator_is_checked_but_for_variables_that_are_set_to_nothing() {
    let error = ensure_known_names([("STAGELINK_CONFIG_VARS", "c4n4ry")]).unwrap_err();
    let message = format!("{error:?}");
    assert!(message.contains("STAGELINK_CONFIG_VARS is not STAGELINK_CONFIG_VAR"));
    assert!(!message.contains("c4n4ry"));
    assert!(ensure_known_names([("STAGELINK_CONFIG_VARS", " ")]).is_ok());
    assert!(ensure_known_names([("STAGELINK_CONFIG_VAR", "SHOP_URL")]).is_ok());
}

#[test]
fn names_that_are_ignored_are_listed_without_those_that_are_refused() {
    let vars = [
        ("STAGELINK_CONFIG_VARS", "x"),
        ("STAGELINK_TIMEOUT", "5"),
        ("STAGELINK_EMPTY", " "),
        ("STAGELINK_STAGE", "staging"),
        ("PATH", "/bin"),
    ];
    let [timeout] = &unknown_names(vars)[..] else {
        panic!("{:?}", unknown_names(vars));
    };
    let nearest = "(the nearest known names are STAGELINK_IDLE_TIMEOUT_MS, ";
    assert!(timeout.starts_with("STAGELINK_TIMEOUT"), "{timeout}");
    assert!(timeout.contains(nearest), "{timeout}");
}

#[test]
fn all_misspelled_names_are_listed_in_one_refusal() {
    let error = check(["STAGELINK_REQUIRE_MARKS", "PATH", "stagelink_stage"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "misspelled variables would be ignored (STAGELINK_REQUIRE_MARKS is not \
         STAGELINK_REQUIRE_MARK, stagelink_stage is not STAGELINK_STAGE): rename each, or remove it"
    );
}

#[test]
fn other_unknown_names_are_accepted_with_the_nearest_known_name() {
    for (name, expected) in [
        (
            "STAGELINK_POOLSIZE",
            "STAGELINK_POOLSIZE (the nearest known name is STAGELINK_POOL_SIZE)",
        ),
        (
            "stagelink_direct_tls",
            "stagelink_direct_tls (the nearest known name is STAGELINK_DIRECT_TLS)",
        ),
        (
            "STAGELINK_REQUIRE_MERKZ",
            "STAGELINK_REQUIRE_MERKZ (the nearest known name is STAGELINK_REQUIRE_MARK)",
        ),
        (
            "STAGELINK_PIPELINE",
            "STAGELINK_PIPELINE (the nearest known name is STAGELINK_HEROKU_PIPELINE)",
        ),
        (
            "STAGELINK_API_URL",
            "STAGELINK_API_URL (the nearest known names are STAGELINK_HEROKU_API_URL, \
             STAGELINK_NEON_API_URL, STAGELINK_RENDER_API_URL)",
        ),
        (
            "STAGELINK_TELEMETRY_ENDPOINT",
            "STAGELINK_TELEMETRY_ENDPOINT",
        ),
        ("STAGELINK_\nforged line", "STAGELINK_forged line"),
    ] {
        let unknown = Unknown::new(name).unwrap_or_else(|| panic!("{name:?} is known"));
        assert_eq!(unknown.to_string(), expected);
    }
    assert_eq!(refusal("STAGELINK_POOLSIZE"), None);
}

#[test]
fn known_names_are_so_far_apart_that_none_is_anothers_misspelling() {
    let known: Vec<_> = known().collect();
    for (at, one) in known.iter().enumerate() {
        for other in &known[at + 1..] {
            let distance = edit_distance(one.as_bytes(), other.as_bytes(), MISSPELLED);
            assert_eq!(distance, None, "{one} and {other}");
        }
    }
}

#[test]
fn variable_is_read_by_its_exact_name_and_refused_by_another() {
    let of = |name: &str, value: &str| {
        Settings::from_vars([
            ("STAGELINK_STAGE", "staging"),
            ("DATABASE_URL", "postgres://u:p@h/d"),
            (name, value),
        ])
    };
    let settings = of("STAGELINK_REQUIRE_MARK", "true").unwrap();
    assert!(settings.server.require_mark);
    for name in [
        "STAGELINK_REQUIRE_MARKS",
        "STAGELINK_require_mark",
        "stagelink_require_mark",
    ] {
        let error = of(name, "c4n4ry").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(!format!("{error:?}").contains("c4n4ry"));
        of(name, " ").unwrap();
    }
    assert!(
        !of("stagelink_direct_tls", "true")
            .unwrap()
            .server
            .direct_tls
    );
}

#[test]
fn documentation_of_the_settings_lists_the_variables_of_safety() {
    let source = include_str!("../mod.rs");
    let (_, rest) = source
        .split_once("/// Variables of safety: ")
        .expect("the list");
    let (list, _) = rest.split_once(".\n").expect("its end");
    let listed: Vec<_> = list
        .split(['`', ' ', ',', '/', '\n'])
        .filter(|word| word.starts_with(PREFIX))
        .collect();
    assert_eq!(listed, OF_SAFETY);
}

/// The names that begin with the prefix, with a file that holds each.
fn names_in_the_sources() -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![root.clone()];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                let is_made = ["target", "node_modules", ".git", ".netlify", "corpus"];
                if !is_made.iter().any(|made| name == *made) {
                    folders.push(path);
                }
            } else if kind.is_file()
                && !path.ends_with("config/names.rs")
                && let Ok(text) = fs::read_to_string(&path)
            {
                for name in names_in(&text) {
                    found.entry(name).or_insert_with(|| path.clone());
                }
            }
        }
    }
    found
}

fn names_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.match_indices(PREFIX)
        .filter(|(at, _)| !text[..*at].ends_with(is_part))
        .filter_map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            // A prefix that the rest is put behind, or a name in another case.
            let is_whole = !name.ends_with('_') && !behind.starts_with(char::is_alphabetic);
            is_whole.then(|| name.to_owned())
        })
        .collect()
}

#[test]
fn lists_hold_each_name_that_the_repository_mentions() {
    let mentioned = names_in_the_sources();
    let is_listed = |name: &str| is_known(name) || EXAMPLES.contains(&name);
    let missing: Vec<_> = mentioned
        .iter()
        .filter(|(name, _)| !is_listed(name))
        .collect();
    assert!(
        missing.is_empty(),
        "sdk/src/config/names.rs lists no {missing:?}"
    );
    let gone: Vec<_> = known()
        .filter(|name| !mentioned.contains_key(*name))
        .collect();
    assert!(gone.is_empty(), "the repository mentions no {gone:?}");
}

#[test]
fn credentials_of_a_stage_of_ones_own_are_known() {
    for name in ["PRODUCTION", "QA_2"] {
        assert!(is_known(&format!("STAGELINK_CREDENTIALS_{name}")));
    }
    for name in ["", "qa", "2", "QA-2"] {
        assert!(
            !is_known(&format!("STAGELINK_CREDENTIALS_{name}")),
            "{name}"
        );
    }
}
