//! The environment as operators set it, right and wrong.

use std::ffi::OsString;

use secrecy::ExposeSecret as _;

use super::*;

mod limits;

const HEROKU: [(&str, &str); 3] = [
    ("STAGELINK_STAGE", "staging"),
    ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
    ("HEROKU_API_KEY", "token-c4n4ry"),
];

const NEON: &[(&str, &str)] = &[
    ("STAGELINK_NEON_PROJECT", "shop"),
    ("STAGELINK_NEON_BRANCH", "br-1"),
    ("STAGELINK_NEON_DATABASE", "shop"),
    ("STAGELINK_NEON_ROLE", "shop"),
    ("NEON_API_KEY", "token-c4n4ry"),
];

/// The variables that each provider needs, and its name.
const SOURCES: &[(&[(&str, &str)], &str)] = &[
    (
        &[
            ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
            ("HEROKU_API_KEY", "token-c4n4ry"),
        ],
        "heroku",
    ),
    (NEON, "neon"),
    (
        &[
            ("STAGELINK_RENDER_POSTGRES", "dpg-1"),
            ("RENDER_API_KEY", "token-c4n4ry"),
        ],
        "render",
    ),
    (&[("DATABASE_URL", "postgres://u:c4n4ry@h/d")], "url"),
];

fn stage() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("STAGELINK_STAGE", "staging")].into_iter()
}

fn name_of(settings: &Settings) -> &'static str {
    match settings.provider {
        Some(ProviderSettings::Heroku(_)) => "heroku",
        Some(ProviderSettings::Neon(_)) => "neon",
        Some(ProviderSettings::Render(_)) => "render",
        Some(ProviderSettings::Url(_)) => "url",
        None => "none",
    }
}

fn with(extra: &[(&'static str, &'static str)]) -> Result<Settings, Error> {
    Settings::from_vars(HEROKU.iter().chain(extra).copied())
}

fn refusal(vars: &[(&'static str, &'static str)]) -> Error {
    Settings::from_vars(vars.iter().copied()).unwrap_err()
}

#[test]
fn heroku_settings_get_their_defaults() {
    let settings = with(&[]).unwrap();
    assert_eq!(settings.stage, Stage::STAGING);
    assert_eq!(settings.limits.pool_size.get(), 1);
    let Some(ProviderSettings::Heroku(heroku)) = settings.provider else {
        panic!("not heroku")
    };
    assert_eq!(heroku.api_url, "https://api.heroku.com");
    assert_eq!(heroku.config_var, "DATABASE_URL");
    assert_eq!(heroku.token.expose_secret(), "token-c4n4ry");
}

#[test]
fn debug_holds_no_secret() {
    let settings = with(&[]).unwrap();
    assert!(!format!("{settings:?}").contains("c4n4ry"));
}

#[test]
fn missing_stage_is_refused_by_name() {
    let error = refusal(&HEROKU[1..]);
    assert_eq!(error.kind(), ErrorKind::Stage);
    assert!(error.to_string().contains("STAGELINK_STAGE is not set"));
}

