//! The files that a build of the functions reads: by `cargo metadata` the folders of the project's crates
//! that the functions depend on, and by the compiler's own lists each file that was read.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::functions::{self, BuiltFunction};

/// The files that a build of the functions reads.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Folders of the crates that the functions depend on, and that are in this workspace or named by a
    /// path.
    crates: BTreeSet<PathBuf>,
    /// Files beside the crates that change each build.
    settings: BTreeSet<PathBuf>,
    /// Files that the last build has read, in and beside the crates: sources, included files, and what a build
    /// script watches, which may be a folder.
    read: BTreeSet<PathBuf>,
    /// The lock file, which a build may write.
    lock: PathBuf,
    /// The folder of cargo's output.
    target: PathBuf,
}

impl Sources {
    /// Asks cargo for the crates of the project's functions.
    ///
    /// # Errors
    ///
    /// When cargo cannot read the workspace, such as one whose manifest has a mistake.
    pub(super) async fn find(project: &Path, packages: &[String]) -> anyhow::Result<Self> {
        let mut command = MetadataCommand::new();
        // The dependencies from elsewhere do not change, and are not looked up.
        command.current_dir(project).no_deps();
        let metadata = functions::metadata(command).await?;
        let root = metadata.workspace_root.as_std_path();
        let settings = [
            "Cargo.toml",
            "Cargo.lock",
            ".cargo/config.toml",
            "rust-toolchain.toml",
            "rust-toolchain",
        ];
        Ok(Self {
            crates: crates(&metadata, packages),
            settings: settings.map(|file| root.join(file)).into(),
            read: BTreeSet::new(),
            lock: root.join("Cargo.lock"),
            target: metadata.target_directory.as_std_path().to_owned(),
        })
    }

    /// Takes over what the compiler has read for these programs. A program whose list is missing adds
    /// nothing.
    pub(super) fn add_read_files(&mut self, functions: &[BuiltFunction]) {
        let lists = functions.iter().map(|of| of.executable.with_extension("d"));
        let texts = lists.filter_map(|list| fs::read_to_string(list).ok());
        let files: BTreeSet<_> = texts.flat_map(|text| dep_info(&text)).collect();
        self.read = files;
    }

    /// The lock file, which a build may write.
    pub(super) fn lock(&self) -> &Path {
        &self.lock
    }

    /// The folder of cargo's output.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Folders to look through for changes.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.crates.iter().map(PathBuf::as_path)
    }

    /// Single files to look at, which may be missing. Those that were read are here also where they are in a
    /// crate: the look through its folders leaves some out by their names, and follows no links. A build writes
    /// those in cargo's output itself.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let read = self.read.iter();
        let read = read.filter(|file| !file.starts_with(&self.target));
        self.settings.iter().chain(read).map(PathBuf::as_path)
    }

    /// Takes over the read files of older sources, until a build lists them anew: one that fails lists none.
    pub(super) fn keep_read_files(&mut self, of: Self) {
        self.read = of.read;
    }

    /// Returns whether a changed file may change a program. After a build that has `failed` each file of
    /// a crate may: the compiler has missed it and so did not list it.
    pub(super) fn is_read(&self, file: &Path, failed: bool) -> bool {
        if self.settings.contains(file) || self.read.contains(file) {
            return true;
        }
        let name = file.file_name().unwrap_or_default();
        if is_hidden(name) || is_of_an_editor(name) {
            return false;
        }
        // A build script may watch a folder.
        if file.ancestors().any(|folder| self.read.contains(folder)) {
            return true;
        }
        let Some(of_crate) = self.crate_of(file) else {
            return false;
        };
        let inside = file.strip_prefix(of_crate).unwrap_or(file);
        let of_tests = ["tests", "benches", "examples"];
        if of_tests.iter().any(|folder| inside.starts_with(folder)) {
            return false;
        }
        let is_source = file.extension().is_some_and(|end| end == "rs") || name == "Cargo.toml";
        is_source || failed
    }

    fn crate_of(&self, file: &Path) -> Option<&Path> {
        let mut above = file.ancestors();
        above.find_map(|path| self.crates.get(path).map(PathBuf::as_path))
    }
}

