//! Arbitrary responses of a provider's API: they are parsed or refused, and reveal no secret.
//!
//! An input has a response on each line, as `Answer::parse` reads it. Its first `*` stands for a
//! password, and its first `$` for the token of the API.

#![no_main]

use std::error::Error as _;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stagelink::{Credentials, DatabaseUrl, Error, Heroku, Neon, Problem, Provider, Render};
use stagelink::{ProviderSettings, ResolveRequest, Settings, Stage};
use stagelink_fuzz::{Answer, Api, CANARY, is_password, with_canary};

fuzz_target!(|input: &str| {
    let Some(text) = with_canary(input) else {
        return;
    };
    let text = text.replacen('$', TOKEN, 1);
    let answers: Vec<Answer> = text.lines().filter_map(Answer::parse).collect();
    let [first, ..] = answers.as_slice() else {
        return;
    };
    let has_password = answers.iter().any(|answer| {
        let mut urls = FIELDS.iter().filter_map(|field| text_of(field, answer));
        urls.any(|url| is_password(&url))
    });
    // An API repeats a token in refusals only.
    let is_refusal = |answer: &Answer| answer.status >= 400 || !answer.body.contains(TOKEN);
    let has_token = !shows_token(input) && answers.iter().all(is_refusal);
    for (provider, field) in &PROVIDERS.asked {
        let resolved = PROVIDERS.api.answering(&answers, provider.resolve());
        if let Some(url) = field.and_then(|field| text_of(field, first))
            && (200..300).contains(&first.status)
        {
            let is_usable = DatabaseUrl::parse(&url, "the input").is_ok();
            assert_eq!(resolved.is_ok(), is_usable, "{resolved:?}");
        }
        let shown = everything_of(resolved);
        let shows_password = has_password && shown.contains(CANARY);
        assert!(!shows_password, "a password is shown: {shown}");
        let shows_token = has_token && shows_token(&shown);
        assert!(!shows_token, "a token is shown: {shown}");
    }
});

/// Returns whether a text shows the token, or a part of it that is too long for chance.
fn shows_token(text: &str) -> bool {
    let mut parts = (0..=TOKEN.len() - PART_OF_A_TOKEN).map(|at| &TOKEN[at..at + PART_OF_A_TOKEN]);
    parts.any(|part| text.contains(part))
}

/// An API that sends the responses, and the providers that call it, each with the field that holds
/// the URL in the first response.
struct Providers {
    api: Api,
    asked: Vec<(Asked, Option<&'static str>)>,
}

enum Asked {
    Heroku(Heroku),
    Neon(Neon),
    Render(Render),
}

static PROVIDERS: LazyLock<Providers> = LazyLock::new(|| {
    let api = Api::start();
    let [var, uri, external] = FIELDS;
    let asked = [
        (&[("STAGELINK_HEROKU_APP", "shop")][..], Some(var)),
        (&[("STAGELINK_HEROKU_PIPELINE", "shop")], None),
        (
            &[
                ("STAGELINK_NEON_PROJECT", "shop"),
                ("STAGELINK_NEON_BRANCH", "br-1"),
                ("STAGELINK_NEON_DATABASE", "shop"),
                ("STAGELINK_NEON_ROLE", "shop"),
            ],
            Some(uri),
        ),
        (&[("STAGELINK_RENDER_POSTGRES", "dpg-1")], Some(external)),
    ]
    .map(|(variables, field)| (Asked::at(api.url(), variables), field));
    Providers {
        api,
        asked: asked.into(),
    }
});

impl Asked {
    fn at(url: &str, variables: &[(&str, &str)]) -> Self {
        let common = [
            ("STAGELINK_STAGE", "staging"),
            ("STAGELINK_HEROKU_API_URL", url),
            ("STAGELINK_NEON_API_URL", url),
            ("STAGELINK_RENDER_API_URL", url),
            ("HEROKU_API_KEY", TOKEN),
            ("NEON_API_KEY", TOKEN),
            ("RENDER_API_KEY", TOKEN),
        ];
        let variables = [&common[..], variables].concat();
        let settings = Settings::from_vars(variables).expect("these are settings");
        match settings.provider.expect("there is a provider") {
            ProviderSettings::Heroku(settings) => {
                Self::Heroku(Heroku::new(settings).expect("a client"))
            }
            ProviderSettings::Neon(settings) => Self::Neon(Neon::new(settings).expect("a client")),
            ProviderSettings::Render(settings) => {
                Self::Render(Render::new(settings).expect("a client"))
            }
            other => panic!("not a provider with an API: {other:?}"),
        }
    }

    async fn resolve(&self) -> Result<Credentials, Error> {
        match self {
            Self::Heroku(heroku) => heroku.resolve(&ResolveRequest::new(Stage::STAGING)).await,
            Self::Neon(neon) => neon.resolve(&ResolveRequest::new(Stage::STAGING)).await,
            Self::Render(render) => render.resolve(&ResolveRequest::new(Stage::STAGING)).await,
        }
    }
}

/// Everything that an operator or a client sees of the result.
fn everything_of(resolved: Result<Credentials, Error>) -> String {
    let error = match resolved {
        Ok(credentials) => return format!("{credentials:?}"),
        Err(error) => error,
    };
    let mut shown = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(cause) = next {
        shown.push_str(&format!(" {cause} {cause:?}"));
        next = cause.source();
    }
    format!("{shown} {:?}", Problem::from(error).to_response())
}

/// Reads a text field of a response with another parser. Returns `None` for a duplicate name, where
/// parsers may differ.
fn text_of(field: &str, answer: &Answer) -> Option<String> {
    let object: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    let text = object.as_object()?.get(field)?.as_str()?;
    let is_clear = answer.body.matches(field).count() == 1 && !answer.body.contains("\\u");
    (is_clear && !text.trim().is_empty()).then(|| text.to_owned())
}

/// The fields in which Heroku, Neon and Render return the URL.
const FIELDS: [&str; 3] = ["DATABASE_URL", "uri", "externalConnectionString"];

const TOKEN: &str = "HRKU-0a1b2c3d-4e5f-6789";

const PART_OF_A_TOKEN: usize = 9;
