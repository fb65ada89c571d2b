//! Nulls in the events of each platform, and members of other types than the platform documents.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::events::{Echo, http, load_balancer, rest};

/// Events of each format, with all members of their contexts.
fn events() -> Vec<(&'static str, Value)> {
    let mut api = rest();
    merge(
        &mut api["requestContext"],
        json!({
            "authorizer": {"principalId": "user", "claims": {"sub": "1", "none": null}},
            "domainName": "shop.example", "domainPrefix": "shop", "extendedRequestId": "id",
            "identity": {
                "accessKey": "key", "accountId": "1", "apiKey": "key", "apiKeyId": "id",
                "caller": "caller", "cognitoIdentityId": "id", "user": "user", "userArn": "arn",
                "clientCert": {"validity": {"notBefore": "today"}},
            },
            "operationName": "echo", "requestTime": "now", "resourceId": "id",
        }),
    );
    // Netlify has no context, or one without a method.
    let mut netlify = rest();
    netlify["requestContext"] = json!({"identity": {"sourceIp": null}, "stage": null});
    netlify["rawUrl"] = json!("https://shop.example/api/echo?q=x%20y");
    netlify["rawQuery"] = json!("q=x%20y");
    let mut gateway = http("shop.example");
    merge(
        &mut gateway["requestContext"],
        json!({
            "authentication": {"clientCert": {
                "clientCertPem": "PEM", "issuerDN": "CN=a", "serialNumber": "1",
                "subjectDN": "CN=b", "validity": {"notAfter": "a", "notBefore": "b"},
            }},
            "authorizer": {
                "jwt": {"claims": {"sub": "1", "scope": "read"}, "scopes": ["read", "write"]},
                "lambda": {"list": [1, 2], "text": "a"},
            },
        }),
    );
    gateway["pathParameters"] = json!({"proxy": "api/echo"});
    gateway["stageVariables"] = json!({"color": "blue"});
    let mut url = http("1234567890.lambda-url.us-east-1.on.aws");
    url["requestContext"]["authorizer"] = json!({"iam": {
        "accessKey": "key", "accountId": "1", "callerId": "1", "principalOrgId": "1",
        "userArn": "arn", "userId": "1",
        "cognitoIdentity": {"amr": ["a", "b"], "identityId": "1", "identityPoolId": "1"},
    }});
    vec![
        ("API Gateway, REST API", api),
        ("Netlify", netlify),
        ("API Gateway, HTTP API", gateway),
        ("function URL", url),
        ("load balancer, single values", load_balancer(false)),
        ("load balancer, lists", load_balancer(true)),
    ]
}

fn merge(context: &mut Value, members: Value) {
    let Value::Object(members) = members else {
        panic!("no object");
    };
    let context: &mut Map<_, _> = context.as_object_mut().expect("an object");
    for (name, member) in members {
        match (context.get_mut(&name), member) {
            (Some(known @ Value::Object(_)), member) => merge(known, member),
            (_, member) => drop(context.insert(name, member)),
        }
    }
}

/// Returns the pointers of all members and elements.
fn pointers(value: &Value, parent: &str) -> Vec<String> {
    let within: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, one)| (name.clone(), one))
            .collect(),
        Value::Array(elements) => {
            let numbered = elements.iter().enumerate();
            numbered.map(|(at, one)| (at.to_string(), one)).collect()
        }
        _ => Vec::new(),
    };
    let mut all = Vec::new();
    for (name, member) in within {
        let pointer = format!("{parent}/{name}");
        all.extend(pointers(member, &pointer));
        all.push(pointer);
    }
    all
}

/// Members that tell a request from other events, or that no request is without.
const NEEDED: [&str; 3] = [
    "/httpMethod",
    "/requestContext/http",
    "/requestContext/http/method",
];