/// Returns the folders of the functions' packages and of those that they depend on by a path.
fn crates(metadata: &Metadata, functions: &[String]) -> BTreeSet<PathBuf> {
    let folder = |package: &Package| {
        let folder = package.manifest_path.parent();
        folder.map(|folder| folder.as_std_path().to_owned())
    };
    let members = metadata.workspace_packages();
    let mut waiting: Vec<_> = members
        .iter()
        .filter(|package| functions.iter().any(|name| package.name == *name))
        .filter_map(|package| folder(package))
        .collect();
    let mut found = BTreeSet::new();
    while let Some(of_crate) = waiting.pop() {
        if !found.insert(of_crate.clone()) {
            continue;
        }
        let package = metadata
            .packages
            .iter()
            .find(|package| folder(package).as_ref() == Some(&of_crate));
        let dependencies = package.map(|package| &*package.dependencies);
        for dependency in dependencies.unwrap_or_default() {
            if dependency.kind != DependencyKind::Development
                && let Some(path) = &dependency.path
            {
                waiting.push(path.as_std_path().to_owned());
            }
        }
    }
    found
}

/// Returns the files of a list that the compiler has written: `PROGRAM: FILE FILE…`, as a Makefile has
/// them, with a backslash before a space of a name.
fn dep_info(text: &str) -> BTreeSet<PathBuf> {
    let rules = text.lines().filter_map(|line| line.split_once(": "));
    let mut files = BTreeSet::new();
    for (_, list) in rules {
        let mut name = String::new();
        let mut characters = list.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\\' if characters.peek() == Some(&' ') => {
                    name.push(' ');
                    characters.next();
                }
                ' ' => {
                    files.insert(tidy(Path::new(&std::mem::take(&mut name))));
                }
                c => name.push(c),
            }
        }
        files.insert(tidy(Path::new(&name)));
    }
    files.remove(Path::new(""));
    files
}

