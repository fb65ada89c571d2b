//! The HTTP requests among Lambda's events, as Netlify, API Gateway, function URLs and load
//! balancers write them.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Method, StatusCode};
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt as _};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lambda::event_format::EventFormat;
use crate::lambda::request_context::{UnreadableField, deserializer, parse, read_context};
use crate::lambda::request_target::Target;
use crate::problem::Problem;

/// An event with the members of all formats of HTTP requests.
///
/// Headers and parameters are read one by one: a null, as `netlify dev --offline` sends it
/// (`"multiValueHeaders":{"x-nf-account-id":[null]}`, netlify-cli, 2026-11), or a value that is no
/// header's, costs this value alone.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HttpEvent<'a> {
    http_method: Option<String>,
    /// The path of REST APIs, Netlify and load balancers.
    path: Option<String>,
    /// The path of HTTP APIs and function URLs.
    raw_path: Option<String>,
    /// The query of HTTP APIs and function URLs.
    raw_query_string: Option<String>,
    /// The query at Netlify.
    raw_query: Option<String>,
    /// The URL at Netlify.
    raw_url: Option<String>,
    headers: Values,
    multi_value_headers: Values,
    query_string_parameters: Values,
    multi_value_query_string_parameters: Values,
    path_parameters: Values,
    stage_variables: Values,
    cookies: Values,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
    /// The API's method that an authorizer decides about.
    method_arn: Option<IgnoredAny>,
    /// The HTTP API's route that an authorizer decides about.
    route_arn: Option<IgnoredAny>,
    #[serde(borrow)]
    request_context: Option<&'a RawValue>,
}

/// The members of an event or of its context that tell the forms apart, if they are not null.
///
/// A member may come twice: refusing that is left to the readers of values, so that such an event
/// is still known as a request.
#[derive(Default)]
struct Outline<'a> {
    has_method: bool,
    has_path: bool,
    has_url: bool,
    has_lists: bool,
    is_for_authorizer: bool,
    has_elb: bool,
    has_http: bool,
    context: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum OutlineMember {
    HttpMethod,
    Path,
    RawUrl,
    MultiValueHeaders,
    MethodArn,
    RouteArn,
    RequestContext,
    Elb,
    Http,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Outline<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut outline = Outline::default();
        while let Some(member) = map.next_key()? {
            if let OutlineMember::RequestContext = member {
                outline.context = map.next_value()?;
                continue;
            }
            let is_present = map.next_value::<Option<IgnoredAny>>()?.is_some();
            match member {
                OutlineMember::HttpMethod => outline.has_method = is_present,
                OutlineMember::Path => outline.has_path = is_present,
                OutlineMember::RawUrl => outline.has_url = is_present,
                OutlineMember::MultiValueHeaders => outline.has_lists = is_present,
                OutlineMember::MethodArn | OutlineMember::RouteArn => {
                    outline.is_for_authorizer |= is_present;
                }
                OutlineMember::Elb => outline.has_elb = is_present,
                OutlineMember::Http => outline.has_http = is_present,
                OutlineMember::RequestContext | OutlineMember::Other => {}
            }
        }
        Ok(outline)
    }
}

impl Outline<'_> {
    /// Returns the format of the event, or `None` if it is no HTTP request.
    fn format(&self) -> Option<EventFormat> {
        // An authorizer's event has the members of the request that it decides about. That of a Bedrock agent has
        // a method, and nothing else of a request (docs.aws.amazon.com, "http-api-lambda-authorizer" of API
        // Gateway and "agents-lambda" of Bedrock, 2026-11).
        let has_target = self.has_path || self.has_url || self.context.is_some();
        if self.is_for_authorizer || !has_target {
            return None;
        }
        let context = self.context.map_or("{}", RawValue::get);
        match serde_json::from_str(context).ok()? {
            Outline { has_http: true, .. } => Some(EventFormat::ApiGatewayV2),
            _ if !self.has_method => None,
            Outline { has_elb: true, .. } => Some(EventFormat::LoadBalancer {
                is_multi_value: self.has_lists,
            }),
            Outline { .. } => Some(EventFormat::ApiGatewayV1),
        }
    }
}

