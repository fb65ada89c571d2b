//! Tests of host names, the port, and invalid deploys.

use std::net::Ipv6Addr;

use tokio::net::{TcpListener, TcpStream};

use super::{SiteFolder, send, send_raw};
use crate::ErrorKind;
use crate::netlify::Site;

#[tokio::test]
async fn each_host_gets_its_own_deploy_and_an_unknown_host_gets_404() {
    let production = SiteFolder::new(&[("index.html", "production")]);
    let staging = SiteFolder::new(&[("index.html", "staging")]);
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
        let response = send(&site, "GET", "/", &[("host", host)], b"").await;
        assert_eq!((response.status, response.text()), (200, text), "{host}");
    }
    for host in ["other.localhost", "evil.test", "a@localhost", "<b>"] {
        let response = send(&site, "GET", "/", &[("host", host)], b"").await;
        assert_eq!(response.status, 404, "{host}");
        assert!(
            response.text().contains(">staging.localhost</a>"),
            "{}",
            response.text()
        );
        assert!(!response.text().contains("<b>"));
        assert_eq!(response.header("x-nf-request-id")[0].len(), 26);
    }
    assert_eq!(send_raw(&site, b"GET / HTTP/1.0\r\n\r\n").await, 404);
}

#[tokio::test]
async fn port_taken_on_either_address_is_named() {
    let folder = SiteFolder::new(&[("index.html", "home")]);
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

    // This part needs IPv6.
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
async fn invalid_deploys_are_input_errors() {
    let folder = SiteFolder::new(&[("index.html", "home")]);
    let twice = vec![
        folder.deploy("localhost", ""),
        folder.deploy("LOCALHOST", ""),
    ];
    let nameless = vec![folder.deploy("no host", "")];
    let missing = vec![SiteFolder::new(&[]).deploy("localhost", "")];
    for deploys in [twice, nameless, missing] {
        let error = Site::start(0, deploys).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
}
