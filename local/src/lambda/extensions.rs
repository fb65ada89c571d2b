//! The Extensions API, for extensions inside the function's process.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>,
//! as of November 2026. Internal extensions receive INVOKE events only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

/// The extensions of one instance.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    init_over: AtomicBool,
    by_id: Mutex<HashMap<String, Extension>>,
}

#[derive(Debug)]
struct Extension {
    receives_invoke: bool,
    sender: mpsc::Sender<Bytes>,
    events: Arc<tokio::sync::Mutex<mpsc::Receiver<Bytes>>>,
}

/// The `errorType` of the response to a refused request of an extension.
pub(super) type ExtensionErrorType = &'static str;

impl Extensions {
    /// Registers an extension for the events that its request names. Returns the identifier that
    /// the extension must send from now on.
    pub(super) fn register(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<String, ExtensionErrorType> {
        if self.init_over.load(Ordering::Relaxed) {
            return Err("Extension.RegistrationClosed");
        }
        if !headers.contains_key("lambda-extension-name") {
            return Err("Extension.InvalidExtensionName");
        }
        let request: Value =
            serde_json::from_slice(body).map_err(|_| "Extension.InvalidRequestFormat")?;
        let events = request["events"].as_array().map_or(&[][..], Vec::as_slice);
        if events.iter().any(|event| event == "SHUTDOWN") {
            return Err("ShutdownEventNotSupportedForInternalExtension");
        }
        if events.iter().any(|event| event != "INVOKE") {
            return Err("Extension.InvalidEventType");
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let extension = Extension {
            receives_invoke: !events.is_empty(),
            sender,
            events: Arc::new(tokio::sync::Mutex::new(receiver)),
        };
        let id = Uuid::new_v4().to_string();
        self.by_id().insert(id.clone(), extension);
        Ok(id)
    }

    /// Waits for the next event of the extension that the headers name.
    pub(super) async fn next(&self, headers: &HeaderMap) -> Result<Bytes, ExtensionErrorType> {
        let id = headers
            .get(IDENTIFIER)
            .and_then(|id| id.to_str().ok())
            .ok_or("Extension.MissingExtensionIdentifier")?;
        let events = self
            .by_id()
            .get(id)
            .map(|extension| Arc::clone(&extension.events))
            .ok_or("Extension.UnknownExtensionIdentifier")?;
        // The map keeps the sender for ever, so `recv` waits until there is an event.
        let event = events.lock().await.recv().await;
        event.ok_or("Extension.UnknownExtensionIdentifier")
    }

    /// Refuses registrations from now on, because INIT is over.
    pub(super) fn close_registration(&self) {
        self.init_over.store(true, Ordering::Relaxed);
    }

    /// Sends an INVOKE event to the extensions that registered for it.
    pub(super) fn notify_invoke(
        &self,
        request_id: &str,
        arn: &str,
        trace_id: &str,
        deadline_ms: u128,
    ) {
        let event = json!({
            "eventType": "INVOKE",
            "deadlineMs": deadline_ms,
            "requestId": request_id,
            "invokedFunctionArn": arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id},
        });
        let event = Bytes::from(event.to_string());
        for extension in self.by_id().values().filter(|it| it.receives_invoke) {
            // An extension whose queue is full has stopped asking for events.
            let _ = extension.sender.try_send(event.clone());
        }
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<String, Extension>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Name of the header with an extension's identifier.
pub(super) const IDENTIFIER: &str = "lambda-extension-identifier";

const QUEUE: usize = 1024;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn named() -> HeaderMap {
        HeaderMap::from_iter([(
            "lambda-extension-name".parse().unwrap(),
            HeaderValue::from_static("probe"),
        )])
    }

    #[tokio::test]
    async fn registered_extension_gets_invoke_events() {
        let extensions = Extensions::default();
        let id = extensions
            .register(&named(), br#"{"events":["INVOKE"]}"#)
            .unwrap();
        extensions.notify_invoke("request", "arn", "trace", 7);
        let mut headers = HeaderMap::new();
        headers.insert(IDENTIFIER, id.parse().unwrap());
        let event: Value =
            serde_json::from_slice(&extensions.next(&headers).await.unwrap()).unwrap();
        assert_eq!(event["eventType"], "INVOKE");
        assert_eq!(event["requestId"], "request");
        assert_eq!(event["deadlineMs"], 7);
    }

    #[tokio::test]
    async fn requests_that_lambda_refuses_are_refused() {
        let extensions = Extensions::default();
        let refused = |body: &[u8]| extensions.register(&named(), body).unwrap_err();
        assert_eq!(
            refused(br#"{"events":["SHUTDOWN"]}"#),
            "ShutdownEventNotSupportedForInternalExtension"
        );
        assert_eq!(
            refused(br#"{"events":["OTHER"]}"#),
            "Extension.InvalidEventType"
        );
        assert_eq!(
            extensions.next(&HeaderMap::new()).await.unwrap_err(),
            "Extension.MissingExtensionIdentifier"
        );
        extensions.close_registration();
        assert_eq!(refused(br#"{"events":[]}"#), "Extension.RegistrationClosed");
    }
}
