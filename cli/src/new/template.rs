//! The files of a new project.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::name::ProjectName;
use super::sdk::SdkSource;

/// Writes all files of a project to a folder, and creates it.
pub(super) fn write(folder: &Path, name: &ProjectName, sdk: &SdkSource) -> anyhow::Result<()> {
    for (path, text) in FILES {
        let text = text
            .replace("{{name}}", name.as_str())
            .replace("{{stagelink}}", &sdk.dependency("sdk"))
            .replace("{{stagelink-local}}", &sdk.dependency("local"))
            .replace(
                "{{stagelink-local-postgres}}",
                &sdk.dependency("local-postgres"),
            )
            .replace("{{stagelink-test}}", &sdk.dependency("test-kit"));
        write_file(folder, path, text.as_bytes())?;
        if path.starts_with("scripts/") {
            let file = folder.join(path);
            let mut rights = file.metadata()?.permissions();
            // All users who may read it may run it.
            rights.set_mode(rights.mode() | (rights.mode() & 0o444) >> 2);
            fs::set_permissions(&file, rights)?;
        }
    }
    if let SdkSource::Checkout(checkout) = sdk {
        // The versions that the SDK was tested with. Cargo completes the file afterwards.
        let lock = checkout.join("Cargo.lock");
        let lock = fs::read(&lock).with_context(|| format!("could not read {}", lock.display()))?;
        write_file(folder, "Cargo.lock", &lock)?;
    }
    Ok(())
}

fn write_file(folder: &Path, path: &str, content: &[u8]) -> anyhow::Result<()> {
    let file = folder.join(path);
    let parent = file.parent().unwrap_or(folder);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&file, content))
        .with_context(|| format!("could not write {}", file.display()))
}

macro_rules! files {
    ($($path:literal: $template:literal,)*) => {
        [$(($path, include_str!(concat!("../../templates/new/", $template)))),*]
    };
}

/// The path of each file in the project, and its text. Manifests have another name among the
/// templates: Cargo would take their folders for packages.
const FILES: [(&str, &str); 16] = files! {
    ".github/workflows/promote.yml": "github/promote.yml",
    ".github/workflows/rollback.yml": "github/rollback.yml",
    ".github/workflows/site.yml": "github/site.yml",
    ".gitignore": "gitignore",
    "Cargo.toml": "Cargo.toml.template",
    "README.md": "README.md",
    "functions/notes/Cargo.toml": "functions/notes/Cargo.toml.template",
    "functions/notes/src/main.rs": "functions/notes/src/main.rs",
    "functions/notes/src/tests.rs": "functions/notes/src/tests.rs",
    "migrations/V1__notes.sql": "migrations/V1__notes.sql",
    "netlify.toml": "netlify.toml",
    "public/index.html": "public/index.html",
    "scripts/build": "scripts/build",
    "scripts/dev": "scripts/dev",
    "scripts/stagelink": "scripts/stagelink",
    "stagelink.toml": "stagelink.toml",
};

#[cfg(test)]
mod script_tests;
#[cfg(test)]
mod workflow_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sdk: &SdkSource) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &"shop".parse().unwrap(), sdk).unwrap();
        dir
    }

    #[test]
    fn no_placeholder_is_left() {
        let dir = written(&SdkSource::of_this_command().unwrap());
        for (path, _) in FILES {
            let text = fs::read_to_string(dir.path().join(path)).unwrap();
            // GitHub's own placeholders start with a dollar sign.
            assert!(!text.replace("${{", "").contains("{{"), "{path}: {text}");
        }
    }

    #[test]
    fn only_scripts_are_executable() {
        let dir = written(&SdkSource::of_this_command().unwrap());
        for (path, _) in FILES {
            let mode = dir
                .path()
                .join(path)
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o100 != 0, path.starts_with("scripts/"), "{path}");
        }
    }

    #[test]
    fn project_with_a_repository_contains_no_path() {
        let sdk = SdkSource::parse("https://example.com/stagelink.git").unwrap();
        let dir = written(&sdk);
        let manifest = fs::read_to_string(dir.path().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("stagelink = { git = \"https://example.com/stagelink.git\" }"));
        assert!(!manifest.contains("path ="), "{manifest}");
        assert!(!dir.path().join("Cargo.lock").exists());
    }

    #[test]
    fn project_of_a_released_version_names_it() {
        let dir = written(&SdkSource::Version("0.1".to_owned()));
        let manifest = fs::read_to_string(dir.path().join("Cargo.toml")).unwrap();
        for package in [
            "stagelink",
            "stagelink-local",
            "stagelink-local-postgres",
            "stagelink-test",
        ] {
            assert!(manifest.contains(&format!("\n{package} = \"0.1\"\n")));
        }
    }
}
