//! `stagelink invoke`: runs a function of the running `stagelink dev` with an event.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use stagelink_local::{InvokeClient, InvokeReply};

use crate::args::InvokeOptions;
use crate::failure::{Failure, print_failure};
use crate::local_clouds;
use crate::output::{note, print, print_json};
use crate::usage_error::of_usage;

/// Invokes the function and prints its response. The exit code is 1 where the function failed, also by
/// a status of 400 or more.
///
/// # Errors
///
/// When no `stagelink dev` runs, it has no such function or stage, or the event is no JSON.
pub async fn run(options: InvokeOptions) -> anyhow::Result<ExitCode> {
    let is_json = options.json;
    let invoked = invoke(options).await;
    if let (Err(error), true) = (&invoked, is_json) {
        print_failure(&Failure::new(error));
    }
    invoked
}

async fn invoke(options: InvokeOptions) -> anyhow::Result<ExitCode> {
    let event = options.data.as_deref().map(event).transpose()?;
    let port = options.port.unwrap_or_default();
    let clouds = local_clouds::running_clouds(&options.project, port)?;
    let stage = options.stage.unwrap_or(clouds.invoke_stage);
    let client = InvokeClient::new(clouds.invoke_url, clouds.invoke_token);
    let reply = client.invoke(&stage, &options.function, event).await;
    let reply = reply.map_err(of_usage)?;
    if options.json {
        print_json(&json_of(&reply))?;
    } else {
        print_reply(&reply)?;
    }
    Ok(match has_failed(&reply) {
        true => ExitCode::from(1),
        false => ExitCode::SUCCESS,
    })
}

/// Reads the event that the option names.
fn event(data: &str) -> anyhow::Result<Vec<u8>> {
    let (text, origin) = match data.strip_prefix('@') {
        Some(file) => {
            let text = std::fs::read(file).with_context(|| format!("could not read {file}"));
            (text.map_err(of_usage)?, file)
        }
        None if data == "-" => {
            let mut text = Vec::new();
            std::io::stdin()
                .read_to_end(&mut text)
                .context("could not read standard input")?;
            (text, "standard input")
        }
        None => (data.as_bytes().to_vec(), "--data"),
    };
    match serde_json::from_slice::<Value>(&text) {
        Ok(_) => Ok(text),
        // Its message has the place and no part of the text.
        Err(cause) => Err(of_usage(
            anyhow!(cause).context(format!("the event of {origin} is no JSON")),
        )),
    }
}

fn json_of(reply: &InvokeReply) -> Value {
    match &reply.response {
        Ok(response) => json!({ "id": reply.id, "sample": reply.sample, "response": response }),
        Err(error) => json!({ "id": reply.id, "sample": reply.sample, "error": error }),
    }
}

/// Prints the body of an HTTP response, and any other response as JSON.
fn print_reply(reply: &InvokeReply) -> anyhow::Result<()> {
    if let Some(sample) = &reply.sample {
        note(format_args!(
            "without --data it got a sample request: {sample}"
        ));
    }
    match &reply.response {
        Err(error) => note(format_args!("error: the function failed: {error}")),
        Ok(response) => match (response["statusCode"].as_u64(), response["body"].as_str()) {
            (Some(status), body) => {
                note(format_args!("status {status}"));
                if let Some(body) = body.filter(|body| !body.is_empty()) {
                    print(body)?;
                }
            }
            (None, _) => print(response)?,
        },
    }
    Ok(())
}

fn has_failed(reply: &InvokeReply) -> bool {
    match &reply.response {
        Ok(response) => response["statusCode"]
            .as_u64()
            .is_some_and(|code| code >= 400),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_json_from_the_option_or_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"a\": 1}").unwrap();
        let named = format!("@{}", file.path().display());
        assert_eq!(event(&named).unwrap(), b"{\"a\": 1}");
        assert_eq!(event("[]").unwrap(), b"[]");
        let error = format!("{:#}", event("{\"c4n4ry\"").unwrap_err());
        assert!(error.contains("the event of --data is no JSON"), "{error}");
        assert!(!error.contains("c4n4ry"), "{error}");
        let missing = event("@/nowhere/event.json").unwrap_err();
        assert!(missing.to_string().contains("could not read /nowhere"));
    }

    #[test]
    fn failure_is_an_error_or_a_status_of_one() {
        let reply = |response| InvokeReply::new("1", response);
        assert!(!has_failed(&reply(Ok(json!({ "statusCode": 204 })))));
        assert!(!has_failed(&reply(Ok(json!([1])))));
        assert!(has_failed(&reply(Ok(json!({ "statusCode": 500 })))));
        assert!(has_failed(&reply(Err("it was killed".to_owned()))));
    }
}
