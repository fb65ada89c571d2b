//! Runs the command `aws`. Whatever may be a secret passes in files that only this user can read.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

use crate::attempts::Attempts;
use crate::aws::access::AwsAccess;
use crate::aws::redaction::Redaction;
use crate::aws::refusal::{Failure, Reason};
use crate::error::{Error, ErrorKind};
use crate::fence::{Attempt, AttemptEnd, Fence, FenceSlot};

/// The command `aws` with a region.
#[derive(Clone, Debug)]
pub(crate) struct AwsCommand {
    program: PathBuf,
    region: String,
    redaction: Redaction,
    /// Asked before each attempt at a change, where there is one. Clones share it.
    fence: FenceSlot,
}

/// One call of the command.
#[derive(Debug)]
pub(crate) struct Call {
    /// The action with its object, as in "move the alias staging of shop".
    action: String,
    service: &'static str,
    operation: &'static str,
    arguments: Vec<OsString>,
}

impl Call {
    pub(super) fn new(
        action: impl Into<String>,
        service: &'static str,
        operation: &'static str,
    ) -> Self {
        Self {
            action: action.into(),
            service,
            operation,
            arguments: Vec::new(),
        }
    }

    /// Adds an option with its value, which is no secret.
    pub(super) fn with(mut self, option: &str, value: impl Into<OsString>) -> Self {
        self.arguments.push(option.into());
        self.arguments.push(value.into());
        self
    }

    /// Adds an option with its value, where there is one.
    pub(super) fn with_some(self, option: &str, value: Option<impl Into<OsString>>) -> Self {
        match value {
            Some(value) => self.with(option, value),
            None => self,
        }
    }

    /// Adds a word.
    pub(super) fn word(mut self, word: impl Into<OsString>) -> Self {
        self.arguments.push(word.into());
        self
    }

    /// Returns whether it changes something. The call of a function is a question here: the SDK's runtime
    /// answers it without a handler.
    fn is_change(&self) -> bool {
        let reads = ["get", "list", "describe", "invoke"];
        let verb = self.operation.split('-').next().unwrap_or_default();
        !reads.contains(&verb)
    }

    /// The action of IAM that it needs, such as `lambda:UpdateAlias`.
    fn permission(&self) -> String {
        let words = self.operation.split('-').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{}{rest}", first.to_ascii_uppercase())
        });
        let operation = match self.operation {
            "invoke" => "InvokeFunction".to_owned(),
            _ => words.collect(),
        };
        format!("{}:{operation}", self.service)
    }
}

impl AwsCommand {
    pub(super) fn new(access: &AwsAccess) -> Self {
        Self {
            program: access.program.clone(),
            region: access.region.clone().unwrap_or_default(),
            redaction: Redaction::new(&access.secrets),
            fence: FenceSlot::default(),
        }
    }

    /// Asks this fence before each attempt at a change from now on.
    pub(super) fn set_fence(&self, fence: Arc<dyn Fence>) {
        self.fence.set(fence);
    }

    /// Makes sure that this process may make a call, and begins the attempt.
    async fn begin_attempt(&self, call: &Call) -> Result<Attempt, Failure> {
        if !call.is_change() {
            return Ok(Attempt::unfenced());
        }
        let begun = self.fence.begin_attempt(&call.action).await;
        begun.map_err(|error| Failure {
            reason: Reason::Other,
            is_known: true,
            error,
        })
    }

    pub(super) fn set_region(&mut self, region: &str) {
        region.clone_into(&mut self.region);
    }

