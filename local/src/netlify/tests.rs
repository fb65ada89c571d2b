//! The site over real sockets, with functions that parse their events by `lambda_http`.

use super::site::Patience;
use super::{Deploy, Invocation, Invoke, Site, SiteConfig};
use crate::ErrorKind;
use crate::lambda::InvokeError;
use bytes::Bytes;
use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, Context, Request, RequestExt, Response, Service, service_fn};
use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A function that is a closure over events.
struct Fake<F>(F);

impl<F, A> Invoke for Fake<F>
where
    F: Fn(Bytes) -> A + Send + Sync,
    A: Future<Output = Result<Bytes, InvokeError>> + Send + 'static,
{
    fn invoke(&self, event: Bytes) -> Invocation<'_> {
        Box::pin((self.0)(event))
    }
}

fn fake<F, A>(function: F) -> Arc<dyn Invoke>
where
    F: Fn(Bytes) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Bytes, InvokeError>> + Send + 'static,
{
    Arc::new(Fake(function))
}

/// A function as people write them: an HTTP handler behind the real adapter.
fn handler(handle: fn(Request) -> Response<Body>) -> Arc<dyn Invoke> {
    fake(move |event| async move {
        let request: LambdaRequest = serde_json::from_slice(&event).expect("an event");
        assert!(matches!(request, LambdaRequest::ApiGatewayV1(_)));
        let service =
            service_fn(move |request| async move { Ok::<_, Infallible>(handle(request)) });
        let event = LambdaEvent::new(request, Context::default());
        let answer = Adapter::from(service).call(event).await.expect("an answer");
        Ok(serde_json::to_vec(&answer).expect("JSON").into())
    })
}

/// Says what it got: method, path, query and the length of the body.
fn echo() -> Arc<dyn Invoke> {
    handler(|request| {
        let text = format!(
            "{} {} {} {}",
            request.method(),
            request.raw_http_path(),
            request.query_string_parameters().to_query_string(),
            request.body().len()
        );
        let context = request.headers().get("x-nf-deploy-context");
        assert!(
            context.is_none(),
            "the client's word for the deploy context came through"
        );
        Response::builder()
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(Body::from(text))
            .unwrap()
    })
}

/// A site's directory with some files and the rules that are given.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join("public").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(folder)
    }

    fn deploy(&self, host: &str, rules: &str) -> Deploy {
        let toml = format!("[build]\npublish = \"public\"\n{rules}");
        let config = SiteConfig::parse(&toml, self.0.path()).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        Deploy::new(host, &config)
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

async fn raw(port: u16, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request).await.unwrap();
    reply(&mut stream).await
}

async fn reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    }
}

async fn send(site: &Site, line: &str, headers: &str, body: &[u8]) -> Reply {
    let host = if headers.to_ascii_lowercase().contains("host:") {
        ""
    } else {
        "host: localhost\r\n"
    };
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-length: {length}\r\n"),
    };
    let head = format!("{line} HTTP/1.1\r\nconnection: close\r\n{host}{headers}{length}\r\n");
    raw(site.port(), &[head.as_bytes(), body].concat()).await
}

async fn get(site: &Site, path: &str) -> Reply {
    send(site, &format!("GET {path}"), "", b"").await
}

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
async fn function_behind_a_rewrite_sees_the_path_that_was_asked_for() {
    let folder = Folder::new(&[("index.html", "home")]);
    let rules = r#"
        [[redirects]]
        from = "/api/*"
        to = "/.netlify/functions/:splat"
        status = 200
    "#;
    let deploy = folder.deploy("localhost", rules).function("echo", echo());
    let site = Site::start(0, vec![deploy]).await.unwrap();

    let spoof = "x-nf-deploy-context: production\r\n";
    let reply = send(&site, "POST /api/echo/more?a=1&a=2", spoof, b"12345").await;
    assert_eq!(
        (reply.status, reply.text()),
        (200, "POST /api/echo/more a=1&a=2 5")
    );
    assert_eq!(reply.header("set-cookie"), ["a=1", "b=2"]);

    let direct = get(&site, "/.netlify/functions/echo").await;
    assert_eq!(direct.text(), "GET /.netlify/functions/echo  0");
    let options = send(&site, "OPTIONS /api/echo", "", b"").await;
    assert_eq!(options.text(), "OPTIONS /api/echo  0");
    let head = send(&site, "HEAD /api/echo", "", b"").await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(
        head.header("content-length"),
        [format!("{}", "HEAD /api/echo  0".len())]
    );

    let unknown = get(&site, "/api/nothing").await;
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.text().contains("this deploy has echo"),
        "{}",
        unknown.text()
    );
    let up = get(&site, "/api/../../index.html").await;
    assert_eq!(up.status, 404);
}

