//! New versions of functions on Lambda, from an archive on this machine.

use std::path::PathBuf;

use crate::artifact::FunctionContent;
use crate::aws::{Lambda, NewFunction, SettingsChange};
use crate::error::{Error, ErrorKind};
use crate::promotion::lambda::live::base64_sha256;

/// An archive that becomes a version.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) zip: PathBuf,
    /// The processor, as Lambda names it: `arm64` or `x86_64`.
    pub(crate) architecture: String,
    /// The settings that change with it.
    pub(crate) settings: SettingsChange,
}

impl Upload {
    /// Uploads the archive where the function has another one, changes the settings, and publishes a
    /// version. Returns its number.
    ///
    /// No alias points to what is not published, so code and settings may change one after the other.
    ///
    /// # Errors
    ///
    /// The failure of a call; [`ErrorKind::Promotion`] where Lambda has another archive afterwards, or
    /// there is no function and no role for a new one.
    pub(super) async fn publish(
        &self,
        lambda: &Lambda,
        function: &str,
        entry: &FunctionContent,
        description: &str,
    ) -> Result<String, Error> {
        let wanted = base64_sha256(&entry.archive);
        let mut current = match lambda.configuration(function, None).await? {
            None => self.create(lambda, function).await?,
            Some(found) => {
                let is_same =
                    found.sha256 == wanted && found.architectures == [self.architecture.as_str()];
                let mut current = match is_same {
                    true => found,
                    false => {
                        lambda
                            .update_code(function, &self.architecture, &self.zip, &found)
                            .await?
                    }
                };
                if !self.settings.is_empty() {
                    current = lambda
                        .update_settings(function, &self.settings, &current)
                        .await?;
                }
                current
            }
        };
        ensure_same(function, &current.sha256, &wanted)?;
        current = lambda.publish(function, &current, description).await?;
        ensure_same(function, &current.sha256, &wanted)?;
        Ok(current.version)
    }

    async fn create(
        &self,
        lambda: &Lambda,
        function: &str,
    ) -> Result<crate::aws::FunctionConfiguration, Error> {
        let Some(role) = &self.settings.role else {
            return Err(no_function(function));
        };
        let mut settings = self.settings.clone();
        settings.memory_mb = settings.memory_mb.or(Some(MEMORY_MB));
        settings.timeout_seconds = settings.timeout_seconds.or(Some(TIMEOUT_SECONDS));
        let new = NewFunction {
            name: function,
            architecture: &self.architecture,
            role,
            zip: &self.zip,
            settings: &settings,
        };
        lambda.create_function(&new).await
    }
}

/// Returns the error of a function that is not there.
pub(crate) fn no_function(function: &str) -> Error {
    Error::new(
        ErrorKind::Promotion,
        format!(
            "there is no function {function} on Lambda in this account and region, and to make it Lambda \
             needs a role: name it by `stagelink deploy --role`, or correct the function's name in \
             stagelink.toml"
        ),
    )
}

/// Makes sure that a version is there and has the archive of the artifact.
///
/// # Errors
///
/// The failure of the call; [`ErrorKind::Promotion`] where it is not.
pub(super) async fn verify(
    lambda: &Lambda,
    function: &str,
    version: &str,
    entry: &FunctionContent,
) -> Result<(), Error> {
    let found = lambda.configuration(function, Some(version)).await?;
    let Some(found) = found else {
        return Err(Error::new(
            ErrorKind::Promotion,
            format!("version {version} of {function} was deleted: deploy that commit again"),
        ));
    };
    ensure_same(function, &found.sha256, &base64_sha256(&entry.archive))
}

fn ensure_same(function: &str, found: &str, wanted: &str) -> Result<(), Error> {
    match found == wanted {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Promotion,
            format!(
                "Lambda has another archive of {function} (SHA-256 {}) than the artifact ({wanted}): \
                 another command has replaced it",
                stagelink::one_line(found)
            ),
        )),
    }
}

/// A function needs 10 MB, but Lambda gives time of the processor by memory, and TLS needs some.
const MEMORY_MB: u32 = 256;

/// The SDK tries again for ten seconds.
const TIMEOUT_SECONDS: u32 = 15;
