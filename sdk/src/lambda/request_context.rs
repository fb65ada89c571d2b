//! The context of a request: the member `requestContext` of its event.

use std::fmt;

use http::Method;
use lambda_http::request::RequestContext;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::{Value, json};

use crate::lambda::event_format::EventFormat;

/// Reads the context of a request. A null in it counts as absent.
///
/// # Errors
///
/// When a member has another type than `lambda_http` gives it.
pub(super) fn read_context(
    text: &str,
    format: EventFormat,
    method: &Method,
) -> Result<RequestContext, UnreadableField> {
    match format {
        EventFormat::ApiGatewayV1 => read(text, Some(method)).map(RequestContext::ApiGatewayV1),
        EventFormat::ApiGatewayV2 => read(text, None).map(RequestContext::ApiGatewayV2),
        EventFormat::LoadBalancer { .. } => read(text, None).map(RequestContext::Alb),
    }
}

/// Reads a context as it is or, where that fails, without its nulls and with the method, which
/// `lambda_http` asks for and Netlify leaves out.
///
/// Each of the large types is read from text alone: a second way to read them costs an artifact
/// some 50 KB.
fn read<T: DeserializeOwned>(text: &str, method: Option<&Method>) -> Result<T, UnreadableField> {
    if let Ok(context) = serde_json::from_str(text) {
        return Ok(context);
    }
    let mut context: Value = parse("requestContext", &mut deserializer(text))?;
    remove_nulls(&mut context);
    if let (Value::Object(members), Some(method)) = (&mut context, method) {
        let member = members.entry("httpMethod");
        member.or_insert_with(|| method.as_str().into());
    }
    let read = |context: &Value| serde_json::from_str::<T>(&context.to_string());
    match read(&context) {
        Ok(context) => Ok(context),
        Err(_) => Err(unreadable_member(context, &|context| read(context).is_ok())),
    }
}

/// Returns the member that keeps a context from being read: the innermost one without which, or with
/// another value of which, it can be. Looks at 300 members at most.
fn unreadable_member(mut context: Value, fits: &dyn Fn(&Value) -> bool) -> UnreadableField {
    let mut members = Vec::new();
    add_members(&context, &mut Vec::new(), &mut members);
    for path in members.iter().take(MAX_MEMBERS) {
        let Some((name, parents)) = path.split_last() else {
            continue;
        };
        let parent = parents
            .iter()
            .try_fold(&mut context, |value, name| value.get_mut(name.as_str()));
        let Some(own) = parent.and_then(|parent| parent.as_object_mut()?.remove(name)) else {
            continue;
        };
        let mut is_found = fits(&context);
        // What a member has to be that cannot be left out.
        for other in [json!("GET"), json!({}), json!({ "method": "GET" }), own] {
            let parent = parents
                .iter()
                .try_fold(&mut context, |value, name| value.get_mut(name.as_str()));
            if let Some(Value::Object(members)) = parent {
                members.insert(name.clone(), other);
            }
            is_found = is_found || fits(&context);
        }
        if is_found {
            return UnreadableField(format!("requestContext.{}", path.join(".")));
        }
    }
    UnreadableField::new("requestContext")
}

/// Adds the path of each member of an object, those of inner objects first.
fn add_members(value: &Value, path: &mut Vec<String>, members: &mut Vec<Vec<String>>) {
    let Value::Object(own) = value else {
        return;
    };
    for (name, member) in own {
        path.push(name.clone());
        add_members(member, path, members);
        members.push(path.clone());
        path.pop();
    }
}

const MAX_MEMBERS: usize = 300;

/// Removes the members and elements that are null.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, empty) in required() {
                if let Some(member) = members.get_mut(name)
                    && member.is_null()
                {
                    *member = empty;
                }
            }
            members.retain(|_, member| !member.is_null());
            for (name, member) in members {
                // The context that an authorizer of the operator's own returns is any JSON.
                if name != "lambda" {
                    remove_nulls(member);
                }
            }
        }
        Value::Array(elements) => {
            elements.retain(|element| !element.is_null());
            elements.iter_mut().for_each(remove_nulls);
        }
        _ => {}
    }
}

/// Members that `lambda_http` requires of an identity of Cognito and of a client certificate.
fn required() -> [(&'static str, Value); 2] {
    [("amr", json!([])), ("validity", json!({}))]
}

pub(super) fn deserializer(text: &str) -> serde_json::Deserializer<serde_json::de::StrRead<'_>> {
    serde_json::Deserializer::from_str(text)
}

/// Reads a value that has this name in an event, or the whole event under an empty name.
pub(super) fn parse<'de, T: Deserialize<'de>>(
    name: &str,
    deserializer: impl Deserializer<'de>,
) -> Result<T, UnreadableField> {
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let names = [name.to_owned()].into_iter();
        let names = names.chain(error.path().iter().map(ToString::to_string));
        let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
        UnreadableField(names.join("."))
    })
}

/// The path of a member of an event that cannot be read. It says nothing of the member's value,
/// which may be secret.
#[derive(Debug)]
pub(super) struct UnreadableField(String);

impl UnreadableField {
    pub(super) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for UnreadableField {
    /// Escapes control characters: the names of a token's claims, for example, may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(MAX_CHARS).collect();
        write!(f, "{}", shown.escape_debug())
    }
}

const MAX_CHARS: usize = 200;
