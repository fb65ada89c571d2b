//! The artifacts of functions, grouped by the migrations that they were built with.

use std::path::{Path, PathBuf};

use stagelink_pipeline::MigrationList;

use super::artifact_file::{self, ArtifactFile};

/// The artifacts of one function that have the same list of migrations.
#[derive(Debug)]
pub(crate) struct FunctionArtifacts {
    /// The function's name.
    pub(crate) function: String,
    /// The files of the artifacts.
    pub(super) files: Vec<PathBuf>,
    /// The migrations that they were built with; `None` where the programs do not say.
    pub(crate) list: Option<MigrationList>,
    /// True if the function has other artifacts, built with other migrations.
    pub(crate) has_others: bool,
}

impl FunctionArtifacts {
    /// Groups artifacts by function and list. The functions keep their order, and so do the lists of
    /// each.
    pub(super) fn group(artifacts: Vec<ArtifactFile>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for ArtifactFile {
            function,
            path,
            list,
        } in artifacts
        {
            let is_same = |group: &&mut Self| group.function == function && group.list == list;
            if let Some(group) = groups.iter_mut().find(is_same) {
                group.files.push(path);
                continue;
            }
            let others = groups.iter().rposition(|group| group.function == function);
            let group = Self {
                function,
                files: vec![path],
                list,
                has_others: others.is_some(),
            };
            match others {
                Some(last) => {
                    for other in &mut groups[..=last] {
                        other.has_others |= other.function == group.function;
                    }
                    groups.insert(last + 1, group);
                }
                None => groups.push(group),
            }
        }
        groups
    }

    /// Returns the names of the files.
    pub(crate) fn file_names(&self) -> Vec<String> {
        let names = self.files.iter().map(|path| path.display().to_string());
        names.collect()
    }
}

/// The artifacts in a project's `dist`.
#[derive(Debug, Default)]
pub(crate) struct BuiltArtifacts {
    pub(crate) groups: Vec<FunctionArtifacts>,
    /// The reasons why the other files cannot be read, with their paths.
    pub(crate) unread: Vec<String>,
}

/// Reads all artifacts in the project's `dist`, of which there may be none.
pub(crate) fn built(project: &Path) -> BuiltArtifacts {
    let paths = match artifact_file::built_paths(&project.join("dist")) {
        Ok(paths) => paths,
        Err(error) => {
            return BuiltArtifacts {
                unread: vec![format!("{error:#}")],
                ..BuiltArtifacts::default()
            };
        }
    };
    let (mut artifacts, mut unread) = (Vec::new(), Vec::new());
    for path in paths {
        match artifact_file::open(path) {
            Ok(artifact) => artifacts.push(artifact),
            Err(error) => unread.push(format!("{error:#}")),
        }
    }
    BuiltArtifacts {
        groups: FunctionArtifacts::group(artifacts),
        unread,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use stagelink_pipeline::MigrationFolder;

    use super::*;

    #[test]
    fn artifacts_of_a_function_are_apart_only_where_their_lists_differ() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("V1__a.sql"), "CREATE TABLE a ()").unwrap();
        let one = MigrationList::of(&MigrationFolder::read(folder.path()).unwrap());
        let artifact = |path: &str, list: Option<&MigrationList>| ArtifactFile {
            function: Path::new(path).file_stem().unwrap().display().to_string(),
            path: path.into(),
            list: list.cloned(),
        };
        let groups = FunctionArtifacts::group(vec![
            artifact("functions/hello", Some(&one)),
            artifact("functions/other", Some(&one)),
            artifact("x86_64/hello.zip", Some(&one)),
            artifact("x86_64/other.zip", Some(&one)),
            artifact("arm64/hello.zip", None),
        ]);
        let groups = groups.iter();
        let groups: Vec<_> = groups
            .map(|group| (group.file_names().join(" "), group.has_others))
            .collect();
        assert_eq!(
            groups,
            [
                ("functions/hello x86_64/hello.zip".to_owned(), true),
                ("arm64/hello.zip".to_owned(), true),
                ("functions/other x86_64/other.zip".to_owned(), false),
            ]
        );
    }

    #[test]
    fn file_that_cannot_be_read_hides_no_other() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join("dist/functions");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("broken"), "no program").unwrap();
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        fs::write(folder.join("hello"), own).unwrap();
        let built = built(project.path());
        let [reason] = built.unread.as_slice() else {
            panic!("{built:?}");
        };
        assert!(reason.contains("functions/broken"), "{reason}");
        assert_eq!(built.groups.len(), 1, "{built:?}");
        assert_eq!(built.groups[0].function, "hello");
    }
}
