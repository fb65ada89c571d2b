//! The redirects and rewrites that the local site applies.

use super::pattern::Pattern;
use super::query::{encode_value, parse_query};
use super::rules::RedirectRule;
use super::visitor::Visitor;
use http::StatusCode;
use percent_encoding::percent_decode_str;

/// A redirect rule that the local site can apply.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// The rule's path as it is written.
    from: String,
    pattern: Pattern,
    to: String,
    status: StatusCode,
    force: bool,
    /// Parameters of the query by name, with the value that the request's must have.
    query: Vec<(String, Wanted)>,
    conditions: Vec<Condition>,
    /// Beginning of the paths for which the rule would lead to itself for ever.
    loop_start: Option<String>,
}

/// The value of a parameter that a rule wants.
#[derive(Clone, Debug)]
enum Wanted {
    Value(String),
    /// Any value, captured under this name.
    Any(String),
}

#[derive(Clone, Debug)]
enum Condition {
    Country(Vec<String>),
    Language(Vec<String>),
    Cookie(Vec<String>),
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

/// Answer of a rule to a request's path and query.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// `to`, with the captured text in it.
    To(String),
    /// The rule leads to itself: no rule applies.
    Loop,
}

impl Redirect {
    /// Status of a rule without one: 301, as on Netlify.
    pub const DEFAULT_STATUS: u16 = 301;

