//! Pagination with the `Range` header, as in the Platform API.
//!
//! The grammar is `<field> [<]>]<first>..<last>[<[>][; max=N][, order=asc|desc]`:
//! `]` excludes the first value, `[` the last. A page has 200 items by default and 1000 at most.
//! Source: Heroku's "Platform API Reference", section Ranges (2026-11).

use std::cmp::Ordering;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::api_error::{ApiError, json_body};
use super::app_state::AppState;

/// The range of a list that a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Range {
    field: Option<String>,
    first: Option<Bound>,
    last: Option<Bound>,
    max: Option<usize>,
    descending: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Bound {
    value: String,
    exclusive: bool,
}

/// The page that a request asks for: its range, and the page sizes for this request.
#[derive(Debug)]
pub(super) struct Page {
    range: Range,
    default_size: usize,
    max_size: usize,
}

impl Page {
    /// Returns the response with the page of `items`.
    ///
    /// A range may name one of `fields`; the first is the default.
    ///
    /// # Errors
    ///
    /// 416 for another field, and for a bound that is not a value of the field.
    pub(super) fn respond(self, items: Vec<Value>, fields: &[&str]) -> Result<Response, ApiError> {
        let range = self.range;
        let field = match &range.field {
            None => fields.first().copied().unwrap_or("id"),
            Some(given) => fields.iter().find(|field| *field == given).ok_or_else(|| {
                let fields = fields.join(", ");
                ApiError::range(format!("Cannot range over `{given}`, only over: {fields}."))
            })?,
        };
        let mut items = items;
        items.sort_by(|a, b| {
            let order = compare(&a[field], &b[field]);
            if range.descending {
                order.reverse()
            } else {
                order
            }
        });
        let mut inside = Vec::new();
        for item in items {
            if range.contains(&item[field])? {
                inside.push(item);
            }
        }
        let max = range.max.unwrap_or(self.default_size).min(self.max_size);
        let more = inside.len() > max;
        inside.truncate(max);

        let status = if more {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        let mut headers = vec![(header::ACCEPT_RANGES, fields.join(", "))];
        if let (Some(first), Some(last)) = (inside.first(), inside.last()) {
            let (first, last) = (text(&first[field]), text(&last[field]));
            headers.push((header::CONTENT_RANGE, format!("{field} {first}..{last}")));
            if more {
                headers.push((NEXT_RANGE, range.next_range(field, &last, max)));
            }
        }
        let mut response = (status, json_body(&Value::Array(inside))).into_response();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    }
}

impl FromRequestParts<AppState> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let range = match parts.headers.get(header::RANGE) {
            None => Range::default(),
            Some(value) => value
                .to_str()
                .ok()
                .and_then(Range::parse)
                .ok_or_else(|| ApiError::range("The `Range` header cannot be read."))?,
        };
        let page_size = state.page_size();
        // Clients follow `Next-Range` only for GET, so a small page size must not truncate the one
        // list that is requested with POST.
        let max_size = if parts.method == Method::GET {
            page_size.unwrap_or(MAX_SIZE)
        } else {
            MAX_SIZE
        };
        Ok(Self {
            range,
            default_size: page_size.unwrap_or(DEFAULT_SIZE),
            max_size,
        })
    }
}

impl Range {
    fn parse(header: &str) -> Option<Self> {
        let mut range = Self::default();
        let (span, parameters) = header.split_once(';').unwrap_or((header, ""));
        let (field, bounds) = span.trim().split_once(' ')?;
        let (first, last) = bounds.trim().split_once("..")?;
        range.field = Some(field.to_owned());
        range.first = Bound::parse(first.strip_prefix(']'), first);
        range.last = Bound::parse(last.strip_suffix('['), last);
        for parameter in parameters.split([',', ';']).map(str::trim) {
            match parameter.split_once('=') {
                Some(("max", max)) => {
                    range.max = Some(max.parse().ok().filter(|max| *max > 0)?);
                }
                Some(("order", "asc")) => range.descending = false,
                Some(("order", "desc")) => range.descending = true,
                None if parameter.is_empty() => {}
                _ => return None,
            }
        }
        Some(range)
    }