    /// Returns the command with more secrets that no message may show.
    pub(super) fn hiding<'a>(
        &self,
        secrets: impl IntoIterator<Item = &'a secrecy::SecretString>,
    ) -> Self {
        let mut command = self.clone();
        command.redaction.add(secrets);
        command
    }

    /// Returns a text of AWS's or of a function's without the secrets that no message may show.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        self.redaction.apply(text)
    }

    /// Returns the region of the command's own settings.
    pub(super) async fn configured_region(&self) -> Option<String> {
        let call = Call::new("ask for the region", "configure", "get").word("region");
        let output = self.run(&call).await.ok()?;
        let region = String::from_utf8(output).ok()?.trim().to_owned();
        (!region.is_empty()).then_some(region)
    }

    /// Makes a call, and reads its response. A limited rate and a failure of AWS's are tried again.
    ///
    /// # Errors
    ///
    /// The failure, without secrets.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, Failure> {
        let output = self.answer(&call).await?;
        serde_json::from_slice(&output).map_err(|error| {
            // The parser's own message may quote the text.
            let (line, column) = (error.line(), error.column());
            let message = format!(
                "the response is not of the documented form (line {line}, column {column})"
            );
            Failure {
                reason: Reason::Other,
                is_known: true,
                error: Error::new(ErrorKind::Refused, message)
                    .context(format!("could not {}", call.action)),
            }
        })
    }

    /// Makes a call whose response does not matter.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub(super) async fn tell(&self, call: Call) -> Result<(), Failure> {
        self.answer(&call).await.map(drop)
    }

    async fn answer(&self, call: &Call) -> Result<Vec<u8>, Failure> {
        let mut attempts = Attempts::new();
        loop {
            let attempt = self.begin_attempt(call).await?;
            let made = self.run(call).await;
            attempt.end(match &made {
                Err(failure) if !failure.is_known => AttemptEnd::Unknown,
                _ => AttemptEnd::Known,
            });
            let failure = match made {
                Err(failure) if failure.reason == Reason::Overloaded => failure,
                outcome => return outcome,
            };
            if !attempts.pause(None).await {
                return Err(failure);
            }
        }
    }

    async fn run(&self, call: &Call) -> Result<Vec<u8>, Failure> {
        let mut command = Command::new(&self.program);
        command.arg(call.service).arg(call.operation);
        if call.service != "configure" {
            command.args(["--output", "json"]);
        }
        if !self.region.is_empty() {
            // Version 1 of the AWS CLI reads the second one alone.
            command.env("AWS_REGION", &self.region);
            command.env("AWS_DEFAULT_REGION", &self.region);
        }
        command
            .args(&call.arguments)
            .env("AWS_PAGER", "")
            .env("AWS_CLI_AUTO_PROMPT", "off")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        // Ctrl-C in a terminal asks this process alone to end, which waits for the call. The login may ask for a
        // code on the terminal, which a process in the background cannot.
        #[cfg(unix)]
        if call.service == "lambda" {
            command.process_group(0);
        }
        let failed = |kind, message: String| Failure {
            reason: Reason::Other,
            is_known: kind != ErrorKind::Unavailable,
            error: Error::new(kind, message).context(format!("could not {}", call.action)),
        };
        let program = self.program.display();
        let output = match tokio::time::timeout(LONGEST_CALL, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                let message = format!("could not run {program}: {error}");
                return Err(failed(ErrorKind::Settings, message));
            }
            Err(_) => {
                let seconds = LONGEST_CALL.as_secs();
                let message = format!("{program} did not end within {seconds} s");
                return Err(failed(ErrorKind::Unavailable, message));
            }
        };
        if output.status.success() {
            return Ok(output.stdout);
        }
        if let Some(end) = interruption(output.status) {
            let message = format!(
                "{program} was ended by {end} before it told the result, so the call may have been carried out"
            );
            return Err(failed(ErrorKind::Unavailable, message));
        }
        let text = self
            .redaction
            .apply(&String::from_utf8_lossy(&output.stderr));
        let mut failure = Failure::of(&call.action, &call.permission(), &text);
        failure.is_known |= output.status.code().is_some_and(is_of_usage);
        Err(failure)
    }
}

/// Returns the signal by which a process has ended, or was asked to.
fn interruption(status: ExitStatus) -> Option<String> {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Some(format!("signal {signal}"));
    }
    (status.code() == Some(INTERRUPTED)).then(|| "an interruption".to_owned())
}

/// Returns whether the AWS CLI ends so where it does not understand its arguments, and sends nothing.
fn is_of_usage(code: i32) -> bool {
    matches!(code, 2 | 252)
}

/// A folder of files that only this user can read, which are gone with it.
pub(super) struct PrivateFiles(TempDir);

impl PrivateFiles {
    /// Makes the folder.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when there can be none.
    pub(super) fn new() -> Result<Self, Error> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("stagelink-aws-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o700));
        }
        builder.tempdir().map(Self).map_err(not_written)
    }

    /// Writes a file, and returns its path.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when it cannot be written.
    pub(super) fn write(&self, content: &[u8]) -> Result<PathBuf, Error> {
        // Its mode is 600.
        let mut file = NamedTempFile::new_in(&self.0).map_err(not_written)?;
        file.write_all(content).map_err(not_written)?;
        let (_, path) = file.keep().map_err(|error| not_written(error.error))?;
        Ok(path)
    }

    /// Returns the path of a file that does not exist yet.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn not_written(error: std::io::Error) -> Error {
    let message = "could not write a temporary file for the command aws";
    Error::with_source(ErrorKind::Settings, message, error)
}

/// Returns the value of an option that reads a file as text.
pub(super) fn file_url(path: &Path) -> OsString {
    prefixed("file://", path)
}

/// Returns the value of an option that reads a file as bytes.
pub(super) fn bytes_url(path: &Path) -> OsString {
    prefixed("fileb://", path)
}

fn prefixed(scheme: &str, path: &Path) -> OsString {
    let mut url = OsString::from(scheme);
    url.push(path);
    url
}

