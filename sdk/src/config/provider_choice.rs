//! The provider that functions choose by variables of theirs whose values another program may not know.

use crate::config::{Environment, ProviderSettings};
use crate::error::Error;
use crate::stage::Stage;

/// The source of the database that functions choose by their variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderChoice {
    /// The functions ask this provider, by its name in `STAGELINK_PROVIDER`.
    #[non_exhaustive]
    Asked {
        /// `heroku`, `neon`, `render` or `url`.
        provider: &'static str,
    },
    /// The functions ignore the only source: it knows one database, which may be another stage's.
    #[non_exhaustive]
    Ignored {
        /// The variable that locates the source.
        variable: &'static str,
        /// The value of `STAGELINK_PROVIDER` that selects it.
        provider: &'static str,
    },
    /// No variable locates a source.
    None,
    /// `STAGELINK_PROVIDER` is set, and its value is not known.
    Unknown,
}

impl ProviderChoice {
    /// Judges the variables of a stage's functions as [`Settings::from_vars`](crate::Settings) does,
    /// for a program that reads them from the functions' host. A value may be `None` where the host
    /// does not show it, as that of a secret: the variable is set to something usable then.
    ///
    /// ```
    /// use stagelink::{ProviderChoice, Stage};
    ///
    /// let variables = [("STAGELINK_HEROKU_PIPELINE", Some("guestbook")), ("HEROKU_API_KEY", None)];
    /// let choice = ProviderChoice::of_variables(Stage::STAGING, variables)?;
    /// assert!(matches!(choice, ProviderChoice::Asked { provider: "heroku", .. }));
    /// # Ok::<(), stagelink::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) where functions refuse the variables: several
    /// sources without a choice, a provider that is not known or lacks a variable, or a misspelled
    /// name. The message holds no value.
    pub fn of_variables<'a>(
        stage: Stage,
        variables: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, Error> {
        let variables: Vec<_> = variables.into_iter().collect();
        if variables.contains(&("STAGELINK_PROVIDER", None)) {
            return Ok(Self::Unknown);
        }
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name, value.unwrap_or(USABLE)));
        let (settings, ignored) = Environment::of_vars(variables)?.choose(stage)?;
        let provider = match (settings, ignored) {
            (Some(ProviderSettings::Heroku(_)), _) => "heroku",
            (Some(ProviderSettings::Neon(_)), _) => "neon",
            (Some(ProviderSettings::Render(_)), _) => "render",
            (Some(ProviderSettings::Url(_)), _) => "url",
            (None, Some(ignored)) => {
                return Ok(Self::Ignored {
                    variable: ignored.variable,
                    provider: ignored.provider,
                });
            }
            (None, None) => return Ok(Self::None),
        };
        Ok(Self::Asked { provider })
    }
}

/// Stands for a value that is not known: a text and a number, whichever the variable takes.
const USABLE: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    const PIPELINE: (&str, Option<&str>) = ("STAGELINK_HEROKU_PIPELINE", Some("shop"));
    const KEY: (&str, Option<&str>) = ("HEROKU_API_KEY", None);
    const URL: (&str, Option<&str>) = ("DATABASE_URL", None);
    const DEPLOY_TIME: (&str, Option<&str>) = ("STAGELINK_CREDENTIALS", None);

    fn choose(stage: Stage, variables: &[(&str, Option<&str>)]) -> Result<ProviderChoice, String> {
        let choice = ProviderChoice::of_variables(stage, variables.iter().copied());
        choice.map_err(|error| error.to_string())
    }

    #[test]
    fn choice_is_that_of_a_function() {
        let asked = |provider| Ok(ProviderChoice::Asked { provider });
        let ignored = |variable, provider| Ok(ProviderChoice::Ignored { variable, provider });
        let named = |provider| ("STAGELINK_PROVIDER", Some(provider));
        let pull_request = ("STAGELINK_HEROKU_PULL_REQUEST", None);
        for (stage, variables, expected) in [
            (Stage::STAGING, &[PIPELINE, KEY][..], asked("heroku")),
            (Stage::STAGING, &[URL], asked("url")),
            (Stage::REVIEW, &[URL], ignored("DATABASE_URL", "url")),
            (
                Stage::STAGING,
                &[URL, DEPLOY_TIME],
                ignored("DATABASE_URL", "url"),
            ),
            (Stage::REVIEW, &[URL, named("url")], asked("url")),
            (
                Stage::REVIEW,
                &[PIPELINE, KEY, pull_request],
                asked("heroku"),
            ),
            (Stage::STAGING, &[], Ok(ProviderChoice::None)),
            (
                Stage::STAGING,
                &[KEY, ("DATABASE_URL", Some(" "))],
                Ok(ProviderChoice::None),
            ),
            (
                Stage::STAGING,
                &[URL, PIPELINE, ("STAGELINK_PROVIDER", None)],
                Ok(ProviderChoice::Unknown),
            ),
        ] {
            assert_eq!(choose(stage, variables), expected, "{stage} {variables:?}");
        }
    }

    #[test]
    fn variables_that_functions_refuse_are_an_error() {
        let qa: Stage = "staging/qa".parse().unwrap();
        for (stage, variables, expected) in [
            (
                Stage::STAGING,
                &[PIPELINE, KEY, URL][..],
                "2 sources of the database",
            ),
            (
                Stage::STAGING,
                &[PIPELINE, KEY, ("STAGELINK_PROVIDER", Some("Heroku"))],
                "names no provider",
            ),
            (Stage::STAGING, &[PIPELINE], "HEROKU_API_KEY is not set"),
            (
                Stage::STAGING,
                &[("STAGELINK_PROVIDER", Some("url"))],
                "DATABASE_URL is not set",
            ),
            (
                Stage::STAGING,
                &[("STAGELINK_NEON_BRANCH", Some("br-1"))],
                "STAGELINK_NEON_PROJECT is not set",
            ),
            (
                Stage::STAGING,
                &[URL, ("STAGELINK_REQUIRE_MARKS", Some("true"))],
                "STAGELINK_REQUIRE_MARK",
            ),
            (qa, &[PIPELINE, KEY], "has a name of its own"),
        ] {
            let error = choose(stage, variables).unwrap_err();
            assert!(error.contains(expected), "{variables:?}: {error}");
        }
    }
}