    /// Returns whether a value lies between the bounds, in the order of the range.
    fn contains(&self, value: &Value) -> Result<bool, ApiError> {
        let order_from = |bound: &Bound| -> Result<Ordering, ApiError> {
            let order = bound.compare(value)?;
            Ok(if self.descending {
                order.reverse()
            } else {
                order
            })
        };
        if let Some(first) = &self.first {
            match order_from(first)? {
                Ordering::Less => return Ok(false),
                Ordering::Equal if first.exclusive => return Ok(false),
                _ => {}
            }
        }
        if let Some(last) = &self.last {
            match order_from(last)? {
                Ordering::Greater => return Ok(false),
                Ordering::Equal if last.exclusive => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    fn next_range(&self, field: &str, last: &str, max: usize) -> String {
        let end = match &self.last {
            None => String::new(),
            Some(bound) if bound.exclusive => format!("{}[", bound.value),
            Some(bound) => bound.value.clone(),
        };
        let order = if self.descending { ", order=desc" } else { "" };
        format!("{field} ]{last}..{end}; max={max}{order}")
    }
}

impl Bound {
    fn parse(exclusive: Option<&str>, inclusive: &str) -> Option<Self> {
        let value = exclusive.unwrap_or(inclusive);
        (!value.is_empty()).then(|| Self {
            value: value.to_owned(),
            exclusive: exclusive.is_some(),
        })
    }

    /// Compares a value to this bound.
    fn compare(&self, value: &Value) -> Result<Ordering, ApiError> {
        match value.as_u64() {
            Some(number) => {
                let bound: u64 = self
                    .value
                    .parse()
                    .map_err(|_| ApiError::range("The bounds of this range are numbers."))?;
                Ok(number.cmp(&bound))
            }
            None => Ok(text(value).as_str().cmp(&self.value)),
        }
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_u64(), b.as_u64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => text(a).cmp(&text(b)),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

const DEFAULT_SIZE: usize = 200;
const MAX_SIZE: usize = 1000;
const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(range: &str, max_size: usize) -> Page {
        Page {
            range: Range::parse(range).expect("a range"),
            default_size: DEFAULT_SIZE,
            max_size,
        }
    }

    fn versions(count: u64) -> Vec<Value> {
        (1..=count)
            .map(|version| json!({"version": version}))
            .collect()
    }

    async fn read(response: Response) -> (StatusCode, Option<String>, Vec<u64>) {
        let next = response
            .headers()
            .get(NEXT_RANGE)
            .map(|next| next.to_str().expect("text").to_owned());
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .expect("a body");
        let items: Vec<Value> = serde_json::from_slice(&body).expect("a list");
        let versions = items.iter().filter_map(|item| item["version"].as_u64());
        (status, next, versions.collect())
    }

    #[tokio::test]
    async fn following_next_range_returns_the_whole_list_in_order() {
        for (range, expected) in [
            ("version ..; max=4", (1..=11).collect::<Vec<u64>>()),
            ("version ..; order=desc,max=4", (1..=11).rev().collect()),
            ("version ]2..10[; max=4;", (3..=9).collect()),
        ] {
            let (mut range, mut walked) = (range.to_owned(), Vec::new());
            loop {
                let response = page(&range, MAX_SIZE)
                    .respond(versions(11), &["version"])
                    .expect("a page");
                let (status, next, mut items) = read(response).await;
                assert!(items.len() <= 4);
                walked.append(&mut items);
                let Some(next) = next else {
                    assert_eq!(status, StatusCode::OK);
                    break;
                };
                assert_eq!(status, StatusCode::PARTIAL_CONTENT);
                range = next;
            }
            assert_eq!(walked, expected);
        }
    }

    #[tokio::test]
    async fn page_over_the_maximum_size_is_truncated() {
        let response = page("version ..; max=5000", 3).respond(versions(9), &["version"]);
        let (status, next, items) = read(response.expect("a page")).await;
        assert_eq!(
            (status, items),
            (StatusCode::PARTIAL_CONTENT, vec![1, 2, 3])
        );
        assert_eq!(next.as_deref(), Some("version ]3..; max=3"));
    }

    #[test]
    fn range_that_cannot_be_satisfied_is_refused_with_416() {
        for range in ["secret ..", "version abc.."] {
            let refused = page(range, MAX_SIZE).respond(versions(2), &["version"]);
            let error = refused.expect_err("an error");
            assert_eq!(error.status, StatusCode::RANGE_NOT_SATISFIABLE);
        }
        for range in [
            "",
            "version",
            "version 1",
            "version ..; max=0",
            "id ..; order=up",
        ] {
            assert_eq!(Range::parse(range), None, "{range:?}");
        }
    }
}
