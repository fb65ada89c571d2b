//! The project's Git repository, as a promotion asks it: ancestors, migrations of a commit, and a build
//! of a commit.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use stagelink_pipeline::{Checkout, CheckoutFuture, MigrationFolder, SettingsFile};
use tempfile::TempDir;
use tokio::process::Command;

use crate::build::{Arch, Build, Target};
use crate::child_process;
use crate::operator_secrets;
use crate::project;

/// The Git repository that a project is in.
struct GitCheckout {
    /// The project's folder.
    project: PathBuf,
    /// The folder of migrations, from that of the project.
    migrations: PathBuf,
    /// The folders of builds, which last as long as this.
    builds: Mutex<Vec<WorkTree>>,
}

/// Returns the Git repository that a project is in.
pub(crate) fn git_checkout(folder: &Path, file: Option<&SettingsFile>) -> Box<dyn Checkout> {
    let root = project::root(folder, file);
    let migrations = project::migrations_folder(folder, file);
    let within = migrations.strip_prefix(&root);
    let within = within.unwrap_or(Path::new("migrations")).to_owned();
    Box::new(GitCheckout::new(root, within))
}

/// A commit that is checked out in a folder of its own.
struct WorkTree {
    repository: PathBuf,
    folder: TempDir,
}

impl GitCheckout {
    fn new(project: PathBuf, migrations: PathBuf) -> Self {
        Self {
            project,
            migrations,
            builds: Mutex::default(),
        }
    }

    /// Runs git in the project, and returns what it printed.
    async fn git(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.project).args(arguments);
        // A hook of the repository is code of others, too.
        operator_secrets::withhold(command.as_std_mut());
        let output = child_process::output(&mut command).await;
        let output = output.map_err(|error| format!("git cannot be started: {error}"))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.lines().last().unwrap_or("it failed").trim();
                Err(format!("git says: {}", stagelink::one_line(said)))
            }
        }
    }

    async fn text(&self, arguments: &[&str]) -> Result<String, String> {
        let printed = self.git(arguments).await?;
        Ok(String::from_utf8_lossy(&printed).trim().to_owned())
    }

    /// Makes sure that the repository has a commit. The name comes from a file that anybody may have
    /// published.
    async fn ensure_commit(&self, commit: &str) -> Result<(), String> {
        let is_digest =
            matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            return Err("it is not the name of a commit".to_owned());
        }
        let object = format!("{commit}^{{commit}}");
        let found = self.git(&["cat-file", "-e", &object]).await;
        found.map(|_| ()).map_err(|_| {
            format!(
                "the repository of {} has no commit {commit}",
                self.project.display()
            )
        })
    }

    async fn read_migrations(&self, commit: &str) -> Result<MigrationFolder, String> {
        self.ensure_commit(commit).await?;
        // The project may be in a folder of the repository.
        let prefix = self.text(&["rev-parse", "--show-prefix"]).await?;
        let folder = format!("{prefix}{}", self.migrations.display());
        let listed = self
            .git(&[
                "ls-tree",
                "-r",
                "-z",
                "--full-tree",
                "--name-only",
                commit,
                "--",
                &folder,
            ])
            .await?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let paths: Vec<_> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        if let Some(path) = paths.iter().find(|path| !stays_within(path)) {
            return Err(format!(
                "the commit {commit} has the path {}, which Git would not check out: no migration of \
                 it was read",
                stagelink::one_line(path)
            ));
        }
        let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
        for path in paths {
            let Some(within) = path.strip_prefix(&folder) else {
                continue;
            };
            let sql = self.git(&["show", &format!("{commit}:{path}")]).await?;
            let to = copy.path().join(within.trim_start_matches('/'));
            let written = to
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(&to, sql));
            written.map_err(|error| format!("could not write {}: {error}", to.display()))?;
        }
        MigrationFolder::read(copy.path())
            .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    async fn build(&self, commit: &str) -> Result<PathBuf, String> {
        self.ensure_commit(commit).await?;
        let repository = PathBuf::from(self.text(&["rev-parse", "--show-toplevel"]).await?);
        let prefix = self.text(&["rev-parse", "--show-prefix"]).await?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let tree = folder.path().join("tree");
        let path = tree.display().to_string();
        // A signal may come while git makes the entry of the tree, which goes with this.
        let work_tree = WorkTree { repository, folder };
        self.git(&["worktree", "add", "--quiet", "--detach", &path, commit])
            .await?;
        let project = tree.join(prefix);
        for written in WRITTEN {
            ensure_within(&tree, &project.join(written))?;
        }
        let build = Build {
            output: project.join("dist"),
            project: project.clone(),
            target: Target::of(Arch::X86_64),
        };
        let built = build.run(|_| ()).await;
        built.map_err(|error| format!("{error:#}"))?;
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.push(work_tree);
        Ok(project)
    }
}

