//! Deploy-time credentials: the variable `STAGELINK_CREDENTIALS`.

use secrecy::{ExposeSecret, SecretString};

use crate::credentials::{Credentials, DatabaseUrl, ScramKeys};
use crate::error::{Error, ErrorKind};
use crate::stage::Stage;

/// Parses `STAGE=URL` or `STAGE=URL#scram=KEYS`.
///
/// The stage is part of the value so that one stage's credentials, set for another by mistake, are
/// refused. The SCRAM keys are part of it so that there is one secret to keep. A URL contains no
/// `#`.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when the value has another form, [`ErrorKind::Stage`] when it is
/// another stage's, [`ErrorKind::DatabaseUrl`] when the URL is not usable.
pub(crate) fn parse(variable: &SecretString, stage: Stage) -> Result<Credentials, Error> {
    let mut own = None;
    for entry in variable.expose_secret().split_whitespace() {
        let (owner, url) = split(entry)?;
        if owner != stage {
            return Err(Error::new(
                ErrorKind::Stage,
                format!(
                    "STAGELINK_CREDENTIALS holds the credentials of stage {owner}, but this function \
                     serves stage {stage}: set its own value for this deploy context"
                ),
            ));
        }
        if own.replace(url).is_some() {
            return Err(duplicate_entry(stage));
        }
    }
    let origin = "STAGELINK_CREDENTIALS in the environment";
    let own = own.ok_or_else(malformed)?;
    let (url, keys) = match own.split_once(KEYS) {
        Some((url, keys)) => (url, Some(keys)),
        None => (own, None),
    };
    let url = DatabaseUrl::parse(url, origin)?;
    let keys = keys.map(|keys| ScramKeys::parse(keys).ok_or_else(|| malformed_keys(stage)));
    Ok(Credentials::new(url, origin).with_scram_keys(keys.transpose()?))
}

/// Finds the entry of one stage among several, which are separated by white space.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when an entry is malformed, or the stage has two.
#[cfg(feature = "lambda")]
pub(crate) fn of_stage(
    variable: &SecretString,
    stage: Stage,
) -> Result<Option<SecretString>, Error> {
    let mut own = None;
    for entry in variable.expose_secret().split_whitespace() {
        let (owner, _) = split(entry)?;
        if owner == stage && own.replace(entry.into()).is_some() {
            return Err(duplicate_entry(stage));
        }
    }
    Ok(own)
}

fn split(entry: &str) -> Result<(Stage, &str), Error> {
    let (owner, url) = entry.split_once('=').ok_or_else(malformed)?;
    // The message does not quote the unknown name: it may be part of a URL.
    Ok((Stage::written(owner).ok_or_else(malformed)?, url))
}

fn duplicate_entry(stage: Stage) -> Error {
    Error::new(
        ErrorKind::Settings,
        format!("STAGELINK_CREDENTIALS has two entries for stage {stage}: remove the old one"),
    )
}

/// Formats credentials as the value that [`parse`] reads.
pub(crate) fn to_variable(credentials: &Credentials, stage: Stage) -> SecretString {
    let url = credentials.url.expose_secret();
    match &credentials.scram_keys {
        Some(keys) => format!("{stage}={url}{KEYS}{}", keys.text().expose_secret()),
        None => format!("{stage}={url}"),
    }
    .into()
}

fn malformed_keys(stage: Stage) -> Error {
    Error::new(
        ErrorKind::Settings,
        format!(
            "STAGELINK_CREDENTIALS has malformed SCRAM keys behind the URL of stage {stage}: part \
             of the value was probably lost; set it again (`stagelink credentials`, `stagelink link`), or remove \
             it from the # on"
        ),
    )
}

fn malformed() -> Error {
    Error::new(
        ErrorKind::Settings,
        "STAGELINK_CREDENTIALS is not in the form STAGE=URL, such as staging=postgres://…",
    )
}