/// The exit code with which the AWS CLI ends at SIGINT.
const INTERRUPTED: i32 = 130;

/// More than an upload of 50 MB takes on a slow line.
const LONGEST_CALL: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::aws::script::Script;

    #[test]
    fn permission_is_that_of_the_operation() {
        for (operation, permission) in [
            ("update-alias", "lambda:UpdateAlias"),
            ("invoke", "lambda:InvokeFunction"),
            (
                "get-function-configuration",
                "lambda:GetFunctionConfiguration",
            ),
        ] {
            assert_eq!(Call::new("", "lambda", operation).permission(), permission);
        }
    }

    /// Closed once it was asked as often as it holds.
    #[derive(Debug)]
    struct Closing(Mutex<u32>);

    impl Fence for Closing {
        fn ensure(&self) -> futures_util::future::BoxFuture<'_, Result<(), Error>> {
            let mut left = self.0.lock().unwrap();
            let result = match left.checked_sub(1) {
                Some(rest) => {
                    *left = rest;
                    Ok(())
                }
                None => Err(Error::new(ErrorKind::Busy, "the lease was lost")),
            };
            Box::pin(async { result })
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn fence_is_asked_before_each_attempt_at_a_change_and_before_no_question() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (program, calls) = (folder.path().join("aws"), folder.path().join("calls"));
        // A change is answered with a rate limit, so it is tried again after a pause.
        let script = format!(
            "#!/bin/sh\necho \"$2\" >> {}\n[ \"$2\" = update-alias ] || exit 0\necho 'An error occurred \
             (TooManyRequestsException) when calling the X operation: slow down' >&2\nexit 254\n",
            calls.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let access = AwsAccess {
            program,
            region: Some("eu-west-1".to_owned()),
            secrets: Vec::new(),
        };
        let command = AwsCommand::new(&access);
        command.set_fence(Arc::new(Closing(Mutex::new(1))));
        // The fence of the command is that of its copies.
        let copy = command.hiding([]);
        let failure = copy.tell(Call::new("move", "lambda", "update-alias")).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Busy, "{failure}");
        let questions = ["get-alias", "invoke", "get-function-configuration"];
        for question in questions {
            let asked = command.tell(Call::new("ask", "lambda", question)).await;
            asked.unwrap();
        }
        let made = std::fs::read_to_string(&calls).unwrap();
        let made: Vec<_> = made.lines().collect();
        assert_eq!(made, [&["update-alias"][..], &questions].concat());
    }

    /// Open, and keeps whether the result of each attempt was known.
    #[derive(Debug, Default)]
    struct Open(Mutex<Vec<bool>>);

    impl Fence for Open {
        fn ensure(&self) -> futures_util::future::BoxFuture<'_, Result<(), Error>> {
            Box::pin(async { Ok(()) })
        }

        fn ended(&self, _: &str, end: AttemptEnd) {
            self.0.lock().unwrap().push(end == AttemptEnd::Known);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn result_of_a_change_is_known_by_an_answer_alone_and_a_terminal_interrupts_no_call() {
        let script = Script::new(
            "'lambda update-alias') kill -KILL $$ ;;\n'lambda create-alias') exit 130 ;;\n\
             'lambda delete-alias') echo 'Traceback: a bug' >&2; exit 1 ;;\n\
             'lambda add-permission') echo 'Unknown options: --x' >&2; exit 252 ;;\n\
             'lambda publish-version') echo 'An error occurred (AccessDeniedException) when calling the X \
             operation: no' >&2; exit 254 ;;\n\
             'lambda get-alias') [ \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$ ] ;;",
        );
        let command = AwsCommand::new(&script.access(Some("eu-west-1")));
        let open = Arc::new(Open::default());
        command.set_fence(Arc::clone(&open) as Arc<dyn Fence>);
        for (operation, part) in [
            ("update-alias", "signal 9 before it told the result"),
            ("create-alias", "an interruption"),
            ("delete-alias", "a bug"),
            ("add-permission", "Unknown options"),
            ("publish-version", "AccessDenied"),
        ] {
            let failure = command.tell(Call::new("x", "lambda", operation)).await;
            let report = failure.unwrap_err().error.report();
            assert!(report.contains(part), "{report}");
        }
        assert_eq!(*open.0.lock().unwrap(), [false, false, false, true, true]);
        command
            .tell(Call::new("x", "lambda", "get-alias"))
            .await
            .unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn private_files_are_readable_by_this_user_alone_and_gone_at_the_end() {
        use std::os::unix::fs::PermissionsExt as _;
        let files = PrivateFiles::new().unwrap();
        let path = files.write(b"c4n4ry").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(files.0.path())), (0o600, 0o700));
        drop(files);
        assert!(!path.exists());
    }
}
