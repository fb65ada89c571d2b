//! The environment variables that Lambda sets for a function's process.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::{FunctionConfig, REGION, VERSION};

/// Returns the complete environment of one instance.
///
/// Reserved variables override the function's own, because Lambda refuses to set those. The other
/// variables of Lambda are defaults that the function's own override. The names are those of
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html> (November 2026),
/// without the credentials of a role, which a function on Netlify does not use, without
/// `AWS_EXECUTION_ENV`, which OS-only runtimes do not get, and without `LD_LIBRARY_PATH`, whose
/// directories do not exist on this machine.
pub(super) fn environment(
    config: &FunctionConfig,
    executable: &Path,
    endpoint: &str,
    log_stream: &str,
) -> BTreeMap<String, String> {
    let task_root = executable.parent().unwrap_or(Path::new("/"));
    let task_root = task_root.to_string_lossy().into_owned();
    let handler = executable.file_name().unwrap_or_default();
    let reserved = [
        ("AWS_LAMBDA_RUNTIME_API", endpoint.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", config.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", VERSION.to_owned()),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            config.memory_mb.to_string(),
        ),
        (
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", config.name),
        ),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream.to_owned()),
        (
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            if config.snap_start {
                "snap-start".to_owned()
            } else {
                "on-demand".to_owned()
            },
        ),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        // On Lambda these are /var/task and /var/runtime. For an OS-only runtime both hold the
        // deployed files, which are in one directory here.
        ("LAMBDA_TASK_ROOT", task_root.clone()),
        ("LAMBDA_RUNTIME_DIR", task_root),
        ("_HANDLER", handler.to_string_lossy().into_owned()),
    ];
    let mut environment = BTreeMap::from(DEFAULTS.map(|(name, value)| (name.into(), value.into())));
    environment.extend(config.environment.clone());
    environment.extend(reserved.map(|(name, value)| (name.to_owned(), value)));
    if config.asks_for_spans {
        environment.insert("STAGELINK_LOCAL_SPANS".to_owned(), "true".to_owned());
    }
    if config.concurrency > 1 {
        let name = "AWS_LAMBDA_MAX_CONCURRENCY".to_owned();
        environment.insert(name, config.concurrency.to_string());
    }
    environment
}

const DEFAULTS: [(&str, &str); 3] = [
    ("LANG", "en_US.UTF-8"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
    ("TZ", ":UTC"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variables_override_defaults_and_not_reserved_ones() {
        let mut config = FunctionConfig::new("hello", "/srv/hello");
        for name in ["TZ", "AWS_REGION", "APP_ENV"] {
            config.environment.insert(name.to_owned(), "own".to_owned());
        }
        let environment = environment(&config, &config.executable, "127.0.0.1:1", "stream");
        assert_eq!(environment["TZ"], "own");
        assert_eq!(environment["APP_ENV"], "own");
        assert_eq!(environment["AWS_REGION"], "us-east-1");
        assert_eq!(environment["LAMBDA_TASK_ROOT"], "/srv");
        assert_eq!(environment["_HANDLER"], "hello");
    }
}
