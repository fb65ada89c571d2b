//! The state that both directions share: the driver's statements, and the responses that are
//! outstanding.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use super::messages::{self, malformed};
use super::statement::{Columns, Name, Statement};

/// The statements and the outstanding responses of one connection.
pub(super) struct Exchange {
    /// Those that the driver has prepared and not closed. (A `prepare` that is given up before its
    /// response leaves one behind, as it does in a server.)
    pub(super) statements: HashMap<Name, Statement>,
    /// The outstanding responses, oldest first.
    expected: VecDeque<Expected>,
    /// True if the server ignores what is sent from here to the next Sync, after an error.
    skips_to_sync: bool,
    /// The transaction status of the last ReadyForQuery.
    status: u8,
    /// True if the current response has begun a COPY from the client.
    is_copying: bool,
    /// Number of requests that were sent, each of which ends with ReadyForQuery.
    sent_count: u64,
    /// Number of ReadyForQuery that were received.
    answered_count: u64,
    /// Set while nothing more may be sent: the number of requests whose end is waited for.
    waits_for: Option<u64>,
    held_sync: HeldSync,
}

/// The Sync that the driver has sent with a COPY from the client, ahead of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldSync {
    /// None is held back.
    None,
    /// It is held back. The one behind the data is to stand for it.
    Held,
    /// The end of the data was sent, and the Sync behind it comes next.
    DataEnded,
    /// It has to be sent after all, since the COPY does not begin.
    Due,
}

/// A response of the server, or one that is made up in its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// ParseComplete. Holds the name if the driver prepares a statement with it.
    Parse(Option<Name>),
    /// ParseComplete of a statement that was sent again, which the driver does not know of.
    RepeatedParse,
    /// The description of a statement; for a prepared one it is kept.
    Description(Option<Name>),
    /// The description of a statement that was sent again. Holds the columns that the driver knows.
    RepeatedDescription(Arc<Columns>),
    /// The description of a portal.
    PortalDescription,
    Bind,
    Execute,
    Close,
    /// ReadyForQuery after a Sync.
    Sync,
    /// ReadyForQuery after the Sync behind the end of a COPY's data.
    CopyEnd,
    /// ReadyForQuery after the only Sync of a COPY from the client, which is behind the data.
    CopySync,
    /// Everything up to ReadyForQuery: after Query, FunctionCall and StartupMessage.
    Query,
    /// So many CloseComplete and a ReadyForQuery, which no server has to send.
    MadeUp {
        closed: usize,
    },
}

