//! The variables of functions on AWS Lambda, from a file of lines `NAME=VALUE`.

use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{Error, ErrorKind};

/// All variables of a function. Their values are secrets, which neither `Debug` nor an error shows.
#[derive(Clone)]
pub struct LambdaVariables(Vec<(String, SecretString)>);

impl LambdaVariables {
    /// Reads a file of lines `NAME=VALUE`, the value as it stands, without quotes. Empty lines, and those
    /// that begin with `#`, are left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the file cannot be read, a line is of another form, or Lambda takes no
    /// such variables. The message names the line and repeats nothing of it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("could not read the variables in {}", path.display());
            Error::with_source(ErrorKind::Settings, message, error)
        })?;
        Self::parse(&text).map_err(|reason| {
            let message = format!(
                "could not use the variables in {}: {reason}",
                path.display()
            );
            Error::new(ErrorKind::Settings, message)
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut variables: Vec<(String, SecretString)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line is not repeated: it may be a misplaced secret.
            let pair = line.split_once('=').filter(|(name, _)| is_name(name));
            let (name, value) = pair.ok_or_else(|| format!("line {number} is not NAME=VALUE"))?;
            if value.chars().any(char::is_control) {
                return Err(format!("the value of {name} has a control character"));
            }
            if variables.iter().any(|(other, _)| other == name) {
                return Err(format!("line {number} sets {name} a second time"));
            }
            if is_reserved(name) {
                return Err(format!("{name} is set by Lambda itself: remove it"));
            }
            variables.push((name.to_owned(), value.into()));
        }
        let written = variables.iter().map(|(name, value)| {
            let value = serde_json::Value::from(value.expose_secret()).to_string();
            // Quotes, colon and comma.
            name.len() + value.len() + 4
        });
        match written.sum::<usize>() > LARGEST_BYTES {
            true => Err("they are more than the 4 KB that Lambda takes".to_owned()),
            false => Ok(Self(variables)),
        }
    }

    /// Returns the value of `STAGELINK_STAGE`, which is no secret.
    pub(super) fn stage(&self) -> Option<&str> {
        let mut variables = self.0.iter();
        let found = variables.find(|(name, _)| name == "STAGELINK_STAGE");
        found.map(|(_, value)| value.expose_secret())
    }

    pub(super) fn pairs(&self) -> &[(String, SecretString)] {
        &self.0
    }
}

impl fmt::Debug for LambdaVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(is_allowed)
}

/// Returns whether Lambda sets a variable itself, and refuses it.
fn is_reserved(name: &str) -> bool {
    const CREDENTIALS: [&str; 5] = [
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ];
    is_lambda_runtime_variable(name) || CREDENTIALS.contains(&name)
}

/// Returns whether AWS Lambda's runtime sets a variable of a function itself, beside its credentials (Lambda's
/// guide, "Defined runtime environment variables", 2026-11). Other names that begin with `AWS_LAMBDA_` are
/// settings, such as `AWS_LAMBDA_EXEC_WRAPPER`.
pub fn is_lambda_runtime_variable(name: &str) -> bool {
    const SET: [&str; 14] = [
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
    ];
    SET.contains(&name)
}

/// Lambda's limit for all variables together.
const LARGEST_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_stand_and_debug_shows_names_alone() {
        let read = LambdaVariables::parse("# of all\n\nA=c4n4ry=\"\\@' \nSTAGELINK_STAGE=staging");
        let read = read.unwrap();
        assert_eq!(read.pairs()[0].1.expose_secret(), "c4n4ry=\"\\@' ");
        assert_eq!(read.stage(), Some("staging"));
        assert_eq!(format!("{read:?}"), "[\"A\", \"STAGELINK_STAGE\"]");
    }

    #[test]
    fn settings_that_begin_as_lambdas_own_variables_are_taken() {
        let text = "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH=1\nAWS_LAMBDA_EXEC_WRAPPER=/opt/wrapper";
        let read = LambdaVariables::parse(text).unwrap();
        assert_eq!(read.pairs().len(), 2);
    }

    #[test]
    fn line_of_another_form_is_named_and_not_repeated() {
        for (text, reason) in [
            ("A=b\nc4n4ry\n", "line 2 is not NAME=VALUE"),
            ("A=b\nc4n4ry x=1\n", "line 2"),
            ("A=c4n4ry\u{7}", "the value of A has a control character"),
            ("A=1\nA=c4n4ry", "line 2 sets A a second time"),
            ("AWS_REGION=c4n4ry", "AWS_REGION is set by Lambda itself"),
            (
                "LAMBDA_RUNTIME_DIR=c4n4ry",
                "LAMBDA_RUNTIME_DIR is set by Lambda itself",
            ),
            (
                "AWS_LAMBDA_FUNCTION_NAME=c4n4ry",
                "AWS_LAMBDA_FUNCTION_NAME is set by Lambda itself",
            ),
            (&format!("A={}", "c4n4ry".repeat(700)), "4 KB"),
        ] {
            let error = LambdaVariables::parse(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("c4n4ry"), "{error}");
        }
        let missing = LambdaVariables::read(Path::new("/nowhere")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere"), "{missing}");
    }
}
