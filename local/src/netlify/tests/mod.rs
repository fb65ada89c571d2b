//! Tests of the site over real connections, with functions that parse their events by
//! `lambda_http`.

mod connections;
mod functions;
mod hosts;
mod paths;

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, Context, Request, RequestExt, Response, Service, service_fn};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Deploy, InvocationFuture, Invoke, Site, SiteConfig};
use crate::http_client;
use crate::lambda::InvokeError;

/// A function whose handler is a closure over events.
struct FakeFunction<F>(F);

impl<F, A> Invoke for FakeFunction<F>
where
    F: Fn(Bytes) -> A + Send + Sync,
    A: Future<Output = Result<Bytes, InvokeError>> + Send + 'static,
{
    fn invoke(&self, event: Bytes) -> InvocationFuture<'_> {
        Box::pin((self.0)(event))
    }
}

fn fake<F, A>(function: F) -> Arc<dyn Invoke>
where
    F: Fn(Bytes) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Bytes, InvokeError>> + Send + 'static,
{
    Arc::new(FakeFunction(function))
}

/// Creates a function from an HTTP handler, with the adapter of `lambda_http`.
fn handler(handle: fn(Request) -> Response<Body>) -> Arc<dyn Invoke> {
    fake(move |event| async move {
        let request: LambdaRequest = serde_json::from_slice(&event).expect("an event");
        assert!(matches!(request, LambdaRequest::ApiGatewayV1(_)));
        let service =
            service_fn(move |request| async move { Ok::<_, Infallible>(handle(request)) });
        let event = LambdaEvent::new(request, Context::default());
        let response = Adapter::from(service).call(event).await;
        let response = response.expect("a response");
        Ok(serde_json::to_vec(&response).expect("JSON").into())
    })
}

/// Creates a function that responds with method, path, query and body length of its request.
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
            "the client's x-nf-deploy-context reached the function"
        );
        Response::builder()
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(Body::from(text))
            .unwrap()
    })
}

/// A site's directory with published files.
struct SiteFolder(TempDir);

impl SiteFolder {
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

/// A response with its whole body.
#[derive(Debug)]
struct SiteResponse {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl SiteResponse {
    /// Returns the values of a header.
    fn header(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// Sends a request with these headers and body.
async fn send(
    site: &Site,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> SiteResponse {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body)).unwrap();
    let response = http_client::send(&site.url("localhost"), request).await;
    let (head, body) = response.unwrap().into_parts();
    SiteResponse {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

async fn get(site: &Site, path: &str) -> SiteResponse {
    send(site, "GET", path, &[], b"").await
}

/// Sends bytes that no HTTP client would send, and returns the status of the response.
async fn send_raw(site: &Site, request: &[u8]) -> u16 {
    let mut stream = connect(site).await;
    stream.write_all(request).await.unwrap();
    read_status(&mut stream).await
}

async fn connect(site: &Site) -> TcpStream {
    let address = ("127.0.0.1", site.port());
    TcpStream::connect(address).await.unwrap()
}

/// Reads a response until the connection is closed, and returns its status.
async fn read_status(stream: &mut TcpStream) -> u16 {
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    let response = String::from_utf8_lossy(&response);
    let status = response.split(' ').nth(1).expect("a status");
    status.parse().expect("a status")
}