#[tokio::test]
async fn null_in_an_event_counts_as_absent() {
    let echo = Echo::start().await;
    for (platform, event) in events() {
        let whole = echo.request_of(&event).await;
        let of_context = |pointer: &str| pointer.starts_with("/requestContext");
        // Without the context a load balancer's event counts as that of a REST API.
        let of_balancer = platform.starts_with("load");
        for pointer in pointers(&event, "") {
            let is_needed = NEEDED.contains(&&*pointer)
                || pointer == "/requestContext" && event["httpMethod"].is_null();
            if is_needed {
                continue;
            }
            let mut event = event.clone();
            *event.pointer_mut(&pointer).expect("a member") = Value::Null;
            let request = echo.request_of(&event).await;
            assert_eq!(request["method"], "POST", "{platform}: {pointer}");
            if of_context(&pointer) && !of_balancer {
                for member in ["uri", "body"] {
                    assert_eq!(request[member], whole[member], "{platform}: {pointer}");
                }
            }
        }
        // All at once.
        let mut event = event;
        for pointer in pointers(&event.clone(), "") {
            let is_parent = NEEDED.iter().any(|needed| needed.starts_with(&pointer));
            if let (Some(member), false) = (event.pointer_mut(&pointer), is_parent) {
                *member = Value::Null;
            }
        }
        let request = echo.request_of(&event).await;
        assert_eq!(
            (&request["method"], &request["path"]),
            (&json!("POST"), &json!("/"))
        );
    }
    assert_eq!(echo.function.started_count(), 1);
    echo.function.shutdown().await;
}

#[tokio::test]
async fn member_of_another_type_is_answered_400_and_named_in_the_log() {
    let echo = Echo::start().await;
    let secret = json!("c4n4ry");
    for (platform, pointer, value, field) in [
        (
            "API Gateway, REST API",
            "/requestContext/requestTimeEpoch",
            &secret,
            None,
        ),
        (
            "API Gateway, REST API",
            "/requestContext/identity/sourceIp",
            &json!([1]),
            None,
        ),
        ("API Gateway, REST API", "/body", &json!({"a": 1}), None),
        ("API Gateway, REST API", "/path", &json!(7), None),
        ("API Gateway, REST API", "/headers", &json!(7), None),
        ("API Gateway, REST API", "/httpMethod", &json!("GE T"), None),
        ("API Gateway, REST API", "/httpMethod", &json!(7), None),
        ("Netlify", "/isBase64Encoded", &json!("true"), None),
        ("Netlify", "/requestContext/stage", &json!({}), None),
        (
            "API Gateway, HTTP API",
            "/requestContext/timeEpoch",
            &secret,
            None,
        ),
        (
            "API Gateway, HTTP API",
            "/requestContext/http/method",
            &json!("GE T"),
            None,
        ),
        (
            "API Gateway, HTTP API",
            "/requestContext/http/method",
            &Value::Null,
            Some("requestContext.http"),
        ),
        (
            "API Gateway, HTTP API",
            "/requestContext/authorizer/jwt/claims/sub",
            &json!(7),
            None,
        ),
        (
            "API Gateway, HTTP API",
            "/queryStringParameters",
            &secret,
            None,
        ),
        (
            "function URL",
            "/requestContext/authorizer/iam/userId",
            &json!(7),
            None,
        ),
        ("function URL", "/cookies", &secret, None),
        ("load balancer, lists", "/requestContext/elb", &secret, None),
        (
            "load balancer, lists",
            "/multiValueHeaders",
            &json!(true),
            None,
        ),
    ] {
        let (_, mut event) = events()
            .into_iter()
            .find(|(name, _)| *name == platform)
            .expect("it");
        *event.pointer_mut(pointer).expect("a member") = value.clone();
        let before = echo.fixture.log().len();
        let answer = echo.function.invoke(Bytes::from(event.to_string())).await;
        let answer = answer.unwrap_or_else(|error| panic!("{platform}: {pointer}: {error}"));
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["statusCode"], 400, "{platform}: {pointer}: {answer}");
        let log = echo.fixture.log()[before..].to_owned();
        let line = log
            .lines()
            .find(|line| line.contains("the event of a request could not be read"));
        let line = line.unwrap_or_else(|| panic!("{platform}: {pointer}: {log}"));
        let field = field.map_or_else(|| pointer[1..].replace('/', "."), str::to_owned);
        assert!(
            line.contains(&format!("field={field}")),
            "{platform}: {pointer}: {line}"
        );
        assert!(
            line.contains("requestId=") && !log.contains("c4n4ry"),
            "{line}"
        );
    }
    assert_eq!(echo.function.started_count(), 1);
    echo.function.shutdown().await;
}
