//! Hides what lets a person in, where the page shows an event: the page may be on a shared screen.

use serde_json::Value;

/// Returns the event of a request with a note in place of each value of a header that is a secret. What
/// is sent again is the event itself.
pub(super) fn of_event(mut event: Value) -> Value {
    for member in ["headers", "multiValueHeaders"] {
        let headers = event.get_mut(member).and_then(Value::as_object_mut);
        for (name, value) in headers.into_iter().flatten() {
            if SECRETS.contains(&name.to_ascii_lowercase().as_str()) {
                hide(value);
            }
        }
    }
    // Those of a function URL of AWS Lambda.
    if let Some(cookies) = event.get_mut("cookies") {
        hide(cookies);
    }
    event
}

fn hide(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(hide),
        Value::Null => {}
        value => {
            let length = value.as_str().map_or(0, |text| text.chars().count());
            *value = format!("({length} characters, not shown)").into();
        }
    }
}

/// Headers that hold credentials, by their names in lower case.
const SECRETS: [&str; 7] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    stagelink::self_check::HEADER,
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_of_an_event_are_not_shown_and_all_else_is() {
        let event = json!({
            "path": "/api/notes",
            "headers": {
                "Authorization": "Bearer secret",
                "x-stagelink-self-check": "secret",
                "accept": "*/*",
            },
            "multiValueHeaders": { "cookie": ["a=secret", "b=secret"], "accept": ["*/*"] },
            "cookies": ["a=secret"],
            "body": "{}",
        });
        let shown = of_event(event);
        assert!(!shown.to_string().contains("secret"), "{shown}");
        assert_eq!(
            shown["headers"]["Authorization"],
            "(13 characters, not shown)"
        );
        assert_eq!(
            shown["multiValueHeaders"]["cookie"][1],
            "(8 characters, not shown)"
        );
        assert_eq!(shown["headers"]["accept"], "*/*");
        assert_eq!(shown["path"], "/api/notes");
    }

    #[test]
    fn guide_of_the_board_names_each_header_that_is_hidden() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let guide = std::fs::read_to_string(folder.join("../docs/guides/board.md")).unwrap();
        let guide = guide.to_ascii_lowercase();
        assert!(guide.contains("its cookies and of the headers"));
        for name in SECRETS.iter().filter(|name| **name != "cookie") {
            assert!(guide.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn event_without_headers_is_shown_as_it_is() {
        for event in [
            json!(null),
            json!([1]),
            json!({ "Records": [], "headers": 1 }),
        ] {
            assert_eq!(of_event(event.clone()), event);
        }
    }
}
