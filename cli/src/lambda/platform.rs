//! The choice of the platform that a command is about.

use anyhow::anyhow;
use stagelink_pipeline::SettingsFile;

use crate::args::{LocalOptions, Platform};
use crate::project;
use crate::usage_error::of_usage;

/// Returns the platform of a project: the one that is named, Netlify for the local clouds, or the one
/// that `stagelink.toml` says.
///
/// # Errors
///
/// When the file names functions on Lambda and a Netlify site, and the command neither.
pub(crate) fn platform_of(on: Option<Platform>, local: &LocalOptions) -> anyhow::Result<Platform> {
    let file = project::settings_file(&local.project)?;
    // The local clouds are Netlify's.
    let on = on.or(local.local.map(|_| Platform::Netlify));
    choose(on, file.as_ref())
}

fn choose(on: Option<Platform>, file: Option<&SettingsFile>) -> anyhow::Result<Platform> {
    let has_site = file.is_some_and(|file| file.site().is_some());
    let has_lambda = file.is_some_and(SettingsFile::is_on_lambda);
    match (on, has_site, has_lambda) {
        (Some(platform), _, _) => Ok(platform),
        (None, true, true) => Err(of_usage(anyhow!(
            "stagelink.toml names a Netlify site and functions on AWS Lambda: add --on netlify or --on \
             lambda"
        ))),
        (None, false, true) => Ok(Platform::Lambda),
        (None, _, false) => Ok(Platform::Netlify),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_is_that_of_the_file_unless_it_has_both() {
        let folder = tempfile::tempdir().unwrap();
        let platform = |text: &str, on| {
            std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
            let local = LocalOptions {
                local: None,
                project: folder.path().to_owned(),
            };
            platform_of(on, &local).map_err(|error| error.to_string())
        };
        let (site, lambda) = (
            "netlify.site = \"s\"\n",
            "lambda.functions = { a = \"b\" }\n",
        );
        assert_eq!(platform(site, None), Ok(Platform::Netlify));
        assert_eq!(platform("", None), Ok(Platform::Netlify));
        assert_eq!(platform(lambda, None), Ok(Platform::Lambda));
        let both = format!("{site}{lambda}");
        assert!(platform(&both, None).unwrap_err().contains("--on lambda"));
        for on in [Platform::Netlify, Platform::Lambda] {
            assert_eq!(platform(&both, Some(on)), Ok(on));
        }
    }
}
