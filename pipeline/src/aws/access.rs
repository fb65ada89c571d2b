//! Access to AWS: the program `aws`, the region, and the account that the login belongs to.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::error::{Error, ErrorKind};

/// Access to AWS by the command `aws`, with the login that it finds: `AWS_PROFILE`, or
/// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, which the command reads itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AwsAccess {
    /// The program.
    pub program: PathBuf,
    /// The region; `None` for that of the command's own settings.
    pub region: Option<String>,
    /// Secrets of the environment, which no message repeats.
    pub secrets: Vec<SecretString>,
}

/// The account and the region that an [`AwsAccess`] leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsCaller {
    /// The number of the account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl AwsAccess {
    /// Finds the program `aws` on the PATH, and the settings that the environment has. `variable`
    /// gives the value of a variable.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when there is no program of this name.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let text = |name: &str| {
            let value = variable(name)?.into_string().ok()?;
            Some(value).filter(|value| !value.trim().is_empty())
        };
        let folders = variable("PATH").unwrap_or_default();
        let mut programs = std::env::split_paths(&folders).map(|folder| folder.join("aws"));
        let Some(program) = programs.find(|program| program.is_file()) else {
            return Err(Error::new(
                ErrorKind::Settings,
                "there is no command aws on the PATH: install the AWS CLI \
                 (https://docs.aws.amazon.com/cli/)",
            ));
        };
        let secrets = SECRET_VARIABLES.iter().filter_map(|name| text(name));
        Ok(Self {
            program,
            region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
            secrets: secrets.map(SecretString::from).collect(),
        })
    }
}

impl fmt::Display for AwsCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}, {}", self.account, self.region)
    }
}

/// The variables of a login whose values are secrets.
const SECRET_VARIABLES: [&str; 3] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
];