#[test]
fn stage_with_its_own_name_needs_the_name_of_its_app_in_a_pipeline() {
    let qa = |more: &[(&'static str, &'static str)]| {
        let vars = [&[("STAGELINK_STAGE", "staging/qa")], &HEROKU[1..], more].concat();
        Settings::from_vars(vars)
    };
    let error = qa(&[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(
        error.to_string().contains("set STAGELINK_HEROKU_APP"),
        "{error}"
    );
    let settings = qa(&[("STAGELINK_HEROKU_APP", "shop-qa")]).unwrap();
    assert_eq!(settings.stage.as_str(), "staging/qa");
    // The way to a single database is that of its stage, whatever the name.
    let url = [
        ("STAGELINK_STAGE", "staging/qa"),
        ("DATABASE_URL", "postgres://u:c4n4ry@h/d"),
    ];
    assert!(Settings::from_vars(url).is_ok());
    // A preview's app is found by its pull request.
    let review = [&[("STAGELINK_STAGE", "review/demo")], &HEROKU[1..]].concat();
    assert!(Settings::from_vars(review).is_ok());
}

#[test]
fn stage_with_its_own_name_has_the_rules_of_its_kind() {
    let url = ("DATABASE_URL", "postgres://u:c4n4ry@h/d");
    let of = |stage, more: &[(&'static str, &'static str)]| {
        let vars = [&[("STAGELINK_STAGE", stage), url], more].concat();
        Settings::from_vars(vars)
    };
    let danger = [("STAGELINK_DANGER_UNAUTHENTICATED", "true")];
    let error = of("production/live", &danger).unwrap_err();
    assert!(
        error.to_string().contains("production does not take"),
        "{error}"
    );
    assert!(of("staging/qa", &danger).is_ok());
    let pull_request = [("STAGELINK_HEROKU_PULL_REQUEST", "7")];
    let error = of("staging/qa", &pull_request).unwrap_err();
    assert!(error.to_string().contains("in stage staging/qa"), "{error}");
    // A preview never has a URL that was set for all contexts.
    let preview = of("review/demo", &pull_request).unwrap();
    assert_eq!(name_of(&preview), "none");
}

#[test]
fn empty_variable_counts_as_not_set() {
    let error = refusal(&[("STAGELINK_STAGE", ""), HEROKU[1], HEROKU[2]]);
    assert!(error.to_string().contains("is not set"));
}

#[cfg(unix)]
#[test]
fn value_that_is_no_text_is_refused_by_name_if_the_variable_is_read() {
    use std::os::unix::ffi::OsStringExt as _;
    let of = |name: &str| {
        let text = HEROKU.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let other = (
            OsString::from(name),
            OsString::from_vec(b"c4n4ry\xff".to_vec()),
        );
        Environment::of_os_vars(text.into_iter().chain([other]))
    };
    for name in [
        "STAGELINK_REQUIRE_MARK",
        "DATABASE_URL",
        "AWS_LAMBDA_FUNCTION_NAME",
    ] {
        let error = of(name).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().starts_with(name), "{error}");
        assert!(!format!("{error:?}").contains("c4n4ry"));
    }
    of("LS_COLORS").unwrap().settings().unwrap();
}

#[test]
fn provider_is_the_one_whose_variables_are_set() {
    for (vars, name) in SOURCES {
        let settings = Settings::from_vars(stage().chain(vars.iter().copied())).unwrap();
        assert_eq!(name_of(&settings), *name);
        assert!(!format!("{settings:?}").contains("c4n4ry"), "{name}");
    }
}

#[test]
fn two_sources_without_a_choice_are_refused() {
    for (first, first_name) in SOURCES {
        for (second, second_name) in SOURCES.iter().filter(|(_, name)| name != first_name) {
            let both = || stage().chain(first.iter().chain(*second).copied());
            let error = Settings::from_vars(both()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings);
            assert!(error.to_string().starts_with("2 sources"), "{error}");
            assert!(error.to_string().contains("STAGELINK_PROVIDER"));
            assert!(!format!("{error:?}").contains("c4n4ry"));
            let chosen = both().chain([("STAGELINK_PROVIDER", *second_name)]);
            assert_eq!(name_of(&Settings::from_vars(chosen).unwrap()), *second_name);
        }
    }
}

#[test]
fn token_alone_chooses_no_provider() {
    for token in ["HEROKU_API_KEY", "NEON_API_KEY", "RENDER_API_KEY"] {
        let error = Settings::from_vars(stage().chain([(token, "c4n4ry")])).unwrap_err();
        assert!(error.to_string().contains("no source"), "{error}");
    }
}

#[test]
fn each_variable_that_a_provider_needs_is_asked_for_by_name() {
    for (vars, name) in SOURCES {
        for (missing, _) in *vars {
            let others = vars.iter().copied().filter(|(name, _)| name != missing);
            let chosen = stage().chain(others).chain([("STAGELINK_PROVIDER", *name)]);
            let error = Settings::from_vars(chosen).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings);
            assert!(error.to_string().contains(missing), "{missing}: {error}");
            assert!(!format!("{error:?}").contains("c4n4ry"));
        }
    }
}

