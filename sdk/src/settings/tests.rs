//! The environment as operators set it, right and wrong.

use secrecy::ExposeSecret as _;

use super::*;

const HEROKU: [(&str, &str); 3] = [
    ("STAGELINK_STAGE", "staging"),
    ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
    ("HEROKU_API_KEY", "token-c4n4ry"),
];

fn with(extra: &[(&'static str, &'static str)]) -> Result<Settings, Error> {
    Settings::from_vars(HEROKU.iter().chain(extra).copied())
}

fn refusal(vars: &[(&'static str, &'static str)]) -> Error {
    Settings::from_vars(vars.iter().copied()).unwrap_err()
}

#[test]
fn heroku_settings_get_their_defaults() {
    let settings = with(&[]).unwrap();
    assert_eq!(settings.stage, Stage::Staging);
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
fn empty_variable_counts_as_not_set() {
    let error = refusal(&[("STAGELINK_STAGE", ""), HEROKU[1], HEROKU[2]]);
    assert!(error.to_string().contains("is not set"));
}

#[test]
fn two_sources_without_a_choice_are_refused() {
    let error = with(&[("DATABASE_URL", "postgres://u:c4n4ry@h/d")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.to_string().contains("STAGELINK_PROVIDER"));
    assert!(!format!("{error:?}").contains("c4n4ry"));
    let url = with(&[
        ("DATABASE_URL", "postgres://u:p@h/d"),
        ("STAGELINK_PROVIDER", "url"),
    ]);
    assert!(matches!(
        url.unwrap().provider,
        Some(ProviderSettings::Url(_))
    ));
}

#[test]
fn sealed_credentials_need_no_provider() {
    let sealed = ("STAGELINK_SEALED", "staging=postgres://u:c4n4ry@h/d");
    let settings = Settings::from_vars([HEROKU[0], sealed]).unwrap();
    assert!(settings.provider.is_none() && settings.sealed.is_some());
    assert!(!format!("{settings:?}").contains("c4n4ry"));
    assert!(with(&[sealed]).unwrap().provider.is_some());
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
            app: Some("shop".into())
        }
    );
}

#[test]
fn unreadable_number_names_the_variable_and_not_the_value() {
    for name in [
        "STAGELINK_POOL_SIZE",
        "STAGELINK_RESOLVE_TIMEOUT_MS",
        "STAGELINK_CONNECT_TIMEOUT_MS",
        "STAGELINK_WAIT_TIMEOUT_MS",
        "STAGELINK_RETRY_TIMEOUT_MS",
    ] {
        for value in ["c4n4ry", "0", "-1", "1.5"] {
            let error = with(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name));
            assert!(!format!("{error:?}").contains(value));
        }
    }
}

#[test]
fn unknown_provider_is_refused() {
    let error = with(&[("STAGELINK_PROVIDER", "c4n4ry")]).unwrap_err();
    assert!(error.to_string().contains("use heroku or url"));
    assert!(!error.to_string().contains("c4n4ry"));
}
