//! The configuration of a function: its executable, limits, variables and log.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Configuration of a function on this machine.
#[derive(Clone)]
pub struct FunctionConfig {
    /// The function's name, as in its ARN: letters, digits, `-` and `_`.
    pub name: String,
    /// Program that uses the Lambda Runtime API. A relative path is relative to the current
    /// directory.
    pub executable: PathBuf,
    /// The function's own variables. They do not override the variables that Lambda reserves
    /// (`AWS_REGION`, `AWS_LAMBDA_*`, `LAMBDA_*`, `_HANDLER`).
    pub environment: BTreeMap<String, String>,
    /// Time limit of one invocation. Default: 60 s, Netlify's limit for synchronous functions (its
    /// documentation, November 2026).
    pub timeout: Duration,
    /// Time limit of INIT. Default: 10 s, as on Lambda.
    pub init_timeout: Duration,
    /// Time after which a process without an event is ended; its next event starts a new one. Lambda
    /// does so too, after a time that it does not document. Default: `None`, never.
    pub idle_timeout: Option<Duration>,
    /// Memory size in MB that the function is told; the stand-in does not enforce it. Default:
    /// 1024, as on Netlify.
    pub memory_mb: u32,
    /// Largest number of processes at the same time; at least 1. Default: 50, so that a burst of
    /// events waits in the queue instead of overloading the machine.
    pub max_instances: usize,
    /// Alias or version at the end of the ARN, unless
    /// [`Function::with_alias`](super::Function::with_alias) names another. Default: none.
    pub qualifier: Option<String>,
    /// Number of events that one process may have at the same time, as on Lambda Managed
    /// Instances. A number above 1 is in the process's `AWS_LAMBDA_MAX_CONCURRENCY`. Default: 1,
    /// as on Lambda without Managed Instances.
    pub concurrency: usize,
    /// With `true` a process waits between its INIT and its first event as in a SnapStart
    /// snapshot. Default: `false`.
    pub snap_start: bool,
    /// With `true` the function's runtime is asked to report on the time with its database, for an
    /// [`InvocationObserver`](super::InvocationObserver). Default: `false`.
    pub asks_for_spans: bool,
    /// Receiver of the log lines. Default: discards them.
    pub logs: LogSink,
}

/// Callback for the log lines of a function, called once per line.
///
/// It is called from the tasks that read the function's output, so it must not block for long.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// One line of a function's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// The function's name.
    pub function: String,
    /// Number of the function's instance: 1 for the first that was started.
    pub instance: usize,
    /// Origin of the line.
    pub stream: LogStream,
    /// The text, without its line terminator. A line over 64 KiB is split, and invalid UTF-8 is
    /// replaced.
    pub line: String,
    /// Id of the invocation that the line belongs to, by its
    /// [observer](super::InvocationObserver): the latest one of the instance. `None` where it has
    /// none, and where an instance runs several at a time.
    pub request: Option<String>,
}

impl LogLine {
    /// Returns a line of a function's first instance, of no invocation. It is meant for tests.
    pub fn new(function: &str, stream: LogStream, line: &str) -> Self {
        Self {
            function: function.to_owned(),
            instance: 1,
            stream,
            line: line.to_owned(),
            request: None,
        }
    }
}

/// Origin of a [`LogLine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogStream {
    /// The function's standard output.
    Stdout,
    /// The function's standard error.
    Stderr,
    /// The platform: an error that the function returned, an exit, a time-out.
    Platform,
}

impl FunctionConfig {
    /// Returns a configuration with Netlify's limits, no variables and no log.
    pub fn new(name: impl Into<String>, executable: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            executable: executable.into(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            init_timeout: Duration::from_secs(10),
            idle_timeout: None,
            memory_mb: 1024,
            max_instances: 50,
            qualifier: None,
            concurrency: 1,
            snap_start: false,
            asks_for_spans: false,
            logs: Arc::new(|_| {}),
        }
    }

    /// Returns the function's ARN with this alias or version or, for `None`, the configuration's.
    /// Region and account are those of the examples in AWS's documentation.
    pub(super) fn arn(&self, qualifier: Option<&str>) -> String {
        let qualifier = qualifier.or(self.qualifier.as_deref());
        format!(
            "arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{}{}{}",
            self.name,
            if qualifier.is_some() { ":" } else { "" },
            qualifier.unwrap_or_default(),
        )
    }
}

impl fmt::Debug for FunctionConfig {
    /// Shows the names of the variables and not their values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<&String> = self.environment.keys().collect();
        f.debug_struct("FunctionConfig")
            .field("name", &self.name)
            .field("executable", &self.executable)
            .field("environment", &variables)
            .field("timeout", &self.timeout)
            .field("init_timeout", &self.init_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("memory_mb", &self.memory_mb)
            .field("max_instances", &self.max_instances)
            .field("qualifier", &self.qualifier)
            .field("concurrency", &self.concurrency)
            .field("snap_start", &self.snap_start)
            .field("asks_for_spans", &self.asks_for_spans)
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