impl Expected {
    /// Returns whether this is the end of a request's response.
    fn ends_request(&self) -> bool {
        matches!(
            self,
            Self::Sync | Self::CopyEnd | Self::CopySync | Self::Query
        )
    }
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self {
            statements: HashMap::new(),
            expected: VecDeque::new(),
            skips_to_sync: false,
            status: b'I',
            is_copying: false,
            sent_count: 0,
            answered_count: 0,
            waits_for: None,
            held_sync: HeldSync::None,
        }
    }

    /// Takes note of a message that was sent.
    pub(super) fn expect(&mut self, response: Expected) {
        if self.skips_to_sync {
            if !response.ends_request() {
                self.forget_unprepared(&response);
                return;
            }
            self.skips_to_sync = false;
        }
        self.sent_count += u64::from(response.ends_request());
        self.expected.push_back(response);
    }

    pub(super) fn next(&self) -> Option<&Expected> {
        self.expected.front()
    }

    /// Takes the next response off the list if it is of this kind.
    pub(super) fn take(
        &mut self,
        is_expected: impl FnOnce(&Expected) -> bool,
    ) -> io::Result<Expected> {
        let next = self.expected.pop_front();
        next.filter(is_expected).ok_or_else(out_of_order)
    }

    /// Ends the current request after an error: the server ignores the rest of it up to its Sync.
    pub(super) fn fail(&mut self) {
        while let Some(next) = self.expected.front() {
            if next.ends_request() {
                return;
            }
            if let Some(failed) = self.expected.pop_front() {
                self.forget_unprepared(&failed);
            }
        }
        self.skips_to_sync = true;
    }

    /// Forgets a statement that was not prepared after all. The driver does not close it.
    fn forget_unprepared(&mut self, failed: &Expected) {
        if let Expected::Parse(Some(name)) | Expected::Description(Some(name)) = failed
            && self
                .statements
                .get(name)
                .is_some_and(|statement| statement.columns().is_none())
        {
            self.statements.remove(name);
        }
    }

    /// Takes note of the types of a statement's parameters, the body of a ParameterDescription.
    /// Returns whether the description is the driver's.
    pub(super) fn record_parameters(&mut self, body: &[u8]) -> io::Result<bool> {
        match self.expected.front() {
            Some(Expected::Description(Some(name))) => {
                if let Some(statement) = self.statements.get_mut(name) {
                    statement.record_parameters(body);
                }
                Ok(true)
            }
            Some(Expected::Description(None)) => Ok(true),
            Some(Expected::RepeatedDescription(_)) => Ok(false),
            _ => Err(out_of_order()),
        }
    }

    /// Takes note of the Sync behind the end of a COPY's data. Where the COPY has failed before
    /// that was sent, the tap beneath keeps the response back.
    pub(super) fn expect_copy_end(&mut self) {
        if self.held_sync == HeldSync::DataEnded {
            self.held_sync = HeldSync::None;
            self.expect(Expected::CopySync);
        } else if self.is_copying || self.expected.contains(&Expected::Sync) {
            self.expect(Expected::CopyEnd);
        }
    }

    /// Holds back the Sync that the driver sends with a COPY, ahead of the data.
    ///
    /// A server that refuses the COPY before it reads the data answers that Sync, and the one
    /// behind the data as well. PgBouncer (1.18 and 1.24, for example) gives the server to another
    /// client with the first ReadyForQuery, and that client gets the second. With one Sync, behind
    /// the data, there is one ReadyForQuery, and it comes when the server has read everything.
    pub(super) fn hold_sync(&mut self) {
        self.held_sync = HeldSync::Held;
    }

    /// Takes note of the end of a COPY's data, CopyDone or CopyFail, which a Sync follows.
    pub(super) fn end_copy_data(&mut self) {
        if self.held_sync == HeldSync::Held {
            self.held_sync = HeldSync::DataEnded;
        }
    }

    /// Makes a Sync due that is held back for a COPY, where the server has answered without having
    /// begun one: the driver may not send another.
    pub(super) fn release_sync(&mut self) {
        // Else the response is that of a request ahead of it.
        let has_answered = self.expected.is_empty();
        if self.held_sync == HeldSync::Held && !self.is_copying && has_answered {
            self.held_sync = HeldSync::Due;
            self.expect(Expected::Sync);
            self.wait_for_copy();
        }
    }

    /// Returns whether a Sync that was held back has to be sent now, and takes note that it is.
    pub(super) fn take_due_sync(&mut self) -> bool {
        let is_due = self.held_sync == HeldSync::Due;
        if is_due {
            self.held_sync = HeldSync::None;
        }
        is_due
    }

    /// Begins a COPY from the client: the server ignores the Sync that the driver has sent ahead
    /// of the data, if that was not held back.
    pub(super) fn begin_copy(&mut self) {
        let sync = self
            .expected
            .iter()
            .position(|next| *next == Expected::Sync);
        if let Some(sync) = sync {
            self.expected.remove(sync);
            self.forget_request();
        }
        self.is_copying = true;
    }

    /// Begins a COPY to the client. Nothing more is sent until it has ended.
    pub(super) fn begin_copy_out(&mut self) {
        self.waits_for.get_or_insert(self.answered_count + 1);
    }

    /// Has nothing more sent until the requests so far have ended, the last of which is a COPY.
    ///
    /// PgBouncer (1.18, for example) does not count requests during a COPY. If the next one reaches
    /// it between the end of the COPY and ReadyForQuery, it takes that ReadyForQuery for the end of
    /// both, gives the server to another client, and drops the response to the second.
    pub(super) fn wait_for_copy(&mut self) {
        let is_outstanding = self.sent_count > self.answered_count;
        self.waits_for = is_outstanding.then_some(self.sent_count);
    }

    /// Returns whether nothing more may be sent but the data and end of a COPY.
    pub(super) fn waits_for_copy(&self) -> bool {
        self.waits_for.is_some() || self.held_sync != HeldSync::None
    }

    /// Returns whether a CopyFail would be for a COPY that has failed before it began. The driver
    /// sends one, and does not expect the server's response to the Sync behind it.
    pub(super) fn has_no_copy_to_end(&self) -> bool {
        let has_failed = self.expected.len() == 1 && self.next() == Some(&Expected::Sync);
        !self.is_copying && (self.expected.is_empty() || has_failed)
    }

    /// Takes the ReadyForQuery that comes next off the list. Where a COPY has failed before its data
    /// was read and its end was not sent, it is the response to the Sync ahead of the data, which
    /// [`begin_copy`](Self::begin_copy) has removed.
    pub(super) fn take_ready(&mut self) -> io::Result<()> {
        let was_early = self.is_copying && self.held_sync == HeldSync::None;
        if was_early && self.skips_to_sync && self.expected.is_empty() {
            self.skips_to_sync = false;
            self.sent_count += 1;
            return Ok(());
        }
        self.take(Expected::ends_request)?;
        if !self.is_copying && self.next() == Some(&Expected::CopyEnd) {
            // The COPY failed before it began, and the tap beneath keeps the response back.
            self.expected.pop_front();
            self.forget_request();
        }
        Ok(())
    }

    /// Takes back that a request was sent whose end is waited for.
    fn forget_request(&mut self) {
        self.sent_count = self.sent_count.saturating_sub(1);
        self.waits_for = self.waits_for.map(|count| count.saturating_sub(1));
    }

    /// Takes note of a ReadyForQuery.
    pub(super) fn record_status(&mut self, status: u8) {
        self.status = status;
        self.is_copying = false;
        self.answered_count += 1;
        self.waits_for = self.waits_for.filter(|count| *count > self.answered_count);
    }

    /// Writes the responses that are due and come from no server.
    pub(super) fn make_up_responses(&mut self, out: &mut BytesMut) -> io::Result<()> {
        while let Some(&Expected::MadeUp { closed }) = self.expected.front() {
            self.expected.pop_front();
            for _ in 0..closed {
                messages::write(out, b'3', &[])?;
            }
            messages::write(out, b'Z', &[&[self.status]])?;
        }
        Ok(())
    }
}

fn out_of_order() -> io::Error {
    malformed("the order of the server's messages")
}
