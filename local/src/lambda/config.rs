//! What a function is: its executable, its limits, its variables, its log.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A function as it is deployed on this machine.
#[derive(Clone)]
pub struct FunctionConfig {
    /// The function's name, as in its ARN: letters, digits, `-` and `_`.
    pub name: String,
    /// The program that speaks the Lambda Runtime API. A relative path is taken
    /// from the current directory.
    pub executable: PathBuf,
    /// The function's own variables. Those that Lambda reserves (`AWS_REGION`,
    /// `AWS_LAMBDA_*`, `LAMBDA_*`, `_HANDLER`) cannot be changed by them.
    pub environment: BTreeMap<String, String>,
    /// How long one invocation may take. Default: 60 s, Netlify's limit for
    /// synchronous functions (its documentation, November 2026).
    pub timeout: Duration,
    /// How long INIT may take. Default: 10 s, as on Lambda.
    pub init_timeout: Duration,
    /// What the function is told about its memory, in MB; it is not enforced.
    /// Default: 1024, as on Netlify.
    pub memory_mb: u32,
    /// How many processes may run at once; at least one. Default: 50, so that a
    /// burst on one machine waits in line rather than starving it.
    pub max_instances: usize,
    /// The alias or version that is invoked, the end of the ARN, unless
    /// [`Function::by_alias`](super::Function::by_alias) names another. Default: none.
    pub qualifier: Option<String>,
    /// How many events one process may have at the same time, as on Lambda Managed
    /// Instances: told to it in `AWS_LAMBDA_MAX_CONCURRENCY` where it is more than one.
    /// Default: 1, as on Lambda else.
    pub concurrency: usize,
    /// Whether a process waits as in a SnapStart snapshot between its INIT and its first
    /// event. Default: no.
    pub snap_start: bool,
    /// Where log lines go. Default: nowhere.
    pub logs: LogSink,
}

/// Takes the log lines of a function, one by one.
///
/// It is called from tasks that move the function's output, so it must not
/// block for long.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// One line of a function's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// The function's name.
    pub function: String,
    /// Which of the function's instances: 1 for the first that was started.
    pub instance: usize,
    /// Who wrote the line.
    pub stream: LogStream,
    /// The text, without its end of line. Lines over 64 KiB come in parts, and
    /// what is not UTF-8 is replaced.
    pub line: String,
}

/// Who wrote a [`LogLine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogStream {
    /// The function, on its standard output.
    Stdout,
    /// The function, on its standard error.
    Stderr,
    /// The platform: an error that the function answered with, an exit, a
    /// time-out.
    Platform,
}

impl FunctionConfig {
    /// A function with Netlify's limits, no variables of its own and no log.
    pub fn new(name: impl Into<String>, executable: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            executable: executable.into(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            init_timeout: Duration::from_secs(10),
            memory_mb: 1024,
            max_instances: 50,
            qualifier: None,
            concurrency: 1,
            snap_start: false,
            logs: Arc::new(|_| {}),
        }
    }

    /// The ARN that the function is invoked by, with that alias or version or its own, in the
    /// region and account that AWS's documentation uses for its examples.
    pub(super) fn arn(&self, qualifier: Option<&str>) -> String {
        let qualifier = qualifier.or(self.qualifier.as_deref());
        format!(
            "arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{}{}{}",
            self.name,
            if qualifier.is_some() { ":" } else { "" },
            qualifier.unwrap_or_default(),
        )
    }

    /// Hands one line to the log.
    pub(super) fn log(&self, instance: usize, stream: LogStream, line: String) {
        (self.logs)(LogLine {
            function: self.name.clone(),
            instance,
            stream,
            line,
        });
    }
}

impl fmt::Debug for FunctionConfig {
    /// Names the variables and keeps their values to itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<&String> = self.environment.keys().collect();
        f.debug_struct("FunctionConfig")
            .field("name", &self.name)
            .field("executable", &self.executable)
            .field("environment", &variables)
            .field("timeout", &self.timeout)
            .field("init_timeout", &self.init_timeout)
            .field("memory_mb", &self.memory_mb)
            .field("max_instances", &self.max_instances)
            .field("qualifier", &self.qualifier)
            .field("concurrency", &self.concurrency)
            .field("snap_start", &self.snap_start)
            .finish_non_exhaustive()
    }
}

pub(super) const REGION: &str = "us-east-1";
pub(super) const ACCOUNT_ID: &str = "123456789012";
pub(super) const VERSION: &str = "$LATEST";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_with_qualifier_ends_in_it() {
        let mut config = FunctionConfig::new("hello", "hello");
        assert_eq!(
            config.arn(None),
            "arn:aws:lambda:us-east-1:123456789012:function:hello"
        );
        config.qualifier = Some("staging".to_owned());
        assert!(config.arn(None).ends_with(":function:hello:staging"));
        assert!(config.arn(Some("live")).ends_with(":function:hello:live"));
    }

    #[test]
    fn debug_names_variables_without_values() {
        let mut config = FunctionConfig::new("hello", "hello");
        config
            .environment
            .insert("DATABASE_URL".to_owned(), "canary".to_owned());
        let debug = format!("{config:?}");
        assert!(debug.contains("DATABASE_URL") && !debug.contains("canary"));
    }
}
