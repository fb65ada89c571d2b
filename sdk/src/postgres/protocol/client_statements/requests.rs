//! The driver's messages, rewritten so that no statement has a name at the server.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use super::exchange::{Exchange, Expected};
use super::messages::{self, HEAD_BYTES, Messages, Step, body, length, malformed, text};
use super::statement::{Columns, Name, Statement};

/// The direction from the driver to the server.
pub(super) struct Requests {
    messages: Messages,
    rewriter: Rewriter,
}

struct Rewriter {
    next: Next,
    /// The driver's statement that is the server's unnamed one. A Sync ends that: the next
    /// transaction may run on another session.
    current: Option<Name>,
    /// True if messages were sent since the last Sync.
    is_request_open: bool,
    /// Number of statements that were closed since the last Sync while nothing else was sent.
    held_closes: usize,
    /// True if the next Sync belongs to a CopyFail that was dropped.
    drops_sync: bool,
    /// True if a COPY was executed, or its end was sent, since the last Sync.
    copies: bool,
    /// True if the portal that was bound last, since the last Sync, is a COPY from the client.
    is_copy_in_bound: bool,
    /// True if such a portal was executed since the last Sync.
    copies_in: bool,
    /// True if the end of a COPY's data was sent since the last Sync.
    ends_copy: bool,
}

/// The part of the stream that is inspected next.
#[derive(Clone, Copy)]
enum Next {
    /// The length of the StartupMessage.
    Startup,
    Message,
    /// The end of a Bind whose result has so many columns.
    ResultFormats(u16),
}

impl Requests {
    pub(super) fn new() -> Self {
        Self {
            messages: Messages::new(STARTUP_HEAD_BYTES),
            rewriter: Rewriter {
                next: Next::Startup,
                current: None,
                is_request_open: false,
                held_closes: 0,
                drops_sync: false,
                copies: false,
                is_copy_in_bound: false,
                copies_in: false,
                ends_copy: false,
            },
        }
    }

    /// Returns whether no message has been taken in part.
    pub(super) fn is_between_messages(&self) -> bool {
        self.messages.is_between_messages()
    }

    /// Takes bytes from the beginning, and writes the server's version of them. It leaves the
    /// messages that may not be sent before a COPY has ended.
    pub(super) fn feed(
        &mut self,
        bytes: &mut &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        while let Some(tag) = bytes.first() {
            if exchange.waits_for_copy()
                && self.messages.is_between_messages()
                && !self.rewriter.belongs_to_copy(*tag)
            {
                break;
            }
            self.messages.feed(bytes, out, |message, out| {
                self.rewriter.inspect(message, exchange, out)
            })?;
        }
        Ok(())
    }
}

impl Rewriter {
    /// Returns whether a message of this type is a part of a COPY that has been sent.
    fn belongs_to_copy(&self, tag: u8) -> bool {
        match tag {
            b'd' | b'c' | b'f' => true,
            b'S' => self.ends_copy || self.drops_sync,
            _ => false,
        }
    }

