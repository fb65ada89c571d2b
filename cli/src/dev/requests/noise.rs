//! The lines that a function's runtime logs for itself, and the parts of lines that repeat what the
//! line of the request says.

use stagelink_local::lambda::{LogLine, LogStream};

/// Returns whether a line is the runtime's or the SDK's own and less than a warning, or one that
/// Lambda writes around each invocation.
pub(in crate::dev) fn is_noise(line: &LogLine) -> bool {
    let text = line.line.trim_start();
    let is_around = ["START ", "END ", "REPORT "]
        .iter()
        .any(|word| text.starts_with(&format!("{word}RequestId: ")));
    if is_around {
        return true;
    }
    let Some((level, rest)) = text.split_once(' ') else {
        return false;
    };
    // Lines of `tracing_subscriber` begin with the level, the spans and the target.
    let target = without_spans(rest.trim_start()).split(": ").next();
    ["INFO", "DEBUG", "TRACE"].contains(&level) && target.is_some_and(is_own_target)
}

/// Returns a line without what its request's line says: the request's ids and the stage.
pub(in crate::dev) fn shortened(line: &LogLine) -> String {
    let text = line.line.as_str();
    if line.stream == LogStream::Platform {
        let rest = text.strip_prefix("RequestId: ");
        let rest = rest.and_then(|rest| rest.split_once(' '));
        return rest.map_or(text, |(_, rest)| rest).to_owned();
    }
    let trimmed = text.trim_start();
    match trimmed.split_once(' ') {
        Some((level, rest)) if LEVELS.contains(&level) => {
            format!("{level} {}", without_spans(rest.trim_start()))
        }
        _ => text.to_owned(),
    }
}

/// Returns the rest of a line after the spans of the runtime and of the SDK.
fn without_spans(text: &str) -> &str {
    let mut rest = text;
    for span in ["Lambda runtime invoke{", "invocation{stage="] {
        let after = rest.strip_prefix(span);
        // A value with this sequence in it would only be cut late.
        let after = after.and_then(|after| after.split_once('}'));
        if let Some((_, after)) = after {
            rest = after.strip_prefix(':').unwrap_or(after);
            rest = rest.strip_prefix(' ').unwrap_or(rest);
        }
    }
    rest
}

fn is_own_target(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or(target);
    ["stagelink", "lambda_runtime", "lambda_http"].contains(&root)
}

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine::new("f", LogStream::Stdout, text)
    }

    #[test]
    fn info_of_the_runtime_and_the_sdk_is_noise() {
        let span = "Lambda runtime invoke{requestId=\"1\" xrayTraceId=\"2\"}: ";
        let stage = "invocation{stage=staging}: ";
        for (text, is) in [
            (
                format!(" INFO {span}{stage}stagelink::postgres: connected"),
                true,
            ),
            (format!("DEBUG {span}lambda_runtime: sent"), true),
            (" INFO stagelink: started".to_owned(), true),
            (
                format!(" WARN {span}{stage}stagelink::postgres: slow"),
                false,
            ),
            (format!(" INFO {span}{stage}guestbook: signed"), false),
            (" INFO stagelinked: own".to_owned(), false),
            ("START RequestId: 1 Version: $LATEST".to_owned(), true),
            ("REPORT RequestId: 1 Duration: 2 ms".to_owned(), true),
            ("START of my work".to_owned(), false),
            ("INFO".to_owned(), false),
            ("hello".to_owned(), false),
        ] {
            assert_eq!(is_noise(&line(&text)), is, "{text}");
        }
    }

    #[test]
    fn line_is_shortened_by_what_the_request_says() {
        let text =
            " INFO Lambda runtime invoke{requestId=\"1\"}: invocation{stage=qa}: a::b: c{d}: e";
        assert_eq!(shortened(&line(text)), "INFO a::b: c{d}: e");
        assert_eq!(shortened(&line("  two  spaces")), "  two  spaces");
        let platform = LogLine::new("f", LogStream::Platform, "RequestId: 1-2 Error: x");
        assert_eq!(shortened(&platform), "Error: x");
    }
}
