//! Tests of the proxy with both ends of real connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Direction, Proxy};

/// Starts a proxy with a listener behind it.
async fn network() -> (Proxy, TcpListener) {
    let (server, address) = server().await;
    (Proxy::start(address).await.unwrap(), server)
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn dial(proxy: &Proxy) -> io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await
}

/// Opens a connection through the proxy. Returns the client's end and the server's.
async fn connection(proxy: &Proxy, server: &TcpListener) -> (TcpStream, TcpStream) {
    let client = dial(proxy).await.unwrap();
    let (server, _) = server.accept().await.unwrap();
    (client, server)
}

/// Sends a byte and receives it at the other end.
async fn send_byte(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"x").await.unwrap();
    assert_eq!(to.read_u8().await.unwrap(), b'x');
}

/// Asserts that neither a byte nor the end of the stream arrives within 50 ms.
async fn assert_silent(end: &mut TcpStream) {
    let received = timeout(Duration::from_millis(50), end.read_u8()).await;
    assert!(received.is_err(), "{received:?}");
}

async fn assert_reset(end: &mut TcpStream) {
    let error = end.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

async fn assert_ended(end: &mut TcpStream) {
    assert_eq!(end.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn round_trips_are_counted_by_turns_not_packets() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    for turn in 1..=3 {
        send_byte(&mut client, &mut server).await;
        send_byte(&mut client, &mut server).await;
        assert_eq!(proxy.round_trips(), turn);
        send_byte(&mut server, &mut client).await;
        send_byte(&mut server, &mut client).await;
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn orderly_close_is_relayed_to_the_other_end() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    client.write_all(b"x").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    assert_ended(&mut server).await;
    send_byte(&mut server, &mut client).await;
    drop(server);
    assert_ended(&mut client).await;
}

#[tokio::test]
async fn reset_of_one_end_is_relayed_to_the_other() {
    let (proxy, listener) = network().await;
    let (mut client, server) = connection(&proxy, &listener).await;
    server.set_zero_linger().unwrap();
    drop(server);
    assert_reset(&mut client).await;
    drop(listener);
    assert_reset(&mut dial(&proxy).await.unwrap()).await;
}

#[tokio::test]
async fn delay_applies_to_each_direction() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    let delay = Duration::from_millis(30);
    proxy.delay(delay);
    let start = Instant::now();
    send_byte(&mut client, &mut server).await;
    assert!(start.elapsed() >= delay);
    send_byte(&mut server, &mut client).await;
    assert!(start.elapsed() >= 2 * delay);
    client.shutdown().await.unwrap();
    assert_ended(&mut server).await;
    assert!(
        start.elapsed() >= 3 * delay,
        "the end of the stream is delayed, too"
    );
}

#[tokio::test]
async fn delay_does_not_reduce_the_throughput() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.delay(Duration::from_millis(500));
    // This is more than 30 of the proxy's buffers, which would take 15 s one after the other.
    let sent = vec![7; 512 * 1024];
    let mut received = vec![0; sent.len()];
    let start = Instant::now();
    let (written, read) = tokio::join!(client.write_all(&sent), server.read_exact(&mut received));
    written.unwrap();
    read.unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(sent, received);
}

#[tokio::test]
async fn stalled_bytes_arrive_after_resume() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    send_byte(&mut client, &mut server).await;
    proxy.stall();
    client.write_all(b"ab").await.unwrap();
    assert_silent(&mut server).await;
    let (mut other, mut its_server) = connection(&proxy, &listener).await;
    its_server.write_all(b"c").await.unwrap();
    assert_silent(&mut other).await;
    proxy.resume();
    assert_eq!(server.read_u16().await.unwrap(), u16::from_be_bytes(*b"ab"));
    assert_eq!(other.read_u8().await.unwrap(), b'c');
}

#[tokio::test]
async fn cut_resets_both_ends_and_accepts_new_connections() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    send_byte(&mut client, &mut server).await;
    proxy.stall();
    client.write_all(b"lost").await.unwrap();
    proxy.cut();
    assert_reset(&mut client).await;
    assert_reset(&mut server).await;
    proxy.resume();
    let (mut client, mut server) = connection(&proxy, &listener).await;
    send_byte(&mut client, &mut server).await;
    send_byte(&mut server, &mut client).await;
    drop(proxy);
    assert_reset(&mut client).await;
    assert_reset(&mut server).await;
}

#[tokio::test]
async fn lost_connection_is_silent_and_new_ones_are_accepted() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    send_byte(&mut client, &mut server).await;
    proxy.lose();
    client.write_all(b"lost").await.unwrap();
    assert_silent(&mut server).await;
    server.write_all(b"lost").await.unwrap();
    assert_silent(&mut client).await;
    let (mut next, mut its_server) = connection(&proxy, &listener).await;
    send_byte(&mut next, &mut its_server).await;
    send_byte(&mut its_server, &mut next).await;
    proxy.cut();
    assert_reset(&mut client).await;
}

