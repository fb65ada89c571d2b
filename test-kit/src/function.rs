//! A function under test, and the requests to it.

use std::error::Error as StdError;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use serde_json::Value;
use stagelink::testing::{InProcessFunction, InProcessStreamingFunction};

use crate::event::{EventRequest, Platform, runtime_headers};
use crate::response::TestResponse;
use crate::stream::TestStream;

/// A function under test: a handler with all that `stagelink::run` puts around it.
///
/// [`TestStage::function`](crate::TestStage::function) makes it. As an instance on AWS Lambda it
/// serves one request at a time, and keeps its connection from one to the next; for several instances
/// make several functions, each of a [database](crate::TestStage::new_instance) of its own, by
/// `InProcessFunction::new(handle, &stage.new_instance()).into()`.
#[derive(Clone, Debug)]
pub struct TestFunction {
    function: Function,
    platform: Platform,
    time_limit: Duration,
}

#[derive(Clone, Debug)]
enum Function {
    Whole(InProcessFunction),
    Streaming(InProcessStreamingFunction),
}

impl From<InProcessFunction> for TestFunction {
    fn from(function: InProcessFunction) -> Self {
        Self::new(Function::Whole(function))
    }
}

impl From<InProcessStreamingFunction> for TestFunction {
    fn from(function: InProcessStreamingFunction) -> Self {
        Self::new(Function::Streaming(function))
    }
}

impl TestFunction {
    fn new(function: Function) -> Self {
        Self {
            function,
            platform: Platform::default(),
            time_limit: TIME_LIMIT,
        }
    }

    /// Sets the sender of the requests. Default: [`Platform::Netlify`].
    #[must_use]
    pub fn platform(self, platform: Platform) -> Self {
        Self { platform, ..self }
    }

    /// Sets the time after which the platform would end an invocation. Default: 60 s, Netlify's
    /// limit (2026-10).
    ///
    /// The SDK answers 504 a moment before that, as in a deployed function.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Starts a GET request. The path may have a query, as in `/api/notes?limit=3`.
    pub fn get(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::GET, path)
    }

    /// Starts a POST request.
    pub fn post(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::POST, path)
    }

    /// Starts a request of any method.
    pub fn request(&self, method: Method, path: &str) -> TestRequest<'_> {
        TestRequest {
            function: self,
            method,
            target: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Invokes the function with any event, such as that of a schedule or a queue, and returns its
    /// result.
    ///
    /// # Errors
    ///
    /// The message of an invocation that failed. As in a deployed function it has no details: they
    /// are in the function's log. A function of streamed responses serves requests alone.
    pub async fn invoke(&self, event: &Value) -> Result<Value, String> {
        let headers = runtime_headers(self.time_limit);
        let event = event.to_string();
        match &self.function {
            Function::Whole(function) => {
                let result = function.invoke(&event, &headers).await?;
                serde_json::from_str(&result).map_err(|error| error.to_string())
            }
            Function::Streaming(function) => {
                function.invoke(&event, &headers).await?;
                Err("it was a request: send it with `get` or `post`".to_owned())
            }
        }
    }
}

/// A request of a test. `.await` sends it.
#[derive(Debug)]
#[must_use = "a request is sent by `.await`"]
pub struct TestRequest<'a> {
    function: &'a TestFunction,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl TestRequest<'_> {
    /// Adds a header.
    ///
    /// # Panics
    ///
    /// When HTTP knows no such header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes());
        let name = name.unwrap_or_else(|error| panic!("the name of a header: {error}"));
        let value = HeaderValue::from_str(value);
        let value = value.unwrap_or_else(|error| panic!("the value of {name}: {error}"));
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body as JSON, with its content type.
    ///
    /// # Panics
    ///
    /// When the value has no JSON.
    #[track_caller]
    pub fn json(mut self, value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value);
        self.body = json
            .unwrap_or_else(|error| panic!("the body has no JSON: {error}"))
            .into();
        let json = HeaderValue::from_static("application/json");
        self.headers.entry(CONTENT_TYPE).or_insert(json);
        self
    }

    /// Sends the request, and returns the response whose body can be read part by part, as the handler sends it. The
    /// handler waits for its reader. A function whose responses are not streamed sends one part.
    ///
    /// # Panics
    ///
    /// As `.await` on the request does.
    pub async fn stream(self) -> TestStream {
        self.sent().await.unwrap_or_else(|error| self.fail(&error))
    }

    /// Sends the request as an event, and reads the response.
    ///
    /// # Panics
    ///
    /// When the function gives Lambda no HTTP response, or a streamed one breaks off. Errors of a handler and panics
    /// are responses.
    async fn send(self) -> TestResponse {
        let response = async { self.sent().await?.whole().await };
        response.await.unwrap_or_else(|error| self.fail(&error))
    }

    fn fail(&self, error: &str) -> ! {
        panic!(
            "the function did not answer {} {}: {error}",
            self.method, self.target
        )
    }

    async fn sent(&self) -> Result<TestStream, String> {
        let TestFunction {
            function,
            platform,
            time_limit,
        } = self.function;
        let request = EventRequest {
            method: &self.method,
            target: &self.target,
            headers: &self.headers,
            body: &self.body,
        };
        let event = request.to_event(*platform);
        let headers = runtime_headers(*time_limit);
        match function {
            Function::Whole(function) => {
                let response = function.invoke(&event, &headers).await?;
                Ok(TestStream::of_whole(TestResponse::read(&response)?))
            }
            Function::Streaming(function) => {
                Ok(TestStream::new(function.invoke(&event, &headers).await?))
            }
        }
    }
}

impl<'a> IntoFuture for TestRequest<'a> {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// An error of a handler.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

const TIME_LIMIT: Duration = Duration::from_secs(60);
