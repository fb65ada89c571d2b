//! Carries the bytes of one connection, as the conditions of the network let it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::conditions::{Conditions, Direction};

/// One connection through the network.
pub(super) struct Relay {
    /// Its place among all connections, counted from 0.
    pub(super) number: usize,
    pub(super) network: watch::Receiver<Conditions>,
    /// Of all connections.
    pub(super) round_trips: Arc<AtomicUsize>,
}

/// What one end sent, and when it is due at the other: bytes, its end (no bytes),
/// or its failure.
struct Sent {
    what: io::Result<Vec<u8>>,
    due: Instant,
}

impl Relay {
    /// Carries bytes until both directions have ended, or the connection is cut. If
    /// one of its ends breaks, so does the other.
    pub(super) async fn run(self, client: TcpStream) {
        let mut client = client;
        let mut server = None;
        let ended_in_order = tokio::select! {
            biased;
            () = self.cut() => false,
            ended = self.exchange(&mut client, &mut server) => ended.is_ok(),
        };
        if !ended_in_order {
            for stream in [Some(client), server].into_iter().flatten() {
                // What is closed with this setting is reset. It is refused only
                // where the connection is gone already.
                let _ = stream.set_zero_linger();
            }
        }
    }

    /// Waits until the connection is cut, or the proxy is gone.
    async fn cut(&self) {
        let mut network = self.network.clone();
        let _ = network.wait_for(|now| now.is_cut(self.number)).await;
    }

    async fn exchange(
        &self,
        client: &mut TcpStream,
        server: &mut Option<TcpStream>,
    ) -> io::Result<()> {
        let (upstream, is_black_hole) = {
            let now = self.network.borrow();
            (now.upstream, now.is_black_hole)
        };
        if is_black_hole {
            return std::future::pending().await;
        }
        let server = server.insert(TcpStream::connect(upstream).await?);
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let was_answered = AtomicBool::new(true);
        tokio::try_join!(
            self.carry(Direction::ToServer, from_client, to_server, &was_answered),
            self.carry(Direction::ToClient, from_server, to_client, &was_answered),
        )
        .map(|_| ())
    }

    /// Carries the bytes of one direction. Reading and writing go on at once, so a
    /// delay makes the way longer and not narrower.
    async fn carry(
        &self,
        direction: Direction,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        was_answered: &AtomicBool,
    ) -> io::Result<()> {
        let (sender, mut on_the_way) = mpsc::channel::<Sent>(ON_THE_WAY);
        let reading = async move {
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let read = from.read(&mut buffer).await;
                let what = read.map(|length| buffer[..length].to_vec());
                let is_last = what.as_ref().map_or(true, Vec::is_empty);
                if direction == Direction::ToServer
                    && !is_last
                    && was_answered.swap(false, Ordering::SeqCst)
                {
                    self.round_trips.fetch_add(1, Ordering::SeqCst);
                }
                let due = Instant::now() + self.network.borrow().delay;
                if sender.send(Sent { what, due }).await.is_err() || is_last {
                    return Ok(());
                }
            }
        };
        let writing = async move {
            tokio::select! {
                biased;
                () = self.ended(direction) => {}
                written = self.write(direction, &mut on_the_way, &mut to, was_answered) => written?,
            }
            to.shutdown().await?;
            // What comes after an end that the network made is taken and lost.
            while let Some(sent) = on_the_way.recv().await {
                sent.what?;
            }
            Ok(())
        };
        tokio::try_join!(reading, writing).map(|_| ())
    }

    /// Waits until the network ends a direction.
    async fn ended(&self, direction: Direction) {
        let mut network = self.network.clone();
        let _ = network
            .wait_for(|now| now.is_ended(direction, self.number))
            .await;
    }

    /// Writes what is on the way when it is due, until its sender has ended.
    async fn write(
        &self,
        direction: Direction,
        on_the_way: &mut mpsc::Receiver<Sent>,
        to: &mut WriteHalf<'_>,
        was_answered: &AtomicBool,
    ) -> io::Result<()> {
        let mut network = self.network.clone();
        while let Some(sent) = on_the_way.recv().await {
            sleep_until(sent.due).await;
            let _ = network
                .wait_for(|now| now.lets_through(direction, self.number))
                .await;
            let bytes = sent.what?;
            if direction == Direction::ToClient && !bytes.is_empty() {
                was_answered.store(true, Ordering::SeqCst);
            }
            to.write_all(&bytes).await?;
        }
        Ok(())
    }
}

const BUFFER_BYTES: usize = 16 * 1024;

/// Packets of up to [`BUFFER_BYTES`] that may be on the way in one direction. More
/// than that waits at the sender, as when a real connection's window is full.
const ON_THE_WAY: usize = 64;
