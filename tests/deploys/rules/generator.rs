//! Rules and requests, generated from a seed.

use serde_json::{Value, json};

/// A request, as far as rules ask for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) language: &'static str,
    pub(super) country: &'static str,
    pub(super) cookie: Option<&'static str>,
}

impl Request {
    pub(super) fn to_json(&self) -> Value {
        let mut cookies = json!({ "nf_country": self.country });
        if let Some(cookie) = self.cookie {
            cookies[cookie] = json!("1");
        }
        json!({
            "path": self.path,
            "query": self.query,
            "language": self.language,
            "country": self.country,
            "cookies": cookies,
        })
    }
}

/// A source of random choices that repeats itself for one seed (xorshift64*).
#[derive(Debug)]
pub(super) struct Generator(u64);

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1 << 32)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default() % limit
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Joins segments to a path.
    fn path(&mut self, segments: &[&str]) -> String {
        let mut path = String::new();
        for _ in 0..self.below(5) {
            path.push('/');
            path.push_str(self.pick(segments));
        }
        if path.is_empty() || self.one_in(6) {
            path.push('/');
        }
        path
    }

    pub(super) fn request(&mut self) -> Request {
        let path = self.path(REQUESTED);
        self.request_to(path)
    }

    fn request_to(&mut self, path: String) -> Request {
        let cookie = self.pick(&["beta", "seen", ""]);
        Request {
            path,
            query: self.pick(QUERIES).to_owned(),
            language: self.pick(&["en", "de", "fr-FR"]),
            country: self.pick(&["us", "de", "CH"]),
            cookie: Some(cookie).filter(|cookie| !cookie.is_empty()),
        }
    }

    /// Returns requests that a pattern may match.
    pub(super) fn requests_for(&mut self, pattern: &str) -> Vec<Request> {
        let mut requests = Vec::new();
        for _ in 0..4 {
            let mut path = String::new();
            for segment in pattern.trim_start_matches('/').split('/') {
                let own = self.pick(REQUESTED);
                let deep = format!("{own}/{}", self.pick(REQUESTED));
                let star = self.pick(&["", own, deep.as_str()]);
                path.push('/');
                // A percent sign of a pattern is no escape for JavaScript's decoder.
                let segment = segment.replace(['%', '?', '#'], "");
                match segment.strip_prefix(':') {
                    Some(_) => path.push_str(own),
                    None => path.push_str(&segment.replace('*', star)),
                }
            }
            let path: String = path.chars().filter(|c| !c.is_whitespace()).collect();
            let path = if self.one_in(5) { path + "/" } else { path };
            requests.push(self.request_to(path));
        }
        requests
    }

    /// Text of a `_redirects` file.
    pub(super) fn redirects(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.below(7) {
            let mut words: Vec<String> = vec![self.path(PATTERNS)];
            if self.one_in(12) {
                words[0] = format!("https://old.test{}", words[0]);
            }
            if self.one_in(4) {
                words.push(self.pick(PARAMETERS).to_owned());
            }
            if !self.one_in(12) {
                words.push(self.destination());
            }
            if !self.one_in(4) {
                words.push(self.pick(STATUSES).to_owned());
                while self.one_in(4) {
                    words.push(self.pick(CONDITIONS).to_owned());
                }
            }
            if self.one_in(8) {
                words.push(self.pick(&["# why", "#", "#/a /b"]).to_owned());
            }
            if self.one_in(15) {
                words.truncate(1);
            }
            text.push_str(self.pick(SPACES));
            for word in words {
                text.push_str(&word);
                text.push_str(self.pick(&SPACES[1..]));
            }
            text.push_str(self.pick(&["\n", "\n", "\r\n", " \n\n# note\n", "\t\n"]));
        }
        text
    }

    fn destination(&mut self) -> String {
        let start = self.pick(&["", "", "", "", "https://new.test", "http://new.test:8080"]);
        let end = self.pick(&["", "", "", "?x=1", "?s=:splat&i=:id", "#part", "?"]);
        format!("{start}{}{end}", self.path(DESTINATIONS))
    }

    /// Text of a netlify.toml with rules of both kinds.
    pub(super) fn toml(&mut self) -> String {
        let mut text = "[build]\npublish = \"public\"\n".to_owned();
        for _ in 0..self.below(4) {
            text.push_str("[[redirects]]\n");
            if !self.one_in(15) {
                let key = self.pick(&["from", "from", "origin"]);
                text.push_str(&format!("{key} = {:?}\n", self.path(PATTERNS)));
            }
            if !self.one_in(8) {
                let key = self.pick(&["to", "to", "destination"]);
                text.push_str(&format!("{key} = {:?}\n", self.destination()));
            }
            if !self.one_in(4) {
                let status = self.pick(&[
                    "200", "301", "302", "404", "200.0", "302.9", "\"301\"", "\"200!\"", "true",
                    "\"soon\"", "410",
                ]);
                text.push_str(&format!("status = {status}\n"));
            }
            text.push_str(self.pick(&["", "", "force = true\n", "force = false\n"]));
            text.push_str(self.pick(&[
                "",
                "",
                "query = {id = \":id\"}\n",
                "params = {id = \"7\", x = \":x\"}\n",
                "query = {}\n",
            ]));
            text.push_str(self.pick(&[
                "",
                "",
                "",
                "conditions = {Country = [\"de\", \"ch\"]}\n",
                "conditions = {language = \"de, en\", Role = \"admin\"}\n",
                "conditions = {Language = [\"fr\"], country = [\"ch\"]}\n",
            ]));
            text.push_str(self.pick(&["", "", "", "headers = {X-A = \"1\"}\n", "headers = 1\n"]));
            text.push_str(self.pick(&["", "", "", "signed = \"KEY\"\n", "sign = \"KEY\"\n"]));
        }
        for _ in 0..self.below(4) {
            text.push_str("[[headers]]\n");
            if !self.one_in(10) {
                text.push_str(&format!("for = {:?}\n", self.header_pattern()));
            }
            let values = self.pick(&[
                "{X-A = \"1\"}",
                "{X-A = \" a ,b\", x-b = [\"1\", \" 2\"]}",
                "{X-A = '''\na,\n b'''}",
                "{X-A = 1}",
                "{X-A = true}",
                "{X-A = []}",
                "{\" X-A \" = \"1\"}",
                "{\"\" = \"1\"}",
                "{}",
                "1",
            ]);
            if !self.one_in(10) {
                text.push_str(&format!("values = {values}\n"));
            }
        }
        text
    }

    fn header_pattern(&mut self) -> String {
        let path = self.path(HEADER_PATTERNS);
        match self.below(6) {
            0 => path.trim_start_matches('/').to_owned(),
            1 => format!(" {path} "),
            _ => path,
        }
    }

    /// Text of a `_headers` file.
    pub(super) fn headers(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.below(5) {
            text.push_str(&self.header_pattern());
            text.push('\n');
            for _ in 0..self.below(4) {
                text.push_str(self.pick(SPACES));
                text.push_str(self.pick(HEADERS));
                text.push_str(self.pick(&["\n", "\r\n", " \n", "\n\n"]));
            }
        }
        text
    }
}

