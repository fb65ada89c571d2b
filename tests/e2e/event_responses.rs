//! Responses in each platform's format: repeated headers, values that are no text, statuses, and
//! the response to a HEAD request.

use serde_json::{Value, json};

use crate::events::{COOKIES, Echo, http, load_balancer, rest};

/// The events of each format, with the member that has their path and the place of a header in
/// their response.
fn events() -> [(Value, &'static str, Headers); 4] {
    [
        (rest(), "path", Headers::Lists),
        (http("shop.example"), "rawPath", Headers::Joined),
        (load_balancer(false), "path", Headers::JoinedWithCookies),
        (load_balancer(true), "path", Headers::Lists),
    ]
}

/// The place and form of a response's headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Headers {
    Lists,
    Joined,
    JoinedWithCookies,
}

impl Headers {
    /// Returns the values of a header as the platform reads them. Spellings of a name are one.
    fn values(self, answer: &Value, name: &str) -> Value {
        if self == Self::Joined && name == "set-cookie" {
            return answer["cookies"].clone();
        }
        if self == Self::Lists {
            return answer["multiValueHeaders"][name].clone();
        }
        let headers = answer["headers"].as_object().expect("headers");
        let own = headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value).cloned().collect()
    }
}

/// Returns a list without its order, which a JSON object does not have.
fn sorted(list: &Value) -> Vec<&str> {
    let mut texts: Vec<_> = list.as_array().into_iter().flatten().collect();
    texts.sort_by_key(|text| text.as_str());
    texts
        .iter()
        .map(|text| text.as_str().expect("a text"))
        .collect()
}

#[tokio::test]
async fn each_value_of_a_repeated_header_is_sent() {
    let echo = Echo::start().await;
    for (mut event, path, headers) in events() {
        event[path] = json!("/repeated");
        let answer = echo.answer(&event).await;
        let expected = match headers {
            Headers::Lists => [
                json!(["origin", "accept"]),
                json!(["</a.css>; rel=preload", "</b.css>; rel=preload"]),
            ],
            Headers::Joined | Headers::JoinedWithCookies => [
                json!(["origin, accept"]),
                json!(["</a.css>; rel=preload, </b.css>; rel=preload"]),
            ],
        };
        for (name, expected) in ["vary", "link"].into_iter().zip(expected) {
            assert_eq!(headers.values(&answer, name), expected, "{answer}");
        }
        let cookies = headers.values(&answer, "set-cookie");
        assert_eq!(sorted(&cookies), COOKIES, "{answer}");
    }
    echo.function.shutdown().await;
}

#[tokio::test]
async fn header_and_cookie_that_are_no_utf_8_are_sent_as_text() {
    let echo = Echo::start().await;
    for (mut event, path, headers) in events() {
        event[path] = json!("/latin-1");
        let answer = echo.answer(&event).await;
        let place = headers.values(&answer, "x-place");
        assert_eq!(place, json!(["café"]), "{answer}");
        let cookies = headers.values(&answer, "set-cookie");
        let expected = [COOKIES[0], "place=café", COOKIES[1]];
        assert_eq!(sorted(&cookies), expected, "{answer}");
    }
    assert_eq!(echo.function.started_count(), 1);
    echo.function.shutdown().await;
}

#[tokio::test]
async fn status_is_sent_as_it_is_and_adds_no_body() {
    let echo = Echo::start().await;
    for (event, path, _) in events() {
        for status in [204, 304, 599, 600, 799, 999] {
            let mut event = event.clone();
            event[path] = json!(format!("/status/{status}"));
            let answer = echo.answer_of_any_status(&event).await;
            assert_eq!(answer["statusCode"], status, "{answer}");
            assert!(
                matches!(&answer["body"], Value::Null) || answer["body"] == "",
                "{answer}"
            );
            assert_eq!(answer["isBase64Encoded"], false, "{answer}");
        }
    }
    assert_eq!(echo.function.started_count(), 1);
    echo.function.shutdown().await;
}

/// The body is the platform's to leave out.
#[tokio::test]
async fn response_to_a_head_request_is_sent_as_the_handler_gives_it() {
    let echo = Echo::start().await;
    for (mut event, path, _) in events() {
        match path {
            "rawPath" => event["requestContext"]["http"]["method"] = json!("HEAD"),
            _ => event["httpMethod"] = json!("HEAD"),
        }
        let request = echo.request_of(&event).await;
        assert_eq!(request["method"], "HEAD", "{request}");
    }
    echo.function.shutdown().await;
}
