//! The log of the command on standard error: warnings with `-v`, more with each further `v`.

use tracing_subscriber::filter::LevelFilter;

use crate::output::LogOutput;

/// Starts to log to standard error, unless `verbosity` (the number of `-v`) is 0.
pub fn init(verbosity: u8) {
    let level = level(verbosity);
    if level != LevelFilter::OFF {
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(|| LogOutput)
            .with_ansi(false)
            .without_time()
            // They would be printed to standard error by `eprintln!`, which panics where it is closed.
            .log_internal_errors(false)
            .init();
    }
}

/// Returns the level of the least severe messages that are shown.
fn level(verbosity: u8) -> LevelFilter {
    match verbosity {
        0 => LevelFilter::OFF,
        1 => LevelFilter::WARN,
        2 => LevelFilter::INFO,
        3 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_further_v_shows_more() {
        for verbosity in 0..4 {
            assert!(level(verbosity) < level(verbosity + 1), "{verbosity}");
        }
        assert_eq!(level(u8::MAX), LevelFilter::TRACE);
    }
}