#[tokio::test]
async fn binary_bodies_pass_both_ways_unchanged() {
    let folder = Folder::new(&[("index.html", "")]);
    let mirror = handler(|request| {
        assert!(matches!(request.body(), Body::Binary(_)));
        let png = Response::builder().header("content-type", "image/png");
        png.body(request.into_body()).unwrap()
    });
    let deploy = folder.deploy("localhost", "").function("mirror", mirror);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let body: Vec<u8> = (0..=255).collect();
    let png = "content-type: image/png\r\n";
    let reply = send(&site, "POST /.netlify/functions/mirror", png, &body).await;
    assert_eq!((reply.status, reply.body), (200, body));
}

#[tokio::test]
async fn paths_are_answered_in_netlifys_order() {
    let folder = Folder::new(&[
        ("index.html", "home"),
        ("page.html", "page"),
        ("old.html", "old"),
        ("docs/index.html", "docs"),
        ("404.html", "lost"),
        ("gone.html", "gone"),
    ]);
    let rules = r#"
        [[redirects]]
        from = "/page"
        to = "/elsewhere"
        [[redirects]]
        from = "/old"
        to = "/page"
        status = 302
        force = true
        [[redirects]]
        from = "/moved/:id"
        to = "/docs/?id=:id"
        [[redirects]]
        from = "/gone/*"
        to = "/gone.html"
        status = 410
        [[redirects]]
        from = "/app/*"
        to = "/index.html"
        status = 200
        [[redirects]]
        from = "/broken"
        to = "/nowhere.html"
        status = 200
        [[headers]]
        for = "/docs/*"
        [headers.values]
        cache-control = "max-age=60"
    "#;
    let deploy = folder.deploy("localhost", rules).function("echo", echo());
    let site = Site::start(0, vec![deploy]).await.unwrap();
    for (path, status, text) in [
        ("/", 200, "home"),
        ("/page", 200, "page"),
        ("/app/any/where", 200, "home"),
        ("/gone/x", 410, "gone"),
        ("/docs/", 200, "docs"),
        ("/nothing", 404, "lost"),
        ("/broken", 404, "lost"),
        ("/netlify.toml", 404, "lost"),
    ] {
        let reply = get(&site, path).await;
        assert_eq!((reply.status, reply.text()), (status, text), "{path}");
        let fresh = if path == "/docs/" {
            "max-age=60"
        } else {
            "public,max-age=0,must-revalidate"
        };
        assert_eq!(reply.header("cache-control"), [fresh], "{path}");
        assert_eq!(reply.header("content-type"), ["text/html; charset=UTF-8"]);
    }
    for (path, status, location) in [
        ("/old", 302, "/page"),
        ("/moved/7?a=1", 301, "/docs/?id=7&a=1"),
        ("/docs?a=1", 301, "/docs/?a=1"),
    ] {
        let reply = get(&site, path).await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (status, vec![location]),
            "{path}"
        );
    }
    let post = send(&site, "POST /page", "", b"x").await;
    assert_eq!(
        (post.status, post.header("allow")),
        (405, vec!["GET, HEAD"])
    );
    let head = send(&site, "HEAD /page", "", b"").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.text()),
        (200, vec!["4"], "")
    );
    let etag = head.header("etag")[0].to_owned();
    assert_eq!(head.header("last-modified").len(), 1);
    let again = send(
        &site,
        "GET /page",
        &format!("if-none-match: {etag}\r\n"),
        b"",
    )
    .await;
    assert_eq!((again.status, again.text()), (304, ""));
    let lost = send(
        &site,
        "GET /nothing",
        "if-none-match: *\r\nrange: bytes=0-0\r\n",
        b"",
    )
    .await;
    assert_eq!((lost.status, lost.text()), (404, "lost"));
}

#[tokio::test]
async fn function_that_fails_is_a_gateway_error() {
    let folder = Folder::new(&[("index.html", "")]);
    let failing = fake(|_| async {
        Err(InvokeError::Function {
            error_type: "Boom".into(),
            error_message: "broke".into(),
        })
    });
    let late = fake(|_| async {
        Err(InvokeError::TimedOut {
            limit: Duration::from_secs(1),
        })
    });
    let panicking = fake(|_| async { panic!("a fault of the stand-in itself") });
    let deploy = folder
        .deploy("localhost", "")
        .function("failing", failing)
        .function("late", late)
        .function("panicking", panicking);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    for (name, status, text) in [
        (
            "failing",
            502,
            r#"{"errorMessage":"broke","errorType":"Boom"}"#,
        ),
        ("late", 504, "timed out after 1.00 seconds"),
        ("panicking", 502, "Platform.Error"),
    ] {
        let reply = get(&site, &format!("/.netlify/functions/{name}")).await;
        assert_eq!(reply.status, status);
        assert!(reply.text().contains(text), "{}", reply.text());
        assert_eq!(reply.header("content-type"), ["application/json"]);
    }
}

