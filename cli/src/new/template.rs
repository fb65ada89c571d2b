//! The files of a new project.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::name::ProjectName;
use super::sdk::SdkSource;

/// Writes all files of the project into a folder, which it makes.
pub(super) fn write(folder: &Path, name: &ProjectName, sdk: &SdkSource) -> anyhow::Result<()> {
    for (path, text) in FILES {
        let text = text
            .replace("{{name}}", name.as_str())
            .replace("{{stagelink}}", &sdk.dependency("sdk"))
            .replace("{{stagelink-local}}", &sdk.dependency("local"))
            .replace(
                "{{stagelink-local-postgres}}",
                &sdk.dependency("local-postgres"),
            );
        write_file(folder, path, text.as_bytes())?;
        if path.starts_with("scripts/") {
            let file = folder.join(path);
            let mut rights = file.metadata()?.permissions();
            // Whoever may read it may run it.
            rights.set_mode(rights.mode() | (rights.mode() & 0o444) >> 2);
            fs::set_permissions(&file, rights)?;
        }
    }
    if let SdkSource::Checkout(checkout) = sdk {
        // The versions that the SDK was tested with. Cargo drops those of them that are not
        // needed, when it first runs.
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

/// Where each file goes, and its text. The manifests are named otherwise among the templates,
/// since Cargo would take their folders for packages of this project.
const FILES: [(&str, &str); 13] = files! {
    ".github/workflows/site.yml": "github/site.yml",
    ".gitignore": "gitignore",
    "Cargo.toml": "Cargo.toml.template",
    "README.md": "README.md",
    "functions/notes/Cargo.toml": "functions/notes/Cargo.toml.template",
    "functions/notes/src/main.rs": "functions/notes/src/main.rs",
    "functions/notes/tests/stages.rs": "functions/notes/tests/stages.rs",
    "migrations/V1__notes.sql": "migrations/V1__notes.sql",
    "netlify.toml": "netlify.toml",
    "public/index.html": "public/index.html",
    "scripts/build": "scripts/build",
    "scripts/dev": "scripts/dev",
    "scripts/stagelink": "scripts/stagelink",
};

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
        let dir = written(&SdkSource::of_this_build().unwrap());
        for (path, _) in FILES {
            let text = fs::read_to_string(dir.path().join(path)).unwrap();
            // Those of GitHub begin with a dollar sign.
            assert!(!text.replace("${{", "").contains("{{"), "{path}: {text}");
        }
    }

    #[test]
    fn scripts_can_be_run_and_nothing_else() {
        let dir = written(&SdkSource::of_this_build().unwrap());
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
    fn project_of_a_repository_names_it_and_no_path() {
        let sdk = SdkSource::parse("https://example.com/stagelink.git").unwrap();
        let dir = written(&sdk);
        let manifest = fs::read_to_string(dir.path().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("stagelink = { git = \"https://example.com/stagelink.git\" }"));
        assert!(!manifest.contains("path ="), "{manifest}");
        assert!(!dir.path().join("Cargo.lock").exists());
    }

    #[test]
    fn workflow_names_the_scripts_that_there_are() {
        let workflow = include_str!("../../templates/new/github/site.yml");
        for word in workflow
            .split_whitespace()
            .filter(|word| word.starts_with("scripts/"))
        {
            assert!(FILES.iter().any(|(path, _)| *path == word), "{word}");
        }
    }
}
