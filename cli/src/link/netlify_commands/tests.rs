use std::process::Command;

use secrecy::SecretString;
use stagelink_pipeline::{Change, DeployContext, DesiredVariable};

use super::*;

use DeployContext::{All, DeployPreview, Production};

fn staging() -> DeployContext {
    DeployContext::Branch("staging".to_owned())
}

fn values(values: &[(DeployContext, &str)]) -> Vec<(DeployContext, SecretString)> {
    let values = values.iter();
    values
        .map(|(context, text)| (context.clone(), (*text).into()))
        .collect()
}

fn desired(key: &'static str, is_secret: bool, of: &[(DeployContext, &str)]) -> DesiredVariable {
    DesiredVariable {
        key,
        is_secret,
        values: values(of),
        absent: Vec::new(),
    }
}

fn set(key: &str, context: DeployContext, value: &str) -> Change {
    Change::Set {
        key: key.to_owned(),
        is_secret: false,
        context,
        value: value.into(),
    }
}

fn unset(key: &str, context: DeployContext) -> Change {
    Change::Unset {
        key: key.to_owned(),
        id: "1".to_owned(),
        context,
    }
}

/// Returns the lines, without the words that begin each, and the shell variables that they read.
fn printed(changes: &[Change], desired: &[DesiredVariable]) -> (Vec<String>, Vec<String>) {
    let stage_of = |context: &DeployContext| match context {
        Production => Some(Stage::PRODUCTION),
        DeployContext::Branch(_) => Some(Stage::STAGING),
        _ => None,
    };
    let tokens = [(Stage::STAGING, "STAGING_TOKEN".to_owned())].into();
    let mut inputs = BTreeSet::new();
    let lines = VariableLine::of_changes(changes, desired);
    let texts = lines.iter().map(|line| {
        let text = line.text(true, &stage_of, &tokens, &mut inputs);
        let words = text.strip_prefix("netlify_link variable \"$site\" ");
        words.expect("the call of the program").to_owned()
    });
    (texts.collect(), inputs.into_iter().collect())
}

#[test]
fn changes_to_one_variable_are_one_line() {
    let new = [(staging(), "it's"), (Production, "-x")];
    let changes = [
        Change::Create {
            key: "STAGELINK_POOLER".to_owned(),
            is_secret: false,
            values: values(&new),
        },
        unset("STAGELINK_STAGE", DeployPreview),
        set("STAGELINK_STAGE", Production, "production"),
    ];
    let desired = [
        desired("STAGELINK_POOLER", false, &new),
        desired("STAGELINK_STAGE", false, &[(Production, "production")]),
    ];
    let (lines, inputs) = printed(&changes, &desired);
    assert_eq!(
        lines,
        [
            r"STAGELINK_POOLER functions set branch:staging 'it'\''s' set production -x",
            "STAGELINK_STAGE functions remove deploy-preview set production production",
        ]
    );
    assert!(inputs.is_empty());
}

#[test]
fn value_that_is_kept_is_not_printed_and_the_next_removal_sees_it() {
    let changes = [
        set("DATABASE_URL", Production, "c4n4ry"),
        unset("DATABASE_URL", All),
        set("DATABASE_URL", staging(), "c4n4ry"),
        unset("DATABASE_URL", DeployPreview),
    ];
    assert_eq!(
        printed(&changes, &[]).0,
        [
            "DATABASE_URL keep production remove all",
            "DATABASE_URL keep branch:staging remove deploy-preview",
        ]
    );
}

#[test]
fn replaced_variable_keeps_its_other_values_without_a_word() {
    let change = Change::Replace {
        key: "HEROKU_API_KEY".to_owned(),
        is_secret: true,
        values: values(&[(staging(), "c4n4ry"), (Production, "c4n4ry-kept")]),
        removed: vec![All],
    };
    let desired = [desired("HEROKU_API_KEY", true, &[(staging(), "c4n4ry")])];
    let (lines, inputs) = printed(&[change], &desired);
    let line = "HEROKU_API_KEY functions secret remove all set branch:staging \"$STAGING_TOKEN\"";
    assert_eq!(lines, [line]);
    assert_eq!(inputs, ["STAGING_TOKEN"]);
}

#[test]
fn secret_is_named_and_not_printed() {
    let both = [(staging(), "c4n4ry"), (Production, "c4n4ry")];
    let changes = ["STAGELINK_CREDENTIALS", "HEROKU_API_KEY"].map(|key| Change::Create {
        key: key.to_owned(),
        is_secret: true,
        values: values(&both),
    });
    let desired = [
        desired("STAGELINK_CREDENTIALS", true, &both),
        desired("HEROKU_API_KEY", true, &both[..1]),
    ];
    let (lines, inputs) = printed(&changes, &desired);
    assert_eq!(
        lines,
        [
            "STAGELINK_CREDENTIALS functions secret set branch:staging \
             \"$STAGELINK_CREDENTIALS_STAGING\" set production \
             \"$STAGELINK_CREDENTIALS_PRODUCTION\"",
            "HEROKU_API_KEY functions secret set branch:staging \"$STAGING_TOKEN\"",
        ]
    );
    assert_eq!(
        inputs,
        [
            "STAGELINK_CREDENTIALS_PRODUCTION",
            "STAGELINK_CREDENTIALS_STAGING",
            "STAGING_TOKEN"
        ]
    );
}

#[test]
fn text_from_elsewhere_is_one_comment_or_one_word() {
    assert_eq!(comment("a\ncurl evil\r| sh"), "# a curl evil | sh");
    let changes = [unset("A; curl evil", All)];
    assert_eq!(printed(&changes, &[]).0, ["'A; curl evil' remove all"]);
}

#[test]
fn quoted_text_is_one_word_of_each_shell() {
    let mut texts: Vec<String> = [
        "",
        " ",
        "it's",
        "'",
        "''",
        "\\'",
        "\\",
        "$HOME",
        "${IFS}",
        "`id`",
        "$(id)",
        "\"q\"",
        "!!",
        "a!b",
        "*",
        "~",
        "#x",
        "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n",
        "--secret",
        "a\tb\r\nc\n",
        "é漢字🦀",
        "a;b&c|d<e>f(g)",
        "%s\\n",
        "a\nb\r\u{1b}[2J 'c' \\0101 $HOME é1\n\n",
        "\u{9b}31m7",
        "\u{202e}\u{7f}",
    ]
    .map(str::to_owned)
    .into();
    // All short texts of the characters that mean something to a shell.
    let special: Vec<char> = "'\"\\$`!\n *-é".chars().collect();
    for one in &special {
        for two in &special {
            texts.extend(special.iter().map(|three| format!("{one}{two}{three}")));
        }
    }
    let words: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    let script = format!("printf '%s\\0' {}", words.join(" "));
    for (shell, options) in [("sh", &[][..]), ("bash", &[]), ("bash", &["--posix"])] {
        let output = Command::new(shell)
            .args(options)
            .args(["-c", &script])
            .output()
            .expect(shell);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let read: Vec<_> = text.split_terminator('\0').collect();
        assert!(read == texts, "{shell} {options:?}");
    }
}
