//! Events in each platform's format, sent to a function that reports the request that it received.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use stagelink::{Database, Settings};
use stagelink_local::lambda::{Function, InvokeError};
use stagelink_tests::{CANARY, HerokuFixture, functions, migrate, sdk_example};

/// Bytes that are no valid UTF-8: the first of a PNG.
const BYTES: &[u8] = &[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0xff];

pub(crate) const COOKIES: [&str; 2] = ["one=1; Path=/", "two=2; Path=/"];

/// The function `echo`, with the fixture of its database.
pub(crate) struct Echo {
    pub(crate) function: Function,
    pub(crate) fixture: HerokuFixture,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let fixture = HerokuFixture::new().await;
        let function = fixture.start("echo", &sdk_example("echo").await);
        Self { function, fixture }
    }

    /// Sends an event and returns the function's response in the format of the Runtime API.
    pub(crate) async fn answer(&self, event: &Value) -> Value {
        let answer = self.answer_of_any_status(event).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        answer
    }

    /// Sends an event and returns the function's response, whatever its status.
    pub(crate) async fn answer_of_any_status(&self, event: &Value) -> Value {
        let answer = self.function.invoke(Bytes::from(event.to_string())).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.fixture.log()));
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// Sends an event and returns the request as the function parsed it.
    pub(crate) async fn request_of(&self, event: &Value) -> Value {
        let answer = self.answer(event).await;
        assert_eq!(answer["isBase64Encoded"], false);
        serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON")
    }

    /// Sends bytes and checks that they come back.
    async fn check_bytes_are_echoed(&self, mut event: Value, path: &str) {
        event[path] = json!("/bytes");
        event["body"] = json!(BASE64_STANDARD.encode(BYTES));
        event["isBase64Encoded"] = json!(true);
        let answer = self.answer(&event).await;
        assert_eq!(answer["isBase64Encoded"], true, "{answer}");
        assert_eq!(answer["body"], BASE64_STANDARD.encode(BYTES));
    }
}

/// Event of API Gateway's REST API, or of Netlify.
pub(crate) fn rest() -> Value {
    json!({
        "resource": "/{proxy+}", "path": "/api/echo", "httpMethod": "POST",
        "headers": {"Host": "shop.example", "Accept": "text/html", "Cookie": "a=1; b=2"},
        "multiValueHeaders": {
            "Host": ["shop.example"], "Accept": ["text/html", "text/plain"],
            "Cookie": ["a=1; b=2"],
        },
        "queryStringParameters": {"tag": "two", "q": "x y"},
        "multiValueQueryStringParameters": {"tag": ["one", "two"], "q": ["x y"]},
        "pathParameters": {"proxy": "api/echo"}, "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012", "apiId": "1234567890", "httpMethod": "POST",
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "test"},
            "path": "/api/echo", "protocol": "HTTP/1.1", "requestId": "id",
            "requestTimeEpoch": 1_767_225_600_000_i64, "resourcePath": "/{proxy+}",
        },
        "body": "{\"greeting\":\"hello\"}", "isBase64Encoded": false,
    })
}

/// Event of API Gateway's HTTP API; a function URL sends the same.
pub(crate) fn http(domain: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/api/echo",
        "rawQueryString": "tag=one&tag=two&q=x%20y",
        "cookies": ["a=1", "b=2"],
        "headers": {"host": domain, "accept": "text/html,text/plain"},
        "queryStringParameters": {"tag": "one,two", "q": "x y"},
        "requestContext": {
            "accountId": "anonymous", "apiId": "1234567890", "domainName": domain,
            "domainPrefix": "1234567890", "requestId": "id", "routeKey": "$default",
            "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_i64,
            "http": {
                "method": "POST", "path": "/api/echo", "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "test",
            },
        },
        "body": "{\"greeting\":\"hello\"}", "isBase64Encoded": false,
    })
}

/// Event of a load balancer, whose target group sends one value per name or several.
pub(crate) fn load_balancer(several: bool) -> Value {
    let mut event = json!({
        "requestContext": {"elb": {
            "targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:\
                               targetgroup/shop/0123456789abcdef",
        }},
        "httpMethod": "POST", "path": "/api/echo",
        "body": "{\"greeting\":\"hello\"}", "isBase64Encoded": false,
    });
    if several {
        event["multiValueHeaders"] = json!({
            "host": ["shop.example"], "accept": ["text/html", "text/plain"],
            "cookie": ["a=1; b=2"],
        });
        event["multiValueQueryStringParameters"] = json!({"tag": ["one", "two"], "q": ["x%20y"]});
    } else {
        event["headers"] = json!({
            "host": "shop.example", "accept": "text/html", "cookie": "a=1; b=2",
        });
        event["queryStringParameters"] = json!({"tag": "two", "q": "x%20y"});
    }
    event
}