impl Checkout for GitCheckout {
    fn descends<'a>(&'a self, newer: &'a str, older: &'a str) -> CheckoutFuture<'a, bool> {
        Box::pin(async move {
            self.ensure_commit(newer).await?;
            self.ensure_commit(older).await?;
            let mut command = Command::new("git");
            command.arg("-C").arg(&self.project);
            command.args(["merge-base", "--is-ancestor", older, newer]);
            operator_secrets::withhold(command.as_std_mut());
            let output = child_process::output(&mut command).await;
            let output = output.map_err(|error| format!("git cannot be started: {error}"))?;
            match output.status.code() {
                Some(0) => Ok(true),
                Some(1) => Ok(false),
                _ => Err("git does not tell; the repository may be a shallow clone".to_owned()),
            }
        })
    }

    fn migrations_at<'a>(&'a self, commit: &'a str) -> CheckoutFuture<'a, MigrationFolder> {
        Box::pin(self.read_migrations(commit))
    }

    fn rebuild<'a>(&'a self, commit: &'a str) -> CheckoutFuture<'a, PathBuf> {
        Box::pin(self.build(commit))
    }
}

impl Drop for WorkTree {
    fn drop(&mut self) {
        // Else git goes on to list it, until it is pruned.
        let tree = self.folder.path().join("tree");
        remove(&self.repository, &tree);
    }
}

fn remove(repository: &Path, tree: &Path) {
    let mut command = std::process::Command::new("git");
    command.arg("-C").arg(repository);
    // Twice: git locks a tree until all its files are there.
    command.args(["worktree", "remove", "--force", "--force"]);
    command.arg(tree);
    operator_secrets::withhold(&mut command);
    let _ = command.output();
}

/// Makes sure that a build writes a path of a checked out commit into its tree: a folder on the way may be a link.
fn ensure_within(tree: &Path, path: &Path) -> Result<(), String> {
    let there = path
        .ancestors()
        .find(|path| path.symlink_metadata().is_ok());
    let real = there.map(Path::canonicalize).transpose();
    let is_within = match (real, tree.canonicalize()) {
        (Ok(Some(real)), Ok(tree)) => real.starts_with(tree),
        _ => false,
    };
    match is_within {
        true => Ok(()),
        false => Err(format!(
            "the commit has a link in the place of {}, by which the build would write elsewhere on this \
             machine: nothing of it was built",
            path.strip_prefix(tree).unwrap_or(path).display()
        )),
    }
}

/// The folders of a project that a build writes to.
const WRITTEN: [&str; 4] = [
    "target",
    "dist/functions",
    "dist/lambda/x86_64",
    "dist/lambda/arm64",
];

