//! The facts about a request that redirect rules ask for.

use http::{HeaderMap, header};

/// Path, query and visitor of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor<'a> {
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    headers: &'a HeaderMap,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(path: &'a str, query: Option<&'a str>, headers: &'a HeaderMap) -> Self {
        Self {
            path,
            query,
            headers,
        }
    }

    /// Returns the value of a cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<&'a str> {
        let lines = self.headers.get_all(header::COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(found, value)| (found.trim() == name).then_some(value.trim()))
    }

    /// Returns whether the visitor prefers a language: that of the cookie `nf_lang`, or the first
    /// of `Accept-Language`, or English. A regional variant counts as its language.
    pub(super) fn speaks(&self, language: &str) -> bool {
        let accepted = self.headers.get(header::ACCEPT_LANGUAGE);
        let accepted = accepted.and_then(|value| value.to_str().ok());
        let first = accepted.and_then(|list| list.split([',', ';']).next());
        let spoken = self.cookie("nf_lang").or(first).unwrap_or("en");
        primary_tag(spoken).eq_ignore_ascii_case(primary_tag(language))
    }

    /// Returns whether the visitor is in a country: that of the cookie `nf_country`, or the United
    /// States, as for `netlify dev`.
    pub(super) fn is_in_country(&self, country: &str) -> bool {
        let own = self.cookie("nf_country").unwrap_or("us");
        own.eq_ignore_ascii_case(country.trim())
    }
}

fn primary_tag(language: &str) -> &str {
    let language = language.trim();
    language.split('-').next().unwrap_or(language)
}