    fn inspect(
        &mut self,
        message: &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<Step> {
        match std::mem::replace(&mut self.next, Next::Message) {
            Next::Startup => {
                exchange.expect(Expected::Query);
                out.extend_from_slice(message);
                let length = message.try_into().map_or(0, u32::from_be_bytes) as usize;
                Ok(Step::pass(length.saturating_sub(message.len())))
            }
            Next::ResultFormats(columns) => {
                write_result_formats(message, columns, out)?;
                Ok(Step::pass(0))
            }
            Next::Message => self.message(message, exchange, out),
        }
    }

    /// Inspects the beginning of a message, or the whole of one that matters.
    fn message(
        &mut self,
        message: &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<Step> {
        let tag = message[0];
        let length = length(message)?;
        match tag {
            b'P' | b'D' | b'C' if message.len() < length => return Ok(Step::Keep(length)),
            // What stands for it has no body either.
            b'S' if length != HEAD_BYTES => return Err(malformed("a Sync")),
            b'B' => return self.bind(message, length, exchange, out),
            b'C' if self.close(message, exchange)? => return Ok(Step::pass(0)),
            b'f' if exchange.has_no_copy_to_end() => {
                self.drops_sync = true;
                return Ok(Step::Drop(length - message.len()));
            }
            b'S' if std::mem::take(&mut self.drops_sync) => return Ok(Step::pass(0)),
            b'S' if self.held_closes > 0 && !self.is_request_open => {
                let closed = std::mem::take(&mut self.held_closes);
                exchange.expect(Expected::MadeUp { closed });
                return Ok(Step::pass(0));
            }
            _ => {}
        }
        self.send_held_closes(exchange, out)?;
        match tag {
            b'P' => self.parse(message, exchange, out)?,
            b'D' => self.describe(message, exchange, out)?,
            b'S' if self.copies_in && !self.ends_copy => {
                // The server is to answer now, and to end the request at the next Sync.
                messages::write(out, b'H', &[])?;
                exchange.hold_sync();
            }
            _ => {
                out.extend_from_slice(message);
                match tag {
                    b'C' => exchange.expect(Expected::Close),
                    b'E' => exchange.expect(Expected::Execute),
                    b'S' if self.ends_copy => exchange.expect_copy_end(),
                    b'S' => exchange.expect(Expected::Sync),
                    b'Q' | b'F' => exchange.expect(Expected::Query),
                    _ => {}
                }
            }
        }
        match tag {
            b'P' | b'D' | b'C' => self.is_request_open = true,
            b'E' => {
                self.is_request_open = true;
                self.copies_in |= self.is_copy_in_bound;
            }
            b'c' | b'f' => {
                self.copies = true;
                self.ends_copy = true;
                exchange.end_copy_data();
            }
            b'S' | b'Q' | b'F' => {
                self.current = None;
                self.is_request_open = false;
                self.ends_copy = false;
                self.is_copy_in_bound = false;
                self.copies_in = false;
                if std::mem::take(&mut self.copies) {
                    exchange.wait_for_copy();
                }
            }
            _ => {}
        }
        Ok(Step::pass(length - message.len()))
    }

    /// Remembers a statement and sends it as the unnamed one.
    fn parse(
        &mut self,
        message: &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        let mut rest = body(message);
        let name = text(&mut rest).ok_or_else(|| malformed("a Parse"))?;
        if name.is_empty() {
            out.extend_from_slice(message);
            self.current = None;
            exchange.expect(Expected::Parse(None));
            return Ok(());
        }
        let name = Name::from(name);
        let statement = Statement::read(rest)?;
        messages::write(out, b'P', &[UNNAMED, rest])?;
        exchange.statements.insert(Name::clone(&name), statement);
        exchange.expect(Expected::Parse(Some(Name::clone(&name))));
        self.current = Some(name);
        Ok(())
    }

    /// Sends a Describe, for a prepared statement behind its text.
    fn describe(
        &mut self,
        message: &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        match body(message) {
            [b'S', name @ .., 0] if !name.is_empty() => {
                let (name, _) = lookup(name, exchange)?;
                self.make_current(&name, None, exchange, out)?;
                messages::write(out, b'D', &[b"S", UNNAMED])?;
                exchange.expect(Expected::Description(Some(name)));
            }
            b"S\0" => {
                out.extend_from_slice(message);
                exchange.expect(Expected::Description(None));
            }
            [b'S', ..] => return Err(malformed("a Describe")),
            _ => {
                out.extend_from_slice(message);
                exchange.expect(Expected::PortalDescription);
            }
        }
        Ok(())
    }

    /// Sends a Bind, for a prepared statement behind its text.
    fn bind(
        &mut self,
        message: &[u8],
        length: usize,
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<Step> {
        let mut rest = body(message);
        let (Some(portal), Some(name)) = (text(&mut rest), text(&mut rest)) else {
            return match message.len() {
                kept if kept < length => Ok(Step::Keep(kept + 1)),
                _ => Err(malformed("a Bind")),
            };
        };
        self.send_held_closes(exchange, out)?;
        self.is_request_open = true;
        let left = length - message.len();
        if name.is_empty() {
            if self.current.is_some() {
                return Err(io::Error::other("the unnamed statement was replaced"));
            }
            out.extend_from_slice(message);
            exchange.expect(Expected::Bind);
            return Ok(Step::pass(left));
        }
        let (name, columns) = lookup(name, exchange)?;
        let statement = exchange.statements.get(&name);
        self.copies |= statement.is_some_and(Statement::is_copy);
        self.is_copy_in_bound = statement.is_some_and(Statement::is_copy_in);
        // A statement that returns no rows never begins to.
        let columns = columns.filter(|columns| columns.count > 0);
        let count = columns.as_ref().map_or(0, |columns| columns.count);
        let guarded = (count > 1 && left >= RESULT_FORMAT_BYTES).then_some(count);
        let described = columns.map(Expected::RepeatedDescription);
        self.make_current(&name, described, exchange, out)?;
        let added = guarded.map_or(0, |count| 2 * (usize::from(count) - 1));
        messages::write_head(out, b'B', length - name.len() + added)?;
        out.extend_from_slice(portal);
        out.extend_from_slice(&[0, 0]);
        exchange.expect(Expected::Bind);
        Ok(match guarded {
            None => Step::pass(left),
            Some(columns) => {
                self.next = Next::ResultFormats(columns);
                Step::Pass {
                    rest: left - RESULT_FORMAT_BYTES,
                    then: RESULT_FORMAT_BYTES,
                }
            }
        })
    }

    /// Makes a prepared statement the server's unnamed one, unless it is. The server describes it
    /// again where a description is expected.
    fn make_current(
        &mut self,
        name: &Name,
        description: Option<Expected>,
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        if self.current.as_ref() == Some(name) {
            return Ok(());
        }
        let Some(statement) = exchange.statements.get(name) else {
            return Err(unknown());
        };
        let [query, parameters] = statement.to_parse();
        messages::write(out, b'P', &[UNNAMED, query, parameters])?;
        exchange.expect(Expected::RepeatedParse);
        if let Some(description) = description {
            messages::write(out, b'D', &[b"S", UNNAMED])?;
            exchange.expect(description);
        }
        self.current = Some(Name::clone(name));
        Ok(())
    }

    /// Forgets a statement that the driver closes. Returns whether the message was a Close of one.
    fn close(&mut self, message: &[u8], exchange: &mut Exchange) -> io::Result<bool> {
        let name = match body(message) {
            b"S\0" => return Ok(false),
            [b'S', name @ .., 0] => name,
            [b'S', ..] => return Err(malformed("a Close")),
            _ => return Ok(false),
        };
        exchange.statements.remove(name);
        if self.current.as_deref() == Some(name) {
            self.current = None;
        }
        self.held_closes += 1;
        Ok(true)
    }

    /// Sends a Close for each statement whose Close was held back, since the response to it has to
    /// come in order. The unnamed statement is closed in their place.
    fn send_held_closes(&mut self, exchange: &mut Exchange, out: &mut BytesMut) -> io::Result<()> {
        for _ in 0..std::mem::take(&mut self.held_closes) {
            messages::write(out, b'C', &[b"S", UNNAMED])?;
            exchange.expect(Expected::Close);
            self.current = None;
            self.is_request_open = true;
        }
        Ok(())
    }
}

/// Returns the kept name of a statement and its columns, if they are known.
fn lookup(name: &[u8], exchange: &Exchange) -> io::Result<(Name, Option<Arc<Columns>>)> {
    let found = exchange.statements.get_key_value(name);
    let (name, statement) = found.ok_or_else(unknown)?;
    Ok((Name::clone(name), statement.columns().cloned()))
}

/// Writes the end of a Bind: binary format for each column instead of for all. So the server
/// refuses the Bind, before anything is executed, if the result has another number of columns.
fn write_result_formats(all: &[u8], columns: u16, out: &mut BytesMut) -> io::Result<()> {
    let [0, 1, format @ ..] = all else {
        return Err(malformed("the end of a Bind"));
    };
    out.extend_from_slice(&columns.to_be_bytes());
    for _ in 0..columns {
        out.extend_from_slice(format);
    }
    Ok(())
}

fn unknown() -> io::Error {
    io::Error::other("a prepared statement was used after it was closed")
}

const STARTUP_HEAD_BYTES: usize = 4;
/// Bytes of the result formats that the driver sends: one format, for all columns.
const RESULT_FORMAT_BYTES: usize = 4;
/// The name of the unnamed statement.
const UNNAMED: &[u8] = b"\0";