/// Returns the response to an event that has the outline of an HTTP request and a member of
/// another type than a request's, with the format of the event. `None` for any other event.
///
/// An HTTP request has a context, or at Netlify its URL. Without either the event is one of the
/// operator's own, which may have members of the same names.
#[cold]
pub(super) fn refuse_unreadable(text: &str) -> Option<(EventFormat, Problem)> {
    let outline: Outline<'_> = serde_json::from_str(text).ok()?;
    let is_request = outline.context.is_some() || outline.has_url;
    is_request.then_some(())?;
    let format = outline.format()?;
    let event: Result<HttpEvent<'_>, _> = parse("", &mut deserializer(text));
    let detail = "The request's event has values of other types.";
    Some((format, unreadable(&event.err()?, detail)))
}

impl HttpEvent<'_> {
    /// Returns the format of the event, or `None` if it is no HTTP request.
    pub(super) fn format(&self) -> Option<EventFormat> {
        let outline = Outline {
            has_method: self.http_method.is_some(),
            has_path: self.path.is_some(),
            has_url: self.raw_url.is_some(),
            is_for_authorizer: self.method_arn.is_some() || self.route_arn.is_some(),
            has_lists: !self.multi_value_headers.is_empty(),
            context: self.request_context,
            has_elb: false,
            has_http: false,
        };
        outline.format()
    }

    /// Converts the event into its request.
    ///
    /// # Errors
    ///
    /// A 400 or 414 for what no HTTP request can hold.
    pub(super) fn into_request(self, format: EventFormat) -> Result<Request, Problem> {
        let method = self.method();
        let context = self.context(format, method.as_ref().unwrap_or(&Method::GET))?;
        let method = match &context {
            RequestContext::ApiGatewayV2(context) => context.http.method.clone(),
            _ => method
                .map_err(|field| unreadable(&field, "The request's method is no HTTP method."))?,
        };
        let headers = self.headers(format);
        let (raw_path, stage) = match &context {
            RequestContext::ApiGatewayV2(context) => {
                (self.raw_path.or(self.path), context.stage.as_deref())
            }
            RequestContext::ApiGatewayV1(context) => (self.path, context.stage.as_deref()),
            _ => (self.path, None),
        };
        let raw_path = raw_path.unwrap_or_default();
        let domain = match &context {
            RequestContext::ApiGatewayV2(context) => context.domain_name.as_deref(),
            RequestContext::ApiGatewayV1(context) => context.domain_name.as_deref(),
            _ => None,
        };
        let given = match self.multi_value_query_string_parameters {
            several if several.is_empty() => self.query_string_parameters,
            several => several,
        };
        let raw_query = self.raw_query_string.or(self.raw_query).or_else(|| {
            let (_, query) = self.raw_url.as_deref()?.split_once('?')?;
            Some(query.to_owned())
        });
        let query = match (format, raw_query) {
            (EventFormat::ApiGatewayV2, raw) => raw.unwrap_or_else(|| given.to_query()),
            // A load balancer decodes nothing: its parameters are the query as it was sent.
            (EventFormat::LoadBalancer { .. }, _) => given.joined(),
            (_, Some(raw)) if given.names_are_in(&raw) => raw,
            _ => given.to_query(),
        };
        let parameters = match format {
            EventFormat::ApiGatewayV1 if !given.is_empty() => QueryMap::from(given.into_map()),
            _ => query.parse().unwrap_or_default(),
        };
        let target = Target {
            stage,
            path: &raw_path,
            query: &query,
            host: headers.get(HOST).and_then(|host| host.to_str().ok()),
            domain,
            forwarded_proto: headers.get("x-forwarded-proto"),
        };
        let uri = target.to_uri()?;
        let body = match self.body {
            None => Body::Empty,
            Some(text) if self.is_base64_encoded == Some(true) => match STANDARD.decode(text) {
                Ok(bytes) => Body::Binary(bytes),
                Err(_) => {
                    let field = UnreadableField::new("body");
                    return Err(unreadable(&field, "The request's body is not in base64."));
                }
            },
            Some(text) => Body::Text(text),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        *request.extensions_mut() = Extensions::new()
            .with_raw_http_path(raw_path)
            .with_query_string_parameters(parameters)
            .with_path_parameters(self.path_parameters.into_map())
            .with_stage_variables(self.stage_variables.into_map())
            .with_request_context(context);
        Ok(request)
    }

    fn context(&self, format: EventFormat, method: &Method) -> Result<RequestContext, Problem> {
        let text = self.request_context.map_or("{}", RawValue::get);
        read_context(text, format, method)
            .map_err(|field| unreadable(&field, "The request's context has values of other types."))
    }

    /// Returns the method of the event, which an HTTP API has in its context.
    fn method(&self) -> Result<Method, UnreadableField> {
        match self.http_method.as_deref() {
            None | Some("") => Ok(Method::GET),
            Some(name) => name.parse().map_err(|_| UnreadableField::new("httpMethod")),
        }
    }

    /// Returns the headers: the lists of values, and of the single values those whose name has no
    /// list.
    fn headers(&self, format: EventFormat) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in self.multi_value_headers.iter() {
            add_header(&mut headers, name, values);
        }
        let with_lists = headers.clone();
        for (name, values) in self.headers.iter() {
            if !with_lists.contains_key(name) {
                add_header(&mut headers, name, values);
            }
        }
        // RFC 9113, section 8.2.3: the fields of a cookie header are one list, and handlers read
        // one field.
        let cookies: Vec<&[u8]> = match format {
            EventFormat::ApiGatewayV2 => {
                let cookies = self.cookies.iter().flat_map(|(_, values)| values);
                cookies
                    .map(String::as_bytes)
                    .filter(|one| HeaderValue::from_bytes(one).is_ok())
                    .collect()
            }
            _ => headers
                .get_all(COOKIE)
                .iter()
                .map(HeaderValue::as_bytes)
                .collect(),
        };
        if !cookies.is_empty()
            && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
        {
            headers.insert(COOKIE, joined);
        }
        headers
    }
}

