//! A copy of this project with finished artifacts, for the tools to work on.

use std::fs;
use std::path::{Path, PathBuf};

use stagelink_tests::root;
use tempfile::TempDir;

use crate::artifacts;

/// Copy with netlify.toml, `_redirects`, the page, and the functions in `dist/functions`.
#[derive(Debug)]
pub(crate) struct Project(TempDir);

impl Project {
    /// Creates a copy with built artifacts.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Self(folder);
        for file in ["netlify.toml", "_redirects"] {
            fs::copy(root().join(file), project.at(file)).expect(file);
        }
        fs::create_dir_all(project.at("public")).expect("a folder");
        for entry in fs::read_dir(root().join("public")).expect("the page") {
            let entry = entry.expect("the page");
            let to = project.at("public").join(entry.file_name());
            fs::copy(entry.path(), to).expect("the page");
        }
        fs::create_dir_all(project.at("dist/functions")).expect("a folder");
        artifacts::copy_into(&project.at("dist/functions"));
        project
    }

    /// Creates a copy whose build is `command`, which finds the artifacts in the folder
    /// `artifacts`.
    pub(crate) fn with_build(command: &str) -> Self {
        let project = Self::new();
        fs::rename(project.at("dist/functions"), project.at("artifacts")).expect("a folder");
        project.edit("netlify.toml", "command = \"scripts/build\"", command);
        project
    }

    /// Returns its folder.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns a path in it.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// Replaces a text in a file, which must contain it.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.at(file)).expect("a file");
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(self.at(file), text.replace(from, to)).expect("a file");
    }

    /// Appends to a file.
    pub(crate) fn append(&self, file: &str, text: &str) {
        let before = fs::read_to_string(self.at(file)).expect("a file");
        fs::write(self.at(file), before + text).expect("a file");
    }
}

/// Links a folder to a site, as `netlify link` does.
pub(crate) fn link(folder: &Path, site: &str) {
    let own = folder.join(".netlify");
    fs::create_dir_all(&own).expect("a folder");
    let state = serde_json::json!({ "siteId": site }).to_string();
    fs::write(own.join("state.json"), state).expect("a file");
}
