//! The redirects and rewrites of netlify.toml, matched without touching anything.

use super::pattern::Pattern;
use crate::{Error, ErrorKind};
use http::StatusCode;

/// One `[[redirects]]` rule.
#[derive(Clone, Debug)]
pub struct Redirect {
    pattern: Pattern,
    to: String,
    status: StatusCode,
    force: bool,
}

/// Where a rule sends a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// The client is told to go elsewhere.
    Elsewhere {
        status: StatusCode,
        location: String,
    },
    /// The site answers with what another of its paths holds.
    Inside {
        status: StatusCode,
        path: String,
        query: Option<String>,
    },
}

/// The rule that a request falls under.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Whether the rule comes before a published file.
    pub(super) force: bool,
    pub(super) destination: Destination,
}

impl Redirect {
    /// The status of a rule that names none: 301, as on Netlify.
    pub const DEFAULT_STATUS: u16 = 301;

    /// Checks one rule: `from` a path with `:placeholders` and a last `*`, `to` a path of
    /// this site or, for a redirect, an http(s) URL; `status` 200, 404 or 410 for a rewrite,
    /// 301, 302, 303, 307 or 308 for a redirect.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for anything else. A rewrite to another site (a proxy) is among
    /// these: the local site reaches nothing but this machine.
    pub fn new(from: &str, to: &str, status: u16, force: bool) -> Result<Self, Error> {
        let refused = |reason: String| {
            let rule = format!("could not use the redirect from {from:?} to {to:?}");
            Error::new(ErrorKind::Input, format!("{rule}: {reason}"))
        };
        let pattern = Pattern::parse(from).map_err(refused)?;
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| REWRITES.contains(status) || REDIRECTS.contains(status))
            .ok_or_else(|| refused(format!("status {status} is not one that it knows")))?;
        if to.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(refused("to holds a space or a control character".into()));
        }
        let elsewhere = to.starts_with("http://") || to.starts_with("https://");
        if elsewhere && REWRITES.contains(&status) {
            return Err(refused(
                "a proxy to another site is not available locally".into(),
            ));
        }
        if !elsewhere && (!to.starts_with('/') || to.starts_with("//")) {
            return Err(refused("to is neither a path nor an http(s) URL".into()));
        }
        Ok(Self {
            pattern,
            to: to.to_owned(),
            status,
            force,
        })
    }

    fn destination(&self, path: &str, query: Option<&str>) -> Option<Destination> {
        let captures = self.pattern.captures(path)?;
        let mut target = captures.fill(&self.to);
        if target.starts_with('/') {
            // `/:splat` with a splat of `/example.test` would be `//example.test`, another site.
            let inside = target.trim_start_matches(['/', '\\']);
            target = format!("/{inside}");
        }
        let (target, fragment) = split(&target, '#');
        let (target_path, own_query) = split(target, '?');
        let query = joined(own_query, query);

        if REWRITES.contains(&self.status) {
            return Some(Destination::Inside {
                status: self.status,
                path: target_path.to_owned(),
                query,
            });
        }
        // A rule that leads to the path it came from would send the client round for ever.
        if own_query.is_none() && bare(target_path) == bare(path) {
            return None;
        }
        let mut location = target_path.to_owned();
        for (mark, part) in [('?', query.as_deref()), ('#', fragment)] {
            if let Some(part) = part {
                location.push(mark);
                location.push_str(part);
            }
        }
        Some(Destination::Elsewhere {
            status: self.status,
            location,
        })
    }
}

/// The first rule, in the file's order, that matches a request's path.
pub(super) fn first_match(rules: &[Redirect], path: &str, query: Option<&str>) -> Option<Match> {
    rules.iter().find_map(|rule| {
        rule.destination(path, query).map(|destination| Match {
            force: rule.force,
            destination,
        })
    })
}

fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// The rule's own parameters first, then those that the client sent.
fn joined(own: Option<&str>, sent: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = own
        .into_iter()
        .chain(sent)
        .filter(|part| !part.is_empty())
        .collect();
    (!parts.is_empty()).then(|| parts.join("&"))
}

fn bare(path: &str) -> &str {
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
            Destination::Elsewhere { location, .. } => Some(location),
            Destination::Inside { .. } => None,
        }
    }

    #[test]
    fn rewrite_keeps_the_query_that_was_sent() {
        let rules = [rule("/api/*", "/.netlify/functions/:splat?via=api", 200)];
        let found = first_match(&rules, "/api/hello", Some("a=1")).unwrap();
        let wanted = Destination::Inside {
            status: StatusCode::OK,
            path: "/.netlify/functions/hello".into(),
            query: Some("via=api&a=1".into()),
        };
        assert_eq!(found.destination, wanted);
    }

    #[test]
    fn first_rule_in_the_file_wins() {
        let rules = [rule("/a/b", "/first", 302), rule("/a/*", "/second", 302)];
        let found = first_match(&rules, "/a/b", None).unwrap().destination;
        let location = "/first".into();
        assert_eq!(
            found,
            Destination::Elsewhere {
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
    fn redirect_to_the_path_it_came_from_is_passed_over() {
        assert_eq!(location(rule("/blog/", "/blog", 301), "/blog", None), None);
    }

    #[test]
    fn rule_that_cannot_be_kept_is_refused_with_its_reason() {
        for (from, to, status, reason) in [
            ("/a", "https://example.test/", 200, "proxy"),
            ("/a", "b", 301, "neither a path"),
            ("/a", "/b", 418, "status 418"),
            ("/a", "/b\r\nx: y", 301, "control character"),
            ("a", "/b", 301, "starts with /"),
        ] {
            let error = Redirect::new(from, to, status, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
