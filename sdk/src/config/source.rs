//! The choice of the source that a stage's database URL comes from.

use crate::error::{Error, ErrorKind};
use crate::stage::{Stage, StageKind};

/// A source by its name in `STAGELINK_PROVIDER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Heroku,
    Neon,
    Render,
    Url,
}

/// A source that the environment locates, although `STAGELINK_PROVIDER` may not name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) source: Source,
    /// The variable that locates it.
    pub(super) variable: &'static str,
    /// True if the source knows the databases of several stages by the stages' names. Otherwise
    /// it knows one database, which may be another stage's.
    pub(super) tells_stages_apart: bool,
}

/// The source that a function asks for its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceChoice {
    Use(Source),
    /// A source is there, but the SDK ignores it unless `STAGELINK_PROVIDER` names it.
    Ignored(IgnoredSource),
    None,
}

/// A source of one database that is not asked, since it may be another stage's: a variable that
/// was set for all contexts reaches each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IgnoredSource {
    /// The variable that locates it.
    pub(crate) variable: &'static str,
    /// The value of `STAGELINK_PROVIDER` that selects it.
    pub(crate) provider: &'static str,
}

impl SourceChoice {
    /// Chooses among the sources that the environment locates.
    ///
    /// A source of one database is taken only if `STAGELINK_PROVIDER` names it, or if it is the
    /// function's only way to a database: never beside deploy-time credentials, whose stage is
    /// known, and never for a preview, whose code is not reviewed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] where several are located and none is named.
    pub(super) fn new(
        named: Option<Source>,
        located: &[Located],
        stage: Stage,
        has_deploy_time: bool,
    ) -> Result<Self, Error> {
        if let Some(source) = named {
            return Ok(Self::Use(source));
        }
        match located {
            [] => Ok(Self::None),
            [only]
                if only.tells_stages_apart
                    || (!has_deploy_time && stage.kind() != StageKind::Review) =>
            {
                Ok(Self::Use(only.source))
            }
            [only] => Ok(Self::Ignored(IgnoredSource {
                variable: only.variable,
                provider: only.source.name(),
            })),
            _ => {
                let found: Vec<_> = located.iter().map(|one| one.variable).collect();
                Err(Error::new(
                    ErrorKind::Settings,
                    format!(
                        "{} sources of the database are set ({}): remove those that are left of \
                         an earlier set-up or belong to another stage, or choose with \
                         STAGELINK_PROVIDER ({NAMES})",
                        found.len(),
                        found.join(", ")
                    ),
                ))
            }
        }
    }
}

impl Source {
    /// Parses a value of `STAGELINK_PROVIDER`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] for any other name.
    pub(super) fn parse(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name.trim());
        found.ok_or_else(|| {
            // The value is not quoted: it may be a secret in the wrong place.
            Error::new(
                ErrorKind::Settings,
                format!("STAGELINK_PROVIDER names no provider that is known: use {NAMES}"),
            )
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Heroku => "heroku",
            Self::Neon => "neon",
            Self::Render => "render",
            Self::Url => "url",
        }
    }

    const ALL: [Self; 4] = [Self::Heroku, Self::Neon, Self::Render, Self::Url];
}

