//! Splits a process's output into lines of bounded length.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Passes each line of `output` to `sink`, without its line terminator, until the output ends.
///
/// A line longer than [`MAX_LINE_BYTES`] is split, so that a process that never ends a line cannot
/// fill the memory. A last line without a terminator is passed on, too.
pub(super) async fn forward_lines(output: impl AsyncRead + Unpin, sink: impl Fn(String)) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        // A read error is treated as the end of the output.
        let chunk = output.fill_buf().await.unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        let window = &chunk[..chunk.len().min(MAX_LINE_BYTES - line.len())];
        let end = window.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(window.len(), |end| end + 1);
        line.extend_from_slice(&window[..taken]);
        output.consume(taken);
        if end.is_some() || line.len() == MAX_LINE_BYTES {
            sink(text(&line));
            line.clear();
        }
    }
    if !line.is_empty() {
        sink(text(&line));
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

const MAX_LINE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    async fn lines_of(output: &[u8]) -> Vec<String> {
        let lines = RefCell::new(Vec::new());
        forward_lines(output, |line| lines.borrow_mut().push(line)).await;
        lines.into_inner()
    }

    #[tokio::test]
    async fn last_line_without_terminator_is_forwarded() {
        assert_eq!(lines_of(b"one\r\n\ntwo").await, ["one", "", "two"]);
    }

    #[tokio::test]
    async fn line_beyond_limit_is_split() {
        let lines = lines_of(&vec![b'x'; MAX_LINE_BYTES + 7]).await;
        let lengths: Vec<usize> = lines.iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE_BYTES, 7]);
    }
}
