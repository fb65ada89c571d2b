//! Requests and log lines as JSON, one object per line. docs/guides/local-development.md lists the
//! keys.

use serde_json::{Value, json};
use stagelink_local::RequestRecord;
use stagelink_local::lambda::{LogLine, LogStream};

use super::RequestStyle;
use crate::output::json_line;

/// Returns a finished request with its log lines.
pub(super) fn request(record: &RequestRecord, style: RequestStyle) -> String {
    let mut object = json!({ "type": "request" });
    if style.is_remote {
        object["is_remote"] = true.into();
    }
    if let (Value::Object(object), Value::Object(record)) = (&mut object, record.to_json()) {
        object.extend(record);
    }
    json_line(&object.to_string())
}

/// Returns a line that belongs to no request, or came after the end of its request.
pub(super) fn log_line(stage: &str, line: &LogLine) -> String {
    let stream = match line.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        _ => "platform",
    };
    let object = json!({
        "type": "log",
        "time": jiff::Timestamp::now().to_string(),
        "stage": stage,
        "function": line.function,
        "instance": line.instance,
        "request": line.request,
        "stream": stream,
        "line": line.line,
    });
    json_line(&object.to_string())
}

/// Returns the sign that objects are missing: so many, or those of so many changes.
pub(super) fn gap(left_out: u64) -> String {
    json!({ "type": "gap", "left_out": left_out }).to_string()
}
