//! The folder of migrations: reads it, and judges all its names before anything starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stagelink::one_line;

use crate::error::{Error, ErrorKind};
use crate::migrations::file::MigrationFile;
use crate::migrations::file_name::{self, NameProblem, ParsedName};
use crate::migrations::script::Script;
use crate::migrations::statement::split_statements;

/// The migrations of a project, in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub struct MigrationFolder {
    path: PathBuf,
    files: Vec<MigrationFile>,
}

impl MigrationFolder {
    /// Reads the files `V<number>__<name>.sql` of a folder and of the folders in it.
    ///
    /// Files of other kinds are left alone. A file that looks like a migration without the name of
    /// one is an error, since it would be skipped in silence.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the folder or a file cannot be read, a file has an unusable
    /// name, or two have one number. The message names all such files, each with its cure.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut paths = Vec::new();
        let collected = path
            .canonicalize()
            .and_then(|own| collect(path, Path::new(""), &mut vec![own], &mut paths));
        collected.map_err(|error| {
            Error::with_source(
                ErrorKind::Settings,
                format!("could not read the migrations in {}", path.display()),
                error,
            )
        })?;
        paths.sort();
        let mut files = Vec::new();
        let mut problems = Vec::new();
        let mut misnamed = Vec::new();
        let mut taken = BTreeSet::new();
        for relative in paths {
            let shown = one_line(relative.display()).to_string();
            let name = relative.file_name().unwrap_or_default();
            let parsed = match file_name::parse(&name.to_string_lossy()) {
                None => continue,
                Some(Err(problem)) => {
                    misnamed.push((shown, problem));
                    continue;
                }
                Some(Ok(parsed)) => parsed,
            };
            taken.insert(parsed.version);
            match read_sql(&path.join(&relative)) {
                Ok(sql) => {
                    let ParsedName { version, name } = parsed;
                    files.push(MigrationFile::new(version, name, shown, sql));
                }
                Err(problem) => problems.push(format!("{shown} {problem}")),
            }
        }
        files.sort_by_key(MigrationFile::version);
        let named = misnamed.iter().filter_map(|(_, problem)| problem.version());
        let highest = named.chain(taken.last().copied()).max();
        let mut next = highest.unwrap_or(0).saturating_add(1);
        problems.extend(bad_names(misnamed, taken, &mut next));
        problems.extend(shared_numbers(&files, &mut next));
        match problems.len() {
            0 => Ok(Self {
                path: path.to_owned(),
                files,
            }),
            count => Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "{} of the migrations in {} cannot be used, so nothing was applied",
                    match count {
                        1 => "one".to_owned(),
                        count => count.to_string(),
                    },
                    path.display()
                ),
            )
            .with_details(problems)),
        }
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the migrations, in the order of their numbers.
    pub fn files(&self) -> &[MigrationFile] {
        &self.files
    }

    /// Returns what is wrong with files that no database could take, such as one without a statement.
    /// One that a database has already does no harm.
    pub fn unusable_files(&self) -> Vec<String> {
        let read = self.files.iter().map(Script::read);
        read.filter_map(Result::err).flatten().collect()
    }

    /// Returns the files that have no statement yet, as `stagelink migrate new` makes them.
    pub fn empty_files(&self) -> impl Iterator<Item = &MigrationFile> {
        let is_empty = |file: &&MigrationFile| {
            let statements = split_statements(file.sql());
            statements.is_ok_and(|statements| statements.is_empty())
        };
        self.files.iter().filter(is_empty)
    }

    /// Returns the folder without its first file that has no statement, and without those after it.
    #[must_use]
    pub fn before_first_empty(mut self) -> Self {
        let first = self.empty_files().next().map(MigrationFile::version);
        if let Some(first) = first {
            self.files.retain(|file| file.version() < first);
        }
        self
    }

    /// Returns the folder with some of its files alone.
    #[must_use]
    pub(crate) fn only(mut self, keeps: impl FnMut(&MigrationFile) -> bool) -> Self {
        self.files.retain(keeps);
        self
    }

    /// Returns the number after the largest; 1 in an empty folder.
    pub fn next_version(&self) -> i64 {
        let last = self.files.last();
        last.map_or(1, |last| last.version().saturating_add(1))
    }
}

/// Collects the paths of all files, relative to `root`. Hidden folders are left out. `above` are the
/// folder and those that it is in, without symbolic links.
///
/// # Errors
///
/// Those of reading a folder, and that of a symbolic link to one that it is in.
fn collect(
    root: &Path,
    within: &Path,
    above: &mut Vec<PathBuf>,
    paths: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in fs::read_dir(root.join(within))? {
        let entry = entry?;
        let relative = within.join(entry.file_name());
        // Follows a symbolic link, as reading does.
        let is_folder = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
        if !is_folder {
            paths.push(relative);
        } else if !entry.file_name().to_string_lossy().starts_with('.') {
            let target = entry.path().canonicalize()?;
            if above.contains(&target) {
                let shown = one_line(relative.display());
                return Err(io::Error::other(format!(
                    "{shown} is a symbolic link to a folder that it is in: remove it"
                )));
            }
            above.push(target);
            collect(root, &relative, above, paths)?;
            above.pop();
        }
    }
    Ok(())
}

