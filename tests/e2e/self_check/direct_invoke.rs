//! The self-check by a direct invoke, as on AWS Lambda: the invocation names the stage.

use bytes::Bytes;
use serde_json::{Value, json};
use stagelink::Stage;
use stagelink::self_check::{SelfCheckInvocation, SelfCheckReport, VARIABLE, nonce, path};
use stagelink_local::lambda::Function;
use stagelink_tests::sdk_example;

use super::{digest_of, fixture, mark, production_beside, send};

/// Invokes a function directly with a client context, and returns its result.
async fn invoke(function: &Function, client_context: &str, event: &Value) -> Value {
    let function = function
        .with_client_context(client_context)
        .expect("it is there");
    let result = function.invoke(Bytes::from(event.to_string())).await;
    serde_json::from_slice(&result.expect("a result")).expect("JSON")
}

async fn check_directly(function: &Function, stage: &str) -> SelfCheckReport {
    let nonce = nonce().expect("it is there");
    let invocation = SelfCheckInvocation::new(stage.parse().expect("it is there"), &nonce);
    let context = invocation.client_context();
    let result = invoke(function, &context, &json!({})).await.to_string();
    SelfCheckReport::of_invocation(result.as_bytes(), &invocation)
        .unwrap_or_else(|error| panic!("{error}: {result}"))
}

/// One version behind the aliases of two stages, as on AWS Lambda.
#[tokio::test]
async fn direct_invoke_asks_for_the_stage_that_it_names() {
    let (mut fixture, _) = fixture().await;
    let production = production_beside(&mut fixture).await;
    mark(fixture.database.name(), "staging").await;
    mark(production.name(), "production").await;
    for name in ["STAGELINK_STAGE", VARIABLE] {
        fixture.variables.remove(name);
    }
    let function = fixture.function("guestbook").await;
    for qualifier in ["7", "$LATEST", "live", "production"] {
        let report = check_directly(&function.with_alias(qualifier), "production").await;
        assert_eq!(report.database, "ok", "{qualifier}: {}", fixture.log());
        let stages = (report.stage, report.mark);
        assert_eq!(stages, (Some(Stage::PRODUCTION), Some(Stage::PRODUCTION)));
        assert_eq!((report.deploy, &*report.function), (None, "guestbook"));
        assert_eq!(
            report.program,
            Some(digest_of(&function.config().executable))
        );
    }
    let report = check_directly(&function.with_alias("7"), "staging").await;
    assert_eq!(
        (&*report.database, report.mark),
        ("ok", Some(Stage::STAGING)),
        "{}",
        fixture.log()
    );
    for (qualifier, stage) in [("staging", "production"), ("7", "staging/qa")] {
        let report = check_directly(&function.with_alias(qualifier), stage).await;
        assert_eq!((&*report.database, report.mark), ("stage", None));
    }
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;

    fixture.set("STAGELINK_STAGE", "staging");
    let function = fixture.function("guestbook").await;
    let report = check_directly(&function, "staging").await;
    assert_eq!(report.database, "ok", "{}", fixture.log());
    let report = check_directly(&function, "production").await;
    let found = (&*report.database, report.stage);
    assert_eq!(found, ("stage", Some(Stage::STAGING)));
    function.shutdown().await;
}

#[tokio::test]
async fn direct_invoke_is_answered_by_functions_of_each_kind_before_their_handlers() {
    let (fixture, _) = fixture().await;
    for name in ["queue", "streaming", "concurrent"] {
        let function = fixture.start_as(name, &sdk_example(name).await, |config| {
            config.concurrency = if name == "concurrent" { 2 } else { 1 };
        });
        let report = check_directly(&function, "staging").await;
        assert_eq!(report.database, "ok", "{}", fixture.log());
        assert_eq!(report.function, name);
        function.shutdown().await;
    }
    // Any other event is the handler's, also with another client context.
    let function = fixture.start("queue", &sdk_example("queue").await);
    for context in [
        json!({}),
        json!({"custom": {"stagelink-self-check": {"stage": "prod", "nonce": "1"}}}),
        json!({"stagelink-self-check": {"stage": "staging", "nonce": "1"}}),
        json!({"environment": {"stagelink-self-check": {"stage": "staging", "nonce": "1"}}}),
    ] {
        let result = invoke(&function, &context.to_string(), &json!({})).await;
        assert_eq!(result, json!({"stage": "staging"}), "{context}");
    }
    function.shutdown().await;
}

#[tokio::test]
async fn http_event_is_no_self_check_by_its_client_context() {
    let (fixture, _) = fixture().await;
    let function = fixture.start("echo", &sdk_example("echo").await);
    let context = SelfCheckInvocation::new(Stage::STAGING, "n0nce").client_context();
    let function = function.with_client_context(&context).expect("it is there");
    let answer = send(&fixture, &function, ("GET", &path("echo")), None).await;
    assert_eq!(answer.json()["path"], path("echo"));
    function.shutdown().await;
}
