//! The relay of one connection, which follows the conditions of the network.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::conditions::{Conditions, Direction, JitterShare};

/// A connection through the network.
pub(super) struct Relay {
    /// Number of the connection, counted from 0.
    pub(super) number: usize,
    pub(super) network: watch::Receiver<Conditions>,
    /// Round trips of all connections.
    pub(super) round_trips: Arc<AtomicUsize>,
}

/// Data that one end sent, and the time at which it is due at the other end.
struct InFlight {
    /// The bytes. No bytes mean the end of the stream, an error a broken connection.
    data: io::Result<Vec<u8>>,
    sent: Instant,
    jitter: JitterShare,
    /// By the conditions at the time of sending.
    due: Instant,
}

impl Relay {
    /// Relays bytes until both directions have ended or the connection is cut. If one end breaks,
    /// the other is reset.
    pub(super) async fn run(self, client: TcpStream) {
        let mut client = client;
        let mut server = None;
        let ended_in_order = tokio::select! {
            biased;
            () = self.wait_for_cut() => false,
            ended = self.exchange(&mut client, &mut server) => ended.is_ok(),
        };
        if !ended_in_order {
            for stream in [Some(client), server].into_iter().flatten() {
                // With this setting closing the socket resets the connection. It fails only if the
                // connection is already gone.
                let _ = stream.set_zero_linger();
            }
        }
    }

    /// Waits until the connection is cut or the proxy is dropped.
    async fn wait_for_cut(&self) {
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
        let server_sent_last = AtomicBool::new(true);
        tokio::try_join!(
            self.relay(
                Direction::ToServer,
                from_client,
                to_server,
                &server_sent_last
            ),
            self.relay(
                Direction::ToClient,
                from_server,
                to_client,
                &server_sent_last
            ),
        )
        .map(|_| ())
    }

    /// Relays the bytes of one direction. Reading and writing run concurrently, so a delay does not
    /// reduce the throughput.
    async fn relay(
        &self,
        direction: Direction,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        server_sent_last: &AtomicBool,
    ) -> io::Result<()> {
        let (sender, mut in_flight) = mpsc::channel::<InFlight>(MAX_IN_FLIGHT);
        let reading = async move {
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let read = from.read(&mut buffer).await;
                let data = read.map(|length| buffer[..length].to_vec());
                let is_last = data.as_ref().map_or(true, Vec::is_empty);
                if direction == Direction::ToServer
                    && !is_last
                    && server_sent_last.swap(false, Ordering::SeqCst)
                {
                    self.round_trips.fetch_add(1, Ordering::SeqCst);
                }
                let (sent, jitter) = (Instant::now(), JitterShare::random());
                let data = InFlight {
                    data,
                    sent,
                    jitter,
                    due: sent + self.network.borrow().delay_of(direction, jitter),
                };
                if sender.send(data).await.is_err() || is_last {
                    return Ok(());
                }
            }
        };
        let writing = async move {
            tokio::select! {
                biased;
                () = self.wait_for_end(direction) => {}
                written = self.write(direction, &mut in_flight, &mut to, server_sent_last) => written?,
            }
            to.shutdown().await?;
            // After an end by the network, further bytes are dropped.
            while let Some(sent) = in_flight.recv().await {
                sent.data?;
            }
            Ok(())
        };
        tokio::try_join!(reading, writing).map(|_| ())
    }

    /// Waits until the network ends a direction.
    async fn wait_for_end(&self, direction: Direction) {
        let mut network = self.network.clone();
        let _ = network
            .wait_for(|now| now.is_ended(direction, self.number))
            .await;
    }

    /// Writes data in flight when it is due, until the sender has ended.
    async fn write(
        &self,
        direction: Direction,
        in_flight: &mut mpsc::Receiver<InFlight>,
        to: &mut WriteHalf<'_>,
        server_sent_last: &AtomicBool,
    ) -> io::Result<()> {
        let mut network = self.network.clone();
        while let Some(sent) = in_flight.recv().await {
            wait_until_due(&sent, direction, &mut network).await;
            let _ = network
                .wait_for(|now| now.allows(direction, self.number))
                .await;
            let bytes = sent.data?;
            if direction == Direction::ToClient && !bytes.is_empty() {
                server_sent_last.store(true, Ordering::SeqCst);
            }
            if direction == Direction::ToClient {
                self.write_at_rate(&bytes, to).await?;
            } else {
                to.write_all(&bytes).await?;
            }
        }
        Ok(())
    }

    /// Writes bytes to the client as fast as the network's rate allows, in parts of a tenth of a
    /// second, so that a change of the rate applies at once.
    async fn write_at_rate(&self, bytes: &[u8], to: &mut WriteHalf<'_>) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let rate = self.network.borrow().rate;
            let Some(rate) = rate else {
                return to.write_all(rest).await;
            };
            let most = usize::try_from(rate.get().div_ceil(10)).unwrap_or(usize::MAX);
            let (part, left) = rest.split_at(most.min(rest.len()));
            sleep(Duration::from_secs_f64(
                part.len() as f64 / rate.get() as f64,
            ))
            .await;
            to.write_all(part).await?;
            rest = left;
        }
        Ok(())
    }
}

/// Waits until data is due. A delay that becomes shorter meanwhile, or while the data is behind other data,
/// is shorter for it, too; a longer one is for data that is sent later.
async fn wait_until_due(
    sent: &InFlight,
    direction: Direction,
    network: &mut watch::Receiver<Conditions>,
) {
    let mut due = sent.due;
    loop {
        let delay = network.borrow_and_update().delay_of(direction, sent.jitter);
        due = due.min(sent.sent + delay);
        tokio::select! {
            () = sleep_until(due) => return,
            changed = network.changed() => {
                if changed.is_err() {
                    // The proxy is dropped, and the connection is cut.
                    return;
                }
            }
        }
    }
}

const BUFFER_BYTES: usize = 16 * 1024;

/// Maximum number of packets of up to [`BUFFER_BYTES`] in flight in one direction. With more the
/// sender waits, as when a real connection's window is full.
const MAX_IN_FLIGHT: usize = 64;