const REQUESTED: &[&str] = &[
    "a",
    "b",
    "a",
    "b",
    "pre-",
    "pre-1",
    "a.b",
    "axb",
    "x.js",
    "7",
    "caf%C3%A9",
    "a%20b",
    "",
    "A",
    "b.html",
    "index.html",
    "~x",
    "a+b",
    "%E2%82%AC",
    "1.2.json",
];

const PATTERNS: &[&str] = &[
    "a",
    "b",
    "a",
    "b",
    "*",
    "*",
    "*",
    ":id",
    ":x",
    ":id",
    "pre-*",
    "pre-*",
    "a*",
    "*.js",
    "a*b",
    "p*q*",
    ":a.b",
    ":splat",
    "café",
    "a.b",
    "a+b",
    "",
    ":",
    "(a)",
    "**",
    ":x*",
    "caf%C3%A9",
    "€",
];

const DESTINATIONS: &[&str] = &[
    "a",
    "b",
    ":splat",
    ":splat",
    ":splat",
    ":id",
    ":x",
    ":identity",
    "x-:id.html",
    "pre-:splat",
    "index.html",
    ":a.b",
    "café",
    "c%20d",
    ":other",
    ":splat",
];

const HEADER_PATTERNS: &[&str] = &[
    "a",
    "b",
    "*",
    "*",
    "*.js",
    "a*",
    "*b*",
    "a.*",
    ":x",
    ":id",
    "a.b",
    "(a)",
    "café",
    "A",
    "",
    "*.*.*",
    "a+b",
    "index.html",
    ":",
    "**",
];

const QUERIES: &[&str] = &[
    "",
    "",
    "id=7",
    "id=a%20b&x=1",
    "x=1&id=:x",
    "id=",
    "id",
    "id=1&id=2",
    "x=%C3%A9%2F+&id=7",
    "id=7=8",
];

const PARAMETERS: &[&str] = &[
    "id=:id",
    "id=7",
    "id=:x x=1",
    "id=:id id",
    "id",
    "id=",
    "x=:splat",
    "id=7=8",
    "7=a",
];

const STATUSES: &[&str] = &[
    "200",
    "301",
    "302",
    "303",
    "307",
    "308",
    "404",
    "410",
    "200!",
    "301!",
    "404!",
    "418",
    "0",
    "301x",
    "!",
    "Country=us",
    "-1",
    "02",
];

const CONDITIONS: &[&str] = &[
    "Country=us,de",
    "country=ch",
    "Language=de,en",
    "language=fr",
    "Role=admin",
    "Sign=KEY",
    "signed=OTHER",
    "Cookie=beta",
    "Country",
    "Host=a.test",
];

const HEADERS: &[&str] = &[
    "X-A: 1",
    "X-A: 2 ,3",
    "x-a: 4",
    "X-B:v:w",
    "Link: </a>; rel=preload",
    "X-Empty:",
    ": no name",
    "no colon",
    "# comment",
    "Cache-Control : max-age=0 , no-store",
    "https://a.test/*",
];

const SPACES: &[&str] = &["", " ", "  ", "\t", " \u{a0}", "\u{feff}", " \u{3000} "];