/// Reads a file of SQL.
///
/// # Errors
///
/// The end of a sentence that begins with the file's name.
fn read_sql(path: &Path) -> Result<String, String> {
    let unreadable = |error| format!("could not be read: {error}");
    // The read of a pipe does not end, nor that of some devices.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no regular file: put the SQL itself there".to_owned());
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(
            "begins with a byte order mark, which Postgres refuses: save it as UTF-8 without one"
                .to_owned(),
        );
    }
    if bytes.contains(&0) {
        return Err("contains a byte 0, as a file in UTF-16 does: save it as UTF-8".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| {
        "is not in UTF-8: save it as UTF-8, and remove a SET client_encoding of another encoding"
            .to_owned()
    })
}

/// Returns the problems of files with a bad name, each with a name of its own: one whose number is taken
/// gets the next free one.
fn bad_names(
    misnamed: Vec<(String, NameProblem)>,
    mut taken: BTreeSet<i64>,
    next: &mut i64,
) -> Vec<String> {
    let problems = misnamed.into_iter().map(|(path, mut problem)| {
        if let Some(version) = problem.version()
            && !taken.insert(version)
        {
            problem.set_version(*next);
            taken.insert(*next);
            *next = next.saturating_add(1);
        }
        format!("{path} {problem}")
    });
    problems.collect()
}

/// Returns the problems of files that share a number. `next` is the next one that is free.
fn shared_numbers(files: &[MigrationFile], next: &mut i64) -> Vec<String> {
    let mut by_version: BTreeMap<i64, Vec<&MigrationFile>> = BTreeMap::new();
    for file in files {
        by_version.entry(file.version()).or_default().push(file);
    }
    let mut problems = Vec::new();
    for (version, files) in by_version {
        let [.., last] = &*files else { continue };
        if files.len() < 2 {
            continue;
        }
        let paths: Vec<_> = files.iter().map(|file| file.path()).collect();
        problems.push(format!(
            "{} have the number {version}: rename the one that no database has yet, for example \
             to V{next}__{}.sql",
            paths.join(" and "),
            last.name()
        ));
        *next = next.saturating_add(1);
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, sql) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, sql).unwrap();
        }
        folder
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let read = MigrationFolder::read(folder.path()).unwrap();
        read.files().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_are_ordered_by_their_numbers() {
        let folder = folder(&[
            ("V10__c.sql", ""),
            ("V2__b.sql", ""),
            ("old/V1__a.sql", ""),
            (".git/V9__x_y.sql", ""),
            ("README.md", ""),
        ]);
        assert_eq!(names(&folder), ["V1__a", "V2__b", "V10__c"]);
        let read = MigrationFolder::read(folder.path()).unwrap();
        assert_eq!(read.next_version(), 11);
        assert_eq!(read.files()[0].path(), "old/V1__a.sql");
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let folder = folder(&[
            ("V1__a.sql", ""),
            ("V4__b.sql", ""),
            ("more/V4__c.sql", ""),
            ("5_d.sql", ""),
            ("V6_e.sql", ""),
            ("V7__f.sql", "\u{feff}SELECT 1"),
            ("V8__g.sql", "S\0E\0"),
        ]);
        let error = MigrationFolder::read(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        let text = error.to_string();
        for part in [
            "5 of the migrations",
            "rename it to V5__d.sql",
            "rename it to V6__e.sql",
            "byte order mark",
            "a byte 0",
            "V4__b.sql and more/V4__c.sql have the number 4",
            "for example to V9__c.sql",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_link_to_a_folder_above_is_refused() {
        use std::os::unix::fs::symlink;
        let folder = folder(&[("V1__a.sql", ""), ("more/V2__b.sql", "")]);
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("V3__c.sql"), "").unwrap();
        symlink(other.path(), folder.path().join("others")).unwrap();
        assert_eq!(names(&folder), ["V1__a", "V2__b", "V3__c"]);
        for (link, target) in [("self", "."), ("more/up", ".."), ("more/too", "../more")] {
            let link = folder.path().join(link);
            symlink(target, &link).unwrap();
            let error = MigrationFolder::read(folder.path()).unwrap_err();
            let text = format!("{error} {:?}", std::error::Error::source(&error));
            assert!(text.contains("a folder that it is in: remove it"), "{text}");
            if target != ".." {
                fs::remove_file(&link).unwrap();
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_not_read() {
        let folder = folder(&[("V1__a.sql", "")]);
        let pipe = folder.path().join("V2__b.sql");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("V3__c.sql")).unwrap();
        std::os::unix::fs::symlink("nothing", folder.path().join("V4__d.sql")).unwrap();
        let error = MigrationFolder::read(folder.path())
            .unwrap_err()
            .to_string();
        for part in [
            "V2__b.sql is no regular file",
            "V3__c.sql is no regular file",
            "V4__d.sql could not be read",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn missing_folder_is_an_error() {
        let error = MigrationFolder::read(Path::new("no/such/folder")).unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
    }

    #[test]
    fn each_bad_name_gets_a_name_of_its_own() {
        let folder = folder(&[
            ("5_foo.sql", "SELECT 1"),
            ("v5__foo.sql", "SELECT 1"),
            ("V7__good.sql", "SELECT 1"),
            ("7_good.sql", "SELECT 1"),
        ]);
        let error = MigrationFolder::read(folder.path())
            .unwrap_err()
            .to_string();
        for part in [
            "5_foo.sql does not begin with V and a number: rename it to V5__foo.sql",
            "v5__foo.sql begins with a lower-case v: rename it to V9__foo.sql",
            "7_good.sql does not begin with V and a number: rename it to V8__good.sql",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