    /// Creates a rule.
    ///
    /// # Errors
    ///
    /// The reason why the local site cannot apply it: a rewrite to another site (a proxy; the local
    /// site connects to this machine only), a rule for one host, a condition that it cannot check,
    /// or a status other than 200, 404, 410, 301, 302, 303, 307 and 308.
    pub fn new(rule: &RedirectRule) -> Result<Self, String> {
        let to = rule.to.as_str();
        let status = u16::try_from(rule.status.unwrap_or(Self::DEFAULT_STATUS.into())).ok();
        let status = status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .filter(|status| REWRITES.contains(status) || REDIRECTS.contains(status))
            .ok_or_else(|| {
                let status = rule.status.unwrap_or_default();
                format!("status {status} is not supported")
            })?;
        if rule.from.starts_with("http://") || rule.from.starts_with("https://") {
            return Err("a rule for one host is not available locally".into());
        }
        if to.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err("its destination has a space or a control character".into());
        }
        let is_url = to.starts_with("http://") || to.starts_with("https://");
        if is_url && REWRITES.contains(&status) {
            return Err("a proxy to another site is not available locally".into());
        }
        if !is_url && (!to.starts_with('/') || to.starts_with("//")) {
            return Err("its destination is neither a path nor an http(s) URL".into());
        }
        if rule.signed.is_some() {
            return Err("a signed rule is not available locally".into());
        }
        let pattern = Pattern::parse(&rule.from);
        Ok(Self {
            from: rule.from.clone(),
            to: to.to_owned(),
            force: rule.force,
            query: rule.query.iter().map(wanted).collect(),
            conditions: conditions(rule)?,
            loop_start: (status != StatusCode::OK)
                .then(|| loop_start(&pattern, to))
                .flatten(),
            pattern,
            status,
        })
    }

    /// Returns the rule's path up to its first placeholder or star.
    pub(super) fn start(&self) -> &str {
        self.from.split([':', '*']).next().unwrap_or(&self.from)
    }

    /// Returns what the engine of Netlify makes of a request: `to` with the captured text in it.
    fn answer(&self, visitor: &Visitor<'_>) -> Option<Answer> {
        let mut captures = self.pattern.match_path(visitor.path)?;
        // Netlify looks for a loop before it looks at the rule's conditions.
        let is_loop = |start: &String| {
            let path: Vec<u8> = percent_decode_str(visitor.path).collect();
            let start: Vec<u8> = percent_decode_str(start).collect();
            path.starts_with(&start)
        };
        if self.loop_start.as_ref().is_some_and(is_loop) {
            return Some(Answer::Loop);
        }
        let sent = parse_query(visitor.query.unwrap_or_default());
        for (name, wanted) in &self.query {
            let value = sent.get(name.as_str())?;
            match wanted {
                Wanted::Value(wanted) if wanted == value => {}
                Wanted::Value(_) => return None,
                Wanted::Any(capture) => captures.add(capture, encode_value(value)),
            }
        }
        let is_met = |condition: &Condition| match condition {
            Condition::Country(any) => any.iter().any(|one| visitor.is_in_country(one)),
            Condition::Language(any) => any.iter().any(|one| visitor.speaks(one)),
            Condition::Cookie(any) => any.iter().any(|one| visitor.cookie(one).is_some()),
        };
        if !self.conditions.iter().all(is_met) {
            return None;
        }
        Some(Answer::To(captures.fill(&self.to)))
    }

    fn destination(&self, mut target: String, visitor: &Visitor<'_>) -> Option<Destination> {
        if target.starts_with('/') {
            // `/:splat` with a splat of `/example.test` would be `//example.test`, another site.
            let path = target.trim_start_matches(['/', '\\']);
            target = format!("/{path}");
        }
        let (target, fragment) = split_at_mark(&target, '#');
        let (target_path, own_query) = split_at_mark(target, '?');
        // As on Netlify, a query of the rule replaces that of the request.
        let own_query = own_query.filter(|query| !query.is_empty());
        let query = own_query.or(visitor.query);

        if REWRITES.contains(&self.status) {
            return Some(Destination::Rewrite {
                status: self.status,
                path: target_path.to_owned(),
                query: query.map(str::to_owned),
            });
        }
        // A rule that leads to the requested path would redirect the client for ever.
        if own_query.is_none() && trim_slash(target_path) == trim_slash(visitor.path) {
            return None;
        }
        let mut location = target_path.to_owned();
        for (mark, part) in [('?', query), ('#', fragment)] {
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

/// Returns the first rule, in Netlify's order, that matches a request.
pub(super) fn first_match(rules: &[Redirect], visitor: &Visitor<'_>) -> Option<Match> {
    for rule in rules {
        let target = match rule.answer(visitor) {
            None => continue,
            Some(Answer::Loop) => return None,
            Some(Answer::To(target)) => target,
        };
        if let Some(destination) = rule.destination(target, visitor) {
            return Some(Match {
                force: rule.force,
                destination,
            });
        }
    }
    None
}

/// Returns the answer of Netlify's engine to a request: the `to` of the first rule that matches,
/// with the captured text in it, its status, and whether it has `force`.
#[cfg(feature = "testing")]
pub fn engine_answer(
    rules: &[Redirect],
    path: &str,
    query: Option<&str>,
    headers: &http::HeaderMap,
) -> Option<(String, u16, bool)> {
    let visitor = Visitor::new(path, query, headers);
    let (rule, answer) = rules
        .iter()
        .find_map(|rule| Some((rule, rule.answer(&visitor)?)))?;
    match answer {
        Answer::To(to) => Some((to, rule.status.as_u16(), rule.force)),
        Answer::Loop => None,
    }
}

fn wanted((name, value): (&String, &String)) -> (String, Wanted) {
    let wanted = match value.strip_prefix(':') {
        Some(capture) => Wanted::Any(capture.to_owned()),
        None => Wanted::Value(value.clone()),
    };
    (name.clone(), wanted)
}

fn conditions(rule: &RedirectRule) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    for (name, values) in &rule.conditions {
        let values = values.clone();
        conditions.push(match name.as_str() {
            "Country" => Condition::Country(values),
            "Language" => Condition::Language(values),
            "Cookie" => Condition::Cookie(values),
            name => return Err(format!("the condition {name} is not available locally")),
        });
    }
    Ok(conditions)
}

/// Returns the beginning of the paths for which a rule leads to itself. Netlify takes that for a
/// loop when the rule has a splat and its pattern matches its own destination.
fn loop_start(pattern: &Pattern, to: &str) -> Option<String> {
    if !pattern.has_splat() || !to.starts_with('/') || pattern.match_path(to).is_none() {
        return None;
    }
    let splat = to
        .match_indices("/:splat")
        .find(|(at, _)| *at > 1)
        .map(|(at, found)| (&to[..at], &to[at + found.len()..]));
    match splat {
        Some((before, "")) => Some(before.to_owned()),
        Some((before, after)) if after.starts_with('/') && after.len() > 1 => {
            Some(before.to_owned())
        }
        _ => Some(to.to_owned()),
    }
}

fn split_at_mark(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
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
    use super::super::rules::parse_redirects_file;
    use super::*;
    use http::HeaderMap;

    fn rules(lines: &str) -> Vec<Redirect> {
        let (rules, errors) = parse_redirects_file(lines);
        assert_eq!(errors, []);
        let rules = rules.iter().map(|(_, rule)| Redirect::new(rule).unwrap());
        rules.collect()
    }

    fn matched(lines: &str, path: &str, query: Option<&str>) -> Option<Match> {
        let headers = HeaderMap::new();
        first_match(&rules(lines), &Visitor::new(path, query, &headers))
    }

    fn location(lines: &str, path: &str, query: Option<&str>) -> Option<String> {
        match matched(lines, path, query)?.destination {
            Destination::Redirect { location, .. } => Some(location),
            Destination::Rewrite { .. } => None,
        }
    }

    #[test]
    fn query_of_the_rule_replaces_that_of_the_client() {
        let found = |line, query| matched(line, "/api/hello", query).unwrap().destination;
        let wanted = |query: &str| Destination::Rewrite {
            status: StatusCode::OK,
            path: "/.netlify/functions/hello".into(),
            query: Some(query.into()),
        };
        let own = "/api/* /.netlify/functions/:splat?via=api 200";
        assert_eq!(found(own, Some("a=1")), wanted("via=api"));
        let none = "/api/* /.netlify/functions/:splat 200";
        assert_eq!(found(none, Some("a=1")), wanted("a=1"));
        let empty = "/api/* /.netlify/functions/:splat? 200";
        assert_eq!(found(empty, Some("a=1")), wanted("a=1"));
    }

    #[test]
    fn first_matching_rule_applies() {
        let lines = "/a/b /first 302\n/a/* /second 302";
        assert_eq!(location(lines, "/a/b", None).unwrap(), "/first");
        assert_eq!(location(lines, "/a/c", None).unwrap(), "/second");
    }

    #[test]
    fn redirect_puts_the_query_before_the_fragment() {
        let location = location("/old /new#part", "/old/", Some("a=1"));
        assert_eq!(location.unwrap(), "/new?a=1#part");
    }

    #[test]
    fn redirect_with_a_splat_of_slashes_stays_on_the_site() {
        for path in ["/old//evil.test", "/old/\\evil.test"] {
            assert_eq!(
                location("/old/* /:splat", path, None).unwrap(),
                "/evil.test"
            );
        }
    }

    #[test]
    fn redirect_to_the_requested_path_is_skipped() {
        assert_eq!(location("/blog/ /blog", "/blog", None), None);
    }

    #[test]
    fn rule_that_leads_to_itself_ends_the_search() {
        let lines = "/* /a/:splat 301\n/a/x /other 301";
        assert_eq!(location(lines, "/a/x", None), None);
        assert_eq!(location(lines, "/b", None).unwrap(), "/a/b");
        let lines = "/* /café/:splat 301\n/:x/a /other 301";
        assert_eq!(location(lines, "/caf%C3%A9/a", None), None);
        assert!(matched("/* /index.html 200", "/index.html", None).is_some());
    }

    #[test]
    fn rule_wants_its_query_and_captures_from_it() {
        let line = "/store id=:id kind=new /blog/:id 301";
        let found = |query| location(line, "/store", query);
        assert_eq!(
            found(Some("kind=new&id=a%20b%2F")).unwrap(),
            "/blog/a+b%2F?kind=new&id=a%20b%2F"
        );
        assert_eq!(found(Some("id=1&kind=old")), None);
        assert_eq!(found(None), None);
    }

    #[test]
    fn conditions_read_the_language_country_and_cookies() {
        let lines = "/ /de/ 302 Language=de\n/ /ch/ 302 Country=ch,at\n/ /known 302 Cookie=seen";
        for (name, value, expected) in [
            ("accept-language", "de-AT,en", Some("/de/")),
            ("cookie", "a=1; nf_lang=de", Some("/de/")),
            ("cookie", "nf_country=AT", Some("/ch/")),
            ("cookie", "seen=1", Some("/known")),
            ("accept-language", "en-GB", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let visitor = Visitor::new("/", None, &headers);
            let found = first_match(&rules(lines), &visitor).map(|found| found.destination);
            let expected = expected.map(|location| Destination::Redirect {
                status: StatusCode::FOUND,
                location: location.into(),
            });
            assert_eq!(found, expected, "{name}: {value}");
        }
    }

    #[test]
    fn unsupported_rule_is_refused_with_the_reason() {
        for (line, reason) in [
            ("/a https://example.test/ 200", "proxy"),
            ("/a //b.test/ 301", "neither a path"),
            ("/a /b 418", "status 418"),
            ("/a /b -1", "status -1"),
            ("https://a.test/a /b", "one host"),
            ("/a /b 200 Role=admin", "condition Role"),
            ("/a /b 200 Sign=KEY", "signed"),
        ] {
            let (rules, _) = parse_redirects_file(line);
            let error = Redirect::new(&rules[0].1).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
