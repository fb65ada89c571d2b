//! The server's messages, without the responses to what the driver has not sent.

use std::io;

use bytes::BytesMut;

use super::exchange::{Exchange, Expected};
use super::messages::{self, HEAD_BYTES, Messages, Step, body, length};
use super::statement::Columns;

/// The direction from the server to the driver.
pub(super) struct Responses {
    messages: Messages,
    filter: Filter,
}

#[derive(Default)]
struct Filter {
    /// True if the driver gets nothing but ReadyForQuery for the current request: it has been told
    /// that its statement is outdated.
    discards: bool,
    /// True if an outdated statement was found.
    found_outdated: bool,
}

impl Responses {
    pub(super) fn new() -> Self {
        Self {
            messages: Messages::new(HEAD_BYTES),
            filter: Filter::default(),
        }
    }

    /// Writes the driver's version of these bytes.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            self.messages.feed(&mut bytes, out, |message, out| {
                self.filter.inspect(message, exchange, out)
            })?;
            self.make_up(exchange, out)?;
        }
        Ok(())
    }

    /// Writes the responses that are due and come from no server.
    pub(super) fn make_up(&self, exchange: &mut Exchange, out: &mut BytesMut) -> io::Result<()> {
        if self.messages.is_between_messages() {
            exchange.make_up_responses(out)?;
        }
        Ok(())
    }

    /// Returns whether an outdated statement was found, and clears that.
    pub(super) fn take_outdated(&mut self) -> bool {
        std::mem::take(&mut self.filter.found_outdated)
    }
}

impl Filter {
    /// Inspects the beginning of a message, or the whole of one that matters.
    fn inspect(
        &mut self,
        message: &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<Step> {
        let tag = message[0];
        let rest = length(message)? - message.len();
        let is_kept = match tag {
            b'Z' => true,
            b't' | b'T' => matches!(
                exchange.next(),
                Some(Expected::Description(Some(_)) | Expected::RepeatedDescription { .. })
            ),
            _ => false,
        };
        if is_kept && rest > 0 && (!self.discards || tag == b'Z') {
            return Ok(Step::Keep(message.len() + rest));
        }
        if self.is_for_driver(tag, message, exchange, out)? {
            out.extend_from_slice(message);
            Ok(Step::pass(rest))
        } else {
            Ok(Step::Drop(rest))
        }
    }

    /// Compares a message with the expected response. Returns whether it is the driver's.
    fn is_for_driver(
        &mut self,
        tag: u8,
        message: &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<bool> {
        match tag {
            // NoticeResponse, NotificationResponse, ParameterStatus: at any time.
            b'N' | b'A' | b'S' => return Ok(true),
            b'Z' => {
                exchange.take(|next| matches!(next, Expected::Sync | Expected::Query))?;
                exchange.record_status(body(message).first().copied().unwrap_or(b'I'));
                self.discards = false;
                return Ok(true);
            }
            _ if self.discards => return Ok(false),
            _ => {}
        }
        if matches!(exchange.next(), None | Some(Expected::Query)) {
            return Ok(true);
        }
        match tag {
            b'E' => exchange.fail(),
            b'1' => {
                let parse = |next: &_| matches!(next, Expected::Parse(_) | Expected::RepeatedParse);
                return Ok(exchange.take(parse)? != Expected::RepeatedParse);
            }
            b't' => return exchange.record_parameters(body(message)),
            b'T' | b'n' => return self.columns(tag, message, exchange, out),
            b'2' => drop(exchange.take(|next| *next == Expected::Bind)?),
            b'3' => drop(exchange.take(|next| *next == Expected::Close)?),
            b'C' | b'I' | b's' => drop(exchange.take(|next| *next == Expected::Execute)?),
            b'G' => exchange.begin_copy(),
            _ => {}
        }
        Ok(true)
    }

    /// Keeps the columns of a statement, or compares them with those that the driver knows.
    fn columns(
        &mut self,
        tag: u8,
        message: &[u8],
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<bool> {
        let columns = || match tag {
            b'T' => Columns::read(body(message)),
            _ => Ok(Columns::none()),
        };
        let description = exchange.take(|next| {
            matches!(
                next,
                Expected::Description(_)
                    | Expected::RepeatedDescription { .. }
                    | Expected::PortalDescription
            )
        })?;
        match description {
            Expected::Description(Some(name)) => {
                if let Some(statement) = exchange.statements.get_mut(&name) {
                    statement.record_columns(columns()?);
                }
                Ok(true)
            }
            Expected::RepeatedDescription {
                columns: known,
                guarded,
            } => {
                let now = columns()?;
                if now != *known {
                    let is_refused = guarded && now.count != known.count;
                    self.fail_as_outdated(is_refused, exchange, out)?;
                }
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Tells the driver that the columns of a statement are not those that it knows: it would read
    /// the rows as what they are not.
    fn fail_as_outdated(
        &mut self,
        is_refused: bool,
        exchange: &mut Exchange,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        write_outdated(is_refused, out)?;
        exchange.fail();
        self.discards = true;
        self.found_outdated = true;
        Ok(())
    }
}

/// Writes the error of a server whose prepared statement is outdated. `is_refused` is whether the
/// server refuses to execute the statement.
pub(super) fn write_outdated(is_refused: bool, out: &mut BytesMut) -> io::Result<()> {
    let detail: &[u8] = if is_refused {
        b"DThe columns are not as many as when the statement was prepared. It was not executed.\0"
    } else {
        b"DA column has another name or type than when the statement was prepared. The statement \
          was executed, and its rows were discarded.\0"
    };
    messages::write(
        out,
        b'E',
        &[
            b"SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0",
            detail,
            b"HPrepare the statement again.\0RRevalidateCachedQuery\0\0",
        ],
    )
}
