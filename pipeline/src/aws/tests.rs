//! The client with a script in the place of the command `aws`.

use std::fs;

use secrecy::SecretString;

use super::script::Script;
use super::*;
use crate::error::{Error, ErrorKind};

const ALIAS: &str = r#"{"FunctionVersion":"3","RevisionId":"r1"}"#;

#[test]
fn missing_command_is_named_with_where_to_get_it() {
    let error = AwsAccess::find(|_| None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.to_string().contains("no command aws"), "{error}");
    let error = AwsAccess::find(|name| (name == "PATH").then(|| "/nowhere".into())).unwrap_err();
    assert!(error.to_string().contains("install the AWS CLI"), "{error}");
}

#[tokio::test]
async fn region_is_that_of_the_environment_or_of_the_settings_of_aws() {
    let script = Script::new("'configure get') echo eu-north-1 ;;");
    let lambda = Lambda::connect(&script.access(None)).await.unwrap();
    assert_eq!(
        lambda.caller().to_string(),
        "account 123456789012, eu-north-1"
    );
    assert!(
        script
            .calls()
            .contains("eu-north-1 sts get-caller-identity")
    );
    let script = Script::new("'configure get') exit 1 ;;");
    let error = Lambda::connect(&script.access(None)).await.unwrap_err();
    assert!(error.to_string().contains("set AWS_REGION"), "{error}");
    assert!(!script.calls().contains("sts"));
    let lambda = script.lambda().await;
    assert_eq!(lambda.caller().region, "eu-west-1");
}

#[tokio::test]
async fn resource_that_does_not_exist_is_none_and_a_refusal_an_error() {
    let not_found = "An error occurred (ResourceNotFoundException) when calling the GetAlias operation: \
                     Cannot find alias arn";
    let script = Script::new(&format!(
        "'lambda get-alias') echo '{not_found}' >&2; exit 254 ;;"
    ));
    let lambda = script.lambda().await;
    assert!(lambda.alias("shop", "staging").await.unwrap().is_none());

    let denied = "An error occurred (AccessDeniedException) when calling the GetAlias operation: User: \
                  arn:x is not authorized, c4n4ry-key";
    let script = Script::new(&format!(
        "'lambda get-alias') echo '{denied}' >&2; exit 254 ;;"
    ));
    let failure = script
        .lambda()
        .await
        .alias("shop", "staging")
        .await
        .unwrap_err();
    let report = Error::from(failure).report();
    assert!(
        report.starts_with("could not read the alias staging of shop: AccessDeniedException"),
        "{report}"
    );
    assert!(report.contains("allow lambda:GetAlias"), "{report}");
    assert!(!report.contains("c4n4ry"), "{report}");
}

#[tokio::test]
async fn alias_is_moved_from_what_was_read_and_another_change_is_told() {
    let changed = "An error occurred (PreconditionFailedException) when calling the UpdateAlias \
                   operation: The RevisionId provided does not match the latest RevisionId";
    let script = Script::new(&format!(
        "'lambda get-alias') echo '{ALIAS}' ;;\n'lambda update-alias') case \"$*\" in \
         *'--revision-id r1'*) echo '{changed}' >&2; exit 254 ;; esac ;;"
    ));
    let lambda = script.lambda().await;
    let alias = lambda.alias("shop", "staging").await.unwrap().unwrap();
    assert_eq!((&*alias.version, alias.is_split()), ("3", false));
    let failure = lambda.move_alias("shop", "staging", "4", &alias).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.reason, Reason::Changed);
    let report = failure.error.report();
    assert!(report.contains("to version 4"), "{report}");
    assert!(report.contains("has changed it since"), "{report}");
}

#[tokio::test]
async fn limited_rate_is_tried_again() {
    let limited = "An error occurred (TooManyRequestsException) when calling the GetAlias operation \
                   (reached max retries: 2): Rate exceeded";
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("asked").display().to_string();
    let script = Script::new(&format!(
        "'lambda get-alias') if [ -e '{mark}' ]; then echo '{ALIAS}'; else touch '{mark}'; \
         echo '{limited}' >&2; exit 254; fi ;;"
    ));
    let lambda = script.lambda().await;
    assert!(lambda.alias("shop", "staging").await.unwrap().is_some());
    assert_eq!(script.calls().matches("get-alias").count(), 2);
}