#[test]
fn neon_settings_are_read_and_get_their_defaults() {
    let neon = |extra: &[(&'static str, &'static str)]| {
        let vars = stage().chain(NEON.iter().chain(extra).copied());
        match Settings::from_vars(vars)?.provider {
            Some(ProviderSettings::Neon(neon)) => Ok::<_, Error>(neon),
            _ => panic!("not neon"),
        }
    };
    let settings = neon(&[]).unwrap();
    assert_eq!(settings.branch, "br-1");
    assert_eq!(settings.api_url, "https://console.neon.tech");
    assert!(settings.pooled, "its pooler is preferred");
    assert!(!neon(&[("STAGELINK_POOLER", "never")]).unwrap().pooled);
    let error = neon(&[("STAGELINK_POOLER", "c4n4ry")]).unwrap_err();
    assert!(error.to_string().contains("none of auto, always and never"));
    assert!(!format!("{error:?}").contains("c4n4ry"));
}

#[test]
fn deploy_time_credentials_need_no_provider() {
    let deploy_time = ("STAGELINK_CREDENTIALS", "staging=postgres://u:c4n4ry@h/d");
    let settings = Settings::from_vars([HEROKU[0], deploy_time]).unwrap();
    assert!(settings.provider.is_none() && settings.deploy_time.is_some());
    assert!(!format!("{settings:?}").contains("c4n4ry"));
    assert!(with(&[deploy_time]).unwrap().provider.is_some());
}

#[test]
fn former_name_of_the_credentials_is_refused_with_the_new_one() {
    let former = ("STAGELINK_SEALED", "staging=postgres://u:c4n4ry@h/d");
    let error = with(&[former]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Settings);
    let text = error.to_string();
    assert!(
        text.contains("STAGELINK_SEALED is now called STAGELINK_CREDENTIALS"),
        "{text}"
    );
    assert!(!text.contains("c4n4ry"), "{text}");
}

#[test]
fn no_source_is_refused() {
    let error = refusal(&HEROKU[..1]);
    assert!(error.to_string().contains("no source of the database"));
}

#[test]
fn missing_token_says_how_to_make_one() {
    let error = refusal(&HEROKU[..2]);
    assert!(error.to_string().contains("authorizations:create"));
}

#[test]
fn app_alone_and_app_in_pipeline_are_told_apart() {
    let in_pipeline = with(&[("STAGELINK_HEROKU_APP", "shop")]).unwrap();
    let alone =
        Settings::from_vars([HEROKU[0], HEROKU[2], ("STAGELINK_HEROKU_APP", "shop")]).unwrap();
    let app = |settings: Settings| match settings.provider {
        Some(ProviderSettings::Heroku(heroku)) => heroku.app,
        _ => panic!("not heroku"),
    };
    assert_eq!(app(alone), HerokuApp::Named("shop".into()));
    assert_eq!(
        app(in_pipeline),
        HerokuApp::InPipeline {
            pipeline: "guestbook".into(),
            app: Some("shop".into()),
            pull_request: None,
        }
    );
}

