//! Real connections through the proxy, with both ends in hand.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Direction, Proxy};

/// A proxy, and what listens behind it.
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

/// A connection through the proxy: the client's end and the server's.
async fn connection(proxy: &Proxy, server: &TcpListener) -> (TcpStream, TcpStream) {
    let client = dial(proxy).await.unwrap();
    let (server, _) = server.accept().await.unwrap();
    (client, server)
}

/// Sends a byte and waits for it at the other end.
async fn pass(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"x").await.unwrap();
    assert_eq!(to.read_u8().await.unwrap(), b'x');
}

/// Sees that nothing comes for a moment: neither bytes nor an end.
async fn silent(end: &mut TcpStream) {
    let heard = timeout(Duration::from_millis(50), end.read_u8()).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn reset(end: &mut TcpStream) {
    let error = end.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

async fn ended(end: &mut TcpStream) {
    assert_eq!(end.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn round_trips_are_counted_by_turns_and_not_by_packets() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    for turn in 1..=3 {
        pass(&mut client, &mut server).await;
        pass(&mut client, &mut server).await;
        assert_eq!(proxy.round_trips(), turn);
        pass(&mut server, &mut client).await;
        pass(&mut server, &mut client).await;
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn connection_that_ends_in_order_ends_so_at_the_other_end() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    client.write_all(b"x").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    ended(&mut server).await;
    pass(&mut server, &mut client).await;
    drop(server);
    ended(&mut client).await;
}

#[tokio::test]
async fn connection_that_breaks_at_one_end_breaks_at_the_other() {
    let (proxy, listener) = network().await;
    let (mut client, server) = connection(&proxy, &listener).await;
    server.set_zero_linger().unwrap();
    drop(server);
    reset(&mut client).await;
    drop(listener);
    reset(&mut dial(&proxy).await.unwrap()).await;
}

#[tokio::test]
async fn delay_holds_for_each_direction() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    let delay = Duration::from_millis(30);
    proxy.delay(delay);
    let start = Instant::now();
    pass(&mut client, &mut server).await;
    assert!(start.elapsed() >= delay);
    pass(&mut server, &mut client).await;
    assert!(start.elapsed() >= 2 * delay);
    client.shutdown().await.unwrap();
    ended(&mut server).await;
    assert!(start.elapsed() >= 3 * delay, "an end takes as long");
}

#[tokio::test]
async fn delay_makes_the_way_longer_and_not_narrower() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.delay(Duration::from_millis(100));
    // More than 30 of the proxy's buffers, which together would take 3 s.
    let sent = vec![7; 512 * 1024];
    let mut received = vec![0; sent.len()];
    let start = Instant::now();
    let (written, read) = tokio::join!(client.write_all(&sent), server.read_exact(&mut received));
    written.unwrap();
    read.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(sent, received);
}

#[tokio::test]
async fn stalled_bytes_come_when_the_network_resumes() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    pass(&mut client, &mut server).await;
    proxy.stall();
    client.write_all(b"ab").await.unwrap();
    silent(&mut server).await;
    let (mut other, mut its_server) = connection(&proxy, &listener).await;
    its_server.write_all(b"c").await.unwrap();
    silent(&mut other).await;
    proxy.resume();
    assert_eq!(server.read_u16().await.unwrap(), u16::from_be_bytes(*b"ab"));
    assert_eq!(other.read_u8().await.unwrap(), b'c');
}

#[tokio::test]
async fn cut_resets_both_ends_and_lets_new_connections_in() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    pass(&mut client, &mut server).await;
    proxy.stall();
    client.write_all(b"lost").await.unwrap();
    proxy.cut();
    reset(&mut client).await;
    reset(&mut server).await;
    proxy.resume();
    let (mut client, mut server) = connection(&proxy, &listener).await;
    pass(&mut client, &mut server).await;
    pass(&mut server, &mut client).await;
    drop(proxy);
    reset(&mut client).await;
    reset(&mut server).await;
}

#[tokio::test]
async fn lost_connection_is_silent_and_new_ones_are_let_in() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    pass(&mut client, &mut server).await;
    proxy.lose();
    client.write_all(b"lost").await.unwrap();
    silent(&mut server).await;
    server.write_all(b"lost").await.unwrap();
    silent(&mut client).await;
    let (mut next, mut its_server) = connection(&proxy, &listener).await;
    pass(&mut next, &mut its_server).await;
    pass(&mut its_server, &mut next).await;
    proxy.cut();
    reset(&mut client).await;
}

#[tokio::test]
async fn half_closed_connection_goes_on_in_the_other_direction() {
    let (proxy, listener) = network().await;

    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.half_close(Direction::ToClient);
    ended(&mut client).await;
    pass(&mut client, &mut server).await;
    server.write_all(b"lost").await.unwrap();
    pass(&mut client, &mut server).await;

    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.half_close(Direction::ToServer);
    ended(&mut server).await;
    pass(&mut server, &mut client).await;
    client.write_all(b"lost").await.unwrap();
    pass(&mut server, &mut client).await;
}

#[tokio::test]
async fn refused_connection_is_let_in_on_the_same_port_later() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    for _ in 0..2 {
        proxy.refuse().await;
        let error = dial(&proxy).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, proxy.port())).await;
        assert_eq!(stranger.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        pass(&mut client, &mut server).await;
        proxy.accept().unwrap();
        let (mut client, mut server) = connection(&proxy, &listener).await;
        pass(&mut client, &mut server).await;
    }
    assert_eq!(proxy.connections(), 3);
}

#[tokio::test]
async fn black_hole_takes_new_connections_and_never_answers() {
    let (proxy, listener) = network().await;
    let (mut client, mut server) = connection(&proxy, &listener).await;
    proxy.black_hole().unwrap();
    let mut lost = dial(&proxy).await.unwrap();
    lost.write_all(b"lost").await.unwrap();
    silent(&mut lost).await;
    pass(&mut client, &mut server).await;

    proxy.accept().unwrap();
    let (mut client, mut server) = connection(&proxy, &listener).await;
    pass(&mut client, &mut server).await;
    silent(&mut lost).await;
    proxy.cut();
    reset(&mut lost).await;
}

#[tokio::test]
async fn new_connections_go_to_the_new_upstream() {
    let (proxy, old) = network().await;
    let (mut client, mut server) = connection(&proxy, &old).await;
    let (new, address) = self::server().await;
    proxy.set_upstream(address);
    let (mut next, mut its_server) = connection(&proxy, &new).await;
    pass(&mut next, &mut its_server).await;
    pass(&mut client, &mut server).await;
}
