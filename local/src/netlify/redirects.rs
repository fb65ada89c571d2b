//! The redirects and rewrites of netlify.toml.

use super::pattern::Pattern;
use crate::{Error, ErrorKind};
use http::StatusCode;

/// A `[[redirects]]` rule.
#[derive(Clone, Debug)]
pub struct Redirect {
    pattern: Pattern,
    to: String,
    status: StatusCode,
    force: bool,
}

/// The effect of a rule on a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// The client is redirected to another location.
    Redirect {
        status: StatusCode,
        location: String,
    },
    /// The site responds with the content of another of its paths.
    Rewrite {
        status: StatusCode,
        path: String,
        query: Option<String>,
    },
}

/// The rule that matches a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// True if the rule takes precedence over a published file.
    pub(super) force: bool,
    pub(super) destination: Destination,
}

impl Redirect {
    /// Status of a rule without one: 301, as on Netlify.
    pub const DEFAULT_STATUS: u16 = 301;

    /// Creates a rule.
    ///
    /// `from` is a path with `:placeholders` and a final `*`. `to` is a path of this site or, for a
    /// redirect, an http(s) URL. `status` is 200, 404 or 410 for a rewrite, and 301, 302, 303, 307
    /// or 308 for a redirect.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for other values, and for a rewrite to another site (a proxy): the
    /// local site connects to this machine only.
    pub fn new(from: &str, to: &str, status: u16, force: bool) -> Result<Self, Error> {
        let invalid = |reason: String| {
            let rule = format!("could not use the redirect from {from:?} to {to:?}");
            Error::new(ErrorKind::Input, format!("{rule}: {reason}"))
        };
        let pattern = Pattern::parse(from).map_err(invalid)?;
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| REWRITES.contains(status) || REDIRECTS.contains(status))
            .ok_or_else(|| invalid(format!("status {status} is not supported")))?;
        if to.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(invalid("`to` has a space or a control character".into()));
        }
        let is_url = to.starts_with("http://") || to.starts_with("https://");
        if is_url && REWRITES.contains(&status) {
            return Err(invalid(
                "a proxy to another site is not available locally".into(),
            ));
        }
        if !is_url && (!to.starts_with('/') || to.starts_with("//")) {
            return Err(invalid("`to` is neither a path nor an http(s) URL".into()));
        }
        Ok(Self {
            pattern,
            to: to.to_owned(),
            status,
            force,
        })
    }

    fn destination(&self, path: &str, query: Option<&str>) -> Option<Destination> {
        let captures = self.pattern.match_path(path)?;
        let mut target = captures.fill(&self.to);
        if target.starts_with('/') {
            // `/:splat` with a splat of `/example.test` would be `//example.test`, another site.
            let path = target.trim_start_matches(['/', '\\']);
            target = format!("/{path}");
        }
        let (target, fragment) = split_at_mark(&target, '#');
        let (target_path, own_query) = split_at_mark(target, '?');
        let query = merge_queries(own_query, query);

        if REWRITES.contains(&self.status) {
            return Some(Destination::Rewrite {
                status: self.status,
                path: target_path.to_owned(),
                query,
            });
        }
        // A rule that leads to the requested path would redirect the client for ever.
        if own_query.is_none() && trim_slash(target_path) == trim_slash(path) {
            return None;
        }
        let mut location = target_path.to_owned();
        for (mark, part) in [('?', query.as_deref()), ('#', fragment)] {
            if let Some(part) = part {
                location.push(mark);
                location.push_str(part);
            }
        }
        Some(Destination::Redirect {
            status: self.status,
            location,
        })
    }
}

/// Returns the first rule, in the file's order, that matches a request's path.
pub(super) fn first_match(rules: &[Redirect], path: &str, query: Option<&str>) -> Option<Match> {
    rules.iter().find_map(|rule| {
        rule.destination(path, query).map(|destination| Match {
            force: rule.force,
            destination,
        })
    })
}

fn split_at_mark(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Joins the rule's own parameters and those of the client, in this order.
fn merge_queries(own: Option<&str>, sent: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = own
        .into_iter()
        .chain(sent)
        .filter(|part| !part.is_empty())
        .collect();
    (!parts.is_empty()).then(|| parts.join("&"))
}

fn trim_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

const REWRITES: [StatusCode; 3] = [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::GONE];

const REDIRECTS: [StatusCode; 5] = [
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &str, to: &str, status: u16) -> Redirect {
        Redirect::new(from, to, status, false).unwrap()
    }

    fn location(rule: Redirect, path: &str, query: Option<&str>) -> Option<String> {
        match first_match(&[rule], path, query)?.destination {
            Destination::Redirect { location, .. } => Some(location),
            Destination::Rewrite { .. } => None,
        }
    }

    #[test]
    fn rewrite_keeps_the_query_of_the_client() {
        let rules = [rule("/api/*", "/.netlify/functions/:splat?via=api", 200)];
        let found = first_match(&rules, "/api/hello", Some("a=1")).unwrap();
        let wanted = Destination::Rewrite {
            status: StatusCode::OK,
            path: "/.netlify/functions/hello".into(),
            query: Some("via=api&a=1".into()),
        };
        assert_eq!(found.destination, wanted);
    }

    #[test]
    fn first_matching_rule_applies() {
        let rules = [rule("/a/b", "/first", 302), rule("/a/*", "/second", 302)];
        let found = first_match(&rules, "/a/b", None).unwrap().destination;
        let location = "/first".into();
        assert_eq!(
            found,
            Destination::Redirect {
                status: StatusCode::FOUND,
                location
            }
        );
    }

    #[test]
    fn redirect_puts_the_query_before_the_fragment() {
        let rule = rule("/old", "/new#part", 301);
        assert_eq!(
            location(rule, "/old/", Some("a=1")).unwrap(),
            "/new?a=1#part"
        );
    }

    #[test]
    fn redirect_with_a_splat_of_slashes_stays_on_the_site() {
        let moved = rule("/old/*", "/:splat", 301);
        assert_eq!(
            location(moved.clone(), "/old//evil.test", None).unwrap(),
            "/evil.test"
        );
        assert_eq!(
            location(moved, "/old/\\evil.test", None).unwrap(),
            "/evil.test"
        );
    }

    #[test]
    fn redirect_to_the_requested_path_is_skipped() {
        assert_eq!(location(rule("/blog/", "/blog", 301), "/blog", None), None);
    }

    #[test]
    fn unsupported_rule_is_refused_with_the_reason() {
        for (from, to, status, reason) in [
            ("/a", "https://example.test/", 200, "proxy"),
            ("/a", "b", 301, "neither a path"),
            ("/a", "/b", 418, "status 418"),
            ("/a", "/b\r\nx: y", 301, "control character"),
            ("a", "/b", 301, "does not start with /"),
        ] {
            let error = Redirect::new(from, to, status, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