#[tokio::test]
async fn variables_pass_in_a_private_file_alone_and_no_error_repeats_them() {
    let refused = "An error occurred (InvalidParameterValueException) when calling the \
                   UpdateFunctionConfiguration operation: Value {A=c4n4ry-value} is wrong";
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept").display().to_string();
    let answers = format!(
        "'lambda update-function-configuration') for word; do case $word in file://*) \
         cp \"${{word#file://}}\" '{kept}'; stat -c %a \"${{word#file://}}\" >>'{kept}' ;; esac; \
         done; echo '{refused}' >&2; exit 254 ;;"
    );
    let script = Script::new(&answers);
    let change = SettingsChange {
        memory_mb: Some(512),
        variables: Some(vec![("A".to_owned(), SecretString::from("c4n4ry-value"))]),
        ..SettingsChange::default()
    };
    assert!(!format!("{change:?}").contains("c4n4ry"));
    let read = FunctionConfiguration::sample("$LATEST", "sha");
    let lambda = script.lambda().await.hiding(change.secrets());
    let error = lambda.update_settings("shop", &change, &read).await;
    let report = error.unwrap_err().report();
    assert!(report.contains("Value {A=…} is wrong"), "{report}");
    assert!(!script.calls().contains("c4n4ry"), "{}", script.calls());
    let kept = fs::read_to_string(&kept).unwrap();
    assert_eq!(kept, "{\"Variables\":{\"A\":\"c4n4ry-value\"}}600\n");
}

#[tokio::test]
async fn version_that_cannot_run_is_an_error_with_lambdas_reason() {
    let script = Script::new(
        "'lambda publish-version') echo '{\"version\":\"7\",\"sha256\":\"s\"}' ;;\n\
         'lambda get-function-configuration') echo '{\"version\":\"7\",\"sha256\":\"s\",\
         \"state\":\"Failed\",\"state_reason\":\"no bootstrap, c4n4ry-key\"}' ;;",
    );
    let read = FunctionConfiguration::sample("$LATEST", "s");
    let published = script.lambda().await.publish("shop", &read, "text").await;
    let error = published.unwrap_err().to_string();
    assert_eq!(error, "shop:7 is not ready: no bootstrap, …");
}

#[tokio::test]
async fn function_that_fails_is_an_error_with_its_own_reason() {
    let script = Script::new(
        "'lambda invoke') for word; do last=$word; done; \
         echo '{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"exit status 1 of c4n4ry-key\"}' >\"$last\"; \
         echo '{\"StatusCode\":200,\"FunctionError\":\"Unhandled\"}' ;;",
    );
    let lambda = script.lambda().await;
    let error = lambda.invoke("shop", "7", "{}").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "shop:7 failed: Runtime.ExitError: exit status 1 of …"
    );
    // {} in Base64.
    assert!(script.calls().contains("--client-context e30="));
}

/// Answers for an alias that has a URL, and refuses what is done to its permissions with this error.
fn with_url(permissions: &str) -> Script {
    let url = r#"{"FunctionUrl":"https://u/"}"#;
    Script::new(&format!(
        "'lambda get-function-url-config'|'lambda update-function-url-config') echo '{url}' ;;\n\
         'lambda add-permission'|'lambda remove-permission') echo 'An error occurred ({permissions}' >&2; \
         exit 254 ;;"
    ))
}

#[tokio::test]
async fn permission_of_a_url_that_is_as_it_should_be_is_no_failure_and_one_that_cannot_be_set_is() {
    let there = "ResourceConflictException) when calling the AddPermission operation: The statement id \
                 (stagelink-url) provided already exists";
    let gone = "ResourceNotFoundException) when calling the RemovePermission operation: no policy";
    let busy = "ResourceConflictException) when calling the AddPermission operation: The operation cannot be \
                performed at this time. An update is in progress";
    for (access, answer, is_given) in [
        (UrlAccess::Public, there, true),
        (UrlAccess::Public, busy, false),
        (UrlAccess::Iam, gone, true),
        (UrlAccess::Iam, busy, false),
    ] {
        let script = with_url(answer);
        let given = script
            .lambda()
            .await
            .give_url("shop", "staging", access)
            .await;
        assert_eq!(given.is_ok(), is_given, "{access:?}: {given:?}");
        let (auth, verb) = match access {
            UrlAccess::Public => ("--auth-type NONE", "add-permission"),
            UrlAccess::Iam => ("--auth-type AWS_IAM", "remove-permission"),
        };
        let calls = script.calls();
        assert!(calls.contains(auth) && calls.contains(verb), "{calls}");
    }
}
