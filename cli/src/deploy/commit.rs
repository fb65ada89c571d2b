//! The commit that a project is deployed from, by git.

use std::path::Path;

use tokio::process::Command;

use crate::{child_process, operator_secrets};

/// The commit of a project's folder.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Commit {
    /// The commit's name in hexadecimal; `None` where there is none, or git does not say.
    pub(super) name: Option<String>,
    /// True if there are changes that are in no commit; `None` where git does not say.
    pub(super) is_dirty: Option<bool>,
}

impl Commit {
    /// Asks git, whose absence is no error.
    pub(super) async fn of(project: &Path) -> Self {
        let name = git(project, &["rev-parse", "--verify", "HEAD"]).await;
        let changes = git(project, &["status", "--porcelain"]).await;
        Self {
            name: name.filter(|name| is_commit(name)),
            is_dirty: changes.map(|changes| !changes.is_empty()),
        }
    }
}

/// Returns what git prints, or `None` where it fails or is missing.
async fn git(project: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.current_dir(project).args(arguments);
    operator_secrets::withhold(command.as_std_mut());
    let output = child_process::output(&mut command).await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

fn is_commit(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn commit_and_changes_are_those_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = async |arguments: &[&str]| {
            assert!(
                git(folder.path(), arguments).await.is_some(),
                "{arguments:?}"
            );
        };
        assert_eq!(Commit::of(folder.path()).await, Commit::default());
        run(&["init", "--quiet"]).await;
        std::fs::write(folder.path().join("a"), "a").unwrap();
        let commit = Commit::of(folder.path()).await;
        assert_eq!((commit.name, commit.is_dirty), (None, Some(true)));
        run(&["add", "."]).await;
        let own = [
            "-c",
            "user.name=Test",
            "-c",
            "user.email=t@stagelink.example",
        ];
        run(&[&own[..], &["commit", "--quiet", "--message", "a"]].concat()).await;
        let commit = Commit::of(folder.path()).await;
        assert_eq!(
            (commit.name.unwrap().len(), commit.is_dirty),
            (40, Some(false))
        );
    }
}
