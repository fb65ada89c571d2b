//! The Netlify site of a project: its name or id.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use stagelink_pipeline::SettingsFile;

use crate::project;

/// Returns the name or id of a project's site: the named one, that of `NETLIFY_SITE_ID`, that of
/// `stagelink.toml`, or the one that `netlify link` has linked the project's folder to. `None` where none of
/// them names a site. An empty name counts as none: CI sets a variable to that whose secret is missing.
///
/// # Errors
///
/// When the folder's link cannot be read.
pub(crate) fn find(
    named: Option<&str>,
    file: Option<&SettingsFile>,
    folder: &Path,
) -> anyhow::Result<Option<String>> {
    // Not of clap's: the variable would exclude --local, which leaves it out.
    let of_environment = std::env::var("NETLIFY_SITE_ID").ok();
    let named = [named, of_environment.as_deref()].into_iter().flatten();
    let mut named = named.map(str::trim).filter(|site| !site.is_empty());
    match named.next().or_else(|| file.and_then(SettingsFile::site)) {
        Some(site) => Ok(Some(site.to_owned())),
        None => linked(&project::root(folder, file)),
    }
}

/// Returns the name or id of a project's site, as [`find`] does.
///
/// # Errors
///
/// Those of [`find`], and where no site is named.
pub(crate) fn required(
    named: Option<&str>,
    file: Option<&SettingsFile>,
    folder: &Path,
) -> anyhow::Result<String> {
    match find(named, file, folder)? {
        Some(site) => Ok(site),
        None => bail!("no site is named: {ADVICE}"),
    }
}

/// Returns the id of the site that `netlify link` has linked a folder to.
fn linked(folder: &Path) -> anyhow::Result<Option<String>> {
    let file = folder.join(".netlify").join("state.json");
    let failure = || format!("could not read the site from {}: {ADVICE}", file.display());
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(failure),
    };
    let state: State = serde_json::from_str(&text)
        .map_err(|_| anyhow::anyhow!("it is not the JSON of the Netlify command line"))
        .with_context(failure)?;
    Ok(state.site_id.filter(|site| !site.trim().is_empty()))
}

/// The state that the Netlify command line keeps in a linked folder.
#[derive(Deserialize)]
struct State {
    #[serde(rename = "siteId")]
    site_id: Option<String>,
}

const ADVICE: &str = "name the site with --site, with site in a table [netlify] of stagelink.toml, \
                      or link the folder with `netlify link`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_is_the_named_one_that_of_the_file_or_that_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let site = |named: Option<&str>| {
            let file = SettingsFile::load(folder.path()).unwrap();
            required(named, file.as_ref(), folder.path()).map_err(|error| format!("{error:#}"))
        };
        assert!(site(None).unwrap_err().contains("--site"));
        std::fs::create_dir(folder.path().join(".netlify")).unwrap();
        let state = folder.path().join(".netlify/state.json");
        for (text, expected) in [
            ("{}", "no site is named"),
            (r#"{"siteId":""}"#, "no site is named"),
            (r#"{"siteId":null}"#, "no site is named"),
            ("{", "could not read the site from"),
            (r#"{"siteId":1}"#, "could not read the site from"),
        ] {
            std::fs::write(&state, text).unwrap();
            let error = site(None).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        std::fs::write(&state, r#"{"siteId":"1-2","other":1}"#).unwrap();
        for named in [None, Some(""), Some(" ")] {
            assert_eq!(site(named).unwrap(), "1-2", "{named:?}");
        }
        let text = "[netlify]\nsite = \"shop\"\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        for named in [None, Some(""), Some("\t")] {
            assert_eq!(site(named).unwrap(), "shop", "{named:?}");
        }
        assert_eq!(site(Some(" other ")).unwrap(), "other");
    }

    #[test]
    fn link_of_the_folder_that_has_the_file_counts_from_a_folder_in_it() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("functions/notes");
        for folder in [
            &inner,
            &root.path().join(".git"),
            &root.path().join(".netlify"),
        ] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(root.path().join("stagelink.toml"), "").unwrap();
        let state = root.path().join(".netlify/state.json");
        std::fs::write(state, r#"{"siteId":"1-2"}"#).unwrap();
        let file = SettingsFile::load(&inner).unwrap();
        assert_eq!(required(None, file.as_ref(), &inner).unwrap(), "1-2");
    }
}