#[tokio::test]
async fn body_over_the_limit_is_refused_and_one_under_it_is_not() {
    let folder = Folder::new(&[("index.html", "")]);
    let deploy = folder.deploy("localhost", "").function("echo", echo());
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let line = "POST /.netlify/functions/echo";
    let text = "content-type: text/plain\r\n";
    let body = vec![b'x'; 7 * 1024 * 1024];
    assert_eq!(send(&site, line, text, &body).await.status, 413);
    let body = &body[..5 * 1024 * 1024];
    assert_eq!(send(&site, line, text, body).await.status, 200);
    // In base64 it is over the limit.
    let binary = "content-type: application/octet-stream\r\n";
    assert_eq!(send(&site, line, binary, body).await.status, 413);
    // So far over it that nothing is read.
    let huge = format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n");
    assert_eq!(raw(site.port(), huge.as_bytes()).await.status, 413);
}

#[tokio::test]
async fn slow_clients_are_sent_away_and_hold_up_nobody() {
    let folder = Folder::new(&[("index.html", "home")]);
    let deploy = folder.deploy("localhost", "").function("echo", echo());
    let short = Duration::from_secs(1);
    let patience = Patience {
        head: short,
        body: short,
        stop: short,
    };
    let site = Site::start_with(0, vec![deploy], patience).await.unwrap();

    let mut slow_head = TcpStream::connect(("127.0.0.1", site.port()))
        .await
        .unwrap();
    slow_head.write_all(b"GET / HT").await.unwrap();
    let mut slow_body = TcpStream::connect(("127.0.0.1", site.port()))
        .await
        .unwrap();
    let request =
        "POST /.netlify/functions/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx";
    slow_body.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(get(&site, "/").await.text(), "home");
    assert_eq!(reply(&mut slow_body).await.status, 408);
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(10), slow_head.read_to_end(&mut rest)).await;
    closed.expect("the connection was kept").unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

/// A function that says when it starts, waits to be let go, and says when it ends.
struct Gate {
    started: Semaphore,
    go: Semaphore,
    ended: Semaphore,
}

fn gated() -> (Arc<Gate>, Arc<dyn Invoke>) {
    let closed = || Semaphore::new(0);
    let gate = Arc::new(Gate {
        started: closed(),
        go: closed(),
        ended: closed(),
    });
    let held = Arc::clone(&gate);
    let function = fake(move |_| {
        let gate = Arc::clone(&held);
        async move {
            gate.started.add_permits(1);
            gate.go.acquire().await.unwrap().forget();
            gate.ended.add_permits(1);
            Ok(r#"{"statusCode": 200, "body": "done"}"#.into())
        }
    });
    (gate, function)
}

const GATED: &[u8] = b"GET /.netlify/functions/gated HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn invocation_goes_on_when_the_client_goes_away() {
    let folder = Folder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder.deploy("localhost", "").function("gated", function);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", site.port()))
        .await
        .unwrap();
    stream.write_all(GATED).await.unwrap();
    gate.started.acquire().await.unwrap().forget();
    drop(stream);
    // Stopping waits for connections: once it is done, the abandoned one is gone as well.
    site.stop().await;
    gate.go.add_permits(1);
    let ended = timeout(Duration::from_secs(10), gate.ended.acquire()).await;
    ended
        .expect("the invocation was dropped with its client")
        .unwrap()
        .forget();
}

#[tokio::test]
async fn stop_lets_a_request_end_and_then_closes_its_connection() {
    let folder = Folder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder.deploy("localhost", "").function("gated", function);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let port = site.port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(GATED).await.unwrap();
    gate.started.acquire().await.unwrap().forget();
    let mut stopping = Box::pin(site.stop());
    // Polled once, it has told the site to stop; the request is what it waits for.
    tokio::select! {
        biased;
        () = &mut stopping => panic!("stopped with a request under way"),
        () = std::future::ready(()) => {}
    }
    gate.go.add_permits(1);
    assert_eq!(reply(&mut stream).await.text(), "done");
    stopping.await;
}

#[tokio::test]
async fn stop_does_not_wait_for_ever() {
    let folder = Folder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder.deploy("localhost", "").function("gated", function);
    let short = Duration::from_millis(50);
    let patience = Patience {
        stop: short,
        ..Patience::default()
    };
    let site = Site::start_with(0, vec![deploy], patience).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", site.port()))
        .await
        .unwrap();
    stream.write_all(GATED).await.unwrap();
    gate.started.acquire().await.unwrap().forget();
    site.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
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
