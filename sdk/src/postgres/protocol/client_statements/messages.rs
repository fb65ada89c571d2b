//! One direction of a conversation, cut into messages of which each is inspected, passed or
//! dropped without being kept whole.

use std::io;

use bytes::BytesMut;

/// The parser of one direction, fed with bytes in arbitrary pieces.
pub(super) struct Messages {
    /// The part of the current message that is kept for inspection.
    kept: Vec<u8>,
    /// Length that `kept` has to reach before it is inspected.
    wanted: usize,
    /// Number of bytes of the message's rest that pass or are dropped before the next inspection.
    left: usize,
    passes: bool,
}

/// The reaction to the part of a message that was inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Inspect again when the first so many bytes of the message are there.
    Keep(usize),
    /// Go on: so many more bytes pass, then something else is inspected: the next so many bytes.
    Pass { rest: usize, then: usize },
    /// Go on with the next message after so many more bytes, which are dropped.
    Drop(usize),
}

impl Step {
    /// The end of a message whose last `rest` bytes pass.
    pub(super) fn pass(rest: usize) -> Self {
        Self::Pass {
            rest,
            then: HEAD_BYTES,
        }
    }
}

impl Messages {
    /// Creates a parser that first inspects so many bytes.
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            kept: Vec::new(),
            wanted,
            left: 0,
            passes: true,
        }
    }

    /// Returns whether everything that was fed has been passed, dropped or replaced.
    pub(super) fn is_between_messages(&self) -> bool {
        self.kept.is_empty() && self.left == 0
    }

    /// Takes bytes, at most to the end of a message. `inspect` writes to `out` what stands for the
    /// part that it was given, and says what follows.
    pub(super) fn feed(
        &mut self,
        bytes: &mut &[u8],
        out: &mut BytesMut,
        inspect: impl FnOnce(&[u8], &mut BytesMut) -> io::Result<Step>,
    ) -> io::Result<()> {
        if self.left > 0 {
            let now = split_off(bytes, self.left);
            self.left -= now.len();
            if self.passes {
                out.extend_from_slice(now);
            }
            return Ok(());
        }
        let now = split_off(bytes, self.wanted - self.kept.len());
        self.kept.extend_from_slice(now);
        if self.kept.len() < self.wanted {
            return Ok(());
        }
        match inspect(&self.kept, out)? {
            Step::Keep(length) if length > self.kept.len() => self.wanted = length,
            Step::Keep(_) => return Err(malformed("a message")),
            Step::Pass { rest, then } => self.go_on(rest, true, then),
            Step::Drop(rest) => self.go_on(rest, false, HEAD_BYTES),
        }
        Ok(())
    }

    fn go_on(&mut self, rest: usize, passes: bool, then: usize) {
        self.kept.clear();
        self.left = rest;
        self.passes = passes;
        self.wanted = then;
    }
}

/// Takes at most so many bytes from the beginning.
fn split_off<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (now, later) = bytes.split_at(bytes.len().min(most));
    *bytes = later;
    now
}

/// Returns the length of a message, type included, from its first [`HEAD_BYTES`] bytes.
pub(super) fn length(message: &[u8]) -> io::Result<usize> {
    let length = message.get(1..HEAD_BYTES).and_then(|bytes| {
        let length = u32::from_be_bytes(bytes.try_into().ok()?);
        (length >= 4).then_some(length as usize + 1)
    });
    length.ok_or_else(|| malformed("the length of a message"))
}

/// Returns the body of a whole message.
pub(super) fn body(message: &[u8]) -> &[u8] {
    message.get(HEAD_BYTES..).unwrap_or_default()
}

/// Takes a text that ends with a zero byte from the beginning, and returns it without that byte.
pub(super) fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = bytes.iter().position(|byte| *byte == 0)?;
    let (text, rest) = bytes.split_at(length);
    *bytes = &rest[1..];
    Some(text)
}

/// Writes a message with these parts of a body.
pub(super) fn write(out: &mut BytesMut, tag: u8, parts: &[&[u8]]) -> io::Result<()> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    write_head(out, tag, length + HEAD_BYTES)?;
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}

/// Writes the first bytes of a message that has this length, type included.
pub(super) fn write_head(out: &mut BytesMut, tag: u8, length: usize) -> io::Result<()> {
    let length = i32::try_from(length - 1).map_err(|_| malformed("the length of a message"))?;
    out.extend_from_slice(&[tag]);
    out.extend_from_slice(&length.to_be_bytes());
    Ok(())
}

pub(super) fn malformed(what: &str) -> io::Error {
    let message = format!("{what} does not follow the Postgres protocol");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Bytes of a message's type and length.
pub(super) const HEAD_BYTES: usize = 5;
