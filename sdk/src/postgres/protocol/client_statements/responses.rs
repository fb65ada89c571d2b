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
    /// Set if the statement of the current request is outdated: its responses are dropped, and the
    /// driver gets an error ahead of ReadyForQuery, when it is known if the statement was executed.
    outdated: Option<Outdated>,
    /// True if an outdated statement was found.
    found_outdated: bool,
}

/// A statement that has other columns than the driver knows.
#[derive(Clone, Copy, Default)]
pub(super) struct Outdated {
    pub(super) is_executed: bool,
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
                Some(Expected::Description(Some(_)) | Expected::RepeatedDescription(_))
            ),
            _ => false,
        };
        if is_kept && rest > 0 && (self.outdated.is_none() || tag == b'Z') {
            return Ok(Step::Keep(message.len() + rest));
        }
        if self.match_response(tag, message, exchange, out)? {
            out.extend_from_slice(message);
            Ok(Step::pass(rest))
        } else {
            Ok(Step::Drop(rest))
        }
    }

    /// Compares a message with the expected response. Returns whether it is the driver's.
    fn match_response(
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
                exchange.take_ready()?;
                exchange.record_status(body(message).first().copied().unwrap_or(b'I'));
                if let Some(outdated) = self.outdated.take() {
                    outdated.write_error(out)?;
                    self.found_outdated = true;
                }
                return Ok(true);
            }
            _ => {}
        }
        if let Some(outdated) = &mut self.outdated {
            outdated.is_executed |= matches!(tag, b'C' | b's');
            return Ok(false);
        }
        if tag == b'H' {
            exchange.begin_copy_out();
        }
        if matches!(exchange.next(), None | Some(Expected::Query)) {
            return Ok(true);
        }
        match tag {
            b'E' => {
                exchange.fail();
                exchange.release_sync();
            }
            b'1' => {
                let parse = |next: &_| matches!(next, Expected::Parse(_) | Expected::RepeatedParse);
                return Ok(exchange.take(parse)? != Expected::RepeatedParse);
            }
            b't' => return exchange.record_parameters(body(message)),
            b'T' | b'n' => return self.columns(tag, message, exchange),
            b'2' => drop(exchange.take(|next| *next == Expected::Bind)?),
            b'3' => drop(exchange.take(|next| *next == Expected::Close)?),
            b'C' | b'I' | b's' => {
                exchange.take(|next| *next == Expected::Execute)?;
                exchange.release_sync();
            }
            b'G' => exchange.begin_copy(),
            _ => {}
        }
        Ok(true)
    }

    /// Keeps the columns of a statement, or compares them with those that the driver knows: with
    /// others it would read the rows as what they are not. Returns whether the message is the
    /// driver's.
    fn columns(&mut self, tag: u8, message: &[u8], exchange: &mut Exchange) -> io::Result<bool> {
        let columns = || match tag {
            b'T' => Columns::read(body(message)),
            _ => Ok(Columns::none()),
        };
        let description = exchange.take(|next| {
            matches!(
                next,
                Expected::Description(_)
                    | Expected::RepeatedDescription(_)
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
            Expected::RepeatedDescription(known) => {
                if columns()? != *known {
                    exchange.fail();
                    self.outdated = Some(Outdated::default());
                }
                Ok(false)
            }
            _ => Ok(true),
        }
    }
}

impl Outdated {
    /// Writes the error of a server whose prepared statement is outdated.
    pub(super) fn write_error(self, out: &mut BytesMut) -> io::Result<()> {
        let detail: &[u8] = if self.is_executed {
            b"DThe statement was executed, but its rows were discarded: they have other columns than \
              when it was prepared.\0"
        } else {
            b"DThe statement was not executed: its rows would have other columns than when it was \
              prepared.\0"
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
}
