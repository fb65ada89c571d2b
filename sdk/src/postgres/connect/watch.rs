//! A look at a connection's socket beside the task that reads from it.

use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::net::TcpStream;

/// The socket of a connection, once more: it is looked at and never read from.
pub(in crate::postgres) struct Socket(Option<socket2::Socket>);

impl Socket {
    /// Where it cannot be had once more, there is always news.
    pub(in crate::postgres) fn of(tcp: &TcpStream) -> Self {
        Self(SockRef::from(tcp).try_clone().ok())
    }

    /// Whether something has come that nobody has read yet, be it the end.
    pub(in crate::postgres) fn is_readable(&self) -> bool {
        let Some(socket) = &self.0 else {
            return true;
        };
        let mut byte = [MaybeUninit::uninit()];
        match socket.peek(&mut byte) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}
