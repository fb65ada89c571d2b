//! Tests of which stage an invocation has.

use super::*;

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:guestbook";

const HEROKU: [(&str, &str); 2] = [
    ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
    ("HEROKU_API_KEY", "token-c4n4ry"),
];

const QA: [(&str, &str); 2] = [
    ("STAGELINK_STAGE", "staging/qa"),
    ("STAGELINK_HEROKU_APP", "guestbook-qa"),
];

fn invoked(vars: &[(&'static str, &'static str)], arn: &str) -> Result<Stage, Error> {
    Databases::from_vars(vars.iter().copied())
        .for_function_arn(arn)?
        .stage()
}

fn by(qualifier: &str) -> String {
    format!("{FUNCTION}:{qualifier}")
}

#[test]
fn alias_that_is_called_after_a_stage_names_it() {
    for &kind in StageKind::ALL {
        let stage = invoked(&HEROKU, &by(kind.as_str())).unwrap();
        assert_eq!(stage, Stage::of_kind(kind));
    }
}

#[test]
fn stages_in_turn_have_a_database_each_that_stays() {
    let databases = Databases::from_vars(HEROKU);
    let database = |stage| databases.for_function_arn(&by(stage)).unwrap();
    assert_eq!(database("staging").stage().unwrap(), Stage::STAGING);
    assert_eq!(database("production").stage().unwrap(), Stage::PRODUCTION);
    assert!(std::ptr::eq(database("staging"), database("staging")));
    assert!(databases.named().is_none());
    assert_eq!(databases.made().count(), 2);
}

#[test]
fn arn_without_a_stage_is_refused_and_says_what_was_looked_at() {
    for (arn, said) in [
        (FUNCTION.to_owned(), "without an alias"),
        (
            FUNCTION.replace("guestbook", "production"),
            "without an alias",
        ),
        (by("$LATEST"), "by $LATEST"),
        (by("17"), "by version 17"),
        (by("live"), r#"by the alias "live""#),
        (by("Production"), r#"by the alias "Production""#),
        (by("production:x"), "without an alias"),
        (String::new(), "without an alias"),
        ("a:b:c:d:e:f:g:production".to_owned(), "without an alias"),
    ] {
        let error = invoked(&HEROKU, &arn).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stage, "{arn}");
        assert!(error.to_string().contains(said), "{arn}: {error}");
        assert!(error.to_string().contains("set STAGELINK_STAGE, or"));
    }
}

#[test]
fn variable_names_the_stage_unless_the_alias_names_another() {
    let vars = [HEROKU.as_slice(), &[("STAGELINK_STAGE", "staging")]].concat();
    for qualifier in ["staging", "live", "$LATEST", "3"] {
        assert_eq!(invoked(&vars, &by(qualifier)).unwrap(), Stage::STAGING);
    }
    assert_eq!(invoked(&vars, FUNCTION).unwrap(), Stage::STAGING);
    let error = invoked(&vars, &by("production")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stage);
    assert!(error.to_string().contains("STAGELINK_STAGE says staging"));
    assert!(error.to_string().contains("the alias production"));
}

#[test]
fn alias_of_a_stage_with_its_own_name_is_that_name() {
    let vars = [HEROKU.as_slice(), &QA].concat();
    for qualifier in ["qa", "$LATEST", "3"] {
        let stage = invoked(&vars, &by(qualifier)).unwrap();
        assert_eq!(stage.as_str(), "staging/qa");
    }
    assert_eq!(invoked(&vars, FUNCTION).unwrap().name(), "qa");
    for (qualifier, advice) in [
        (
            "staging",
            "remove STAGELINK_STAGE so that the alias decides",
        ),
        ("production", "whose STAGELINK_STAGE is production"),
        ("live", "call the alias qa"),
        ("qa-2", "whose STAGELINK_STAGE is KIND/qa-2"),
    ] {
        let error = invoked(&vars, &by(qualifier)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stage);
        let text = error.to_string();
        assert!(text.contains("STAGELINK_STAGE says staging/qa"), "{text}");
        assert!(text.contains(advice), "{text}");
    }
    // Without the variable nothing says of which kind qa is.
    let error = invoked(&HEROKU, &by("qa")).unwrap_err().to_string();
    assert!(error.contains("needs STAGELINK_STAGE=KIND/NAME"), "{error}");
}

#[test]
fn stage_that_the_caller_names_has_to_be_that_of_the_variable_and_of_the_alias() {
    let named = |vars: &[(&'static str, &'static str)], stage: &str, arn: &str| {
        let databases = Databases::from_vars(vars.iter().copied());
        let database = databases.for_named_stage(stage.parse().unwrap(), arn);
        database.and_then(Database::stage)
    };
    for arn in [by("production"), by("7"), by("live"), FUNCTION.to_owned()] {
        let stage = named(&HEROKU, "production", &arn);
        assert_eq!(stage.unwrap(), Stage::PRODUCTION, "{arn}");
    }
    let production = [HEROKU.as_slice(), &[("STAGELINK_STAGE", "production")]].concat();
    let qa = [HEROKU.as_slice(), &QA].concat();
    assert_eq!(
        named(&production, "production", &by("7")).unwrap(),
        Stage::PRODUCTION
    );
    assert_eq!(named(&qa, "staging/qa", &by("7")).unwrap().name(), "qa");
    for (vars, stage, arn, reason) in [
        (
            &HEROKU[..],
            "production",
            by("staging"),
            "by the alias staging",
        ),
        (&HEROKU, "staging/qa", by("7"), "STAGELINK_STAGE is not set"),
        (
            &production,
            "staging",
            by("7"),
            "STAGELINK_STAGE says production",
        ),
        (
            &production,
            "production",
            by("staging"),
            "two stages are named",
        ),
        (
            &production,
            "staging",
            by("staging"),
            "two stages are named",
        ),
        (&qa, "staging", by("7"), "STAGELINK_STAGE says staging/qa"),
    ] {
        let error = named(vars, stage, &arn).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stage);
        assert!(error.to_string().contains(reason), "{stage} {arn}: {error}");
    }
    let unusable = named(&[("STAGELINK_STAGE", "prod")], "production", &by("7"));
    assert!(unusable.unwrap_err().to_string().contains("unknown stage"));
}