/// Returns whether a path of a commit leads to a file in the folder to which it is joined. Git takes any name
/// into the tree of a commit, and `git fetch` does not look at it; a checkout alone refuses it.
fn stays_within(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// Runs git in a folder with an input, and returns what it printed.
    fn git(folder: &Path, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(folder)
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits one file whose path has these names, and returns the commit.
    fn commit_of(folder: &Path, names: &[&str]) -> String {
        let blob = git(folder, &["hash-object", "-w", "--stdin"], "SELECT 1;");
        let (file, folders) = names.split_last().unwrap();
        let mut tree = git(
            folder,
            &["mktree"],
            &format!("100644 blob {blob}\t{file}\n"),
        );
        for name in folders.iter().rev() {
            tree = git(
                folder,
                &["mktree"],
                &format!("040000 tree {tree}\t{name}\n"),
            );
        }
        git(folder, &["commit-tree", &tree, "-m", "m"], "")
    }

    #[tokio::test]
    async fn path_of_a_commit_that_leads_elsewhere_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet"], "");
        let checkout = GitCheckout::new(folder.path().to_owned(), "migrations".into());
        let elsewhere = format!("{}-x", folder.path().file_name().unwrap().display());
        for names in [
            ["migrations", "..", &elsewhere],
            ["migrations", ".", "V1__a.sql"],
        ] {
            let commit = commit_of(folder.path(), &names);
            let read = checkout.read_migrations(&commit).await;
            let error = read.unwrap_err();
            assert!(error.contains(&names.join("/")), "{error}");
        }
        assert!(!std::env::temp_dir().join(elsewhere).exists());
        let commit = commit_of(folder.path(), &["migrations", "a", "V1__a..b.sql"]);
        let read = checkout.read_migrations(&commit).await;
        assert!(!read.unwrap_err().contains("would not check out"));
        let commit = commit_of(folder.path(), &["migrations", "a", "V1__a.sql"]);
        let read = checkout.read_migrations(&commit).await.unwrap();
        assert_eq!(read.files().len(), 1);
    }

    #[tokio::test]
    async fn commit_whose_output_leads_elsewhere_is_not_built() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet"], "");
        let checkout = GitCheckout::new(folder.path().to_owned(), "migrations".into());
        let target = elsewhere.path().display().to_string();
        for link in ["dist", "target"] {
            let blob = git(folder.path(), &["hash-object", "-w", "--stdin"], &target);
            let entry = format!("120000 blob {blob}\t{link}\n");
            let tree = git(folder.path(), &["mktree"], &entry);
            let commit = git(folder.path(), &["commit-tree", &tree, "-m", "m"], "");
            let error = checkout.build(&commit).await.unwrap_err();
            assert!(
                error.contains("has a link in the place of"),
                "{link}: {error}"
            );
        }
        assert_eq!(elsewhere.path().read_dir().unwrap().count(), 0);
        let trees = git(folder.path(), &["worktree", "list"], "");
        assert_eq!(trees.lines().count(), 1, "{trees}");
    }

    #[tokio::test]
    async fn build_that_is_stopped_as_git_writes_its_tree_leaves_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet"], "");
        let begun = folder.path().join("begun");
        // It holds git up in the middle of the files.
        let filter = format!("touch {}; sleep 600", begun.display());
        git(
            folder.path(),
            &["config", "filter.slow.smudge", &filter],
            "",
        );
        let blob = |text: &str| git(folder.path(), &["hash-object", "-w", "--stdin"], text);
        let (attributes, file) = (blob("file filter=slow\n"), blob("x"));
        let entries =
            format!("100644 blob {attributes}\t.gitattributes\n100644 blob {file}\tfile\n");
        let tree = git(folder.path(), &["mktree"], &entries);
        let commit = git(folder.path(), &["commit-tree", &tree, "-m", "m"], "");
        let checkout = GitCheckout::new(folder.path().to_owned(), "migrations".into());
        let waits_for_git = async {
            while !begun.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            built = checkout.build(&commit) => panic!("{built:?}"),
            () = waits_for_git => {}
        }
        let trees = git(folder.path(), &["worktree", "list"], "");
        assert_eq!(trees.lines().count(), 1, "{trees}");
    }

    #[test]
    fn ordinary_output_stays_within_its_tree() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("own")).unwrap();
        std::os::unix::fs::symlink("own", tree.path().join("dist")).unwrap();
        for path in ["target", "dist/functions", "none/at/all"] {
            ensure_within(tree.path(), &tree.path().join(path)).unwrap();
        }
        std::os::unix::fs::symlink("/nowhere", tree.path().join("target")).unwrap();
        ensure_within(tree.path(), &tree.path().join("target")).unwrap_err();
    }

    #[test]
    fn path_with_an_empty_name_or_a_dot_does_not_stay_within() {
        for path in ["/a", "a//b", "a/", "", "..", "a/..", "../a", "./a", "a/./b"] {
            assert!(!stays_within(path), "{path}");
        }
        for path in ["a", "a/b.sql", "a/...", ".hidden/..a"] {
            assert!(stays_within(path), "{path}");
        }
    }
}
