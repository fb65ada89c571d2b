//! The answers of the runtime to self-checks, before any handler.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, join};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Response};
use lambda_http::{Body, Context as LambdaContext, Request, RequestExt as _};
use serde_json::value::RawValue;
use tokio::sync::OnceCell;
use tokio::time::timeout_at;
use tracing::Instrument as _;

use crate::database::{Database, Databases};
use crate::deadline::Deadline;
use crate::error::ErrorKind;
use crate::lambda::error_response::took_too_long;
use crate::lambda::service::{deadline, finish, for_context, for_invocation, stage_span};
use crate::self_check::{
    self, Program, SelfCheckInvocation, SelfCheckKey, SelfCheckReport, SelfCheckRequest,
};

/// The self-checks of this process. Without a key it takes no request for one.
#[derive(Clone)]
pub(super) struct SelfChecks(Arc<Inner>);

struct Inner {
    key: Option<SelfCheckKey>,
    databases: Databases,
    /// Read with the first self-check.
    program: OnceCell<Program>,
}

impl SelfChecks {
    pub(super) fn new(key: Option<SelfCheckKey>, databases: &Databases) -> Self {
        Self(Arc::new(Inner {
            key,
            databases: databases.clone(),
            program: OnceCell::new(),
        }))
    }

    /// Returns the response to a request that asks for a self-check and is signed. `None` for any
    /// other request, which is the handler's.
    pub(super) fn requested(
        &self,
        request: &Request,
    ) -> Option<BoxFuture<'static, Response<Body>>> {
        let key = self.0.key.clone()?;
        let accepted = accepted(request, &key)?;
        let checks = self.clone();
        let (database, deadline) = for_context(&self.0.databases, request.lambda_context_ref());
        Some(Box::pin(async move {
            let report = SelfCheckReport::answering(&accepted);
            match checks.finished(report, database, deadline).await {
                Some(report) => response(&report, &key),
                None => took_too_long(),
            }
        }))
    }

    /// Returns the result of an invocation whose client context asks for a self-check: the report,
    /// or `None` where it took too long. `None` for any other invocation.
    pub(super) fn invoked(
        &self,
        context: &LambdaContext,
    ) -> Option<BoxFuture<'static, Option<Box<RawValue>>>> {
        let member = context.client_context.as_ref()?.custom.get(MEMBER)?;
        let invocation = SelfCheckInvocation::parse(member)?;
        let databases = &self.0.databases;
        let deadline = deadline(context);
        let arn = &context.invoked_function_arn;
        let database = databases.for_named_stage(invocation.stage(), arn);
        let database = for_invocation(database, deadline);
        let name = &context.env_config.function_name;
        let mut report = SelfCheckReport::answering_invocation(&invocation, name);
        report.stage = databases.named().and_then(Database::stage_if_known);
        let checks = self.clone();
        Some(Box::pin(async move {
            let report = checks.finished(report, database, deadline).await;
            let Some(report) = report else {
                took_too_long();
                return None;
            };
            RawValue::from_string(report.to_json()).ok()
        }))
    }

    /// Finishes a report, and the work that it took. `None` if the invocation has to be answered
    /// before.
    ///
    /// The database is found as by a new process: an instance that was warm before a deploy was replaced
    /// may have credentials that no later one gets. The idle connections are closed: a deploy that is
    /// tested may get no request for long, and each of its functions would hold a connection of the
    /// server's few until its instance ends.
    async fn finished(
        &self,
        report: SelfCheckReport,
        database: Database,
        deadline: Option<Deadline>,
    ) -> Option<SelfCheckReport> {
        let span = stage_span(&database);
        let filled = async {
            close(&database, deadline).await;
            let database = database.of_cold_start();
            let filled = self.filled(report, &database);
            let filled = match deadline {
                None => Some(filled.await),
                Some(deadline) => timeout_at(deadline.handler, filled).await.ok(),
            };
            close(&database, deadline).await;
            filled
        };
        filled.instrument(span).await
    }

    /// Fills in a report, whatever fails.
    async fn filled(&self, mut report: SelfCheckReport, database: &Database) -> SelfCheckReport {
        let program = self.0.program.get_or_init(async || {
            let program = tokio::task::spawn_blocking(Program::of_process);
            program.await.unwrap_or_default()
        });
        let answered = database.ask_version_and_mark(DATABASE_LIMIT);
        let (program, answered) = join(program, answered).await;
        report.program.clone_from(&program.sha256);
        report.migrations.clone_from(&program.migrations);
        let stage = database.stage_if_known();
        report.stage = stage.or(report.stage);
        match answered {
            Ok(answer) => {
                report.server_version = answer.server_version;
                report.mark = answer.marked_stage();
                let is_anothers = stage.is_none_or(|stage| answer.is_of_another_stage(stage));
                match is_anothers {
                    false => report.set_database_ok(),
                    true => report.set_database_failure(ErrorKind::WrongDatabase, false),
                }
            }
            Err(error) => {
                tracing::warn!(
                    reason = %error.report(),
                    "a self-check could not use the database"
                );
                // It only reads: what did not answer in time may be asked again, also a query.
                let is_late = matches!(error.kind(), ErrorKind::Timeout(_));
                report.set_database_failure(error.kind(), is_late || error.is_retryable());
            }
        }
        report
    }
}