const NAMES: &str = "heroku, neon, render or url";

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "lambda")]
    use crate::config::Environment;
    use crate::config::{ProviderSettings, Settings};

    type Variables = &'static [(&'static str, &'static str)];

    const CREDENTIALS: &str = "staging=postgres://u:c4n4ry@h/s";

    /// A source by its name in `STAGELINK_PROVIDER`, with its variables, the first of which
    /// locates it.
    const PIPELINE: (&str, Variables) = (
        "heroku",
        &[
            ("STAGELINK_HEROKU_PIPELINE", "shop"),
            ("STAGELINK_HEROKU_APP", "shop-staging"),
            ("HEROKU_API_KEY", "c4n4ry"),
        ],
    );

    const OF_ONE_DATABASE: [(&str, Variables); 4] = [
        (
            "heroku",
            &[
                ("STAGELINK_HEROKU_APP", "shop-production"),
                ("HEROKU_API_KEY", "c4n4ry"),
            ],
        ),
        (
            "neon",
            &[
                ("STAGELINK_NEON_BRANCH", "br-1"),
                ("STAGELINK_NEON_PROJECT", "shop"),
                ("STAGELINK_NEON_DATABASE", "shop"),
                ("STAGELINK_NEON_ROLE", "shop"),
                ("NEON_API_KEY", "c4n4ry"),
            ],
        ),
        (
            "render",
            &[
                ("STAGELINK_RENDER_POSTGRES", "dpg-1"),
                ("RENDER_API_KEY", "c4n4ry"),
            ],
        ),
        ("url", &[("DATABASE_URL", "postgres://u:c4n4ry@h/p")]),
    ];

    /// The source of settings: its name, or the variable of one that is ignored.
    #[derive(Debug, PartialEq)]
    enum Found {
        Uses(&'static str),
        Ignores(&'static str),
        Nothing,
    }

    fn found(settings: Settings) -> Found {
        match (settings.provider, settings.ignored_source) {
            (None, None) => Found::Nothing,
            (None, Some(ignored)) => Found::Ignores(ignored.variable),
            (Some(provider), None) => Found::Uses(match provider {
                ProviderSettings::Heroku(_) => "heroku",
                ProviderSettings::Neon(_) => "neon",
                ProviderSettings::Render(_) => "render",
                ProviderSettings::Url(_) => "url",
            }),
            (Some(_), Some(ignored)) => panic!("uses one and ignores {ignored:?}"),
        }
    }

    /// The source of a function in this stage, or the text of its refusal.
    fn choose(
        stage: &'static str,
        has_deploy_time: bool,
        named: Option<&'static str>,
        variables: &[Variables],
    ) -> Result<Found, String> {
        let deploy_time = match stage {
            "review" => "review=postgres://u:c4n4ry@h/r",
            _ => CREDENTIALS,
        };
        let vars = [("STAGELINK_STAGE", stage)]
            .into_iter()
            .chain(has_deploy_time.then_some(("STAGELINK_CREDENTIALS", deploy_time)))
            .chain(named.map(|name| ("STAGELINK_PROVIDER", name)))
            .chain(variables.iter().copied().flatten().copied());
        let settings = Settings::from_vars(vars);
        assert!(!format!("{settings:?}").contains("c4n4ry"));
        settings.map(found).map_err(|error| error.to_string())
    }

    /// The four combinations of a stage with or without deploy-time credentials.
    const PLACES: [(&str, bool); 4] = [
        ("staging", false),
        ("staging", true),
        ("review", false),
        ("review", true),
    ];

    #[test]
    fn source_of_one_database_is_taken_alone_or_by_name_and_else_ignored() {
        for (name, variables) in OF_ONE_DATABASE {
            let locates = variables[0].0;
            for (stage, has_deploy_time) in PLACES {
                let expected = match (stage, has_deploy_time) {
                    ("staging", false) => Found::Uses(name),
                    _ => Found::Ignores(locates),
                };
                let place = format!("{name} in {stage}, with credentials: {has_deploy_time}");
                let chosen = choose(stage, has_deploy_time, None, &[variables]);
                assert_eq!(chosen, Ok(expected), "{place}");
                let chosen = choose(stage, has_deploy_time, Some(name), &[variables]);
                assert_eq!(chosen, Ok(Found::Uses(name)), "{place}, named");
            }
        }
    }

    #[test]
    fn pipeline_is_taken_in_each_place_since_it_tells_stages_apart() {
        for (stage, has_deploy_time) in PLACES {
            for named in [None, Some("heroku")] {
                let chosen = choose(stage, has_deploy_time, named, &[PIPELINE.1]);
                assert_eq!(chosen, Ok(Found::Uses("heroku")), "{stage}");
            }
        }
    }

    #[test]
    fn two_sources_are_refused_in_each_place_unless_one_is_named() {
        for (stage, has_deploy_time) in PLACES {
            for (first, second) in [
                (PIPELINE, OF_ONE_DATABASE[3]),
                (OF_ONE_DATABASE[0], OF_ONE_DATABASE[3]),
                (OF_ONE_DATABASE[1], OF_ONE_DATABASE[2]),
            ] {
                let both = [first.1, second.1];
                let refusal = choose(stage, has_deploy_time, None, &both).unwrap_err();
                for word in [first.1[0].0, second.1[0].0, "STAGELINK_PROVIDER"] {
                    assert!(refusal.contains(word), "{stage}: {refusal}");
                }
                for (name, _) in [first, second] {
                    let chosen = choose(stage, has_deploy_time, Some(name), &both);
                    assert_eq!(chosen, Ok(Found::Uses(name)), "{stage}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_chosen_without_a_source_or_by_a_token_alone() {
        for token in ["HEROKU_API_KEY", "NEON_API_KEY", "RENDER_API_KEY"] {
            for (stage, has_deploy_time) in &PLACES[1..] {
                let variables: Variables = &[];
                let chosen = choose(stage, *has_deploy_time, None, &[variables]);
                assert_eq!(chosen, Ok(Found::Nothing));
                let vars = [("STAGELINK_STAGE", *stage), (token, "c4n4ry")];
                let deploy_time = ("STAGELINK_CREDENTIALS", CREDENTIALS);
                let vars = vars
                    .into_iter()
                    .chain(has_deploy_time.then_some(deploy_time));
                assert_eq!(found(Settings::from_vars(vars).unwrap()), Found::Nothing);
            }
        }
    }

    #[cfg(feature = "lambda")]
    #[test]
    fn source_of_one_database_is_never_taken_for_an_alias() {
        let choose = |variables: Variables, more: &[(&'static str, &'static str)], stage| {
            let vars = variables.iter().chain(more).copied();
            let settings = Environment::of_vars(vars).unwrap().settings_of_alias(stage);
            settings.map(found).map_err(|error| error.to_string())
        };
        for (name, variables) in OF_ONE_DATABASE {
            let credentials = ("STAGELINK_CREDENTIALS", CREDENTIALS);
            let named = ("STAGELINK_PROVIDER", name);
            let ignored = Ok(Found::Ignores(variables[0].0));
            let chosen = choose(variables, &[credentials], Stage::STAGING);
            assert_eq!(chosen, ignored, "{name} beside the stage's entry");
            let chosen = choose(variables, &[], Stage::REVIEW);
            assert_eq!(chosen, ignored, "{name} for a preview");
            for (more, stage, reason) in [
                (&[][..], Stage::STAGING, "knows one database"),
                (&[named], Stage::STAGING, "knows one database"),
                (&[named], Stage::REVIEW, "knows one database"),
                (&[named, credentials], Stage::STAGING, "knows one database"),
                (
                    &[credentials],
                    Stage::PRODUCTION,
                    "has no entry for stage production",
                ),
                (
                    &[credentials],
                    Stage::REVIEW,
                    "has no entry for stage review",
                ),
            ] {
                let refusal = choose(variables, more, stage).unwrap_err();
                assert!(
                    refusal.contains(reason),
                    "{name} {more:?} {stage}: {refusal}"
                );
            }
        }
    }
}
