//! The splitting of a byte stream into protocol messages.
//!
//! A message is a type byte, a length of four bytes that includes itself, and a body. Only the
//! StartupMessage has no type (<https://www.postgresql.org/docs/18/protocol-overview.html>).

/// The parser of one direction of a connection, fed with bytes in arbitrary pieces.
#[derive(Debug)]
pub(in crate::postgres) struct Frames {
    head: Vec<u8>,
    head_length: usize,
    body: Vec<u8>,
    /// Number of bytes that are missing of the current body.
    left: usize,
    wanted: fn(u8) -> bool,
    /// Length of the longest message, header included, that is no [`Oversize`].
    limit: usize,
}

/// A message that is longer than the limit. The parser stops at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct Oversize {
    /// Length of the message, header included.
    pub(in crate::postgres) bytes: usize,
    /// Number of the fed bytes that are in front of the message.
    pub(in crate::postgres) at: usize,
}

/// Placeholder for the type of the StartupMessage.
pub(in crate::postgres) const STARTUP: u8 = 0;

impl Frames {
    /// Creates the parser of the client's messages, of which no body is kept.
    pub(in crate::postgres) fn from_frontend() -> Self {
        Self::new(UNTYPED_HEAD, |_| false)
    }

    /// Creates the parser of the client's messages behind the StartupMessage. It keeps the bodies
    /// of Query and Parse.
    pub(in crate::postgres) fn of_statements() -> Self {
        Self::new(TYPED_HEAD, |tag| matches!(tag, b'Q' | b'P'))
    }

    /// Creates the parser of the server's messages. It keeps the bodies of CommandComplete,
    /// ErrorResponse and ReadyForQuery.
    pub(in crate::postgres) fn from_backend() -> Self {
        Self::new(TYPED_HEAD, |tag| matches!(tag, b'C' | b'E' | b'Z'))
    }

    fn new(head_length: usize, wanted: fn(u8) -> bool) -> Self {
        Self {
            head: Vec::with_capacity(TYPED_HEAD),
            head_length,
            body: Vec::new(),
            left: 0,
            wanted,
            limit: usize::MAX,
        }
    }

    /// Sets the length of the longest message.
    #[must_use]
    pub(in crate::postgres) fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Calls `each` with the type and body of every message. A message whose body is not kept is
    /// reported as soon as its head is known, with an empty body; any other when it is complete,
    /// with at most [`KEPT_BYTES`] of its body. Returns the first message that is too long: nothing
    /// behind it is read.
    pub(in crate::postgres) fn feed(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(u8, &[u8]),
    ) -> Option<Oversize> {
        self.feed_with_positions(bytes, |tag, body, _| each(tag, body))
    }

    /// Does what [`feed`](Self::feed) does, and calls `each` also with the number of the fed bytes
    /// up to the point at which the message was reported: its end, if its body is kept.
    pub(in crate::postgres) fn feed_with_positions(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(u8, &[u8], usize),
    ) -> Option<Oversize> {
        let all = bytes.len();
        while !bytes.is_empty() {
            if self.left == 0 {
                let (now, later) =
                    bytes.split_at(bytes.len().min(self.head_length - self.head.len()));
                self.head.extend_from_slice(now);
                bytes = later;
                if self.head.len() < self.head_length {
                    return None;
                }
                self.left = self.body_length();
                let length = self.left.saturating_add(self.head_length);
                if length > self.limit {
                    let at = (all - bytes.len()).saturating_sub(self.head_length);
                    return Some(Oversize { bytes: length, at });
                }
                if !(self.wanted)(self.tag()) || self.left == 0 {
                    each(self.tag(), &[], all - bytes.len());
                }
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.left));
            bytes = later;
            self.left -= now.len();
            if (self.wanted)(self.tag()) {
                let room = KEPT_BYTES.saturating_sub(self.body.len());
                self.body.extend_from_slice(&now[..now.len().min(room)]);
                if self.left == 0 && !self.body.is_empty() {
                    each(self.tag(), &self.body, all - bytes.len());
                }
            }
            if self.left == 0 {
                self.head.clear();
                self.head_length = TYPED_HEAD;
                self.body.clear();
            }
        }
        None
    }

    /// Returns the bytes of a header that is not complete yet, or of a ReadyForQuery that is not.
    pub(in crate::postgres) fn partial_head(&self) -> &[u8] {
        let is_partial = self.head.len() < self.head_length;
        let is_ready = self.body.is_empty() && self.left > 0 && self.tag() == b'Z';
        if is_partial || is_ready {
            &self.head
        } else {
            &[]
        }
    }

    /// Returns whether the bytes so far end with the end of a message.
    pub(in crate::postgres) fn is_between_messages(&self) -> bool {
        self.head.is_empty() && self.left == 0
    }

    fn tag(&self) -> u8 {
        match self.head_length {
            TYPED_HEAD => self.head[0],
            _ => STARTUP,
        }
    }

    fn body_length(&self) -> usize {
        let mut length = [0; LENGTH];
        length.copy_from_slice(&self.head[self.head_length - LENGTH..]);
        (u32::from_be_bytes(length) as usize).saturating_sub(LENGTH)
    }
}

const LENGTH: usize = 4;
const UNTYPED_HEAD: usize = LENGTH;
const TYPED_HEAD: usize = 1 + LENGTH;

/// Longest kept body. An ErrorResponse that is longer loses its last fields, and then counts as an
/// error of unknown origin.
const KEPT_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + LENGTH).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    fn read(frames: &mut Frames, parts: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
        let mut seen = Vec::new();
        for part in parts {
            frames.feed(part, |tag, body| seen.push((tag, body.to_vec())));
        }
        seen
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let stream = [
            message(b'T', &[7; 300]),
            message(b'D', b""),
            message(b'C', b"SELECT 1\0"),
            message(b'Z', b"I"),
        ]
        .concat();
        let expected = [
            (b'T', Vec::new()),
            (b'D', Vec::new()),
            (b'C', b"SELECT 1\0".to_vec()),
            (b'Z', b"I".to_vec()),
        ];
        for size in 1..stream.len() {
            let parts: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(
                read(&mut Frames::from_backend(), &parts),
                expected,
                "{size}"
            );
        }
    }

    #[test]
    fn startup_message_has_no_type() {
        let startup = [&9_u32.to_be_bytes()[..], b"hello"].concat();
        let query = message(b'Q', b"SELECT 1\0");
        let seen = read(&mut Frames::from_frontend(), &[&startup, &query]);
        assert_eq!(seen, [(STARTUP, Vec::new()), (b'Q', Vec::new())]);
    }

    #[test]
    fn sent_message_counts_from_its_first_bytes_on() {
        let mut frames = Frames::from_frontend();
        frames.feed(&4_u32.to_be_bytes(), |_, _| ());
        let query = message(b'Q', b"SELECT 1\0");
        assert_eq!(read(&mut frames, &[&query[..6]]), [(b'Q', Vec::new())]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_borne(parts: Vec<Vec<u8>>) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            read(&mut Frames::from_backend(), &parts);
            read(&mut Frames::from_frontend(), &parts);
        }
    }
}