#[tokio::test]
async fn half_closed_connection_stays_open_in_the_other_direction() {
    let (proxy, listener) = network().await;

    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.half_close(Direction::ToClient);
    assert_ended(&mut client).await;
    send_byte(&mut client, &mut server).await;
    server.write_all(b"lost").await.unwrap();
    send_byte(&mut client, &mut server).await;

    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.half_close(Direction::ToServer);
    assert_ended(&mut server).await;
    send_byte(&mut server, &mut client).await;
    client.write_all(b"lost").await.unwrap();
    send_byte(&mut server, &mut client).await;
}

#[tokio::test]
async fn refused_connection_is_accepted_later_on_the_same_port() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    for _ in 0..2 {
        proxy.refuse().await;
        let error = dial(&proxy).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, proxy.port())).await;
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        send_byte(&mut client, &mut server).await;
        proxy.accept().unwrap();
        let (mut client, mut server) = connection(&proxy, &listener).await;
        send_byte(&mut client, &mut server).await;
    }
    assert_eq!(proxy.connections(), 3);
}

#[tokio::test]
async fn black_hole_accepts_new_connections_without_a_response() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.black_hole().unwrap();
    let mut lost = dial(&proxy).await.unwrap();
    lost.write_all(b"lost").await.unwrap();
    assert_silent(&mut lost).await;
    send_byte(&mut client, &mut server).await;

    proxy.accept().unwrap();
    let (mut client, mut server) = connection(&proxy, &listener).await;
    send_byte(&mut client, &mut server).await;
    assert_silent(&mut lost).await;
    proxy.cut();
    assert_reset(&mut lost).await;
}

#[tokio::test]
async fn new_connections_go_to_the_new_upstream() {
    let (proxy, old) = network().await;
    let (mut client, mut server) = connection(&proxy, &old).await;
    let (new, address) = self::server().await;
    proxy.set_upstream(address);
    let (mut next, mut its_server) = connection(&proxy, &new).await;
    send_byte(&mut next, &mut its_server).await;
    send_byte(&mut client, &mut server).await;
}

#[tokio::test]
async fn rate_limits_the_bytes_to_the_client_until_it_is_removed() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.set_rate(NonZeroU64::new(10_000));
    let started = Instant::now();
    server.write_all(&[0; 5_000]).await.unwrap();
    client.read_exact(&mut [0; 5_000]).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(450));
    // The other direction has no limit.
    client.write_all(&[0; 100_000]).await.unwrap();
    server.read_exact(&mut [0; 100_000]).await.unwrap();
    proxy.set_rate(None);
    server.write_all(&[0; 1_000_000]).await.unwrap();
    client.read_exact(&mut [0; 1_000_000]).await.unwrap();
}

#[tokio::test]
async fn latency_delays_the_bytes_to_the_client_alone() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    let latency = Duration::from_millis(80);
    proxy.set_latency(latency, Duration::ZERO);
    let started = Instant::now();
    send_byte(&mut server, &mut client).await;
    assert!(started.elapsed() >= latency);
    proxy.set_latency(Duration::ZERO, Duration::ZERO);
    send_byte(&mut client, &mut server).await;
    send_byte(&mut server, &mut client).await;
}

#[tokio::test]
async fn end_of_a_latency_brings_the_bytes_under_way_and_a_longer_one_is_for_later_bytes() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    let hour = Duration::from_hours(1);
    proxy.set_latency(hour, Duration::ZERO);
    server.write_all(b"a").await.unwrap();
    assert_silent(&mut client).await;
    // These are behind the others.
    server.write_all(b"b").await.unwrap();
    assert_silent(&mut client).await;
    proxy.set_latency(Duration::ZERO, Duration::ZERO);
    let received = timeout(Duration::from_secs(10), client.read_u16()).await;
    assert_eq!(received.unwrap().unwrap(), u16::from_be_bytes(*b"ab"));

    let latency = Duration::from_millis(300);
    proxy.set_latency(latency, Duration::ZERO);
    let started = Instant::now();
    server.write_all(b"c").await.unwrap();
    assert_silent(&mut client).await;
    proxy.set_latency(hour, Duration::ZERO);
    let received = timeout(Duration::from_secs(10), client.read_u8()).await;
    assert_eq!(received.unwrap().unwrap(), b'c');
    assert!(started.elapsed() >= latency);
}

#[tokio::test]
async fn new_connections_are_reset_until_it_ends() {
    let (proxy, listener) = network().await;
    let (mut client, _server) = connection(&proxy, &listener).await;
    proxy.reset_all(true);
    assert_reset(&mut client).await;
    let mut second = dial(&proxy).await.unwrap();
    assert_reset(&mut second).await;
    proxy.reset_all(false);
    let (mut client, mut server) = connection(&proxy, &listener).await;
    send_byte(&mut client, &mut server).await;
    send_byte(&mut server, &mut client).await;
}

#[tokio::test]
async fn successor_has_another_port_and_the_faults_of_the_network() {
    let (proxy, listener) = network().await;
    proxy.stall();
    let successor = proxy.start_successor().await.unwrap();
    assert_ne!(successor.port(), proxy.port());
    let (mut client, mut server) = connection(&successor, &listener).await;
    client.write_all(b"x").await.unwrap();
    assert_silent(&mut server).await;
    successor.resume();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
}
