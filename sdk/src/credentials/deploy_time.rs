//! Credentials that were resolved at deploy time and stand in the function's environment.

use secrecy::{ExposeSecret, SecretString};

use crate::credentials::Credentials;
use crate::credentials::{DatabaseUrl, ScramKeys};
use crate::error::{Error, ErrorKind};
use crate::stage::Stage;

/// Reads `STAGE=URL`, or `STAGE=URL#scram=KEYS`. The stage is part of it so that the
/// credentials of one stage, set for the deploys of another by mistake, are refused and not
/// used; the keys are, so that nobody has to keep two secrets together. A URL has no `#`.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when it is of neither form, [`ErrorKind::Stage`] when
/// it is of another stage, [`ErrorKind::DatabaseUrl`] when the URL is not usable.
pub(crate) fn parse(deploy_time: &SecretString, stage: Stage) -> Result<Credentials, Error> {
    let mut own = None;
    for entry in deploy_time.expose_secret().split_whitespace() {
        let (owner, url) = split(entry)?;
        if owner != stage {
            return Err(Error::new(
                ErrorKind::Stage,
                format!(
                    "STAGELINK_CREDENTIALS holds the credentials of stage {owner}, but this function \
                     serves stage {stage}: set it anew for this deploy context"
                ),
            ));
        }
        if own.replace(url).is_some() {
            return Err(twice(stage));
        }
    }
    let origin = "STAGELINK_CREDENTIALS in the environment";
    let own = own.ok_or_else(form)?;
    let (url, keys) = match own.split_once(KEYS) {
        Some((url, keys)) => (url, Some(keys)),
        None => (own, None),
    };
    let url = DatabaseUrl::parse(url, origin)?;
    let keys = keys.map(|keys| ScramKeys::parse(keys).ok_or_else(|| no_keys(stage)));
    Ok(Credentials::new(url, origin).with_scram_keys(keys.transpose()?))
}

/// The entry of one stage among several, with white space between: a URL has none.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when one of them is not of that form, or there are two of the stage.
pub(crate) fn of_stage(
    deploy_time: &SecretString,
    stage: Stage,
) -> Result<Option<SecretString>, Error> {
    let mut own = None;
    for entry in deploy_time.expose_secret().split_whitespace() {
        let (owner, _) = split(entry)?;
        if owner == stage && own.replace(entry.into()).is_some() {
            return Err(twice(stage));
        }
    }
    Ok(own)
}

fn split(entry: &str) -> Result<(Stage, &str), Error> {
    let (owner, url) = entry.split_once('=').ok_or_else(form)?;
    // What is no stage may be the start of a URL, and is not repeated.
    Ok((Stage::named(owner).ok_or_else(form)?, url))
}

fn twice(stage: Stage) -> Error {
    Error::new(
        ErrorKind::Settings,
        format!(
            "STAGELINK_CREDENTIALS has two entries for stage {stage}: remove the one that is old"
        ),
    )
}

/// Writes what [`parse`] reads.
pub(crate) fn to_variable(credentials: &Credentials, stage: Stage) -> SecretString {
    let url = credentials.url.expose_secret();
    match &credentials.scram_keys {
        Some(keys) => format!("{stage}={url}{KEYS}{}", keys.text().expose_secret()),
        None => format!("{stage}={url}"),
    }
    .into()
}

fn no_keys(stage: Stage) -> Error {
    Error::new(
        ErrorKind::Settings,
        format!(
            "STAGELINK_CREDENTIALS has something behind the URL of stage {stage} that is not SCRAM's \
             keys: part of it was lost; set it again (`stagelink credentials`, `stagelink link`), or remove \
             it from the # on"
        ),
    )
}

fn form() -> Error {
    Error::new(
        ErrorKind::Settings,
        "STAGELINK_CREDENTIALS is not of the form STAGE=URL, such as staging=postgres://…",
    )
}