/// Returns a path without `..`: the compiler lists an included file as `src/../../../data/terms.txt`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                // What is above a linked folder is above its target.
                if tidied.is_symlink()
                    && let Ok(target) = tidied.canonicalize()
                {
                    tidied = target;
                }
                tidied.pop();
            }
            component => tidied.push(component),
        }
    }
    tidied
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Returns whether an editor writes a file of this name beside the one that it saves.
fn is_of_an_editor(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let ends = ["~", ".swp", ".swx", ".swo", ".tmp", ".bak", "#", "___"];
    // vim tries with this name whether it may write to a folder.
    name == "4913" || name.starts_with('#') || ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        Sources {
            crates: ["/p/functions/hello", "/p/crates/text"]
                .map(PathBuf::from)
                .into(),
            settings: ["/p/Cargo.toml"].map(PathBuf::from).into(),
            read: [
                "/p/functions/hello/page.html",
                "/p/functions/hello/src/target/mod.rs",
                "/p/functions/hello/.pages/dist/page.html",
                "/p/out/debug/build/hello/out/made.rs",
                "/p/migrations/V1__a.sql",
                "/p/words",
            ]
            .map(PathBuf::from)
            .into(),
            lock: "/p/Cargo.lock".into(),
            target: "/p/out".into(),
        }
    }

    #[test]
    fn file_counts_if_a_build_reads_it() {
        let sources = sources();
        for (file, expected, after_failure) in [
            ("/p/functions/hello/src/main.rs", true, true),
            ("/p/crates/text/Cargo.toml", true, true),
            ("/p/functions/hello/page.html", true, true),
            ("/p/functions/hello/src/target/mod.rs", true, true),
            ("/p/functions/hello/.pages/dist/page.html", true, true),
            ("/p/migrations/V1__a.sql", true, true),
            ("/p/words/de.txt", true, true),
            ("/p/words/.de.txt.swp", false, false),
            ("/p/Cargo.toml", true, true),
            // The compiler may have missed it.
            ("/p/functions/hello/new.html", false, true),
            ("/p/functions/hello/README.md", false, true),
            ("/p/functions/hello/tests/stages.rs", false, false),
            ("/p/functions/hello/src/.main.rs.swp", false, false),
            ("/p/functions/hello/src/.#main.rs", false, false),
            ("/p/functions/hello/src/main.rs~", false, false),
            ("/p/functions/hello/src/#main.rs#", false, false),
            ("/p/functions/hello/src/main.rs___jb_tmp___", false, false),
            ("/p/functions/hello/src/4913", false, false),
            ("/p/migrations/V2__b.sql", false, false),
            ("/p/crates/other/src/lib.rs", false, false),
            ("/p/public/index.html", false, false),
        ] {
            assert_eq!(sources.is_read(file.as_ref(), false), expected, "{file}");
            assert_eq!(
                sources.is_read(file.as_ref(), true),
                after_failure,
                "{file}"
            );
        }
    }

    #[test]
    fn read_file_is_looked_at_whatever_its_folder_is_named_but_for_cargos_output() {
        let sources = sources();
        let files: Vec<_> = sources.files().collect();
        for (file, expected) in [
            ("/p/migrations/V1__a.sql", true),
            ("/p/functions/hello/src/target/mod.rs", true),
            ("/p/functions/hello/.pages/dist/page.html", true),
            ("/p/out/debug/build/hello/out/made.rs", false),
        ] {
            assert_eq!(files.contains(&Path::new(file)), expected, "{file}");
        }
        let mut anew = Sources {
            target: "/p/out".into(),
            ..Sources::default()
        };
        anew.keep_read_files(sources);
        let mut kept = anew.files();
        assert!(kept.any(|file| file.ends_with("V1__a.sql")));
    }

    #[test]
    fn list_of_the_compiler_has_names_with_spaces_and_paths_that_lead_upwards() {
        let text = "/p/target/debug/hello: /p/a\\ b/main.rs /p/hello/src/../../V1__a.sql\n\n# env-dep:CARGO=x\n";
        let expected = ["/p/a b/main.rs", "/p/V1__a.sql"].map(PathBuf::from);
        assert_eq!(dep_info(text), expected.into());
        assert!(dep_info("").is_empty());
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("common/pages")).unwrap();
        fs::create_dir(root.join("src")).unwrap();
        std::os::unix::fs::symlink(root.join("common/pages"), root.join("src/pages")).unwrap();
        assert_eq!(
            tidy(&root.join("src/pages/../word.txt")),
            root.join("common/word.txt")
        );
    }

    #[tokio::test]
    async fn crates_are_those_that_functions_depend_on() {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().canonicalize().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\", \"crates/*\"]\n",
        );
        for (folder, dependencies) in [
            (
                "functions/hello",
                "[dependencies]\ntext.path = \"../../crates/text\"\n\
                 [dev-dependencies]\nkit.path = \"../../crates/kit\"\n",
            ),
            ("crates/text", "[dependencies]\nwords.path = \"../words\"\n"),
            ("crates/words", ""),
            ("crates/kit", ""),
        ] {
            let name = folder.rsplit('/').next().unwrap();
            let manifest =
                format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{dependencies}");
            write(&format!("{folder}/Cargo.toml"), &manifest);
            let file = if name == "hello" { "main" } else { "lib" };
            write(&format!("{folder}/src/{file}.rs"), "fn main() {}\n");
        }
        let sources = Sources::find(&root, &["hello".to_owned()]).await.unwrap();
        let folders: Vec<_> = sources.folders().collect();
        let expected = ["crates/text", "crates/words", "functions/hello"];
        assert_eq!(folders, expected.map(|folder| root.join(folder)));
    }
}