/// Ends a database's work, and closes its idle connections.
async fn close(database: &Database, deadline: Option<Deadline>) {
    finish(database, deadline).await;
    match deadline {
        None => database.close().await,
        Some(deadline) => {
            timeout_at(deadline.tidying, database.close()).await.ok();
        }
    }
}

/// Returns the self-check that a request asks for, signed by the key, for this path and in time.
pub(super) fn accepted(request: &Request, key: &SelfCheckKey) -> Option<SelfCheckRequest> {
    let mut headers = request.headers().get_all(HEADER).iter();
    let header = headers.next()?.to_str().ok()?;
    let is_only = headers.next().is_none();
    let is_known = matches!(*request.method(), Method::GET | Method::HEAD | Method::POST);
    if !is_only || !is_known {
        return None;
    }
    SelfCheckRequest::accept(header, key, request.uri().path(), SystemTime::now())
}

fn response(report: &SelfCheckReport, key: &SelfCheckKey) -> Response<Body> {
    let (body, signature) = report.sign(key);
    let mut response = Response::new(Body::Text(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(signature) = HeaderValue::from_str(&signature) {
        headers.insert(HEADER, signature);
    }
    response
}

const HEADER: HeaderName = HeaderName::from_static(self_check::HEADER);

const MEMBER: &str = SelfCheckInvocation::MEMBER;

/// The time that the database has to answer.
const DATABASE_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Error;
    use crate::lambda::event::Payload;
    use crate::lambda::invocation_context::UNKNOWN_DEADLINE;

    const PATH: &str = "/.netlify/functions/guestbook";

    fn key() -> SelfCheckKey {
        SelfCheckKey::parse(&"07".repeat(32)).unwrap()
    }

    fn asked() -> SelfCheckRequest {
        let expiry = SystemTime::now() + SelfCheckRequest::LIFETIME;
        SelfCheckRequest::new("6748d2", "guestbook", "n0nce", expiry)
    }

    fn request(method: &str, path: &str, headers: &[&str]) -> Request {
        let mut request = http::Request::builder().method(method).uri(path);
        for header in headers {
            request = request.header(HEADER, *header);
        }
        request.body(Body::Empty).unwrap()
    }

    /// The self-checks of a process with these variables of its database.
    fn checks(key: Option<SelfCheckKey>, vars: &[(&'static str, &'static str)]) -> SelfChecks {
        SelfChecks::new(key, &Databases::from_vars(vars.iter().copied()))
    }

    /// Nothing listens on this port.
    const UNREACHABLE: [(&str, &str); 3] = [
        ("STAGELINK_STAGE", "production"),
        ("DATABASE_URL", "postgres://u:c4n4ry@127.0.0.1:1/d"),
        ("STAGELINK_RETRY_TIMEOUT_MS", "1"),
    ];

    #[test]
    fn request_is_taken_by_each_method_at_the_functions_own_path_with_one_header() {
        let header = asked().header(&key());
        let is_taken = |request: &Request| accepted(request, &key()).is_some();
        for method in ["GET", "HEAD", "POST"] {
            assert!(is_taken(&request(method, PATH, &[&header])), "{method}");
        }
        assert!(is_taken(&request(
            "GET",
            &format!("{PATH}?a=1"),
            &[&header]
        )));
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"] {
            assert!(!is_taken(&request(method, PATH, &[&header])), "{method}");
        }
        for path in [
            "/",
            "/api/guestbook",
            "/.netlify/functions/guestbook/x",
            "//.netlify/functions/guestbook",
        ] {
            assert!(!is_taken(&request("GET", path, &[&header])), "{path}");
        }
        assert!(!is_taken(&request("GET", PATH, &[])));
        assert!(!is_taken(&request("GET", PATH, &[&header, &header])));
        assert!(!is_taken(&request("GET", PATH, &["v1", &header])));
    }

    #[test]
    fn request_of_either_version_of_events_is_taken() {
        let header = asked().header(&key());
        let url = format!("https://shop.example{PATH}");
        for event in [
            json!({
                "httpMethod": "GET", "path": PATH, "rawUrl": url, "requestContext": {},
                "headers": {"X-Stagelink-Self-Check": header},
                "multiValueHeaders": {"X-Stagelink-Self-Check": [header]},
            }),
            json!({
                "version": "2.0", "rawPath": PATH, "rawQueryString": "",
                "headers": {"x-stagelink-self-check": header},
                "requestContext": {"http": {"method": "GET", "path": PATH}},
            }),
        ] {
            let Ok(Payload::Request(_, Ok(request))) = serde_json::from_str(&event.to_string())
            else {
                panic!("{event}");
            };
            assert_eq!(accepted(&request, &key()), Some(asked_like(&request)));
        }
    }

    /// The request that its header says.
    fn asked_like(request: &Request) -> SelfCheckRequest {
        let header = request.headers()[&HEADER].to_str().unwrap();
        SelfCheckRequest::accept(header, &key(), PATH, SystemTime::now()).unwrap()
    }

    #[tokio::test]
    async fn database_that_is_out_of_reach_is_reported_and_signed() {
        let checks = checks(Some(key()), &UNREACHABLE);
        let asked = asked();
        let request = request("GET", PATH, &[&asked.header(&key())]);
        let response = checks.requested(&request).expect("a self-check").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let header = response.headers()[&HEADER].to_str().unwrap();
        let report = SelfCheckReport::verify(response.body(), Some(header), &key(), &asked);
        let report = report.unwrap();
        assert_eq!(report.stage.unwrap().name(), "production");
        assert!(!report.is_database_ok());
        assert_eq!((report.mark, report.server_version), (None, None));
        assert_eq!(report.program.map(|digest| digest.len()), Some(64));
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(!body.contains("c4n4ry"));
    }

    #[tokio::test]
    async fn function_without_a_usable_stage_reports_that() {
        let error = Error::new(ErrorKind::Stage, "no stage, c4n4ry");
        let databases = Databases::from(Database::new(Err(error)));
        let checks = SelfChecks::new(Some(key()), &databases);
        let request = request("GET", PATH, &[&asked().header(&key())]);
        let response = checks.requested(&request).expect("a self-check").await;
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(body.contains(r#""stage":null"#), "{body}");
        assert!(body.contains(r#""database":"stage""#), "{body}");
        assert!(!body.contains("c4n4ry"));
    }

    #[test]
    fn process_without_a_key_takes_no_request() {
        let request = request("GET", PATH, &[&asked().header(&key())]);
        assert!(checks(None, &UNREACHABLE).requested(&request).is_none());
    }

    fn context(member: &str, arn: &str) -> LambdaContext {
        let mut context = LambdaContext::default();
        arn.clone_into(&mut context.invoked_function_arn);
        context.deadline = UNKNOWN_DEADLINE;
        let custom = json!({"custom": {MEMBER: member}});
        context.client_context = serde_json::from_value(json!({
            "client": {
                "installation_id": "", "app_title": "", "app_version_name": "",
                "app_version_code": "", "app_package_name": "",
            },
            "custom": custom["custom"], "environment": {},
        }))
        .unwrap();
        context
    }

    #[tokio::test]
    async fn direct_invoke_reports_a_stage_that_contradicts() {
        let checks = checks(None, &UNREACHABLE);
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:guestbook:7";
        for (stage, database) in [("staging", "stage"), ("production", "database-unreachable")] {
            let member = json!({"stage": stage, "nonce": "n0nce"}).to_string();
            let report = checks
                .invoked(&context(&member, arn))
                .expect("a self-check");
            let report = report.await.expect("a report");
            let report: serde_json::Value = serde_json::from_str(report.get()).unwrap();
            assert_eq!(report["stage"], "production");
            assert_eq!(
                (&report["nonce"], &report["deploy"]),
                (&json!("n0nce"), &json!(null))
            );
            assert_eq!(report["database"], database);
        }
        for member in ["", "{}", r#"{"stage":"prod","nonce":"1"}"#] {
            assert!(checks.invoked(&context(member, arn)).is_none(), "{member}");
        }
        assert!(checks.invoked(&LambdaContext::default()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn self_check_ends_before_its_invocation_does() {
        let checks = checks(None, &UNREACHABLE);
        let member = json!({"stage": "production", "nonce": "n0nce"}).to_string();
        let mut context = context(&member, "");
        // Over already.
        context.deadline = 1_700_000_000_000;
        let report = checks.invoked(&context).expect("a self-check").await;
        assert!(report.is_none());
    }
}
