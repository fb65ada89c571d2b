//! Addresses of this machine that do not answer, for tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// An address of this machine that does not answer: the queue of its listener is full, so the
/// system drops all requests to connect.
pub(crate) struct SilentAddress {
    pub(crate) address: SocketAddr,
    _sockets: Vec<Socket>,
}

impl SilentAddress {
    pub(crate) fn v4() -> Self {
        Self::new(Ipv4Addr::LOCALHOST.into())
    }

    pub(crate) fn v6() -> Self {
        Self::new(Ipv6Addr::LOCALHOST.into())
    }

    fn new(address: IpAddr) -> Self {
        let address = SocketAddr::from((address, 0));
        let socket = || Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut sockets = vec![listener];
        // One fills the queue; on some systems it holds more.
        for _ in 0..8 {
            let client = socket();
            client.set_nonblocking(true).unwrap();
            client.connect(&address.into()).ok();
            sockets.push(client);
        }
        Self {
            address,
            _sockets: sockets,
        }
    }
}
