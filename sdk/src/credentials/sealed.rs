//! Credentials that were resolved at deploy time and stand in the function's environment.

use secrecy::{ExposeSecret, SecretString};

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::postgres::DatabaseUrl;
use crate::stage::Stage;

/// Reads `STAGE=URL`. The stage is part of it so that the credentials of one
/// stage, set for the deploys of another by mistake, are refused and not used.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when it is not of that form, [`ErrorKind::Stage`] when
/// it is of another stage, [`ErrorKind::DatabaseUrl`] when the URL is not usable.
pub(crate) fn parse(sealed: &SecretString, stage: Stage) -> Result<Credentials, Error> {
    let (owner, url) = sealed
        .expose_secret()
        .trim()
        .split_once('=')
        .ok_or_else(form)?;
    // What is no stage may be the start of a URL, and is not repeated.
    let owner: Stage = owner.parse().map_err(|_| form())?;
    if owner != stage {
        return Err(Error::new(
            ErrorKind::Stage,
            format!(
                "STAGELINK_SEALED holds the credentials of stage {owner}, but this function serves \
                 stage {stage}: set it anew for this deploy context"
            ),
        ));
    }
    let origin = "STAGELINK_SEALED in the environment";
    Ok(Credentials::new(DatabaseUrl::parse(url, origin)?, origin))
}

fn form() -> Error {
    Error::new(
        ErrorKind::Settings,
        "STAGELINK_SEALED is not of the form STAGE=URL, such as staging=postgres://…",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(sealed: &str) -> Error {
        let error = parse(&sealed.into(), Stage::Staging).unwrap_err();
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
    fn credentials_of_another_stage_are_refused() {
        let error = refusal("production=postgres://u:c4n4ry@h/d");
        assert_eq!(error.kind(), ErrorKind::Stage);
        assert!(error.to_string().contains("of stage production"));
    }

    #[test]
    fn other_form_is_refused_without_being_shown() {
        for sealed in [
            "postgres://u:c4n4ry@h/d",
            "postgres://u:c4n4ry@h/d?a=b",
            "=postgres://u:c4n4ry@h/d",
        ] {
            assert_eq!(refusal(sealed).kind(), ErrorKind::Settings, "{sealed}");
        }
        assert_eq!(refusal("staging=c4n4ry").kind(), ErrorKind::DatabaseUrl);
    }
}