fn assert_request(request: &Value, tags: &[&str]) {
    assert_eq!(request["method"], "POST");
    assert_eq!(request["path"], "/api/echo");
    assert_eq!(request["body"], "{\"greeting\":\"hello\"}");
    assert_eq!(request["headers"]["cookie"][0], "a=1; b=2");
    let query = request["query"].as_array().cloned().unwrap_or_default();
    let values = |name: &str| -> Vec<String> {
        let own = query.iter().filter(|pair| pair[0] == name);
        own.map(|pair| pair[1].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(values("tag"), tags, "{request}");
    assert_eq!(values("q"), ["x y"], "{request}");
}

#[tokio::test]
async fn rest_api_and_netlify_are_answered_with_every_cookie() {
    let echo = Echo::start().await;
    let request = echo.request_of(&rest()).await;
    assert_request(&request, &["one", "two"]);
    let answer = echo.answer(&rest()).await;
    assert_eq!(answer["multiValueHeaders"]["set-cookie"], json!(COOKIES));
    echo.check_bytes_are_echoed(rest(), "path").await;
    echo.function.shutdown().await;
}

#[tokio::test]
async fn http_api_and_function_url_are_answered_with_every_cookie() {
    let echo = Echo::start().await;
    for domain in [
        "1234567890.execute-api.us-east-1.amazonaws.com",
        "1234567890.lambda-url.us-east-1.on.aws",
    ] {
        let request = echo.request_of(&http(domain)).await;
        assert_request(&request, &["one", "two"]);
        let trace_id = request["headers"]["x-amzn-trace-id"][0].as_str();
        assert!(
            trace_id.is_some_and(|id| id.starts_with("Root=")),
            "{request}"
        );
        let answer = echo.answer(&http(domain)).await;
        assert_eq!(answer["cookies"], json!(COOKIES));
        echo.check_bytes_are_echoed(http(domain), "rawPath").await;
    }
    echo.function.shutdown().await;
}

#[tokio::test]
async fn load_balancer_of_either_kind_is_answered() {
    let echo = Echo::start().await;
    for (several, tags) in [(true, ["one", "two"].as_slice()), (false, &["two"])] {
        let request = echo.request_of(&load_balancer(several)).await;
        assert_request(&request, tags);
        let answer = echo.answer(&load_balancer(several)).await;
        let (headers, cookies) = if several {
            ("multiValueHeaders", json!({"set-cookie": COOKIES}))
        } else {
            let [one, two] = COOKIES;
            ("headers", json!({"set-cookie": one, "Set-cookie": two}))
        };
        for (name, cookie) in cookies.as_object().expect("cookies") {
            assert_eq!(answer[headers][name], *cookie, "{answer}");
        }
        assert_eq!(answer["statusDescription"], "200 OK");
        echo.check_bytes_are_echoed(load_balancer(several), "path")
            .await;
    }
    echo.function.shutdown().await;
}

#[tokio::test]
async fn null_header_of_offline_netlify_dev_is_ignored() {
    let echo = Echo::start().await;
    let mut event = rest();
    event["headers"]["x-nf-account-id"] = Value::Null;
    event["multiValueHeaders"]["x-nf-account-id"] = json!([null]);
    let request = echo.request_of(&event).await;
    assert_request(&request, &["one", "two"]);
    assert_eq!(request["headers"]["x-nf-account-id"], Value::Null);
    echo.function.shutdown().await;
}

/// Requests that `lambda_http` alone answers by a panic, or with another path or query.
#[tokio::test]
async fn request_reaches_the_handler_as_it_was_sent() {
    let echo = Echo::start().await;
    let set = |mut event: Value, members: &[(&str, Value)]| {
        for (pointer, value) in members {
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            event.pointer_mut(parent).expect("a parent")[name] = value.clone();
        }
        event
    };
    let url = "1234567890.lambda-url.us-east-1.on.aws";
    let netlify = set(
        rest(),
        &[
            (
                "/rawUrl",
                json!("https://shop.example/api/echo?tag=one&q=x%20y&tag=two"),
            ),
            ("/rawQuery", json!("tag=one&q=x%20y&tag=two")),
        ],
    );
    let proto = json!("https,https");
    // The members of a JSON object of these tests are in alphabetical order.
    let query = "q=x+y&tag=one&tag=two";
    for (event, expected) in [
        (
            netlify,
            "https://shop.example/api/echo?tag=one&q=x%20y&tag=two".to_owned(),
        ),
        (
            set(rest(), &[("/headers/x-forwarded-proto", proto.clone())]),
            format!("https://shop.example/api/echo?{query}"),
        ),
        (
            set(
                rest(),
                &[(
                    "/multiValueHeaders/x-forwarded-proto",
                    json!(["http, https"]),
                )],
            ),
            format!("http://shop.example/api/echo?{query}"),
        ),
        (
            set(http(url), &[("/headers/x-forwarded-proto", proto)]),
            format!("https://{url}/api/echo?tag=one&tag=two&q=x%20y"),
        ),
        (
            set(http(url), &[("/rawQueryString", json!("z=a b&a=\"#<é>"))]),
            format!("https://{url}/api/echo?z=a%20b&a=%22%23%3C%C3%A9%3E"),
        ),
        (
            set(http(url), &[("/rawPath", json!("/what?/#1/%2e%2e/../\"x"))]),
            format!("https://{url}/what%3F/%231/%2e%2e/../%22x?tag=one&tag=two&q=x%20y"),
        ),
        (
            set(rest(), &[("/path", json!("/api/echo/%2e%2e/admin"))]),
            format!("https://shop.example/api/echo/%2e%2e/admin?{query}"),
        ),
        (
            set(
                load_balancer(false),
                &[("/path", json!("a b?")), ("/headers/host", json!(""))],
            ),
            "/a%20b%3F?q=x%20y&tag=two".to_owned(),
        ),
        (
            set(
                load_balancer(true),
                &[("/multiValueHeaders/host", json!(["a b", "x\ny"]))],
            ),
            "/api/echo?q=x%20y&tag=one&tag=two".to_owned(),
        ),
        (
            set(http(url), &[("/headers/host", json!("a@b:c/"))]),
            format!("https://{url}/api/echo?tag=one&tag=two&q=x%20y"),
        ),
    ] {
        let request = echo.request_of(&event).await;
        assert_eq!(request["uri"], *expected, "{event}");
    }
    assert_eq!(echo.function.started_count(), 1);
    echo.function.shutdown().await;
}

#[tokio::test]
async fn bad_header_costs_that_header() {
    let echo = Echo::start().await;
    for mut event in [
        rest(),
        http("shop.example"),
        load_balancer(false),
        load_balancer(true),
    ] {
        let headers = if event["multiValueHeaders"].is_object() {
            "multiValueHeaders"
        } else {
            "headers"
        };
        event[headers]["x-line"] = json!("a\nforged: b");
        event[headers]["x name"] = json!("a");
        event[headers]["x-object"] = json!({"a": 1});
        event[headers]["x-list"] = json!(["one", null, "t\u{0}wo", "three"]);
        event[headers]["x-number"] = json!(7);
        let request = echo.request_of(&event).await;
        let received = request["headers"].as_object().expect("headers");
        assert_eq!(received["x-list"], json!(["one", "three"]), "{event}");
        assert_eq!(received["x-number"], json!(["7"]));
        for lost in ["x-line", "x name", "x-object", "forged"] {
            assert!(!received.contains_key(lost), "{lost}");
        }
        assert_eq!(request["body"], "{\"greeting\":\"hello\"}");
    }
    let request = echo.request_of(&rest()).await;
    assert_eq!(
        request["headers"]["accept"],
        json!(["text/html", "text/plain"])
    );
    echo.function.shutdown().await;
}

#[tokio::test]
async fn request_that_http_cannot_hold_is_answered_400_or_414() {
    let echo = Echo::start().await;
    for (member, value, status) in [
        ("httpMethod", json!("GE T"), 400),
        ("body", json!("no base64"), 400),
        ("path", json!("/é".repeat(20_000)), 414),
    ] {
        let mut event = rest();
        event["isBase64Encoded"] = json!(member == "body");
        event[member] = value;
        let answer = echo.function.invoke(Bytes::from(event.to_string())).await;
        let answer: Value = serde_json::from_slice(&answer.expect("an answer")).expect("JSON");
        assert_eq!(answer["statusCode"], status, "{answer}");
    }
    assert_eq!(echo.function.started_count(), 1);
    echo.function.shutdown().await;
}

/// Any caller of a function chooses its client context.
#[tokio::test]
async fn client_context_of_any_kind_ends_no_process() {
    let echo = Echo::start().await;
    for context in [
        r#"{"custom":{"netlify":{"nested":[1]}},"user":{"name":"x"}}"#,
        r#"{"client":{"app_title":"x"}}"#,
        "null",
        "[]",
        "7",
        "no JSON",
        "{\"half\":",
        "é",
    ] {
        let function = echo
            .function
            .with_client_context(context)
            .expect("a header");
        let answer = function.invoke(Bytes::from(rest().to_string())).await;
        let answer = answer.unwrap_or_else(|error| panic!("{context}: {error}"));
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["statusCode"], 200, "{context}: {answer}");
    }
    assert_eq!(echo.function.started_count(), 1);
    echo.function.shutdown().await;
}

#[tokio::test]
async fn line_of_the_log_names_the_stage() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("RUST_LOG", "info");
    let function = fixture.start("guestbook", &functions().await["guestbook"]);
    // There is no table: the error is logged.
    let answer = fixture.ask(&function, "GET", "/api/guestbook", None).await;
    assert_eq!(answer.status, 500);
    let log = fixture.log();
    let line = log.lines().find(|line| line.contains("the request failed"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("stage=staging"), "{line}");
    function.shutdown().await;
}

/// A batch of a queue, of these ids and names.
fn batch(messages: &[(&str, &str)]) -> Value {
    let records: Vec<Value> = messages
        .iter()
        .map(|(id, name)| {
            let body = json!({"name": name, "message": "hello"}).to_string();
            json!({"messageId": id, "body": body, "eventSource": "aws:sqs"})
        })
        .collect();
    json!({"Records": records})
}

#[tokio::test]
async fn queue_has_each_message_written_once_and_failures_delivered_again() {
    for shows_detail in [false, true] {
        let mut fixture = HerokuFixture::new().await;
        migrate(&fixture.variables).await;
        let settings = Settings::from_vars(&fixture.variables);
        let link = Database::new(settings);
        let db = link.client().await.expect("a connection");
        db.batch_execute("CREATE UNIQUE INDEX ON guestbook (name)")
            .await
            .expect("an index");
        if shows_detail {
            fixture.set("STAGELINK_LOG_DETAIL", "true");
        }
        let function = fixture.start("queue", &sdk_example("queue").await);
        let send = async |event: &Value| -> Value {
            let answer = function.invoke(Bytes::from(event.to_string())).await;
            let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", fixture.log()));
            serde_json::from_slice(&answer).expect("JSON")
        };
        let forged = "ada@customer.example\nERROR forged\u{1b}[2J";
        let first = batch(&[("1", forged), ("2", ""), ("3", "Bob")]);
        let failed = |ids: &[&str]| {
            let failed: Vec<_> = ids.iter().map(|id| json!({"itemIdentifier": id})).collect();
            json!({"batchItemFailures": failed})
        };
        assert_eq!(send(&first).await, failed(&["2"]));
        assert_eq!(send(&first).await, failed(&["2"]), "delivered again");
        let mut next = batch(&[("4", forged), ("5", "Eve")]);
        next["Records"][1]["body"] = json!("no JSON");
        assert_eq!(send(&next).await, failed(&["4", "5"]));
        assert_eq!(
            send(&json!({"source": "aws.events"})).await,
            json!({"stage": "staging"})
        );
        let count = fixture.ask(&function, "GET", "/api/queue", None).await;
        assert_eq!(count.text(), "2");
        assert_eq!(function.started_count(), 1);
        let log = fixture.log();
        assert!(log.contains("duplicate key value"), "{log}");
        assert_eq!(log.contains("customer.example"), shows_detail, "{log}");
        assert!(
            !log.lines().any(|line| line.starts_with("ERROR forged")),
            "{log}"
        );
        function.shutdown().await;
    }
}

#[tokio::test]
async fn event_that_is_no_request_is_refused_and_the_process_survives() {
    let echo = Echo::start().await;
    let queue = json!({"Records": [{
        "messageId": "1", "body": CANARY, "eventSource": "aws:sqs",
    }]});
    for (event, reason) in [
        (queue.to_string(), "an object with Records"),
        (json!({}).to_string(), "an object without a member"),
        (json!("hello").to_string(), "no object"),
        ("{\"half\":".to_owned(), "EOF while parsing"),
        (String::new(), "EOF while parsing"),
    ] {
        let refused = echo.function.invoke(Bytes::from(event.clone())).await;
        let Err(InvokeError::Function { error_message, .. }) = refused else {
            panic!("{event}: {refused:?}");
        };
        assert!(error_message.contains(reason), "{event}: {error_message}");
        assert!(!error_message.contains(CANARY));
    }
    let not_utf8 = Bytes::from_static(b"{\"path\":\"\xff\"}");
    assert!(echo.function.invoke(not_utf8).await.is_err());
    assert_request(&echo.request_of(&rest()).await, &["one", "two"]);
    assert_eq!(echo.function.started_count(), 1);
    echo.function.shutdown().await;
}
