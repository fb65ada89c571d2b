//! Where a new project takes the SDK from, as long as no registry has it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The source of the crates `stagelink`, `stagelink-local` and `stagelink-local-postgres`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SdkSource {
    /// A checkout on this machine.
    Checkout(PathBuf),
    /// A Git repository, by its URL.
    Repository(String),
}

impl SdkSource {
    /// The checkout that this command was built from, if it is there still.
    pub(super) fn of_this_build() -> anyhow::Result<Self> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Self::checkout(&built_from).context(
            "the SDK is not where this command was built from: name a checkout of stagelink, or \
             the URL of its repository, by --sdk",
        )
    }

    /// Reads what stands behind `--sdk`.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let Some((_, rest)) = text.split_once("://") else {
            return Self::checkout(Path::new(text));
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        // Over SSH the name of a user is none of a secret.
        if user.is_some_and(|user| user.contains(':') || !text.starts_with("ssh://")) {
            bail!(
                "the URL after --sdk holds a password or token, which would stand in Cargo.toml: \
                 leave it out, git asks its credential helper"
            );
        }
        Ok(Self::Repository(text.to_owned()))
    }

    fn checkout(folder: &Path) -> anyhow::Result<Self> {
        let absolute = folder.canonicalize().with_context(|| {
            format!("there is no checkout of stagelink in {}", folder.display())
        })?;
        for part in [
            "sdk/Cargo.toml",
            "local/Cargo.toml",
            "local-postgres/Cargo.toml",
            "cli/Cargo.toml",
        ] {
            if !absolute.join(part).is_file() {
                bail!(
                    "there is no checkout of stagelink in {}: it has no {part}",
                    absolute.display()
                );
            }
        }
        if absolute.to_str().is_none() {
            bail!("the path {} cannot stand in Cargo.toml", absolute.display());
        }
        Ok(Self::Checkout(absolute))
    }

    /// The crate in this folder of the project, as a dependency in Cargo.toml.
    pub(super) fn dependency(&self, folder: &str) -> String {
        match self {
            Self::Checkout(checkout) => format!(
                "{{ path = {} }}",
                quoted(&checkout.join(folder).to_string_lossy())
            ),
            Self::Repository(url) => format!("{{ git = {} }}", quoted(url)),
        }
    }
}

/// A basic string of TOML. JSON's escapes are among those that it knows.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_knows_the_checkout_that_it_was_built_from() {
        let sdk = SdkSource::of_this_build().unwrap();
        assert!(sdk.dependency("sdk").ends_with("/sdk\" }"), "{sdk:?}");
    }

    #[test]
    fn folder_without_the_sdk_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = SdkSource::parse(dir.path().to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("sdk/Cargo.toml"), "{error}");
        let error = SdkSource::parse("no/such/folder").unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
    }

    #[test]
    fn repository_is_named_by_its_url() {
        for url in [
            "https://example.com/stagelink.git",
            "ssh://git@example.com/stagelink.git",
        ] {
            let sdk = SdkSource::parse(url).unwrap();
            assert_eq!(sdk.dependency("sdk"), format!("{{ git = \"{url}\" }}"));
        }
    }

    #[test]
    fn url_with_a_secret_is_refused_and_not_repeated() {
        for url in [
            "https://c4n4ry@example.com/x",
            "https://me:c4n4ry@example.com/x",
        ] {
            let error = format!("{:#}", SdkSource::parse(url).unwrap_err());
            assert!(
                error.contains("--sdk") && !error.contains("c4n4ry"),
                "{error}"
            );
        }
    }
}
