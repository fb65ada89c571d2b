//! The choice of the platform that a command is about.

use anyhow::anyhow;
use stagelink_pipeline::SettingsFile;

use crate::args::{LocalOptions, Platform, PlatformOption};
use crate::project;
use crate::usage_error::of_usage;

/// Returns the platform of a project: the one that is named, Netlify for the local clouds, or the one
/// that `stagelink.toml` says.
///
/// # Errors
///
/// When the file names functions on Lambda and a Netlify site, and the command neither; and when one of the options
/// is given that the other platform alone has.
pub(crate) fn platform_of(
    on: Option<Platform>,
    local: &LocalOptions,
    options: &[PlatformOption],
) -> anyhow::Result<Platform> {
    let platform = platform(on, local)?;
    ensure_meant(platform, options)?;
    Ok(platform)
}

/// Makes sure that no option is given that would be ignored.
fn ensure_meant(platform: Platform, options: &[PlatformOption]) -> anyhow::Result<()> {
    let is_ignored = |option: &&PlatformOption| option.is_given && option.platform != platform;
    let ignored: Vec<_> = options
        .iter()
        .filter(is_ignored)
        .map(|option| option.name)
        .collect();
    if ignored.is_empty() {
        return Ok(());
    }
    let (other, this) = match platform {
        Platform::Lambda => ("Netlify", "AWS Lambda"),
        Platform::Netlify => ("AWS Lambda", "Netlify"),
    };
    Err(of_usage(anyhow!(
        "this command is about {this}, and {other} alone has: {}; leave that out",
        ignored.join(", ")
    )))
}

fn platform(on: Option<Platform>, local: &LocalOptions) -> anyhow::Result<Platform> {
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
            platform_of(on, &local, &[]).map_err(|error| error.to_string())
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

    #[test]
    fn option_that_the_other_platform_alone_has_is_refused_where_it_is_given() {
        let options = [
            PlatformOption::netlify("--no-test", true),
            PlatformOption::netlify("--site", false),
            PlatformOption::lambda("--role", true),
        ];
        let error = |platform| ensure_meant(platform, &options).unwrap_err().to_string();
        let on_lambda = error(Platform::Lambda);
        assert!(
            on_lambda.contains("about AWS Lambda") && on_lambda.contains("has: --no-test;"),
            "{on_lambda}"
        );
        assert!(error(Platform::Netlify).contains("has: --role;"));
        ensure_meant(Platform::Lambda, &options[1..]).unwrap();
    }
}