/// Adds those of a header's values that can be sent in HTTP, as far as there is room.
fn add_header(headers: &mut HeaderMap, name: &str, values: &[String]) {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        return;
    };
    for value in values {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.try_append(name.clone(), value).ok();
        }
    }
}

/// Logs a member of an event that cannot be read, and returns the response.
fn unreadable(field: &UnreadableField, detail: &str) -> Problem {
    tracing::warn!(%field, "the event of a request could not be read, so it was answered 400");
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// Names with their values, in the order of the event. A list has one entry, without a name.
#[derive(Default)]
struct Values(Vec<(String, Vec<String>)>);

impl Values {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
            .iter()
            .map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str())))
    }

    /// Returns the query of these decoded parameters.
    fn to_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.pairs())
            .finish()
    }

    /// Returns the query of these parameters, which are encoded as they were sent.
    fn joined(&self) -> String {
        let pairs: Vec<String> = self
            .pairs()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    }

    /// Returns whether a query has all these parameters: that of the client may lack some that a
    /// redirect has added.
    fn names_are_in(&self, query: &str) -> bool {
        let sent: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, _)| name)
            .collect();
        self.iter()
            .all(|(name, _)| sent.iter().any(|sent| sent == name))
    }

    fn into_map(self) -> HashMap<String, Vec<String>> {
        self.0.into_iter().collect()
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValuesVisitor)
    }
}

struct ValuesVisitor;

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of texts")
    }

    fn visit_unit<E>(self) -> Result<Values, E> {
        Ok(Values::default())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Values, M::Error> {
        let mut all = Vec::with_capacity(map.size_hint().unwrap_or_default());
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            let values = texts(value);
            if !values.is_empty() {
                all.push((name, values));
            }
        }
        Ok(Values(all))
    }

    fn visit_seq<S: serde::de::SeqAccess<'de>>(self, mut list: S) -> Result<Values, S::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.extend(text(value));
        }
        let has_values = !values.is_empty();
        Ok(Values(
            has_values
                .then(|| (String::new(), values))
                .into_iter()
                .collect(),
        ))
    }
}

fn texts(value: Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.into_iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
