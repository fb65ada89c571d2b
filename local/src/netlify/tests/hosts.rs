//! Which deploys a site takes, at which port, and which of them a host gets.

use std::net::Ipv6Addr;

use tokio::net::{TcpListener, TcpStream};

use super::{Folder, raw, send};
use crate::ErrorKind;
use crate::netlify::Site;

#[tokio::test]
async fn each_host_gets_its_own_deploy_and_an_unknown_one_gets_none() {
    let production = Folder::new(&[("index.html", "production")]);
    let staging = Folder::new(&[("index.html", "staging")]);
    let deploys = vec![
        production.deploy("localhost", ""),
        staging.deploy("staging.localhost", ""),
    ];
    let site = Site::start(0, deploys).await.unwrap();
    assert_eq!(
        site.url("localhost"),
        format!("http://localhost:{}", site.port())
    );
    for (host, text) in [
        ("localhost:1", "production"),
        ("LOCALHOST", "production"),
        ("127.0.0.1", "production"),
        ("[::1]:8888", "production"),
        ("staging.localhost", "staging"),
    ] {
        let reply = send(&site, "GET /", &format!("host: {host}\r\n"), b"").await;
        assert_eq!((reply.status, reply.text()), (200, text), "{host}");
    }
    for host in ["other.localhost", "evil.test", "a@localhost", "<b>"] {
        let reply = send(&site, "GET /", &format!("host: {host}\r\n"), b"").await;
        assert_eq!(reply.status, 404, "{host}");
        assert!(
            reply.text().contains(">staging.localhost</a>"),
            "{}",
            reply.text()
        );
        assert!(!reply.text().contains("<b>"));
        assert_eq!(reply.header("x-nf-request-id")[0].len(), 26);
    }
    let nameless = raw(site.port(), b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(nameless.status, 404);
}

#[tokio::test]
async fn port_that_is_taken_on_either_address_is_named() {
    let folder = Folder::new(&[("index.html", "home")]);
    let deploys = || vec![folder.deploy("localhost", "")];
    let site = Site::start(0, deploys()).await.unwrap();
    let error = Site::start(site.port(), deploys()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PortInUse);
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{}", site.port())),
        "{error}"
    );

    // A machine without IPv6 has only the first half of this.
    if let Ok(other) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await {
        let error = Site::start(other.local_addr().unwrap().port(), deploys())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PortInUse);
        TcpStream::connect((Ipv6Addr::LOCALHOST, site.port()))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn deploys_that_cannot_be_served_are_input_errors() {
    let folder = Folder::new(&[("index.html", "home")]);
    let twice = vec![
        folder.deploy("localhost", ""),
        folder.deploy("LOCALHOST", ""),
    ];
    let nameless = vec![folder.deploy("no host", "")];
    let missing = vec![Folder::new(&[]).deploy("localhost", "")];
    for deploys in [twice, nameless, missing] {
        let error = Site::start(0, deploys).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
}
