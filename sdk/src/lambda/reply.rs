//! Responses to invocations, on their way to the Lambda Runtime API.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderValue;
use http::header::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use lambda_http::LambdaEvent;
use lambda_http::lambda_runtime::LambdaInvocation;
use serde_json::value::RawValue;
use tower_service::Service;

use crate::lambda::adapter::EventRefused;
use crate::lambda::event::Payload;
use crate::lambda::runtime_api::{ApiBody, BoxError, RuntimeApi};

/// The service of invocations around one of events: it sends their responses.
#[derive(Clone)]
pub(super) struct Replies<S> {
    api: RuntimeApi,
    service: S,
}

/// A response to an event.
pub(super) trait Reply: Send {
    /// Sends the response.
    fn send(self, to: ReplyTo) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// The invocation that a response belongs to.
pub(super) struct ReplyTo {
    api: RuntimeApi,
    request_id: String,
    delivery: Option<HeaderValue>,
}

impl<S> Replies<S> {
    pub(super) fn new(api: &RuntimeApi, service: S) -> Self {
        Self {
            api: api.clone(),
            service,
        }
    }
}

impl<S> Service<LambdaInvocation> for Replies<S>
where
    S: Service<LambdaEvent<Payload>, Error = EventRefused>,
    S::Response: Reply,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let LambdaInvocation {
            parts,
            body,
            context,
        } = invocation;
        let to = ReplyTo {
            api: self.api.clone(),
            request_id: context.request_id.clone(),
            delivery: RuntimeApi::delivery(&parts.headers),
        };
        let answered = serde_json::from_slice(&body)
            .map(|payload| self.service.call(LambdaEvent::new(payload, context)))
            .map_err(|error| EventRefused::no_json(&error));
        Box::pin(async move {
            let reply = match answered {
                Ok(answered) => answered.await,
                Err(refused) => Err(refused),
            };
            match reply {
                Ok(reply) => reply.send(to).await,
                Err(refused) => to.api.refuse(&to.request_id, to.delivery, refused).await,
            }
        })
    }
}

impl ReplyTo {
    /// Sends the body and the headers of a response.
    pub(super) async fn send(self, headers: HeaderMap, body: ApiBody) -> Result<(), BoxError> {
        let (request_id, delivery) = (&self.request_id, self.delivery);
        self.api.reply(request_id, delivery, headers, body).await
    }
}

impl Reply for Box<RawValue> {
    async fn send(self, to: ReplyTo) -> Result<(), BoxError> {
        to.send(HeaderMap::new(), whole(self)).await
    }
}

/// Returns a response that is JSON as the body of a request.
fn whole(reply: Box<RawValue>) -> ApiBody {
    Full::from(String::from(Box::<str>::from(reply))).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use lambda_http::Request;
    use lambda_http::lambda_runtime::Config;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::database::{Database, Databases};
    use crate::error::{Error, ErrorKind};
    use crate::lambda::IntoService as _;
    use crate::lambda::adapter::{EventHandler, Events};
    use crate::lambda::self_check::SelfChecks;
    use crate::lambda::service::HandlerService;

    /// The requests to a Runtime API that has these events, by connection.
    type Connections = Arc<Mutex<Vec<Vec<(String, String)>>>>;

    /// Reads a request: its path and body.
    async fn receive(tcp: &mut BufReader<TcpStream>) -> Option<(String, String)> {
        let mut first = String::new();
        tcp.read_line(&mut first)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            tcp.read_line(&mut line).await.ok()?;
            match line.trim_end().split_once(": ") {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok()?;
                }
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        tcp.read_exact(&mut body).await.ok()?;
        let path = first.split(' ').nth(1)?.to_owned();
        Some((path, String::from_utf8(body).ok()?))
    }

    async fn serve(listener: TcpListener, mut events: Vec<&'static str>, seen: Connections) {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            seen.lock().unwrap().push(Vec::new());
            let mut tcp = BufReader::new(tcp);
            while let Some((path, body)) = receive(&mut tcp).await {
                let is_next = path.ends_with("/next");
                let next = is_next.then(|| events.pop());
                seen.lock().unwrap().last_mut().unwrap().push((path, body));
                let response = match next {
                    None => "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    // The loop ends.
                    Some(None) => "HTTP/1.1 500 Over\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    Some(Some(event)) => format!(
                        "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: 7\r\n\
                         lambda-runtime-invocation-id: d\r\ncontent-length: {}\r\n\r\n{event}",
                        event.len()
                    ),
                };
                tcp.write_all(response.as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn events_and_responses_take_one_connection() {
        let request = r#"{"httpMethod": "GET", "path": "/", "requestContext": {}}"#;
        let events = vec!["no json", r#"{"Records": []}"#, request, request];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let api = RuntimeApi::with_config(&address, Config::default());
        let seen = Connections::default();
        let server = tokio::spawn(serve(listener, events, Arc::clone(&seen)));

        let database = Database::new(Err(Error::new(ErrorKind::Stage, "no stage")));
        let databases = Databases::from(database);
        let handler = |_: Request| async { Ok::<_, Infallible>("hello") };
        let service = HandlerService::new(handler.into_service(), &databases);
        let self_checks = SelfChecks::new(None, &databases);
        let events = Events::new(service, EventHandler::none(), &self_checks);
        let replies = Replies::new(&api, events);
        api.serve(replies).await.unwrap_err();
        server.abort();

        let seen = seen.lock().unwrap();
        let [requests] = &seen[..] else {
            panic!("{} connections", seen.len());
        };
        let paths: Vec<&str> = requests
            .iter()
            .map(|(path, _)| path.trim_start_matches("/2018-06-01/runtime/invocation/"))
            .collect();
        let expected = [
            "next",
            "7/response",
            "next",
            "7/response",
            "next",
            "7/error",
            "next",
            "7/error",
            "next",
        ];
        assert_eq!(paths, expected);
        assert!(requests[1].1.contains(r#""body":"hello""#), "{requests:?}");
        for (at, reason) in [(5, "an object with Records"), (7, "the event is no JSON: ")] {
            let refused = &requests[at].1;
            assert!(refused.contains("stagelink.EventRefused"), "{refused}");
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