/// Between a URL and what SCRAM makes of its password.
const KEYS: &str = "#scram=";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(deploy_time: &str) -> Error {
        let error = parse(&deploy_time.into(), Stage::Staging).unwrap_err();
        assert!(!format!("{error:?}").contains("c4n4ry"));
        error
    }

    #[test]
    fn credentials_of_the_stage_are_read() {
        let credentials = parse(
            &"staging=postgres://u:p@h/d?sslmode=require".into(),
            Stage::Staging,
        );
        assert_eq!(credentials.unwrap().url().database(), "d");
    }

    #[test]
    fn credentials_survive_the_round_trip_through_the_variable() {
        let url = "postgres://u:c4n4ry@h:5433/d?sslmode=require";
        let credentials = Credentials::new(DatabaseUrl::parse(url, "a test").unwrap(), "a test");
        let deploy_time = credentials.to_variable(Stage::Review);
        assert!(!format!("{deploy_time:?}").contains("c4n4ry"));
        let again = parse(&deploy_time, Stage::Review).unwrap();
        assert!(again.url().is_same_as(credentials.url()));
    }

    #[test]
    fn scram_keys_stand_behind_the_url_and_belong_to_it() {
        let text = "staging=postgres://u:c4n4ry@h/d#scram=4096:c2FsdA==:\
            Y2xpZW50Y2xpZW50Y2xpZW50Y2xpZW50Y2xpZW50Y2w=:\
            c2VydmVyc2VydmVyc2VydmVyc2VydmVyc2VydmVyc2U=";
        let credentials = parse(&text.into(), Stage::Staging).unwrap();
        assert!(credentials.scram_keys().is_some());
        let plain = "postgres://u:c4n4ry@h/d";
        let plain = DatabaseUrl::parse(plain, "a test").unwrap();
        assert!(credentials.url().is_same_as(&plain));
        assert_eq!(
            credentials.to_variable(Stage::Staging).expose_secret(),
            text
        );
        assert!(!format!("{credentials:?}").contains("Y2xp"));
        let cut = refusal(&text[..text.len() - 1]);
        assert_eq!(cut.kind(), ErrorKind::Settings);
        assert!(!cut.to_string().contains("c2Vy"), "{cut}");
    }

    #[test]
    fn secrets_are_the_urls_their_long_passwords_and_the_scram_keys() {
        let keys = "4096:c2FsdA==:Y2xpZW50Y2xpZW50Y2xpZW50Y2xpZW50Y2xpZW50Y2w=:\
            c2VydmVyc2VydmVyc2VydmVyc2VydmVyc2VydmVyc2U=";
        let url = "postgres://u:c4n4ry%21long@h/d";
        let text = format!("staging={url}#scram={keys}");
        let direct = DatabaseUrl::parse("postgres://u:short@h/d", "a test").unwrap();
        let credentials = parse(&text.into(), Stage::Staging).unwrap();
        let secrets = credentials.with_direct(direct).secrets();
        let secrets: Vec<_> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(
            secrets,
            [url, "c4n4ry!long", "postgres://u:short@h/d", keys]
        );
    }

    #[test]
    fn hash_in_a_password_is_explained_as_before() {
        let error = refusal("staging=postgres://u:c4n4ry#1@h/d");
        assert!(error.to_string().contains("%23"), "{error}");
    }

    #[test]
    fn credentials_of_another_stage_are_refused() {
        let error = refusal("production=postgres://u:c4n4ry@h/d");
        assert_eq!(error.kind(), ErrorKind::Stage);
        assert!(error.to_string().contains("of stage production"));
    }

    #[test]
    fn entry_of_a_stage_is_found_among_several() {
        let deploy_time =
            "staging=postgres://u:c4n4ry@h/s\n production=postgres://u:c4n4ry@h/p".into();
        let own = of_stage(&deploy_time, Stage::Production).unwrap().unwrap();
        assert_eq!(own.expose_secret(), "production=postgres://u:c4n4ry@h/p");
        assert!(of_stage(&deploy_time, Stage::Review).unwrap().is_none());
        for twice_or_none in ["staging=a staging=b", "staging=a b"] {
            let error = of_stage(&twice_or_none.into(), Stage::Staging).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings);
        }
        assert_eq!(
            refusal("staging=a staging=c4n4ry").kind(),
            ErrorKind::Settings
        );
    }

    #[test]
    fn other_form_is_refused_without_being_shown() {
        for deploy_time in [
            "postgres://u:c4n4ry@h/d",
            "postgres://u:c4n4ry@h/d?a=b",
            "=postgres://u:c4n4ry@h/d",
        ] {
            assert_eq!(
                refusal(deploy_time).kind(),
                ErrorKind::Settings,
                "{deploy_time}"
            );
        }
        assert_eq!(refusal("staging=c4n4ry").kind(), ErrorKind::DatabaseUrl);
    }
}
