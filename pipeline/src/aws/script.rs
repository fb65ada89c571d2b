//! A script in the place of the command `aws`, for tests.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::aws::{AwsAccess, Lambda};

/// A command `aws` that answers by a part of a shell script, and records how it was called.
pub(crate) struct Script {
    folder: TempDir,
}

impl Script {
    /// `answers` are lines of a `case` of the shell over "SERVICE OPERATION".
    pub(crate) fn new(answers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("calls");
        let text = format!(
            "#!/bin/sh\necho \"$AWS_DEFAULT_REGION $*\" >>'{}'\ncase \"$1 $2\" in\n{answers}\n\
             'sts get-caller-identity') echo '{{\"Account\":\"123456789012\"}}' ;;\n\
             *) echo \"unexpected: $*\" >&2; exit 2 ;;\nesac\n",
            record.display()
        );
        let program = folder.path().join("aws");
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        // A process that another test forks has the file open for writing until its exec.
        while let Err(error) = Command::new(&program).stderr(Stdio::null()).status() {
            assert_eq!(error.kind(), io::ErrorKind::ExecutableFileBusy, "{error}");
            sleep(Duration::from_millis(10));
        }
        fs::remove_file(&record).unwrap();
        Self { folder }
    }

    pub(crate) fn access(&self, region: Option<&str>) -> AwsAccess {
        let path = self.folder.path().to_owned();
        let region = region.map(str::to_owned);
        let find = |name: &str| match name {
            "PATH" => Some(path.clone().into_os_string()),
            "AWS_REGION" => region.clone().map(Into::into),
            "AWS_SECRET_ACCESS_KEY" => Some("c4n4ry-key".into()),
            _ => None,
        };
        AwsAccess::find(find).unwrap()
    }

    pub(crate) async fn lambda(&self) -> Lambda {
        Lambda::connect(&self.access(Some("eu-west-1")))
            .await
            .unwrap()
    }

    pub(crate) fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap()
    }
}
