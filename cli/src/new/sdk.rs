//! The source of the SDK in a new project's Cargo.toml.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The source of the SDK's crates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SdkSource {
    /// A checkout on this machine.
    Checkout(PathBuf),
    /// A Git repository, by its URL.
    Repository(String),
    /// A version on crates.io.
    Version(String),
}

impl SdkSource {
    /// Returns the source that belongs to the running command.
    ///
    /// Only a command that runs from the target folder of its own checkout uses that checkout. An
    /// installed one never names a folder of the machine that built it: the project would not
    /// build elsewhere.
    pub(super) fn of_this_command() -> anyhow::Result<Self> {
        let executable = std::env::current_exe()
            .and_then(|path| path.canonicalize())
            .context("could not find the running command")?;
        let manifest_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        // `cargo run` in the checkout, whose target folder may be elsewhere.
        let of_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let is_run_there = of_cargo.is_some_and(|folder| folder == manifest_folder);
        Ok(Self::of_command(&executable, manifest_folder, is_run_there))
    }

    /// Returns the source that belongs to an executable that was built from a manifest's folder.
    fn of_command(executable: &Path, manifest_folder: &Path, is_run_there: bool) -> Self {
        let checkout = Self::checkout(&manifest_folder.join(".."));
        if let Ok(Self::Checkout(folder)) = &checkout
            && (is_run_there || executable.starts_with(folder))
        {
            return Self::Checkout(folder.clone());
        }
        // Cargo unpacks the packages of a registry to registry/src/<registry>/<package>.
        let is_from_registry = manifest_folder
            .ancestors()
            .any(|folder| folder.ends_with("registry/src"));
        if is_from_registry {
            let minor = concat!(
                env!("CARGO_PKG_VERSION_MAJOR"),
                ".",
                env!("CARGO_PKG_VERSION_MINOR")
            );
            Self::Version(minor.to_owned())
        } else {
            Self::Repository(env!("CARGO_PKG_REPOSITORY").to_owned())
        }
    }

    /// Parses the value of `--sdk`.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let Some((_, rest)) = text.split_once("://") else {
            return Self::checkout(Path::new(text));
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        // With SSH the user's name is not a secret.
        if user.is_some_and(|user| user.contains(':') || !text.starts_with("ssh://")) {
            bail!(
                "the URL of --sdk contains a password or token, which Cargo.toml would expose: \
                 remove it, git uses its credential helper"
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
            "test-kit/Cargo.toml",
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
            bail!(
                "Cargo.toml cannot contain the path {}: it is not UTF-8",
                absolute.display()
            );
        }
        Ok(Self::Checkout(absolute))
    }

    /// Returns what the operator has to know of the source. `is_named` is true where `--sdk` named it.
    pub(super) fn told(&self, is_named: bool) -> String {
        match self {
            Self::Checkout(checkout) => format!(
                "It uses the SDK of the checkout in {}. For other machines, name the repository instead: see \
                 README.md.",
                checkout.display()
            ),
            Self::Repository(url) if is_named => {
                format!("It uses the SDK of the repository {url}.")
            }
            Self::Repository(url) => format!(
                "It uses the SDK of the repository {url}, since this command does not run from the target \
                 folder of a checkout. --sdk names another source: the folder of a checkout, or a URL."
            ),
            Self::Version(version) => {
                format!("It uses version {version} of the SDK from crates.io.")
            }
        }
    }

    /// Returns the crate in this folder of the repository as a dependency for Cargo.toml.
    pub(super) fn dependency(&self, folder: &str) -> String {
        match self {
            Self::Checkout(checkout) => format!(
                "{{ path = {} }}",
                quoted(&checkout.join(folder).to_string_lossy())
            ),
            Self::Repository(url) => format!("{{ git = {} }}", quoted(url)),
            Self::Version(version) => quoted(version),
        }
    }
}

/// Returns a basic string of TOML, which has the escapes of JSON too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_in_the_target_folder_of_its_checkout_uses_the_checkout() {
        let manifest_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest_folder.join("..").canonicalize().unwrap();
        let command = root.join("target/debug/stagelink");
        let sdk = SdkSource::of_command(&command, manifest_folder, false);
        assert_eq!(sdk, SdkSource::Checkout(root.clone()));
        let path = root.join("sdk");
        assert_eq!(
            sdk.dependency("sdk"),
            format!("{{ path = \"{}\" }}", path.display())
        );
    }

    #[test]
    fn installed_command_uses_the_repository_although_its_checkout_is_there() {
        let manifest_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let command = Path::new("/home/dev/.cargo/bin/stagelink");
        let sdk = SdkSource::of_command(command, manifest_folder, false);
        let url = env!("CARGO_PKG_REPOSITORY");
        assert!(url.starts_with("https://"), "{url}");
        assert_eq!(sdk.dependency("sdk"), format!("{{ git = \"{url}\" }}"));
    }

    #[test]
    fn command_from_a_registry_uses_its_version() {
        let manifest_folder = Path::new("/home/dev/.cargo/registry/src/index/stagelink-cli-0.1.0");
        let command = Path::new("/home/dev/.cargo/bin/stagelink");
        let sdk = SdkSource::of_command(command, manifest_folder, false);
        let version = env!("CARGO_PKG_VERSION");
        let minor = version.rsplit_once('.').unwrap().0;
        assert_eq!(sdk.dependency("sdk"), format!("\"{minor}\""));
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
