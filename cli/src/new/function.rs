//! `stagelink new function`: adds a function to a project.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::lock_file;
use crate::args::NewFunctionOptions;
use crate::functions;
use crate::output::print;
use crate::project;

/// Adds the function's crate and prints where it answers.
///
/// # Errors
///
/// When the name cannot be that of a function, something has it already, or cargo cannot build it in this
/// workspace. Nothing is left of the function then.
pub(super) async fn add(options: &NewFunctionOptions) -> anyhow::Result<()> {
    let project = project::open(&options.project)?;
    let name = &options.name;
    ensure_valid(name)?;
    let folder = project.join("functions").join(name);
    // Without it, a project has no function yet.
    if let Ok(existing) = functions::find_packages(&project).await
        && existing.contains(name)
    {
        bail!("could not add the function {name}: the project has one of this name");
    }
    if folder.symlink_metadata().is_ok() {
        bail!(
            "could not add the function {name}: {} exists already",
            folder.display()
        );
    }
    let written = write(&folder, name);
    let found = match written {
        Ok(()) => functions::find_packages(&project).await,
        Err(error) => Err(error),
    };
    let reason = match found {
        Ok(found) if found.contains(name) => {
            lock_file::complete(&project, false).await;
            return print(format_args!(
                "The function {name} is in {}. It answers at /.netlify/functions/{name}, and at the paths \
                 that netlify.toml redirects there; in a new project that is /api/{name}.\n\
                 A running `stagelink dev` builds it now.",
                folder.display()
            ));
        }
        Ok(_) => anyhow::anyhow!(
            "the workspace has no member functions/{name}: add \"functions/*\" to its members"
        ),
        Err(error) => error,
    };
    // What cannot be removed is named by the error all the same.
    let _ = fs::remove_dir_all(&folder);
    Err(reason.context(format!("could not add the function {name}")))
}

fn write(folder: &Path, name: &str) -> anyhow::Result<()> {
    for (path, text) in [("Cargo.toml", MANIFEST), ("src/main.rs", MAIN)] {
        let file = folder.join(path);
        let parent = file.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&file, text.replace("{{name}}", name)))
            .with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(())
}

/// Makes sure that cargo, Netlify and AWS Lambda accept a name.
fn ensure_valid(name: &str) -> anyhow::Result<()> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let is_valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_allowed)
        && name.len() <= MAX_LENGTH;
    if !is_valid {
        bail!(
            "{name:?} is not a valid name of a function: use at most {MAX_LENGTH} lower-case letters, \
             digits, dashes and underscores, and start with a letter"
        );
    }
    if RESERVED.contains(&name) {
        bail!("{name:?} is not a valid name of a function: it means something to Rust or cargo");
    }
    Ok(())
}

const MANIFEST: &str = include_str!("../../templates/function/Cargo.toml.template");
const MAIN: &str = include_str!("../../templates/function/main.rs");

/// The longest name of a function on AWS Lambda.
const MAX_LENGTH: usize = 64;

/// Keywords, crates of the compiler, and folders of cargo's output.
const RESERVED: [&str; 55] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn options(project: &Path, name: &str) -> NewFunctionOptions {
        NewFunctionOptions {
            name: name.to_owned(),
            project: project.to_owned(),
        }
    }

    fn project(members: &str) -> tempfile::TempDir {
        let project = tempfile::tempdir().unwrap();
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\
             [workspace.package]\nversion = \"0.1.0\"\nedition = \"2024\"\nrust-version = \"1.92\"\n\
             [workspace.dependencies]\nlambda_http = \"1\"\nserde_json = \"1\"\nstagelink = \"0.1\"\n\
             tokio = \"1\"\n"
        );
        fs::write(project.path().join("Cargo.toml"), manifest).unwrap();
        fs::create_dir(project.path().join("functions")).unwrap();
        project
    }

    #[tokio::test]
    async fn function_is_added_once() {
        let project = project("\"functions/*\"");
        add(&options(project.path(), "orders")).await.unwrap();
        let file = project.path().join("functions/orders/src/main.rs");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("`orders`") && !text.contains("{{"), "{text}");
        fs::write(&file, "fn main() {}").unwrap();
        let error = add(&options(project.path(), "orders")).await.unwrap_err();
        assert!(
            error.to_string().contains("has one of this name"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "fn main() {}");
        fs::create_dir(project.path().join("functions/empty")).unwrap();
        let error = add(&options(project.path(), "empty")).await.unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        for name in ["", "Orders", "1st", "a/b", "../x", "fn", "test", "a b"] {
            let error = add(&options(project.path(), name)).await.unwrap_err();
            assert!(error.to_string().contains("is not a valid name"), "{error}");
        }
    }

    #[tokio::test]
    async fn function_outside_of_the_workspace_is_not_left_behind() {
        let project = project("");
        let error = add(&options(project.path(), "orders")).await.unwrap_err();
        assert!(
            format!("{error:#}").contains("could not add the function orders"),
            "{error:#}"
        );
        assert!(!project.path().join("functions/orders").exists());
    }
}