#[test]
fn variable_that_names_no_stage_is_not_made_good_by_an_alias() {
    let vars = [HEROKU.as_slice(), &[("STAGELINK_STAGE", "prod")]].concat();
    let error = invoked(&vars, &by("production")).unwrap_err();
    assert!(error.to_string().contains("unknown stage"), "{error}");
}

#[test]
fn source_that_knows_one_database_is_refused_for_an_alias() {
    let one = "knows one database";
    for vars in [
        [("DATABASE_URL", "postgres://u:c4n4ry@h/d")].as_slice(),
        &[("STAGELINK_HEROKU_APP", "shop"), HEROKU[1]],
        &[
            ("STAGELINK_RENDER_POSTGRES", "dpg-1"),
            ("RENDER_API_KEY", "c4n4ry"),
        ],
        &[
            ("STAGELINK_NEON_PROJECT", "shop"),
            ("STAGELINK_NEON_BRANCH", "br-1"),
            ("STAGELINK_NEON_DATABASE", "shop"),
            ("STAGELINK_NEON_ROLE", "shop"),
            ("NEON_API_KEY", "c4n4ry"),
        ],
    ] {
        let error = invoked(vars, &by("staging")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().contains(one), "{error}");
        assert!(!format!("{error:?}").contains("c4n4ry"));
        let named = [vars, &[("STAGELINK_STAGE", "staging")]].concat();
        assert_eq!(invoked(&named, &by("staging")).unwrap(), Stage::STAGING);
    }
}

#[test]
fn deploy_time_entry_of_each_stage_is_its_own() {
    const BOTH: &str = "staging=postgres://u:c4n4ry@h/s?sslmode=require\n  \
                        production=postgres://u:c4n4ry@h/p?sslmode=require";
    let deploy_time = [("STAGELINK_CREDENTIALS", BOTH)];
    for stage in ["staging", "production"] {
        assert_eq!(invoked(&deploy_time, &by(stage)).unwrap().name(), stage);
    }
    let error = invoked(&deploy_time, &by("review")).unwrap_err();
    assert!(
        error.to_string().contains("no entry for stage review"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("c4n4ry"));
    // A pipeline may know a stage that has no entry.
    let vars = [HEROKU.as_slice(), &deploy_time].concat();
    assert_eq!(invoked(&vars, &by("review")).unwrap(), Stage::REVIEW);
    // Where the variable names the stage, another stage's entry is a mistake.
    let named = [deploy_time[0], ("STAGELINK_STAGE", "staging")];
    let error = invoked(&named, &by("staging")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("credentials of stage production")
    );
}