/// The pull request of the settings, of a program that was built for another one or none.
fn pull_request(
    stage: &str,
    set: Option<&str>,
    built_for: Option<&str>,
) -> Result<Option<u64>, Error> {
    let vars = [
        ("STAGELINK_STAGE", stage),
        HEROKU[1],
        HEROKU[2],
        ("STAGELINK_HEROKU_PULL_REQUEST", set.unwrap_or("")),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let set = vars.into_iter().filter(|(_, value)| !value.is_empty());
    let environment = Environment::of_vars(set)?;
    match environment.parse(stage.parse()?, built_for)?.provider {
        Some(ProviderSettings::Heroku(heroku)) => match heroku.app {
            HerokuApp::InPipeline { pull_request, .. } => Ok(pull_request),
            HerokuApp::Named(app) => panic!("not in a pipeline: {app}"),
        },
        other => panic!("not heroku: {other:?}"),
    }
}

#[test]
fn pull_request_is_that_of_the_environment_or_else_of_the_build() {
    let of = |set, built_for| pull_request("review", set, built_for).unwrap();
    assert_eq!(of(None, None), None);
    assert_eq!(of(None, Some("")), None);
    assert_eq!(of(None, Some("7")), Some(7));
    assert_eq!(of(Some("12"), Some("7")), Some(12));
}

#[test]
fn pull_request_of_a_build_says_nothing_of_other_stages() {
    for stage in ["development", "staging", "production"] {
        assert_eq!(pull_request(stage, None, Some("7")).unwrap(), None);
        assert_eq!(pull_request(stage, None, Some("?")).unwrap(), None);
        let error = pull_request(stage, Some("7"), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().contains("PULL_REQUEST is set in stage"));
    }
}

#[test]
fn unreadable_pull_request_is_named_and_not_shown() {
    for value in ["c4n4ry", "0", "-1", "1.5"] {
        for (set, built_for, name) in [
            (Some(value), None, "STAGELINK_HEROKU_PULL_REQUEST"),
            (None, Some(value), "STAGELINK_BUILT_FOR_PULL_REQUEST"),
        ] {
            let error = pull_request("review", set, built_for).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(!format!("{error:?}").contains("c4n4ry"));
        }
    }
}

#[test]
fn preview_needs_no_source_of_a_database() {
    let preview = Settings::from_vars([("STAGELINK_STAGE", "review")]).unwrap();
    assert!(preview.provider.is_none() && preview.deploy_time.is_none());
    for stage in ["development", "staging", "production"] {
        let error = refusal(&[("STAGELINK_STAGE", stage)]);
        assert!(error.to_string().contains("no source of the database"));
    }
}

#[test]
fn unknown_provider_is_refused() {
    let error = with(&[("STAGELINK_PROVIDER", "c4n4ry")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("use heroku, neon, render or url")
    );
    assert!(!error.to_string().contains("c4n4ry"));
}

const PIN: &str = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[test]
fn server_is_as_it_is_set() {
    let server = with(&[]).unwrap().server;
    assert!(server.early_scram && !server.direct_tls && !server.require_mark);
    assert!(!server.danger_unauthenticated && server.pins.is_empty());
    let server = with(&[
        (
            "STAGELINK_SERVER_PIN",
            concat!(
                "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                " ; ",
                "sha256//AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            ),
        ),
        (
            "STAGELINK_ROOT_CERTIFICATES",
            "-----BEGIN CERTIFICATE-----\\nA\\n-----END CERTIFICATE-----",
        ),
        ("STAGELINK_DANGER_UNAUTHENTICATED", "true"),
        ("STAGELINK_REQUIRE_MARK", "true"),
        ("STAGELINK_DIRECT_TLS", "true"),
        ("STAGELINK_EARLY_SCRAM", "false"),
        ("AWS_LAMBDA_FUNCTION_NAME", "guestbook"),
    ])
    .unwrap()
    .server;
    assert_eq!(server.pins.len(), 2);
    assert_eq!(server.pins[0].to_string(), PIN);
    assert_eq!(
        server.roots.as_deref(),
        Some("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----")
    );
    assert!(server.danger_unauthenticated && server.require_mark);
    assert!(server.direct_tls && !server.early_scram);
    assert_eq!(server.application_name, "guestbook");
}

#[test]
fn production_takes_no_unauthenticated_server() {
    let danger = ("STAGELINK_DANGER_UNAUTHENTICATED", "true");
    let error = refusal(&[
        ("STAGELINK_STAGE", "production"),
        ("DATABASE_URL", "postgres://u:p@h/d"),
        danger,
    ]);
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.to_string().contains("production does not take"));
}

#[test]
fn unreadable_pin_or_switch_is_named_and_not_shown() {
    for (name, value) in [
        ("STAGELINK_SERVER_PIN", "sha256//c4n4ry"),
        ("STAGELINK_SERVER_PIN", "c4n4ry"),
        // As of variables that are not set.
        ("STAGELINK_SERVER_PIN", ";"),
        ("STAGELINK_SERVER_PIN", " ; ; "),
        (
            "STAGELINK_SERVER_PIN",
            ";sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        ("STAGELINK_REQUIRE_MARK", "c4n4ry"),
        ("STAGELINK_DIRECT_TLS", "1"),
        ("STAGELINK_EARLY_SCRAM", "no"),
        ("STAGELINK_LOG_DETAIL", "c4n4ry"),
        ("STAGELINK_SELF_CHECK_KEY", "c4n4ry"),
        ("STAGELINK_DANGER_UNAUTHENTICATED", "TRUE"),
    ] {
        let error = with(&[(name, value)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().contains(name), "{error}");
        assert!(!format!("{error:?}").contains("c4n4ry"));
    }
    for one in [
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;",
        " sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ; ",
    ] {
        let server = with(&[("STAGELINK_SERVER_PIN", one)]).unwrap().server;
        assert_eq!(server.pins.len(), 1, "{one:?}");
    }
}
