//! A project with one small function, which builds in a moment.

use std::path::Path;

use tempfile::TempDir;

/// A project whose one function, `hello`, depends on nothing and does nothing.
#[derive(Debug)]
pub struct SmallProject {
    folder: TempDir,
}

impl SmallProject {
    /// Makes the project, with these files besides.
    ///
    /// # Panics
    ///
    /// When a file cannot be written.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let project = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        write_small_function(project.root());
        project.write("index.html", "hello\n");
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// Returns the folder of the project.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder of the project as an argument.
    ///
    /// # Panics
    ///
    /// When it is not in UTF-8.
    pub fn path(&self) -> &str {
        self.root().to_str().expect("a path in UTF-8")
    }

    /// Writes a file of the project, and the folders above it.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        write(self.root(), path, text);
    }
}

/// Writes the workspace and the function `hello` into a folder.
///
/// # Panics
///
/// When a file cannot be written.
pub fn write_small_function(root: &Path) {
    for (path, text) in [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\"]\n",
        ),
        (
            "functions/hello/Cargo.toml",
            "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        ),
        ("functions/hello/src/main.rs", "fn main() {}\n"),
    ] {
        write(root, path, text);
    }
}

pub(crate) fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("the folder can be made");
    std::fs::write(path, text).expect("the file can be written");
}
