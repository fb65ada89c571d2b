//! The sample request of a function that is invoked without an event: a GET of its route.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::event::{EventRequest, now_epoch_ms};
use super::redirects::{Destination, Match, Redirect, first_match};
use super::schedule::function_path;
use super::visitor::Visitor;

/// Returns a path by which clients reach a function: that of the first rewrite that leads to it, such
/// as `/api/notes`, or else the function's own, `/.netlify/functions/notes`.
pub(crate) fn route_of(rules: &[Redirect], function: &str) -> String {
    let own = function_path(function);
    let headers = HeaderMap::new();
    let leads_to_it = |path: &String| {
        let found = first_match(rules, &Visitor::new(path, None, &headers));
        let Some(Match {
            destination: Destination::Rewrite { status, path, .. },
            ..
        }) = found
        else {
            return false;
        };
        let rest = path.strip_prefix(&own);
        status == StatusCode::OK
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let paths = rules.iter().flat_map(|rule| {
        let start = rule.start();
        [
            start.trim_end_matches('/').to_owned(),
            format!("{start}{function}"),
        ]
    });
    let mut paths = paths.filter(|path| path.starts_with('/') && path.parse::<Uri>().is_ok());
    paths.find(leads_to_it).unwrap_or(own)
}

/// Returns the event of a GET request for a path, as Netlify sends it.
pub(crate) fn sample_event(path: &str, authority: &str, request_id: &str) -> Option<Bytes> {
    let uri: Uri = path.parse().ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in [("accept", "*/*"), ("user-agent", "stagelink invoke")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let request = EventRequest {
        method: &Method::GET,
        uri: &uri,
        query: None,
        authority,
        headers: &headers,
        body: &Bytes::new(),
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        request_id,
        time_epoch_ms: now_epoch_ms(),
        event: None,
    };
    request.to_event().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::netlify::SiteConfig;

    #[test]
    fn route_is_that_of_the_first_rewrite_that_leads_to_the_function() {
        let rule = |from: &str, to: &str, status: u16| {
            format!("[[redirects]]\nfrom = \"{from}\"\nto = \"{to}\"\nstatus = {status}\n")
        };
        let functions = "/.netlify/functions";
        let toml = [
            rule("/old", &format!("{functions}/notes"), 301),
            rule("/n/:id", &format!("{functions}/notes"), 200),
            rule("/orders/*", &format!("{functions}/orders/:splat"), 200),
            rule("/api/hidden", "/page.html", 200),
            rule("/api/*", &format!("{functions}/:splat"), 200),
        ]
        .concat();
        let folder = tempfile::tempdir().unwrap();
        let site = SiteConfig::parse(&toml, folder.path()).unwrap();
        for (function, route) in [
            // The start of `/n/:id` alone leads nowhere.
            ("notes", "/n/notes"),
            ("orders", "/orders"),
            ("clock", "/api/clock"),
            ("hidden", "/.netlify/functions/hidden"),
        ] {
            assert_eq!(route_of(&site.redirects, function), route);
        }
        assert_eq!(route_of(&[], "notes"), "/.netlify/functions/notes");
    }

    #[test]
    fn sample_event_is_a_get_as_a_function_gets_it() {
        let event = sample_event("/api/notes", "localhost:8888", "01J").unwrap();
        let event: Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(event["httpMethod"], "GET");
        assert_eq!(event["path"], "/api/notes");
        assert_eq!(event["rawUrl"], "http://localhost:8888/api/notes");
        assert!(event["body"].is_null() && event["headers"]["x-nf-event"].is_null());
    }
}
