//! The site over real sockets, with functions that parse their events by `lambda_http`.

mod connections;
mod functions;
mod hosts;
mod paths;

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, Context, Request, RequestExt, Response, Service, service_fn};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Deploy, Invocation, Invoke, Site, SiteConfig};
use crate::lambda::InvokeError;

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