/// Separator between the URL and the SCRAM keys.
const KEYS: &str = "#scram=";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(deploy_time: &str) -> Error {
        let error = parse(&deploy_time.into(), Stage::STAGING).unwrap_err();
        assert!(!format!("{error:?}").contains("c4n4ry"));
        error
    }

    #[test]
    fn credentials_of_the_stage_are_read() {
        let credentials = parse(
            &"staging=postgres://u:p@h/d?sslmode=require".into(),
            Stage::STAGING,
        );
        assert_eq!(credentials.unwrap().url().database(), "d");
    }

    #[test]
    fn credentials_survive_the_round_trip_through_the_variable() {
        let url = "postgres://u:c4n4ry@h:5433/d?sslmode=require";
        let credentials = Credentials::new(DatabaseUrl::parse(url, "a test").unwrap(), "a test");
        let deploy_time = credentials.to_variable(Stage::REVIEW);
        assert!(!format!("{deploy_time:?}").contains("c4n4ry"));
        let again = parse(&deploy_time, Stage::REVIEW).unwrap();
        assert!(again.url().is_same_as(credentials.url()));
    }

    #[test]
    fn scram_keys_stand_behind_the_url_and_belong_to_it() {
        let text = "staging=postgres://u:c4n4ry@h/d#scram=4096:c2FsdA==:\
            Y2xpZW50Y2xpZW50Y2xpZW50Y2xpZW50Y2xpZW50Y2w=:\
            c2VydmVyc2VydmVyc2VydmVyc2VydmVyc2VydmVyc2U=";
        let credentials = parse(&text.into(), Stage::STAGING).unwrap();
        assert!(credentials.scram_keys.is_some());
        let plain = "postgres://u:c4n4ry@h/d";
        let plain = DatabaseUrl::parse(plain, "a test").unwrap();
        assert!(credentials.url().is_same_as(&plain));
        assert_eq!(
            credentials.to_variable(Stage::STAGING).expose_secret(),
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
        let credentials = parse(&text.into(), Stage::STAGING).unwrap();
        let secrets = credentials.with_direct(direct).secrets();
        let secrets: Vec<_> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(
            secrets,
            [url, "c4n4ry!long", "postgres://u:short@h/d", keys]
        );
    }

    #[test]
    fn unescaped_hash_in_a_password_is_explained() {
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
    fn credentials_of_a_stage_with_its_own_name_are_not_those_of_its_kind() {
        let qa: Stage = "staging/qa".parse().unwrap();
        let variable = "staging/qa=postgres://u:c4n4ry@h/d".into();
        let credentials = parse(&variable, qa).unwrap();
        let written = credentials.to_variable(qa);
        assert_eq!(written.expose_secret(), variable.expose_secret());
        let error = parse(&variable, Stage::STAGING).unwrap_err().to_string();
        assert!(error.contains("of stage staging/qa, but"), "{error}");
        let error = parse(&"staging=postgres://u:c4n4ry@h/d".into(), qa).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stage);
    }

    #[test]
    fn stage_entry_is_found_among_several() {
        let deploy_time =
            "staging=postgres://u:c4n4ry@h/s\n production=postgres://u:c4n4ry@h/p".into();
        let own = of_stage(&deploy_time, Stage::PRODUCTION).unwrap().unwrap();
        assert_eq!(own.expose_secret(), "production=postgres://u:c4n4ry@h/p");
        assert!(of_stage(&deploy_time, Stage::REVIEW).unwrap().is_none());
        for twice_or_none in ["staging=a staging=b", "staging=a b"] {
            let error = of_stage(&twice_or_none.into(), Stage::STAGING).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings);
        }
        assert_eq!(
            refusal("staging=a staging=c4n4ry").kind(),
            ErrorKind::Settings
        );
    }

    #[test]
    fn malformed_value_is_refused_and_not_shown() {
        for deploy_time in [
            "postgres://u:c4n4ry@h/d",
            "postgres://u:c4n4ry@h/d?a=b",
            "=postgres://u:c4n4ry@h/d",
            "qa=postgres://u:c4n4ry@h/d",
            "staging/=postgres://u:c4n4ry@h/d",
            "staging/staging=postgres://u:c4n4ry@h/d",
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
