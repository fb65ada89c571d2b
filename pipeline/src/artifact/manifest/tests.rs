//! Tests of the manifest: its digest, and the record file.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::migrations::class::Class;

fn hex_text(length: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(0_usize..16, length).prop_map(|digits| {
        let digit = |at: usize| char::from(b"0123456789abcdef"[at]);
        digits.into_iter().map(digit).collect()
    })
}

fn text(letters: &'static [u8], longest: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(0..letters.len(), 1..longest)
        .prop_map(|at| at.into_iter().map(|at| char::from(letters[at])).collect())
}

fn migration() -> impl Strategy<Value = ListedMigration> {
    let class = prop_oneof![Just(Class::Before), Just(Class::After), Just(Class::Ask)];
    let parts = (0_i64..9, "[a-z\"é]{1,9}", class, any::<u64>(), hex_text(64));
    parts.prop_map(|(version, name, class, checksum, sha256)| {
        let value = json!({"version": version, "name": name, "class": class.name(),
            "checksums": [checksum.to_string()], "sha256": sha256});
        serde_json::from_value(value).expect("a migration")
    })
}

fn setting() -> impl Strategy<Value = Json> {
    prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        Just(json!({"b": [1, {"z": null, "a": 0.5}], "a": "\n"})),
    ]
}

fn function() -> impl Strategy<Value = FunctionContent> {
    let migrations = proptest::collection::vec(migration(), 0..4).prop_map(|mut migrations| {
        migrations.sort_by_key(|migration| migration.version);
        migrations.dedup_by_key(|migration| migration.version);
        migrations
    });
    (
        hex_text(64),
        hex_text(64),
        proptest::option::of(migrations),
        proptest::option::of(any::<String>()),
        any::<bool>(),
        proptest::collection::btree_map(any::<String>(), setting(), 0..3),
    )
        .prop_map(
            |(program, archive, migrations, schedule, background, settings)| FunctionContent {
                program,
                archive,
                migrations,
                schedule,
                background,
                settings,
            },
        )
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let functions = proptest::collection::btree_map(text(b"abcXYZ01-_", 9), function(), 0..4);
    let path = text(b"abc012 _-.", 9).prop_filter("a path", |path| is_file_path(path));
    let path = (path, text(b"abc", 5)).prop_map(|(folder, file)| format!("{folder}/{file}"));
    let files = proptest::collection::btree_map(path, hex_text(40), 0..5);
    let commit = (proptest::option::of(hex_text(40)), any::<bool>());
    (functions, files, commit).prop_map(|(functions, files, (name, is_dirty))| Manifest {
        commit: SourceCommit { name, is_dirty },
        content: Content { functions, files },
    })
}

proptest! {
    #[test]
    fn record_file_reads_back_as_it_was(manifest in manifest()) {
        let bytes = manifest.to_record_file();
        let read = Manifest::read_record_file(&bytes).unwrap();
        prop_assert_eq!(&read, &manifest);
        prop_assert_eq!(read.to_record_file(), bytes);
    }

    #[test]
    fn digest_does_not_depend_on_the_commit(manifest in manifest(), is_dirty: bool) {
        let mut other = manifest.clone();
        other.commit = SourceCommit { name: None, is_dirty };
        prop_assert_eq!(manifest.digest(), other.digest());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::read_record_file(&bytes).is_err());
    }
}

fn example() -> Manifest {
    let listed = json!({"version": 1, "name": "notes", "class": "before",
        "checksums": ["1"], "sha256": "c".repeat(64)});
    let function = FunctionContent {
        program: "a".repeat(64),
        archive: "b".repeat(64),
        migrations: Some(vec![serde_json::from_value(listed).unwrap()]),
        schedule: None,
        background: false,
        settings: BTreeMap::new(),
    };
    Manifest {
        commit: SourceCommit {
            name: Some("0".repeat(40)),
            is_dirty: false,
        },
        content: Content {
            functions: [("guestbook".to_owned(), function)].into(),
            files: [("index.html".to_owned(), "d".repeat(40))].into(),
        },
    }
}

#[test]
fn digest_changes_with_each_part_of_the_content() {
    let changes: [fn(&mut FunctionContent); 8] = [
        |of| of.program = "f".repeat(64),
        |of| of.archive = "f".repeat(64),
        |of| of.migrations = None,
        |of| of.migrations = Some(Vec::new()),
        |of| of.schedule = Some("@daily".to_owned()),
        |of| of.background = true,
        |of| drop(of.settings.insert("memory".to_owned(), json!(512))),
        |of| {
            of.migrations
                .iter_mut()
                .flatten()
                .for_each(|of| of.class = Class::After);
        },
    ];
    let mut seen = vec![example().digest()];
    for change in changes {
        let mut manifest = example();
        change(manifest.content.functions.get_mut("guestbook").unwrap());
        seen.push(manifest.digest());
    }
    let changes: [fn(&mut Content); 5] = [
        |of| of.functions.clear(),
        |of| {
            let function = of.functions["guestbook"].clone();
            of.functions.insert("other".to_owned(), function);
        },
        |of| of.files.clear(),
        |of| drop(of.files.insert("index.html".to_owned(), "e".repeat(40))),
        |of| {
            let digest = of.files.remove("index.html").unwrap();
            of.files.insert("other.html".to_owned(), digest);
        },
    ];
    for change in changes {
        let mut manifest = example();
        change(&mut manifest.content);
        seen.push(manifest.digest());
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

#[test]
fn digest_of_known_content_stays_the_same() {
    let manifest = example();
    let record = String::from_utf8(manifest.to_record_file()).unwrap();
    assert!(record.starts_with(r#"{"format":1,"digest":""#), "{record}");
    assert!(
        record.contains(r#""dirty":false,"content":{"files":{"#),
        "{record}"
    );
    assert_eq!(manifest.short_digest(), KNOWN_DIGEST);
    assert_eq!(manifest.declared_files().len(), 2);
}

#[test]
fn record_file_that_no_stagelink_wrote_is_refused_with_its_reason() {
    let manifest = example();
    let text = String::from_utf8(manifest.to_record_file()).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    for (text, reason) in [
        (String::new(), "not JSON"),
        (
            changed("\"format\":1", "\"format\":2"),
            "format 2, and this stagelink knows format 1",
        ),
        (
            changed(&manifest.digest(), &"0".repeat(64)),
            "digest is not that of its content",
        ),
        (changed("index.html", "a/../b"), "no path of a file"),
        (changed("index.html", "/index.html"), "no path of a file"),
        (changed("index.html", "a?b"), "no path of a file"),
        (changed("index.html", RECORD_FILE), "no path of a file"),
        (changed("guestbook", "a/b"), "no name of a function"),
        (changed(&"a".repeat(64), "A"), "SHA-256 of the function"),
        (changed(&"d".repeat(40), "d"), "SHA-1 of index.html"),
        (changed(&"0".repeat(40), "main"), "commit is not one"),
        (changed("\"version\":1", "\"version\":-1"), "negative"),
        (
            changed("\"background\":false", "\"background\":false,\"x\":1"),
            "not JSON",
        ),
        (
            format!("{text}{}", " ".repeat(LARGEST_RECORD_BYTES)),
            "more than",
        ),
    ] {
        let error = Manifest::read_record_file(text.as_bytes()).unwrap_err();
        assert!(
            error.report().contains(reason),
            "{reason}: {}",
            error.report()
        );
    }
}

/// The digest by which deploys of this content are known already.
const KNOWN_DIGEST: &str = "3eb5f2dec2ea";
