//! The log of a function: lines on standard output, filtered by target and level.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogVariables, log_variables};

/// Installs a subscriber that writes the log to standard output, for `main` to call before
/// [`run`](crate::run). Without one, a function logs nothing. It has no effect where the program has
/// a subscriber already.
///
/// | variable | meaning |
/// | --- | --- |
/// | `RUST_LOG` | a level, or levels by target: `info,stagelink=debug,hyper=off`. A part that is neither is ignored; there are no spans and no patterns, which would need an engine for regular expressions |
/// | `AWS_LAMBDA_LOG_LEVEL` | the level where `RUST_LOG` sets none: Lambda's advanced logging controls |
/// | `AWS_LAMBDA_LOG_FORMAT` | `JSON` writes each line as a JSON object |
///
/// The level is `INFO` by default. Lines have neither time nor target: the platform adds the time.
pub fn init_log_subscriber() {
    let variables = log_variables();
    let lines = layer().with_target(false).without_time();
    let log = registry().with(filter(&variables));
    // An error means that there is one already.
    let _ = match variables.is_json {
        true => log.with(lines.json()).try_init(),
        false => log.with(lines).try_init(),
    };
}

fn filter(variables: &LogVariables) -> Targets {
    let parts = variables.filter.iter().flat_map(|text| text.split(','));
    let is_filter = |part: &&str| {
        !part.is_empty() && !part.contains(['[', '{']) && part.parse::<Targets>().is_ok()
    };
    let valid: Vec<&str> = parts.map(str::trim).filter(is_filter).collect();
    match valid.join(",").parse() {
        Ok(targets) if !valid.is_empty() => targets,
        _ => Targets::new().with_default(level(variables.level.as_deref())),
    }
}

/// Reads a level of Lambda's.
fn level(name: Option<&str>) -> LevelFilter {
    match name.unwrap_or_default().trim() {
        name if name.eq_ignore_ascii_case("fatal") => LevelFilter::ERROR,
        "" => LevelFilter::INFO,
        name => name.parse().unwrap_or(LevelFilter::INFO),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn shows(filter: Option<&str>, level: Option<&str>, target: &str) -> Option<Level> {
        let variables = LogVariables {
            filter: filter.map(str::to_owned),
            level: level.map(str::to_owned),
            is_json: false,
        };
        let targets = super::filter(&variables);
        let levels = [
            Level::TRACE,
            Level::DEBUG,
            Level::INFO,
            Level::WARN,
            Level::ERROR,
        ];
        let mut levels = levels.into_iter();
        levels.find(|level| targets.would_enable(target, level))
    }

    #[test]
    fn targets_and_levels_are_those_of_the_variables() {
        let (error, warn, info, debug, trace) = (
            Some(Level::ERROR),
            Some(Level::WARN),
            Some(Level::INFO),
            Some(Level::DEBUG),
            Some(Level::TRACE),
        );
        for (filter, level, target, expected) in [
            (None, None, "shop", info),
            (None, Some("DEBUG"), "shop", debug),
            (None, Some("FATAL"), "shop", error),
            (None, Some("loud"), "shop", info),
            (Some("warn"), None, "shop", warn),
            (Some("WARN"), Some("TRACE"), "shop", warn),
            (Some("off"), None, "shop", None),
            (
                Some("warn, stagelink=debug"),
                None,
                "stagelink::pool",
                debug,
            ),
            (Some("warn,stagelink=debug"), None, "shop", warn),
            (Some("stagelink=debug"), None, "shop", None),
            (Some("stagelink"), None, "stagelink", trace),
            (
                Some("stagelink=info,stagelink::pool=off"),
                None,
                "stagelink::pool",
                None,
            ),
            (Some("[span]=debug"), None, "shop", info),
            (Some("[span]=debug,warn"), None, "shop", warn),
            (Some(" "), Some("ERROR"), "shop", error),
        ] {
            let shown = shows(filter, level, target);
            assert_eq!(shown, expected, "{filter:?} {level:?} {target}");
        }
    }
}
